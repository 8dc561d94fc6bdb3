// A live-streaming trio on Fargate: servers that scale on their own, found through Redis, with a ladder and a recording.
// Missing are the hooks, the outputs to other platforms that the publisher's URL names, and the stacks of the cloud.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { onAir, publish, until } from '../harness.mjs';
import { stack } from '../stack.mjs';

const run = promisify(execFile);

let trio, store;

before(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-seed-'));
  store = join(directory, 'store');
  const settings = {
    HEADWATER_LADDER_RUNGS: '1280x720@2800k,842x480@1400k,640x360@800k',
    HEADWATER_HLS_SEGMENT_DURATION: '6s',
    HEADWATER_STORE_URL: `file://${store}`,
    HEADWATER_RECORDING_SPOOL: join(directory, 'spool'),
    HEADWATER_RECORDING_RENDITIONS: 'top',
  };
  trio = await stack({ servers: 2, origins: 1, directory, settings });
});

after(() => trio?.stop());

/** A field of a hash in Redis, as an operator reads it. */
const redis = async (...command) => (await run('redis-cli', ['-u', trio.redis, ...command])).stdout.trim();

test('Redis leads from a stream to its server, viewers get the ladder, and the best rendition is recorded', async () => {
  const encoder = publish(`${trio.rtmp}/show?twitch=a&youtube=b`, 60, '1280x720');
  const [origin] = trio.origins;
  try {
    await onAir(origin.http, 'show', trio.output);
    const address = await redis('HGET', 'headwater:{show}:lease', 'address');
    assert.ok(trio.servers.some(({ port }) => address === `127.0.0.1:${port}`), address);
    const ladder = await (await fetch(`${origin.http}/show/live.m3u8`)).text();
    // The middle rung keeps the aspect of the picture, within its 842x480.
    assert.deepEqual(ladder.match(/RESOLUTION=\d+x\d+/g), ['1280x720', '842x474', '640x360'].map((size) => `RESOLUTION=${size}`));
    const best = `${origin.http}/show/720p/index.m3u8`;
    const hasSegment = async () => /#EXTINF:(6|6\.0+),/.test(await (await fetch(best)).text());
    await until('a segment of six seconds', hasSegment, { tell: async () => (await fetch(best)).text() });
  } finally {
    await encoder.stop();
  }
  const folder = join(store, 'show');
  const recording = await until('the recording to end', async () => {
    const name = (await readdir(folder)).find((name) => /^vod-.*\.m3u8$/.test(name));
    const media = name && (await readFile(join(folder, name.slice(4, -5), '720p', 'index.m3u8'), 'utf8').catch(() => ''));
    return media?.includes('#EXT-X-ENDLIST') && { name, media };
  }, { tell: trio.output });
  const whole = await readFile(join(folder, recording.name), 'utf8');
  assert.deepEqual(whole.match(/RESOLUTION=\d+x\d+/g), ['RESOLUTION=1280x720']);
  const segments = recording.media.split('\n').filter((line) => line.endsWith('.m4s'));
  const stored = await readdir(join(folder, recording.name.slice(4, -5), '720p'));
  assert.ok(segments.length > 0 && segments.every((segment) => stored.includes(segment)), recording.media);
});
