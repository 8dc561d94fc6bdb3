// The player page in a real browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browser, publish, until, up } from './harness.mjs';

let headwater, chromium;

before(async () => {
  [headwater, chromium] = await Promise.all([up(), browser()]);
});

after(async () => {
  await chromium?.close();
  await headwater?.stop();
});

const state = (page) => page.evaluate(() => window.headwater?.state);
const stats = (page) => page.evaluate(() => window.headwater.stats());

async function open(stream, query = '') {
  const page = await chromium.context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(`${error}`));
  page.on('console', (message) => {
    // The browser itself reports every 404; waiting for a stream is made of them.
    if (message.type() === 'error' && !message.text().includes('404')) problems.push(message.text());
  });
  await page.goto(`${headwater.http}/${stream}${query}`);
  return { page, problems };
}

const reaches = (page, wanted, seconds = 30) =>
  until(`the page to be ${wanted}`, async () => (await state(page)) === wanted, {
    seconds,
    tell: async () => `${JSON.stringify(await stats(page))}\n${headwater.output().slice(-3000)}`,
  });

test('it waits, starts by itself, plays with low latency, and says when it is over', async () => {
  const { page, problems } = await open('show');
  await reaches(page, 'waiting');
  const encoder = publish(`${headwater.rtmp}/show`, 20);
  try {
    await reaches(page, 'live');
    const before = await stats(page);
    await until('five seconds of playback', async () => (await stats(page)).currentTime > before.currentTime + 5);
    const now = await stats(page);
    assert.equal(now.fatalErrors, 0, now.lastError);
    assert.ok(now.latency > 0 && now.latency < 4, `latency ${now.latency}`);
    assert.equal(await page.locator('#badge').textContent(), 'Live');
    assert.match(await page.locator('#latency-value').textContent(), /\d/);
    // It was there when the broadcast began: nearer to the live edge than the playlist asks for.
    await until('the distance that the playlist asks for', async () => {
      const { latency, targetLatency } = await stats(page);
      return latency > targetLatency - 0.2 && latency < targetLatency + 1;
    });
    const dash = page.locator('link[type="application/dash+xml"]');
    assert.equal(await dash.getAttribute('href'), `${headwater.http}/show/live.mpd`);
    await reaches(page, 'ended', 40);
    assert.deepEqual(problems, []);
  } finally {
    await encoder.stop();
    await page.close();
  }
});

test('quality is chosen by hand and then automatically again', async () => {
  const encoder = publish(`${headwater.rtmp}/quality`, 60);
  const { page } = await open('quality');
  try {
    await reaches(page, 'live');
    const levels = await page.evaluate(() => window.headwater.levels.map(({ index, height }) => ({ index, height })));
    assert.deepEqual(levels.map(({ height }) => height).sort((a, b) => b - a), [360, 180]);
    const menu = async () => {
      // The bar hides while nobody touches the page.
      await page.mouse.move(600, 300);
      await page.mouse.move(640, 360);
      await page.locator('#quality').click();
    };
    for (const height of [180, 360]) {
      await menu();
      await page.getByRole('menuitemradio', { name: new RegExp(`${height}`) }).click();
      await until(`${height} lines on the screen`, async () => (await stats(page)).height === height);
      assert.equal(await page.evaluate(() => window.headwater.auto), false);
    }
    await menu();
    await page.getByRole('menuitemradio', { name: /Auto/ }).click();
    assert.equal(await page.evaluate(() => window.headwater.auto), true);
    const { fatalErrors, lastError } = await stats(page);
    assert.equal(fatalErrors, 0, lastError);
  } finally {
    await encoder.stop();
    await page.close();
  }
});

test('it plays in an iframe on another site, and fits a phone', async () => {
  const encoder = publish(`${headwater.rtmp}/embedded`, 60);
  const page = await chromium.context.newPage();
  try {
    await page.setViewportSize({ width: 360, height: 640 });
    const frame = `<iframe src="${headwater.http}/embedded" allow="autoplay; fullscreen" width="340" height="192"></iframe>`;
    await page.setContent(frame);
    const inside = await until('the page inside the frame', () => page.frames().find((f) => f.url().endsWith('/embedded')));
    await until('playback inside the frame', () => inside.evaluate(() => window.headwater?.state === 'live'), {
      tell: () => inside.evaluate(() => JSON.stringify(window.headwater?.stats())),
    });
    const overflow = await inside.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `the page is ${overflow} pixels too wide`);
  } finally {
    await encoder.stop();
    await page.close();
  }
});

/** Everything that the page has said in the middle of the picture. */
const remember = (page) =>
  page.evaluate(() => {
    const headline = document.getElementById('headline');
    window.said = [headline.textContent];
    new MutationObserver(() => window.said.push(headline.textContent)).observe(headline, { childList: true, characterData: true, subtree: true });
  });

test('a broadcaster who stops is no broken connection, and the recording is offered and played twice', async () => {
  const patient = await up({ HEADWATER_SERVER_RECONNECT_WINDOW: '20s' });
  const page = await chromium.context.newPage();
  try {
    await page.goto(`${patient.http}/first`);
    await remember(page);
    assert.equal(await page.locator('#list').isVisible(), false, 'there is no recording yet');
    const encoder = publish(`${patient.rtmp}/first`, 8);
    await reaches(page, 'live');
    await reaches(page, 'away', 40);
    await until('the reason', async () => (await page.locator('#headline').textContent()).includes('has stopped sending'));
    await reaches(page, 'ended', 40);
    await encoder.stop();
    const said = await page.evaluate(() => window.said);
    assert.ok(!said.includes('Reconnecting'), `it said ${JSON.stringify(said)}`);
    await until('the list of recordings', () => page.evaluate(() => !document.getElementById('list').hidden));

    const [{ broadcast }] = await (await fetch(`${patient.http}/first/recordings.json`)).json().then((list) => list.recordings ?? list);
    await page.goto(`${patient.http}/first?recording=${broadcast}`);
    await reaches(page, 'live');
    assert.equal(await page.locator('#badge').textContent(), 'Recording');
    const ground = await page.locator('#badge').evaluate((badge) => getComputedStyle(badge).backgroundColor);
    const [red, green] = ground.match(/\d+/g).map(Number);
    assert.ok(red < 2 * green, `the badge of a recording is ${ground}, as if it were live`);
    assert.equal(await page.locator('#tolive').isVisible(), false, 'nothing is live');
    await reaches(page, 'ended', 40);
    await page.mouse.move(600, 300);
    await page.mouse.move(640, 360);
    await page.locator('#play').click();
    await reaches(page, 'live');
    assert.ok((await stats(page)).currentTime < 5, 'it begins again');
  } finally {
    await page.close();
    await patient.stop();
  }
});

test('an address that nobody has published under says so, and a mistyped one leads to the page', async () => {
  const page = await chromium.context.newPage();
  try {
    const unknown = await page.goto(`${headwater.http}/never`);
    assert.equal(unknown.status(), 404);
    await until('the words', async () => (await page.locator('#headline').textContent()) === 'Nothing has been broadcast here yet');
    const mistyped = await page.goto(`${headwater.http}/live/never`);
    assert.equal(mistyped.status(), 404);
    await page.getByRole('link', { name: 'never' }).click();
    await until('the page', () => page.url() === `${headwater.http}/never`);
    assert.equal(await state(page), 'waiting');
  } finally {
    await page.close();
  }
});
