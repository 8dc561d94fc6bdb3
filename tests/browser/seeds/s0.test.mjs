// A shop's live page, whose backend was written for Cloudflare Stream: only the base URL and the token are others.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Cloudflare, { AuthenticationError, BadRequestError, NotFoundError, PermissionDeniedError } from 'cloudflare';
import { browser, onAir, publish, until } from '../harness.mjs';
import { operated, sizeOf, tokenOf } from './api.mjs';

const ACCOUNT = '023e105f4ecef8ad9ca31a8372d0c353';
const MASK = 'xxxxx';

let headwater, chromium;

before(async () => {
  [headwater, chromium] = await Promise.all([operated(), browser()]);
});

after(async () => {
  await chromium?.close();
  await headwater?.stop();
});

const sdk = ({ api, token }) =>
  new Cloudflare({ apiToken: token, baseURL: `${api}/client/v4`, maxRetries: 0 }).stream.liveInputs;

/** The shop's own lines: they make a live input, and keep what its owner enters into OBS. */
async function createLiveInput({ api, token }, name) {
  const answer = await fetch(`${api}/client/v4/accounts/${ACCOUNT}/stream/live_inputs`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ meta: { name }, recording: { mode: 'automatic', timeoutSeconds: 300 } }),
  });
  const { result } = await answer.json();
  return { uid: result.uid, url: result.rtmps.url, streamKey: result.rtmps.streamKey };
}

test("Cloudflare's own library makes, lists, reads, changes and deletes live inputs", async () => {
  const inputs = sdk(headwater);
  const of = { account_id: ACCOUNT };
  const made = await inputs.create({ ...of, meta: { name: 'shop' }, recording: { mode: 'automatic', timeoutSeconds: 300 } });
  assert.match(made.uid, /^[0-9a-f]{32}$/);
  assert.deepEqual(made.recording, { mode: 'automatic', timeoutSeconds: 300 });
  assert.match(made.rtmps.streamKey, /^[0-9a-f]{64}$/);
  assert.ok(Date.now() - Date.parse(made.created) < 60_000, made.created);
  const listed = await inputs.list({ ...of, include_counts: true });
  assert.deepEqual([listed.liveInputs.map(({ uid }) => uid), listed.total], [[made.uid], 1]);
  assert.deepEqual(await inputs.get(made.uid, of), made);
  const changed = await inputs.update(made.uid, { ...of, meta: { name: 'sale' }, enabled: false, deleteRecordingAfterDays: 45 });
  assert.deepEqual([changed.meta, changed.enabled, changed.deleteRecordingAfterDays], [{ name: 'sale' }, false, 45]);
  assert.deepEqual(changed.recording, made.recording);
  await inputs.delete(made.uid, of);
  await assert.rejects(inputs.get(made.uid, of), NotFoundError);
});

test('its errors are those of its own library', async () => {
  const of = { account_id: ACCOUNT };
  await assert.rejects(sdk({ ...headwater, token: 'wrong' }).list(of), AuthenticationError);
  const reader = await tokenOf(headwater, ['inputs:read']);
  await assert.rejects(sdk(reader).create(of), PermissionDeniedError);
  await assert.rejects(sdk(headwater).create({ ...of, recording: { timeoutSeconds: 4000 } }), (error) => {
    assert.ok(error instanceof BadRequestError);
    assert.equal(error.errors[0].source.pointer, '/recording/timeoutSeconds');
    return true;
  });
});

test('the key is shown to the owner only, opens the stream by RTMPS, and viewers see it in an iframe', async () => {
  const { uid, streamKey } = await createLiveInput(headwater, 'shop');
  const stranger = await sdk(await tokenOf(headwater, ['inputs:read'])).get(uid, { account_id: ACCOUNT });
  assert.deepEqual(stranger.rtmps, { url: MASK, streamKey: MASK });
  const encoder = publish(`${headwater.rtmps}/${streamKey}`, 60);
  try {
    await onAir(headwater.http, uid, headwater.output);
    await playsInFrame(`${headwater.http}/${uid}/iframe`);
    await hasPictures(`${headwater.http}/${uid}/thumbnails/thumbnail.jpg`);
    assert.equal((await fetch(`${headwater.http}/${streamKey}/live.m3u8`)).status, 404, 'the key is no public name');
  } finally {
    await encoder.stop();
  }
});

/** The iframe of the shop's page plays. */
async function playsInFrame(address) {
  const page = await chromium.context.newPage();
  const allow = 'accelerometer; gyroscope; autoplay; encrypted-media; picture-in-picture;';
  await page.setContent(`<iframe src="${address}" allow="${allow}" allowFullScreen></iframe>`);
  const played = async () => {
    const frame = page.frames().find((frame) => frame.url().startsWith(headwater.http));
    return (await frame?.evaluate(() => document.querySelector('video')?.currentTime ?? 0).catch(() => 0)) > 2;
  };
  await until('two seconds in the iframe', played, { tell: headwater.output });
  await page.close();
}

/** Thumbnails have the height that they are asked for, and another moment is another picture. */
async function hasPictures(address) {
  const pictureOf = async (query) => {
    const answer = await fetch(`${address}?${query}`);
    assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, 'image/jpeg'], query);
    return Buffer.from(await answer.arrayBuffer());
  };
  const picture = await pictureOf('height=320');
  // Heights are rounded up, so that a picture is made in a few sizes only.
  assert.deepEqual(sizeOf(picture), { width: 640, height: 360 });
  assert.notDeepEqual(await pictureOf('height=320&time=1s'), picture);
}
