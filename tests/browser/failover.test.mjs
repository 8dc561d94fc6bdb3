// The server that has a broadcast dies, or is told to stop, while people watch the page on two origins.
import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browser, onAir, stopped, until } from './harness.mjs';
import { standstills, watch } from './observer.mjs';
import { FRAME_RATE, numbered, send } from './source.mjs';
import { killed, metrics, owner, stack } from './stack.mjs';

/** Seconds of the source, and of them played before it happens. */
const [LENGTH, CALM] = [24, 6];
/** The most that viewers may stand still in all, in milliseconds. */
const STALL = 1_000;
/** Where a person can look at what the pages showed. */
const SCREENSHOTS = process.env.SCREENSHOTS;

let chromium;

before(async () => (chromium = await browser()));
after(() => chromium?.close());

test('a killed server is not seen on the page', () => during('killed', killed));

test('a server that is told to stop is not seen on the page', () =>
  during('drained', async ({ child }) => {
    await stopped(child);
    assert.equal(child.exitCode, 0, 'it stops by itself, with success');
  }));

/** Plays a broadcast to its end on two origins, and meanwhile lets something happen to its server. */
async function during(name, happens) {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-failover-'));
  const source = await numbered(directory, LENGTH);
  const services = await stack({ servers: 2, origins: 2, directory });
  const encoder = send(source, `${services.rtmp}/demo`);
  let viewers = [];
  try {
    await Promise.all(services.origins.map(({ http }) => onAir(http, 'demo', services.output)));
    viewers = await Promise.all(services.origins.map(({ http }) => watch(chromium.context, `${http}/demo`)));
    await Promise.all(viewers.map((viewer) => hasPlayed(viewer, services)));
    const server = await owner(services);
    const at = Date.now();
    await happens(server);
    await Promise.all(viewers.map((viewer, number) => goesOn(viewer, at, `${name}-${number}`, services)));
    assert.ok(encoder.isConnected(), 'the encoder noticed');
    assert.match(await metrics(services.proxy), /^headwater_proxy_failovers_total 1$/m, 'the broadcast has really moved');
    for (const viewer of viewers) await until('the end on the page', async () => (await viewer.state()) === 'ended', tells(viewer, services));
    assert.equal(await encoder.done, 0, 'the encoder noticed');
    for (const viewer of viewers) await check(viewer, at, source);
  } finally {
    for (const { page } of viewers) await page.close();
    await encoder.stop();
    await services.stop();
  }
}

const tells = (viewer, services) => ({
  tell: async () => `${JSON.stringify(await viewer.stats())}\n${services.output()}`,
});

async function hasPlayed(viewer, services) {
  const played = async () => {
    const { samples } = await viewer.seen();
    return samples.length > 0 && samples.at(-1).time - samples[0].time > CALM;
  };
  await until(`${CALM} seconds of playback`, played, tells(viewer, services));
}

/** A picture that was made long after is on the screen. */
async function goesOn(viewer, at, name, services) {
  const last = async () => (await viewer.seen()).pictures.at(-1).number;
  const before = (await viewer.seen()).pictures.findLast((picture) => picture.at <= at).number;
  await until('new pictures', async () => (await last()) > before + 5 * FRAME_RATE, tells(viewer, services));
  if (SCREENSHOTS) await viewer.page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

async function check(viewer, at, { frames }) {
  const seen = await viewer.seen();
  // With its last second the broadcast runs dry by itself: the page waits for the publisher, who might come back.
  const over = seen.pictures.find(({ number }) => number >= frames - FRAME_RATE)?.at;
  const stops = standstills(seen, at, over);
  const stall = stops.reduce((sum, { length }) => sum + length, 0);
  const story = JSON.stringify({ stops, states: seen.states, seeks: seen.seeks, ahead: seen.samples.findLast((s) => s.at <= at)?.ahead, at });
  if (SCREENSHOTS) console.log(story);
  const before = ({ at }) => at < over;
  assert.deepEqual(seen.fatal.filter(before), [], story);
  assert.deepEqual(viewer.problems, []);
  assert.deepEqual(viewer.refused(), [], 'everything that the page asked for is there');
  const states = new Set(seen.states.filter((state) => state.at > at && before(state)).map(({ state }) => state));
  for (const state of states) assert.ok(['live', 'buffering'].includes(state), `the page was ${state}: ${story}`);
  assert.ok(stall <= STALL, `playback stood still for ${Math.round(stall)} ms: ${story}`);
  assert.equal(seen.ranges, 1, 'what is buffered has a hole');
  assert.deepEqual(seen.seeks.filter((seek) => seek.at > at && before(seek)), [], 'playback jumped');
  inOrder(seen.pictures.map(({ number }) => number), frames);
}

/** Pictures may be left out on a busy machine, but none comes too late, and the last one is the source's. */
function inOrder(numbers, frames) {
  const back = numbers.findIndex((number, n) => n > 0 && number < numbers[n - 1]);
  assert.equal(back, -1, `picture ${numbers[back]} was shown after ${numbers[back - 1]}`);
  assert.ok(numbers.at(-1) >= frames - FRAME_RATE / 5 && numbers.at(-1) < frames, `the last picture is ${numbers.at(-1)} of ${frames}`);
}
