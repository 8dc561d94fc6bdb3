// Headwater in one process on free ports, ffmpeg as the encoder, and Chromium.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const BINARY = new URL('../../target/debug/headwater', import.meta.url).pathname;
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

// Below the range that Linux takes outgoing connections' ports from, so that none of them is in the way.
let nextPort = 20_000 + (process.pid % 900) * 10;

/** A port that nobody listens on. */
export async function freePort() {
  for (;;) {
    const port = nextPort++;
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(() => true, () => false);
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** Looks until `look` gives something true; fails with `what` and what `tell` says when the time is over. */
export async function until(what, look, { seconds = 30, tell = () => '' } = {}) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain for ${what}\n${await tell()}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** `headwater up` with these settings, or those that a function gives for its folder, and a store of its own that goes with it. */
export async function up(settings = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-'));
  const chosen = typeof settings === 'function' ? await settings(directory) : settings;
  const [rtmp, http, grpc, metrics] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const child = spawn(BINARY, ['up'], {
    env: {
      ...process.env,
      HEADWATER_PROXY_RTMP_LISTEN: `127.0.0.1:${rtmp}`,
      HEADWATER_ORIGIN_HTTP_LISTEN: `127.0.0.1:${http}`,
      HEADWATER_SERVER_GRPC_LISTEN: `127.0.0.1:${grpc}`,
      HEADWATER_UP_METRICS_LISTEN: `127.0.0.1:${metrics}`,
      HEADWATER_LADDER_RUNGS: '640x360@800k,320x180@300k',
      HEADWATER_LADDER_PRESET: 'ultrafast',
      HEADWATER_SERVER_RECONNECT_WINDOW: '1s',
      HEADWATER_STORE_URL: `file://${directory}/store`,
      HEADWATER_RECORDING_SPOOL: `${directory}/spool`,
      ...chosen,
    },
  });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  const ready = async () => (await fetch(`http://127.0.0.1:${metrics}/readyz`).catch(() => undefined))?.ok;
  await until('headwater to be ready', ready, { tell: () => output });
  return {
    http: `http://127.0.0.1:${http}`,
    rtmp: `rtmp://127.0.0.1:${rtmp}/live`,
    directory,
    output: () => output,
    /** Ends it without a chance to finish anything. */
    kill: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
    stop: async () => {
      await stopped(child);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Waits until an origin serves a stream. Before that its page is one of a stream that nobody knows, with status 404. */
export const onAir = (http, stream, output) =>
  until(`${stream} to be on air`, async () => (await fetch(`${http}/${stream}/live.m3u8`)).ok, { tell: output });

/** ffmpeg with a moving picture of this size and a tone. */
export function publish(url, seconds, size = '640x360') {
  const input = ['-re', '-f', 'lavfi', '-i', `testsrc2=s=${size}:r=30`, '-re', '-f', 'lavfi', '-i', 'sine=f=440:r=48000'];
  const codecs = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '30', '-pix_fmt', 'yuv420p', '-c:a', 'aac'];
  const child = spawn('ffmpeg', ['-loglevel', 'error', ...input, '-t', `${seconds}`, ...codecs, '-f', 'flv', url]);
  return { stop: () => stopped(child) };
}

/** SIGTERM, and waits for the end. */
export async function stopped(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

/** Chromium with a profile of its own. */
export async function browser() {
  if (!CHROMIUM) throw new Error('there is no Chromium: deploy/setup.sh test');
  const profile = await mkdtemp(join(tmpdir(), 'headwater-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    viewport: { width: 1280, height: 720 },
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required',
    ],
  });
  return {
    context,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
