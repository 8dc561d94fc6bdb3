// A streaming service whose keys are valid for ten minutes, whose viewers go back an hour, and whose recordings must not stay
// on the machine that takes the broadcast in. Missing is the event that tells the page of the beginning.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { onAir, publish, until } from '../harness.mjs';
import { ask, operated } from './api.mjs';

const run = promisify(execFile);
const INPUTS = '/api/v1/live-inputs';

let headwater;

before(async () => {
  // A short live window, which the beginning of a broadcast soon leaves.
  headwater = await operated({
    HEADWATER_RECORDING_DVR_WINDOW: '60m',
    HEADWATER_HLS_SEGMENT_DURATION: '1s',
    HEADWATER_HLS_WINDOW_SEGMENTS: '4',
  });
});

after(() => headwater?.stop());

const create = async (settings) => (await ask(headwater, 'POST', INPUTS, settings)).body;

/** Log line about a publisher that was refused, with the reason. */
async function refusal(key, reason) {
  const seconds = ['-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=s=64x64:r=5', '-t', '20', '-c:v', 'libx264'];
  await assert.rejects(run('ffmpeg', [...seconds, '-f', 'flv', `${headwater.rtmps}/${key}`]), 'ffmpeg was let in');
  assert.match(headwater.output(), reason);
}

test('a key works for as long as its input says, and a wrong one never', async () => {
  await refusal('0123456789abcdef', /the stream key is not known/);
  const brief = await create({ expiresUnusedAfter: 1 });
  const usual = await create({ expiresUnusedAfter: 600 });
  const made = Date.parse(brief.created);
  await until('the key to expire', () => Date.now() > made + 1_500);
  await refusal(brief.rtmps.streamKey, /the stream key has expired/);
  const encoder = publish(`${headwater.rtmps}/${usual.rtmps.streamKey}`, 20);
  try {
    await onAir(headwater.http, usual.uid, headwater.output);
    await goesBack(`${headwater.http}/${usual.uid}`);
  } finally {
    await encoder.stop();
  }
});

/** Pages of any site can go back to the beginning of a broadcast that has left the live window, by HLS and by DASH. */
async function goesBack(stream) {
  const first = (playlist) => Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(playlist)?.[1]);
  const text = async (path) => {
    const answer = await fetch(`${stream}/${path}`, { headers: { origin: 'https://page.example' } });
    assert.deepEqual([answer.status, answer.headers.get('access-control-allow-origin')], [200, '*'], path);
    return answer.text();
  };
  const begin = first(await text('180p/dvr.m3u8'));
  const left = async () => first(await text('180p/index.m3u8')) > begin + 2;
  await until('the beginning to leave the live window', left, { tell: headwater.output });
  const rewound = await text('180p/dvr.m3u8');
  assert.equal(first(rewound), begin);
  const segment = rewound.split('\n').find((line) => line.endsWith('.m4s'));
  assert.equal((await fetch(`${stream}/180p/${segment}`)).status, 200);
  assert.match(await text('dvr.mpd'), /type="dynamic".*timeShiftBufferDepth=/);
}

test('a machine that dies leaves whole segments only in the store', async () => {
  const input = await create({});
  const encoder = publish(`${headwater.rtmps}/${input.rtmps.streamKey}`, 60);
  const folder = join(headwater.directory, 'store', input.uid);
  const segments = async () => {
    const names = await readdir(folder, { recursive: true }).catch(() => []);
    return names.filter((name) => name.endsWith('.m4s'));
  };
  try {
    await until('segments in the store', async () => (await segments()).length > 4, { tell: headwater.output });
    await headwater.kill();
  } finally {
    await encoder.stop();
  }
  for (const name of await segments()) {
    assert.deepEqual(endOf(await readFile(join(folder, name))), 0, `${name} is cut off`);
  }
});

/** Bytes that the last box of a file lacks, or has too many (ISO/IEC 14496-12 §4.2). */
function endOf(file) {
  let at = 0;
  while (at < file.length) at += file.readUInt32BE(at);
  return file.length - at;
}
