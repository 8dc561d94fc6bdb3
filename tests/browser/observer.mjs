// What a viewer of the player page sees, written down from inside the page: every picture with its number, where playback
// is every few milliseconds, the page's state, what is buffered, and how each request was answered.
import { STRIP_BITS, STRIP_HEIGHT } from './source.mjs';

const OPTIONAL = /\/(dvr\.m3u8|recordings\.json|storyboard\.vtt)(\?|$)/;

/** A new page of the context, watching a stream. */
export async function watch(context, url) {
  const page = await context.newPage();
  const answers = [];
  const problems = [];
  page.on('response', (response) => answers.push({ url: response.url(), status: response.status() }));
  // What the page itself gives up (a level switch, its end) is no failure of the origin.
  page.on('requestfailed', (request) => {
    if (request.failure()?.errorText !== 'net::ERR_ABORTED') problems.push(`${request.url()}: ${request.failure()?.errorText}`);
  });
  page.on('pageerror', (error) => problems.push(`${error}`));
  await observed(page);
  await page.goto(url);
  return {
    page,
    problems,
    /** Answers that no viewer should get. That there is nothing to go back to is one that they may. */
    refused: (expected) => answers.filter(({ url, status }) => status >= 400 && !(status === 404 && (OPTIONAL.test(url) || expected?.test(url)))),
    requests: () => answers.length,
    state: () => page.evaluate(() => window.headwater?.state),
    stats: () => page.evaluate(() => window.headwater?.stats()),
    seen: () => page.evaluate(() => window.seen),
  };
}

/** Has a page write down in `window.seen` what its video shows. Before it is loaded. */
export const observed = (page) => page.addInitScript(observe, { bits: STRIP_BITS, strip: STRIP_HEIGHT });

/** Runs in the page, before its own scripts. Times are milliseconds since the Unix epoch. */
function observe({ bits, strip }) {
  // A sample: a third of a picture's duration at the longest, so that a frozen picture is seen as soon as it is one.
  const INTERVAL = 10;
  const now = () => performance.timeOrigin + performance.now();
  const seen = (window.seen = { pictures: [], samples: [], states: [], seeks: [], fatal: [], ranges: 0 });
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });

  function number(video) {
    const width = video.videoWidth;
    canvas.canvas.width = width;
    canvas.canvas.height = 1;
    canvas.drawImage(video, 0, Math.floor((video.videoHeight * strip) / 2), width, 1, 0, 0, width, 1);
    const pixels = canvas.getImageData(0, 0, width, 1).data;
    const isSet = (bit) => pixels[Math.floor(((bit + 0.5) * width) / bits) * 4] > 127;
    return Array.from({ length: bits }, (_, bit) => (isSet(bit) ? 2 ** bit : 0)).reduce((sum, value) => sum + value);
  }

  /** The number of the picture that is there when playback is over: its callback may be left out. */
  window.onScreen = () => number(document.querySelector('video'));

  function picture(video) {
    seen.pictures.push({ at: now(), number: number(video) });
    video.requestVideoFrameCallback(() => picture(video));
  }

  function sample(video) {
    const { state } = window.headwater ?? {};
    if (state !== seen.states.at(-1)?.state) seen.states.push({ at: now(), state });
    if (state !== 'live' && state !== 'buffering') return;
    const { fatalErrors, lastError } = window.headwater.stats();
    if (fatalErrors > seen.fatal.length) seen.fatal.push({ at: now(), error: lastError });
    const { currentTime, buffered } = video;
    const ahead = buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
    seen.samples.push({ at: now(), time: currentTime, ahead });
    seen.ranges = Math.max(seen.ranges, buffered.length);
  }

  document.addEventListener('DOMContentLoaded', () => {
    const video = document.querySelector('video');
    video.requestVideoFrameCallback(() => picture(video));
    video.addEventListener('seeking', () => seen.seeks.push({ at: now(), to: video.currentTime }));
    setInterval(() => sample(video), INTERVAL);
  });
}

/** Shorter than this (milliseconds) a standstill is a browser on a busy machine, and no viewer's. */
const HICCUP = 120;

/**
 * The times between `since` and `until` in which playback stood still although nobody paused it: `currentTime` was the
 * same in two or more samples in a row. Milliseconds. What a buffer covers is no standstill, so their sum is the stall
 * beyond it.
 */
export function standstills({ samples }, since, until) {
  const stops = [];
  let [start] = samples;
  for (const sample of samples) {
    if (sample.time === start.time) continue;
    if (sample.at > since && start.at < until && sample.at - start.at > HICCUP) stops.push({ at: start.at, length: sample.at - start.at });
    start = sample;
  }
  return stops;
}
