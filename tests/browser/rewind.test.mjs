// Going back in a broadcast on the player page: the line, its small pictures, the keys, and the way back to live; and what is
// left of the broadcast afterwards.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browser, onAir, until, up } from './harness.mjs';
import { watch } from './observer.mjs';
import { FRAME_RATE, numbered, send } from './source.mjs';

const SECONDS = 75;
let headwater, chromium, directory, encoder;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'headwater-rewind-'));
  const source = await numbered(directory, SECONDS);
  [headwater, chromium] = await Promise.all([up(), browser()]);
  encoder = send(source, `${headwater.rtmp}/show`);
  await onAir(headwater.http, 'show', headwater.output);
});

after(async () => {
  await encoder?.stop();
  await chromium?.close();
  await headwater?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** The number of the picture on the screen, and where playback is. */
async function shown(viewer, since) {
  const picture = await until('a picture after the jump', async () => (await viewer.seen()).pictures.findLast(({ at }) => at > since));
  return picture.number;
}

const now = () => performance.timeOrigin + performance.now();
const near = (value, wanted, by, what) => assert.ok(Math.abs(value - wanted) <= by, `${what}: ${value}, not ${wanted}`);

test('a viewer goes back by mouse and keys, sees where to, and comes back to live', async () => {
  const viewer = await watch(chromium.context, `${headwater.http}/show`);
  const { page } = viewer;
  const tell = async () => `${JSON.stringify(await viewer.stats())}\n${headwater.output().slice(-2000)}`;
  const slider = page.getByRole('slider', { name: 'Position' });
  try {
    await until('playback', async () => (await viewer.state()) === 'live', { tell });
    assert.equal(await slider.isVisible(), false, 'there is nothing to go back to yet');
    await until('half a minute to go back to', () => slider.isVisible(), { seconds: 60, tell });
    assert.equal(await page.locator('#golive').isVisible(), false);

    // Where the mouse is, the picture of that moment is.
    const track = await page.locator('#track').boundingBox();
    await page.mouse.move(track.x + track.width / 2, track.y);
    await page.mouse.move(track.x + track.width / 2 + 1, track.y);
    await until('a small picture', () => page.locator('#tile').isVisible(), { tell });
    assert.match(await page.locator('#moment').textContent(), /^−0:\d\d$/);
    const sheet = await page.locator('#tile').evaluate((tile) => getComputedStyle(tile).backgroundImage.match(/url\("(.+)"\)/)[1]);
    const answer = await fetch(sheet);
    assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, 'image/jpeg'], sheet);

    // A click goes there, and what was shown there is shown.
    const before = await viewer.stats();
    const live = { number: await shown(viewer, now() - 500), time: before.currentTime };
    let since = now();
    await page.mouse.down();
    await page.mouse.up();
    await until('playback from the middle', async () => (await viewer.stats()).latency > 10 && (await viewer.seen()).pictures.at(-1).at > since + 500, { tell });
    const middle = await viewer.stats();
    near(middle.currentTime, (before.start + before.end) / 2, 5, 'the middle');
    const expected = live.number - (live.time - middle.currentTime) * FRAME_RATE;
    near(await shown(viewer, since + 500), expected, FRAME_RATE * 1.5, 'the picture there');
    await until('the way back', () => page.locator('#golive').isVisible(), { tell });

    // Keys: to the start, ten seconds on.
    since = now();
    await slider.focus();
    await page.keyboard.press('Home');
    await until('the start', async () => (await viewer.stats()).currentTime < middle.start + 4, { tell });
    await until('pictures from the start', async () => (await viewer.seen()).pictures.at(-1).at > since + 300, { tell });
    near(await shown(viewer, since + 300), (await viewer.stats()).currentTime * FRAME_RATE, FRAME_RATE * 1.5, 'the first pictures');
    const start = (await viewer.stats()).currentTime;
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await until('ten seconds on', async () => (await viewer.stats()).currentTime > start + 9, { tell });
    assert.ok((await viewer.stats()).currentTime < start + 16);
    assert.match(await slider.getAttribute('aria-valuetext'), /behind live$/);

    await page.locator('#golive').click();
    await until('live again', async () => (await viewer.stats()).latency < 5, { tell });
    await until('no way back to where it is', async () => !(await page.locator('#golive').isVisible()), { tell });
    assert.deepEqual(viewer.problems, []);
    assert.deepEqual(viewer.refused(), []);
    assert.equal((await viewer.stats()).fatalErrors, 0);
  } finally {
    await page.close();
  }
});

test('a finger drags the line on a phone, and the page has room for all of it', async () => {
  const viewer = await watch(chromium.context, `${headwater.http}/show`);
  const { page } = viewer;
  try {
    await page.setViewportSize({ width: 360, height: 640 });
    await until('the line', () => page.locator('#scrubber').isVisible(), { seconds: 60, tell: async () => JSON.stringify(await viewer.stats()) });
    const track = await page.locator('#track').boundingBox();
    const touch = await chromium.context.newCDPSession(page);
    const at = (part) => [{ x: track.x + track.width * part, y: track.y + 1 }];
    await touch.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: at(0.9) });
    await touch.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: at(0.4) });
    await touch.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: at(0.3) });
    assert.equal(await page.locator('#preview').isVisible(), true);
    const box = await page.locator('#preview').boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 360, JSON.stringify(box));
    await touch.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    await until('playback from there', async () => {
      const { currentTime, start, end } = await viewer.stats();
      return currentTime < start + (end - start) * 0.5;
    });
    assert.equal(await page.locator('#preview').isVisible(), false);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `the page is ${overflow} pixels too wide`);
    assert.deepEqual(viewer.problems, []);
  } finally {
    await page.close();
  }
});

test('the recording is listed when it is over, and plays from any place', async () => {
  await encoder.done;
  const list = `${headwater.http}/show/recordings.json`;
  const recording = await until('the recording to be complete', async () => {
    const [newest] = await (await fetch(list)).json();
    return newest?.state === 'complete' && newest;
  }, { tell: () => headwater.output().slice(-2000) });
  near(recording.duration_seconds, SECONDS, 2, 'its length');
  const viewer = await watch(chromium.context, `${headwater.http}/show`);
  const { page } = viewer;
  const tell = async () => `${JSON.stringify(await viewer.stats())}\n${headwater.output().slice(-2000)}`;
  try {
    await until('the list', () => page.locator('#list').isVisible(), { tell });
    await page.locator('#list').click();
    await until('its picture', () => page.locator('#listed img').evaluate((image) => image.naturalHeight > 0), { tell });
    await page.locator('#listed a').click();
    await until('the recording to play', async () => (await viewer.state()) === 'live', { tell });
    assert.match(page.url(), new RegExp(`recording=${recording.broadcast}`));
    assert.equal(await page.locator('#badge').textContent(), 'Recording');
    assert.match(await page.locator('#position').textContent(), /^0:\d\d \/ 1:1[3-7]$/);

    const track = await page.locator('#track').boundingBox();
    const since = now();
    await page.mouse.move(track.x + track.width * 0.6, track.y);
    await until('a small picture', () => page.locator('#tile').isVisible(), { tell });
    await page.mouse.down();
    await page.mouse.up();
    await until('playback from there', async () => {
      const { currentTime } = await viewer.stats();
      return currentTime > SECONDS * 0.58 && (await viewer.seen()).pictures.at(-1).at > since + 1_000;
    }, { tell });
    near(await shown(viewer, since + 1_000), (await viewer.stats()).currentTime * FRAME_RATE, FRAME_RATE, 'the picture there');
    await page.getByRole('slider', { name: 'Position' }).focus();
    await page.keyboard.press('End');
    await until('its end', async () => (await viewer.state()) === 'ended', { tell });
    assert.deepEqual(viewer.problems, []);
    // The page asks whether the stream is live, to offer that; it is not.
    assert.deepEqual(viewer.refused(/\/show\/live\.m3u8$/), []);
  } finally {
    await page.close();
  }
});
