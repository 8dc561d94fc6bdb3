// Players in a browser come to a broadcast that is three minutes old, and play it: dash.js with low latency, Shaka as it
// comes, hls.js with parts.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browser, stopped, until } from './harness.mjs';
import { FRAME_RATE, numbered } from './source.mjs';
import { stack } from './stack.mjs';

const resolve = createRequire(import.meta.url).resolve;
const SCRIPTS = {
  '/dash.js': resolve('dashjs'),
  '/shaka.js': resolve('shaka-player'),
  '/hls.js': new URL('../../web/player/node_modules/hls.js/dist/hls.min.js', import.meta.url).pathname,
};
const OLD_BROADCAST = new URL('../../target/debug/old-broadcast', import.meta.url).pathname;
/** Seconds since the broadcast began, when the players come. */
const AGE = 180;
/** Seconds that each has to play. */
const PLAYED = 10;
/**
 * Seconds that a player may be behind the broadcast. dash.js catches up to what low latency aims at; hls.js by itself does not,
 * and stays where a busy machine let it begin: three segments and some; Shaka keeps the suggested delay of 10 s and a segment.
 */
const LATENCY = { dash: 3.5, hls: 9, shaka: 14 };

let services, chromium, site, publisher, source;

before(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-old-'));
  source = await numbered(directory, 20);
  [services, chromium] = await Promise.all([stack({ servers: 1, origins: 1, directory }), browser()]);
  publisher = spawn(OLD_BROADCAST, [services.redis, 'show', source.file, `${AGE}`], { stdio: ['ignore', 'inherit', 'inherit'] });
  site = createServer(async ({ url }, answer) => {
    const [type, body] = SCRIPTS[url] ? ['text/javascript', await readFile(SCRIPTS[url])] : ['text/html', page(url)];
    answer.setHeader('Content-Type', type).end(body);
  });
  await once(site.listen(0, '127.0.0.1'), 'listening');
});

after(async () => {
  await chromium?.close();
  site?.close();
  if (publisher) await stopped(publisher);
  await services?.stop();
});

const page = (name) => `<!doctype html><video muted autoplay width=640></video><script src="${name}.js"></script>`;

/** These run in the page; each gives what tells how many seconds the player is behind the broadcast. */
const PLAYERS = {
  dash: (url) => {
    const player = dashjs.MediaPlayer().create();
    player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => window.errors.push(`${error?.code}: ${error?.message}`));
    player.initialize(document.querySelector('video'), url, true);
    window.latency = () => player.getCurrentLiveLatency();
  },
  shaka: async (url) => {
    const player = new shaka.Player();
    await player.attach(document.querySelector('video'));
    player.addEventListener('error', ({ detail }) => window.errors.push(`${detail.code}: ${detail.message}`));
    await player.load(url).catch((error) => window.errors.push(`${error}`));
    // Its own times are counted from the start of the presentation.
    const [, start] = /availabilityStartTime="([^"]+)"/.exec(await (await fetch(url)).text());
    const video = document.querySelector('video');
    window.latency = () => (Date.now() - Date.parse(start)) / 1000 - video.currentTime;
  },
  hls: (url) => {
    const player = new Hls();
    player.on(Hls.Events.ERROR, (_, { fatal, type, details }) => fatal && window.errors.push(`${type}: ${details}`));
    player.loadSource(url);
    player.attachMedia(document.querySelector('video'));
    window.latency = () => player.latency;
  },
};

async function open(name, url) {
  const page = await chromium.context.newPage();
  await page.addInitScript(() => (window.errors = []));
  page.on('pageerror', (error) => page.evaluate((text) => window.errors.push(text), `${error}`));
  await page.goto(`http://127.0.0.1:${site.address().port}/${name}`);
  await page.evaluate(PLAYERS[name], url);
  return page;
}

const look = (page) =>
  page.evaluate(() => {
    const video = document.querySelector('video');
    const { totalVideoFrames: frames, droppedVideoFrames: dropped } = video.getVideoPlaybackQuality();
    const { currentTime: time, videoHeight: height } = video;
    return { time, height, frames, dropped, errors: window.errors, latency: window.latency?.() };
  });

/** Whether the newest segment is one of the last ten seconds. */
async function caughtUp(url) {
  const answer = await fetch(url).catch(() => undefined);
  const dates = answer?.ok && [...(await answer.text()).matchAll(/PROGRAM-DATE-TIME:(\S+)/g)];
  return dates && Date.now() - Date.parse(dates.at(-1)?.[1]) < 10_000;
}

test('players play a broadcast that is three minutes old', async () => {
  const origin = `${services.origins[0].http}/show`;
  const pages = {};
  const tell = async () => {
    const seen = await Promise.all(Object.entries(pages).map(async ([name, page]) => `${name}: ${JSON.stringify(await look(page))}`));
    return `${seen.join('\n')}\n${services.output()}`;
  };
  await until('the broadcast to have caught up', () => caughtUp(`${origin}/360p/index.m3u8`), { seconds: 120, tell });
  for (const name of Object.keys(PLAYERS)) {
    pages[name] = await open(name, `${origin}/live.${name === 'hls' ? 'm3u8' : 'mpd'}`);
  }
  for (const [name, page] of Object.entries(pages)) {
    const start = await until(`a picture in ${name}`, async () => {
      const now = await look(page);
      return now.frames > 0 && now.time > 0 && now;
    }, { tell });
    const enough = start.time + PLAYED;
    const now = await until(`${name} to play`, async () => {
      const now = await look(page);
      // It may have to catch up first, by playing a twenty-fifth faster: a second and a half takes 38 s.
      return now.time > enough && now.latency < LATENCY[name] && now;
    }, { seconds: 90, tell });
    if (process.env.TELL) console.log(name, JSON.stringify(now));
    assert.deepEqual(now.errors, [], name);
    assert.ok(now.height > 0 && now.frames - start.frames > PLAYED * FRAME_RATE * 0.8, `${name}: ${JSON.stringify([start, now])}`);
    assert.ok(now.latency > 0, `${name}: ${JSON.stringify(now)}`);
  }
});
