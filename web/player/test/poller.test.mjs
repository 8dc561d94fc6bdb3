import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Poller } from '../src/poller.js';

/** What a poller that looks for progress reports, while media playlists say this, one after the other. */
async function reports(t, playlists, wanted) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const left = [...playlists];
  t.mock.method(globalThis, 'fetch', async (url) => {
    const body = `${url}`.endsWith('live.m3u8') ? '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8' : (left.length > 1 ? left.shift() : left[0]);
    return new Response(body);
  });
  const events = [];
  const poller = new Poller('http://origin/live.m3u8', ({ event }) => events.push(event));
  poller.startForProgress(0);
  for (let look = 0; events.length < wanted && look < 1_000; look++) {
    t.mock.timers.tick(100);
    await new Promise(setImmediate);
  }
  poller.stop();
  return events;
}

const playlist = (segment) => `#EXTM3U\n#EXTINF:2,\n0a1b2c3d-${segment}.m4s\n`;

test('a playlist that stands still is said to, from the second look on', async (t) => {
  assert.deepEqual(await reports(t, [playlist(7)], 2), ['still', 'still']);
});

test('one that moves again is on air, and a closed one is over', async (t) => {
  const closed = `${playlist(8)}#EXT-X-ENDLIST\n`;
  assert.deepEqual(await reports(t, [playlist(7), playlist(7), playlist(8), closed], 3), ['still', 'on-air', 'over']);
});
