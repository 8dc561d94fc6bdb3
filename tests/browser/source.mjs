// A source whose pictures carry their number, as the Rust tests' source does (tests/src/publish.rs): a strip of black and
// white fields on top, one a bit, the lowest first.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { stopped } from './harness.mjs';

export const FRAME_RATE = 25;
export const STRIP_BITS = 16;
/** How much of the picture's height the strip takes. */
export const STRIP_HEIGHT = 0.1;

const [WIDTH, HEIGHT] = [640, 360];
const STRIP = `color=s=${STRIP_BITS}x2:r=${FRAME_RATE},format=gray,geq=lum='255*mod(floor(N/pow(2,X)),2)',` +
  `scale=${WIDTH}:${HEIGHT * STRIP_HEIGHT}:flags=neighbor[number]`;
const PICTURE = `testsrc2=s=${WIDTH}x${HEIGHT}:r=${FRAME_RATE},format=yuv420p[picture];${STRIP};[picture][number]overlay=0:0`;

/** Makes the file, so that the encoder costs nothing while the test runs. */
export async function numbered(directory, seconds) {
  const file = join(directory, 'source.flv');
  const inputs = ['-f', 'lavfi', '-i', PICTURE, '-f', 'lavfi', '-i', 'sine=f=440:r=48000'];
  const video = ['-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '18', '-g', `${FRAME_RATE * 2}`, '-sc_threshold', '0', '-pix_fmt', 'yuv420p'];
  const made = spawn('ffmpeg', ['-loglevel', 'error', ...inputs, '-t', `${seconds}`, ...video, '-c:a', 'aac', file], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = await once(made, 'exit');
  if (code !== 0) throw new Error(`ffmpeg could not make the source: it exited with ${code}`);
  return { file, frames: seconds * FRAME_RATE };
}

/** ffmpeg, sending a file at its own pace. */
export function send({ file }, url) {
  const child = spawn('ffmpeg', ['-loglevel', 'error', '-re', '-i', file, '-c', 'copy', '-f', 'flv', url]);
  const done = once(child, 'exit').then(([code]) => code);
  return { done, isConnected: () => child.exitCode === null && child.signalCode === null, stop: () => stopped(child) };
}
