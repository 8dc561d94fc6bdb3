// The services as separate processes with a Redis between them, as an operator would run them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { freePort, stopped, until } from './harness.mjs';

const TARGET = new URL('../../target/debug/', import.meta.url).pathname;
const HOST = '127.0.0.1';

const SETTINGS = {
  HEADWATER_LADDER_RUNGS: '640x360@800k,320x180@300k',
  HEADWATER_LADDER_PRESET: 'ultrafast',
  HEADWATER_SERVER_RECONNECT_WINDOW: '2s',
};

/** A proxy, so many servers and so many origins, with these settings. `directory` is removed when the stack stops. */
export async function stack({ servers, origins, directory, ...own }) {
  const redis = await startRedis(directory);
  const settings = { ...SETTINGS, ...own.settings, HEADWATER_REGISTRY_URL: `redis://${HOST}:${redis.port}` };
  const services = [];
  const start = async (kind, count, listen) => {
    const all = await Promise.all(Array.from({ length: count }, () => startService(kind, listen, settings)));
    services.push(...all);
    return all;
  };
  const stop = async () => {
    await Promise.all(services.map(({ child }) => stopped(child)));
    await stopped(redis.child);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const all = {
      servers: await start('server', servers, 'HEADWATER_SERVER_GRPC_LISTEN'),
      origins: await start('origin', origins, 'HEADWATER_ORIGIN_HTTP_LISTEN'),
      proxy: (await start('proxy', 1, 'HEADWATER_PROXY_RTMP_LISTEN'))[0],
    };
    await Promise.all(services.map(isReady));
    const output = () => services.map(({ kind, output }) => `---- ${kind} ----\n${output().slice(-4000)}`).join('\n');
    return { ...all, redis: `redis://${HOST}:${redis.port}`, rtmp: `rtmp://${HOST}:${all.proxy.port}/live`, output, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startRedis(directory) {
  const port = await freePort();
  const settings = ['--port', port, '--bind', HOST, '--save', '', '--appendonly', 'no', '--dir', directory];
  return { port, child: spawn('redis-server', settings.map(String), { stdio: 'ignore' }) };
}

async function startService(kind, listen, settings) {
  const [port, metrics] = [await freePort(), await freePort()];
  const child = spawn(`${TARGET}headwater-${kind}`, [], {
    env: {
      ...process.env,
      ...settings,
      [listen]: `${HOST}:${port}`,
      ...(kind === 'server' && { HEADWATER_SERVER_ADVERTISE: `${HOST}:${port}` }),
      [`HEADWATER_${kind.toUpperCase()}_METRICS_LISTEN`]: `${HOST}:${metrics}`,
    },
  });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  return { kind, port, child, http: `http://${HOST}:${port}`, operations: `http://${HOST}:${metrics}`, output: () => output };
}

async function isReady({ kind, child, operations, output }) {
  const ready = async () => {
    if (child.exitCode !== null) throw new Error(`the ${kind} exited with ${child.exitCode}\n${output()}`);
    return (await fetch(`${operations}/readyz`).catch(() => undefined))?.ok;
  };
  await until(`the ${kind} to be ready`, ready, { tell: output });
}

/** One service's metrics in the text format of Prometheus. */
export const metrics = async ({ operations }) => (await fetch(`${operations}/metrics`)).text();

/** The server that has the one broadcast. */
export const owner = ({ servers, output }) =>
  until('a server to have the broadcast', async () => {
    for (const server of servers) if (/^headwater_server_broadcasts 1$/m.test(await metrics(server))) return server;
  }, { tell: output });

/** kill -9, and waits until the process is gone. */
export async function killed({ child }) {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
