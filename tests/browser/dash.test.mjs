// dash.js plays the same segments as the page, on another site, with low latency, through a reconnect of the publisher.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { browser, publish, until, up } from './harness.mjs';

const DASHJS = createRequire(import.meta.url).resolve('dashjs');
const PAGE = '<!doctype html><video muted></video><script src="/dash.js"></script>';
/** Seconds that each publisher is played before it leaves. */
const PLAYED = 8;
/** The most that a player may be behind the publisher, in seconds. It aims at two. */
const LATENCY = 3.5;

let headwater, chromium, site;

before(async () => {
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
});

/** A page of another site with a player of its own. */
async function open(url) {
  const page = await chromium.context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(`${error}`));
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  await page.evaluate(play, url);
  return { page, problems };
}

/** Runs in the page. */
function play(url) {
  const seen = (window.seen = { errors: [], periods: [], stalls: 0 });
  const player = (window.player = dashjs.MediaPlayer().create());
  const video = document.querySelector('video');
  const on = (event, listener) => player.on(dashjs.MediaPlayer.events[event], listener);
  on('ERROR', ({ error }) => seen.errors.push(`${error?.code ?? error}: ${error?.message ?? ''}`));
  on('PLAYBACK_ERROR', ({ error }) => seen.errors.push(`${error}`));
  on('PERIOD_SWITCH_COMPLETED', ({ toStreamInfo }) => seen.periods.push(toStreamInfo.id));
  on('PLAYBACK_STALLED', () => seen.stalls++);
  player.initialize(video, url, true);
}

const look = (page) =>
  page.evaluate(() => {
    const { player, seen } = window;
    const video = document.querySelector('video');
    const { totalVideoFrames: frames, droppedVideoFrames: dropped } = video.getVideoPlaybackQuality();
    const latency = player.getCurrentLiveLatency();
    return { ...seen, time: video.currentTime, height: video.videoHeight, latency, frames, dropped };
  });

test('dash.js plays through a reconnect with low latency', async () => {
  let encoder = publish(`${headwater.rtmp}/show`, 60);
  let page, problems;
  const tell = async () => `${JSON.stringify(page && (await look(page)))}\n${problems}\n${headwater.output().slice(-3000)}`;
  const plays = async (period) => {
    await until(`period ${period}`, async () => (await look(page)).periods.includes(period), { tell });
    const start = await look(page);
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
    encoder = publish(`${headwater.rtmp}/show`, 60);
    await plays('1');
  } finally {
    await encoder.stop();
    await page?.close();
  }
});
