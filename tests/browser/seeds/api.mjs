// `headwater up` with its control API and RTMPS, as an operator starts it for the first time, and requests to it.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, until, up } from '../harness.mjs';

const run = promisify(execFile);

/** A Headwater whose keys are secrets. `api` is the address of its control API, `token` the first token, which it has printed. */
export async function operated(settings = {}) {
  const [control, rtmps] = [await freePort(), await freePort()];
  const headwater = await up(async (directory) => ({
    HEADWATER_CONTROL_LISTEN: `127.0.0.1:${control}`,
    HEADWATER_DIRECTORY_URL: `file://${directory}/directory`,
    HEADWATER_INPUTS_MODE: 'keys',
    HEADWATER_PROXY_RTMPS_LISTEN: `127.0.0.1:${rtmps}`,
    HEADWATER_PROXY_TLS_CERTIFICATES: await makeCertificate(directory),
    ...settings,
  }));
  const printed = () => /token +(hwt_\w+)/.exec(headwater.output())?.[1];
  const token = await until('the first token', printed, { tell: headwater.output });
  return { ...headwater, api: `http://127.0.0.1:${control}`, rtmps: `rtmps://127.0.0.1:${rtmps}/live`, token };
}

/** Files of a certificate that signs itself, as the setting names them. */
async function makeCertificate(directory) {
  const [certificate, key] = ['certificate.pem', 'key.pem'].map((name) => join(directory, name));
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  await run('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', certificate, '-days', '2', ...names]);
  return `${certificate}:${key}`;
}

/** Asks the control API, as the holder of this token. */
export async function ask({ api, token }, method, path, body) {
  const headers = { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) };
  const answer = await fetch(`${api}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  return { status: answer.status, body: answer.status === 204 ? undefined : await answer.json() };
}

/** Another token of the same API, with these scopes. */
export async function tokenOf(headwater, scopes) {
  const made = await ask(headwater, 'POST', '/api/v1/tokens', { name: 'a test', scopes });
  return { ...headwater, token: made.body.token };
}

/** Size of a JPEG picture, by its frame header (ITU-T T.81 §B.2.2). */
export function sizeOf(jpeg) {
  for (let at = 2; at < jpeg.length; at += 2 + jpeg.readUInt16BE(at + 2)) {
    const marker = jpeg[at + 1];
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { height: jpeg.readUInt16BE(at + 5), width: jpeg.readUInt16BE(at + 7) };
  }
  throw new Error('it is no JPEG picture');
}
