// What `headwater-bench latency` has measured in a browser, by the pictures themselves: every picture carries the wall
// clock of the moment that it was taken. Prints one JSON object.
//   node latency.mjs --http http://127.0.0.1:8080 --rtmp 127.0.0.1:1935 --seconds 60 --starts 8 [--source FILM]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { parseArgs } from 'node:util';
import { browser, stopped, until } from './harness.mjs';

/** Fields of the strip: the wall clock in milliseconds, modulo 2^24 (over four hours), and the picture's number. */
const CLOCK_BITS = 24;
const NUMBER_BITS = 16;
const BITS = CLOCK_BITS + NUMBER_BITS;
const [WIDTH, HEIGHT, RATE] = [1280, 720, 30];
const STRIP_HEIGHT = 0.1;
/** The player has found its distance to the live edge. */
const SETTLED = 10_000;

const { values: wanted } = parseArgs({
  options: Object.fromEntries(['http', 'rtmp', 'seconds', 'starts', 'source', 'stream'].map((name) => [name, { type: 'string' }])),
});

/**
 * ffmpeg with a camera's timing: `realtime` lets each picture go when it is due, and only then is it stamped. The strip
 * is drawn 40 pixels wide and enlarged, which costs nothing. The encoder holds no picture back.
 */
function camera(url) {
  const picture = wanted.source ? `[0:v]fps=${RATE},scale=${WIDTH}:${HEIGHT},setsar=1` : `testsrc2=s=${WIDTH}x${HEIGHT}:r=${RATE}`;
  const bit = `if(lt(X,${CLOCK_BITS}),floor((T*1000+0.5)/pow(2,X)),floor(N/pow(2,X-${CLOCK_BITS})))`;
  const graph = [
    `${picture},format=yuv420p,setpts=N/(${RATE}*TB),realtime,split[picture][stamped]`,
    `[stamped]crop=${BITS}:2:0:0,format=gray,settb=1/1000,setpts=RTCTIME/1000,geq=lum='255*mod(${bit},2)',` +
      `settb=1/${RATE},setpts=N,scale=${WIDTH}:${HEIGHT * STRIP_HEIGHT}:flags=neighbor[strip]`,
    '[picture][strip]overlay=0:0[video]',
    'sine=f=440:r=48000,arealtime[sound]',
  ];
  const input = wanted.source ? ['-stream_loop', '-1', '-i', wanted.source] : [];
  const video = '-c:v libx264 -preset ultrafast -tune zerolatency -crf 23 -maxrate 5M -bufsize 5M -g 60 -pix_fmt yuv420p -threads 1'.split(' ');
  const output = ['-map', '[video]', '-map', '[sound]', ...video, '-c:a', 'aac', '-flush_packets', '1', '-f', 'flv', url];
  const child = spawn('ffmpeg', ['-loglevel', 'error', ...input, '-filter_complex', graph.join(';'), ...output], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return { stop: () => stopped(child), isRunning: () => child.exitCode === null && child.signalCode === null };
}

/** Passes one encoder on, and notes when its `publish` went by (RTMP 1.0 §7.2.2.6). */
async function relay() {
  const [host, port] = wanted.rtmp.split(':');
  const noted = {};
  const server = createServer((near) => {
    const far = connect({ host, port: Number(port), noDelay: true });
    near.setNoDelay(true);
    near.on('data', (data) => {
      if (!noted.published && data.includes('publish')) noted.published = Date.now();
    });
    near.pipe(far).pipe(near);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: (key) => `rtmp://127.0.0.1:${server.address().port}/live/${key}`, noted, close: () => server.close() };
}

/** Runs in the page, before its own scripts. Times are milliseconds since the Unix epoch. */
function observe({ clockBits, bits, strip }) {
  window.pictures = [];
  window.opened = Date.now();
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const range = (from, to) => Array.from({ length: to - from }, (_, index) => index);

  function stamped(video) {
    const width = video.videoWidth;
    canvas.canvas.width = width;
    canvas.canvas.height = 1;
    canvas.drawImage(video, 0, Math.floor((video.videoHeight * strip) / 2), width, 1, 0, 0, width, 1);
    const pixels = canvas.getImageData(0, 0, width, 1).data;
    const isSet = (bit) => pixels[Math.floor(((bit + 0.5) * width) / bits) * 4] > 127;
    const value = (from, to) => range(from, to).reduce((sum, index) => sum + (isSet(from + index) ? 2 ** index : 0), 0);
    return { clock: value(0, clockBits), number: value(clockBits, bits) };
  }

  function picture(now, { expectedDisplayTime }, video) {
    // On the glass is when the browser expects to have it there; never before it was handed over.
    const at = Date.now() + Math.max(0, expectedDisplayTime - performance.now());
    const { clock, number } = stamped(video);
    const taken = at - ((((at % 2 ** clockBits) - clock) + 2 ** clockBits) % 2 ** clockBits);
    window.pictures.push({ at, taken, number, ahead: window.headwater?.latency ?? 0, height: video.videoHeight });
    video.requestVideoFrameCallback((now, about) => picture(now, about, video));
  }

  document.addEventListener('DOMContentLoaded', () => {
    const video = document.querySelector('video');
    video.requestVideoFrameCallback((now, about) => picture(now, about, video));
  });
}

async function open(context, stream) {
  const page = await context.newPage();
  await page.addInitScript(observe, { clockBits: CLOCK_BITS, bits: BITS, strip: STRIP_HEIGHT });
  await page.goto(`${wanted.http}/${stream}`);
  return page;
}

const first = (page) =>
  until('the first picture', () => page.evaluate(() => window.pictures[0]), {
    tell: () => page.evaluate(() => JSON.stringify(window.headwater?.stats())),
  });

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** A page that waits for the broadcast: how long after `publish` it shows something. */
async function start(context, number) {
  const stream = `start-${number}`;
  const page = await open(context, stream);
  await until('the page to wait', () => page.evaluate(() => window.headwater?.state === 'waiting'));
  // At another phase of what the page does again and again, each time.
  await pause(700 + ((number * 610) % 2_300));
  const way = await relay();
  const encoder = camera(way.url(stream));
  try {
    const shown = await first(page);
    return { waiting: shown.at - way.noted.published, camera: shown.at - (shown.taken - (shown.number * 1000) / RATE) };
  } finally {
    await page.close();
    await encoder.stop();
    way.close();
  }
}

/** A page that is opened while the broadcast runs. */
async function join(context, stream) {
  const page = await open(context, stream);
  const shown = await first(page);
  const opened = await page.evaluate(() => window.opened);
  await page.close();
  return shown.at - opened;
}

async function watch(context, stream, seconds) {
  const page = await open(context, stream);
  await first(page);
  await pause(SETTLED);
  const begun = await page.evaluate(() => window.pictures.length);
  await pause(seconds * 1000);
  const pictures = (await page.evaluate(() => window.pictures)).slice(begun);
  const { errors, fatalErrors, lastError } = await page.evaluate(() => window.headwater.stats());
  await page.close();
  return { pictures, errors, fatalErrors, lastError };
}

/** Milliseconds between two pictures that come after another; a stand-still is more than three pictures long. */
const stalls = (pictures) => pictures.slice(1).filter(({ at }, index) => at - pictures[index].at > 3_000 / RATE + 20).length;

const chromium = await browser();
const way = await relay();
const results = { waiting_ms: [], camera_ms: [], join_ms: [] };
let encoder;
try {
  for (let number = 0; number < Number(wanted.starts); number++) {
    const { waiting, camera } = await start(chromium.context, number);
    results.waiting_ms.push(waiting);
    results.camera_ms.push(camera);
  }
  encoder = camera(way.url(wanted.stream));
  const { pictures, ...trouble } = await watch(chromium.context, wanted.stream, Number(wanted.seconds));
  results.latency_ms = pictures.map(({ at, taken }) => at - taken);
  results.behind_edge_ms = pictures.map(({ ahead }) => ahead * 1000);
  results.heights = [...new Set(pictures.map(({ height }) => height))];
  results.stalls = stalls(pictures);
  results.expected = Number(wanted.seconds) * RATE;
  Object.assign(results, trouble);
  for (let number = 0; number < Number(wanted.starts); number++) results.join_ms.push(await join(chromium.context, wanted.stream));
  if (!encoder.isRunning()) throw new Error('the encoder has ended by itself');
  console.log(JSON.stringify(results));
} finally {
  await encoder?.stop();
  way.close();
  await chromium.close();
}
