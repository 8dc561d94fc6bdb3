// dash.js plays the same segments as the page, on another site, with low latency, through a reconnect of the publisher, and
// to the last picture.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browser, publish, until, up } from './harness.mjs';
import { observed } from './observer.mjs';
import { FRAME_RATE, numbered, send } from './source.mjs';

const DASHJS = createRequire(import.meta.url).resolve('dashjs');
const PAGE = '<!doctype html><video muted></video><script src="/dash.js"></script>';
/** Seconds that each publisher is played before it leaves. */
const PLAYED = 8;
/** The most that a player may be behind the publisher, in seconds. It aims at two. */
const LATENCY = 3.5;
/** Seconds that the last publisher sends. */
const LAST = 16;
/** A picture's duration, in seconds. */
const PICTURE = 1 / FRAME_RATE;
/** Pictures of a part of 334 ms, and the one that Chromium holds back until it knows that it is the last one. */
const PART = Math.ceil(0.334 * FRAME_RATE) + 1;

let headwater, chromium, site, directory, source;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'headwater-dash-'));
  source = await numbered(directory, LAST);
  [headwater, chromium] = await Promise.all([up({ HEADWATER_SERVER_RECONNECT_WINDOW: '10s' }), browser()]);
  site = createServer(async ({ url }, answer) => {
    const [type, body] = url === '/dash.js' ? ['text/javascript', await readFile(DASHJS)] : ['text/html', PAGE];
    answer.setHeader('Content-Type', type).end(body);
  });
  await once(site.listen(0, '127.0.0.1'), 'listening');
});

after(async () => {
  await chromium?.close();
  site?.close();
  await headwater?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** A page of another site with a player of its own. */
async function open(url) {
  const page = await chromium.context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(`${error}`));
  await observed(page);
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  await page.evaluate(play, url);
  return { page, problems };
}

/** Runs in the page. */
function play(url) {
  const told = (window.told = { errors: [], periods: [], stalls: 0 });
  const player = (window.player = dashjs.MediaPlayer().create());
  const video = document.querySelector('video');
  const on = (event, listener) => player.on(dashjs.MediaPlayer.events[event], listener);
  on('ERROR', ({ error }) => told.errors.push(`${error?.code ?? error}: ${error?.message ?? ''}`));
  on('PLAYBACK_ERROR', ({ error }) => told.errors.push(`${error}`));
  on('PERIOD_SWITCH_COMPLETED', ({ toStreamInfo }) => told.periods.push(toStreamInfo.id));
  on('PLAYBACK_STALLED', () => told.stalls++);
  // What was played stays in the buffer, to be looked at.
  player.updateSettings({ streaming: { buffer: { bufferToKeep: 60 } } });
  player.initialize(video, url, true);
}

const look = (page) =>
  page.evaluate(() => {
    const { player, told } = window;
    const video = document.querySelector('video');
    const { totalVideoFrames: frames, droppedVideoFrames: dropped } = video.getVideoPlaybackQuality();
    const latency = player.getCurrentLiveLatency();
    const { currentTime: time, videoHeight: height, ended, duration, buffered } = video;
    const ranges = Array.from({ length: buffered.length }, (_, n) => [buffered.start(n), buffered.end(n)]);
    return { ...told, time, height, latency, frames, dropped, ended, duration, ranges };
  });

test('dash.js plays through a reconnect with low latency, and to the last picture', async () => {
  let encoder = publish(`${headwater.rtmp}/show`, 60);
  let page, problems;
  const tell = async () => `${JSON.stringify(page && (await look(page)))}\n${problems}\n${headwater.output().slice(-3000)}`;
  const plays = async (period) => {
    const start = await until(`a picture of period ${period}`, async () => {
      const now = await look(page);
      return now.periods.includes(period) && now.frames > 0 && now.time > 0 && now;
    }, { tell });
    await until('playback', async () => (await look(page)).time > start.time + PLAYED, { tell });
    const now = await look(page);
    if (process.env.TELL) console.log(JSON.stringify(now));
    assert.ok(now.latency > 0 && now.latency < LATENCY, `latency ${now.latency}`);
    assert.ok(now.frames > start.frames + PLAYED * 20 && now.height > 0, JSON.stringify([start, now]));
    assert.deepEqual([now.errors, problems], [[], []]);
  };
  try {
    const presentation = `${headwater.http}/show/live.mpd`;
    await until('the presentation', async () => (await fetch(presentation)).ok, { tell });
    ({ page, problems } = await open(presentation));
    await plays('0');
    await encoder.stop();
    encoder = send(source, `${headwater.rtmp}/show`);
    await plays('1');

    // Its publisher does not come back: it has shown everything, and knows that it is over.
    assert.equal(await encoder.done, 0);
    await until('the end', async () => (await look(page)).ended, { tell });
    const end = await look(page);
    if (process.env.TELL) console.log(JSON.stringify(end));
    assert.deepEqual([end.errors, problems], [[], []]);
    assert.ok(end.duration - end.time < PICTURE, JSON.stringify(end));
    const [from, to] = end.ranges.at(-1);
    assert.ok(Math.abs(to - from - LAST) < 2 * PICTURE, `all that was sent has come: ${JSON.stringify(end)}`);
    // dash.js jumps to the end after so long a wait, over what it had not shown of the last part by then.
    const shown = await page.evaluate(() => window.onScreen());
    assert.ok(shown >= source.frames - PART, `a picture of the last part: ${shown}`);

    // What has left the live window can be gone back to.
    const [[start]] = end.ranges;
    await page.close();
    ({ page, problems } = await open(`${headwater.http}/show/dvr.mpd`));
    const back = await until('the first pictures', async () => {
      const now = await look(page);
      return now.frames > FRAME_RATE && now.time > 0 && now;
    }, { tell });
    if (process.env.TELL) console.log(JSON.stringify(back));
    assert.ok(back.periods[0] === '0' && back.time < start + 4, JSON.stringify([start, back]));
    assert.deepEqual([back.errors, problems], [[], []]);
  } finally {
    await encoder.stop();
    await page?.close();
  }
});
