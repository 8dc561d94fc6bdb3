import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pollDelay, retryDelay } from '../src/backoff.js';
import { parse } from '../src/params.js';
import { firstVariant, probe, read } from '../src/probe.js';

const MULTIVARIANT = '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI="audio/index.m3u8"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n720p/index.m3u8\n';
const MEDIA = '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n0a1b2c3d-4.m4s\n#EXT-X-PART:DURATION=0.3,URI="0a1b2c3d-5.0.m4s"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="0a1b2c3d-5.1.m4s"\n';
const SOURCE = 'http://origin/demo/live.m3u8';

/** An origin that serves these pages and answers 404 to everything else. */
const origin = (pages) => async (url) => {
  const body = pages[url];
  return { status: body ? 200 : 404, ok: Boolean(body), url, text: async () => body };
};
const ask = (get, awaiting = false) => probe(SOURCE, new AbortController().signal, { awaiting, get });

test('a stream that is not there is off the air', async () => {
  assert.deepEqual(await ask(origin({})), { event: 'off-air' });
  assert.deepEqual(await ask(origin({ [SOURCE]: MULTIVARIANT })), { event: 'off-air' });
});

test('a broadcast is told from one that is over by its media playlist', async () => {
  const media = 'http://origin/demo/720p/index.m3u8';
  const running = await ask(origin({ [SOURCE]: MULTIVARIANT, [media]: MEDIA }));
  assert.equal(running.event, 'on-air');
  const closed = await ask(origin({ [SOURCE]: MULTIVARIANT, [media]: `${MEDIA}#EXT-X-ENDLIST\n` }));
  assert.equal(closed.event, 'over');
});

test('a broadcast whose first segment is not whole is waited for by the origin', async () => {
  const media = 'http://origin/demo/720p/index.m3u8';
  const young = MEDIA.replace('#EXTINF:2,\n0a1b2c3d-4.m4s\n', '#EXT-X-MEDIA-SEQUENCE:5\n');
  const asked = [];
  const pages = origin({ [SOURCE]: MULTIVARIANT, [media]: young, [`${media}?_HLS_msn=5`]: MEDIA });
  const found = await ask((url) => (asked.push(url), pages(url)));
  assert.equal(found.event, 'on-air');
  assert.deepEqual(asked, [SOURCE, media, `${media}?_HLS_msn=5`]);
  const { event } = await ask(origin({ [SOURCE]: MULTIVARIANT, [media]: `${young}#EXT-X-ENDLIST\n` }));
  assert.equal(event, 'over');
});

test('a page that waits lets the origin wait', async () => {
  const media = 'http://origin/demo/720p/index.m3u8';
  const found = await ask(origin({ [`${SOURCE}?await=live`]: MULTIVARIANT, [media]: MEDIA }), true);
  assert.equal(found.event, 'on-air');
});

test('errors of server, network and proxies in between are not the end of the broadcast', async () => {
  assert.equal((await ask(async () => ({ status: 503, ok: false }))).event, 'unreachable');
  assert.equal((await ask(async () => Promise.reject(new TypeError('network')))).event, 'unreachable');
  assert.equal((await ask(origin({ [SOURCE]: '<html>Log in to the hotel’s network</html>' }))).event, 'unreachable');
});

test('the mark changes with each part and each segment', () => {
  const mark = read(MEDIA).mark;
  assert.match(mark, /5\.0\.m4s/);
  assert.notEqual(read(MEDIA.replace('5.0', '5.1')).mark, mark);
  assert.equal(read('#EXTM3U\n#EXTINF:2,\n0a1b2c3d-4.m4s\r\n').mark, '0a1b2c3d-4.m4s');
  assert.equal(firstVariant(MULTIVARIANT), '720p/index.m3u8');
  assert.equal(firstVariant(MEDIA), undefined);
});

test('polling slows from 2 s to 5 s with jitter, coming back from 0.3 s', () => {
  assert.equal(pollDelay(0, 0.5), 2_000);
  assert.equal(pollDelay(1_000, 0.5), 5_000);
  assert.deepEqual([pollDelay(0, 0), pollDelay(0, 1)], [1_600, 2_400]);
  assert.deepEqual([0, 1, 2, 9].map((attempt) => retryDelay(attempt, 0.5)), [300, 600, 1_200, 3_000]);
});

test('the address says what to play and how', () => {
  const plain = parse('https://watch.example/demo');
  assert.equal(plain.source, 'https://watch.example/demo/live.m3u8');
  assert.deepEqual([plain.stream, plain.autoplay, plain.muted, plain.controls, plain.latency], ['demo', true, false, true, undefined]);
  const behind = parse('https://watch.example/tv/caf%C3%A9/?autoplay=0&muted=1&controls=0&latency=2.5#x');
  assert.equal(behind.source, 'https://watch.example/tv/caf%C3%A9/live.m3u8');
  assert.deepEqual([behind.stream, behind.autoplay, behind.muted, behind.controls, behind.latency], ['café', false, true, false, 2.5]);
  assert.equal(parse('https://watch.example/demo?latency=-1').latency, undefined);
});
