// Recordings that viewers get from a CDN (`store.public_url`): the player page plays them from another host.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import { after, before, test } from 'node:test';
import { browser, until, up } from './harness.mjs';
import { watch } from './observer.mjs';
import { FRAME_RATE, numbered, send } from './source.mjs';

const SECONDS = 8;

let headwater, chromium, cdn, directory, source;
const asked = [];

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'headwater-cdn-'));
  source = await numbered(directory, SECONDS);
  const store = join(directory, 'store');
  cdn = createServer(async ({ url }, answer) => {
    const { pathname } = new URL(url, 'http://cdn');
    asked.push(pathname);
    answer.setHeader('Access-Control-Allow-Origin', '*');
    const file = await readFile(join(store, normalize(pathname.replace('/recordings/', '/')))).catch(() => undefined);
    answer.writeHead(file ? 200 : 404).end(file);
  });
  await once(cdn.listen(0, '127.0.0.1'), 'listening');
  const settings = {
    HEADWATER_STORE_URL: `file://${store}`,
    HEADWATER_STORE_PUBLIC_URL: `http://127.0.0.1:${cdn.address().port}/recordings`,
  };
  [headwater, chromium] = await Promise.all([up(settings), browser()]);
});

after(async () => {
  await chromium?.close();
  await headwater?.stop();
  cdn?.close();
  await rm(directory, { recursive: true, force: true });
});

test('a recording is played from the host that viewers are sent to', async () => {
  const encoder = send(source, `${headwater.rtmp}/show`);
  assert.equal(await encoder.done, 0);
  const recording = await until('the recording to be complete', async () => {
    const [newest] = await (await fetch(`${headwater.http}/show/recordings.json`)).json();
    return newest?.state === 'complete' && newest;
  }, { tell: () => headwater.output().slice(-2000) });

  const viewer = await watch(chromium.context, `${headwater.http}/show?recording=${recording.broadcast}`);
  const tell = async () => `${JSON.stringify(await viewer.stats())}\n${asked.join('\n')}\n${viewer.problems}`;
  try {
    await until('its end', async () => (await viewer.state()) === 'ended', { tell });
    const { pictures } = await viewer.seen();
    assert.ok(pictures.at(-1).number >= SECONDS * FRAME_RATE - 2, `the last picture was ${pictures.at(-1).number}`);
    assert.ok(asked.includes(`/recordings/show/vod-${recording.broadcast}.m3u8`), await tell());
    assert.ok(asked.filter((path) => path.endsWith('.m4s')).length >= SECONDS / 2, 'its media');
    // The page asks whether the stream is live, to offer that; it is not.
    assert.deepEqual([viewer.problems, viewer.refused(/\/show\/live\.m3u8$/)], [[], []]);
  } finally {
    await viewer.page.close();
  }
});
