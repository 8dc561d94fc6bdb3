// schemathesis against the control API of a Headwater of its own: no answer is a fault of Headwater, and each is one that the
// description of the API knows. Arguments: the executable of schemathesis, and options for it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { operated } from './seeds/api.mjs';

const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
  'response_headers_conformance',
];

const [executable, ...options] = process.argv.slice(2);
const headwater = await operated();
try {
  const header = ['--header', `Authorization: Bearer ${headwater.token}`];
  // Below the 50 requests a second that a token may make, so that answers are about the requests and not about their number.
  const limits = ['--rate-limit', '40/s', '--checks', CHECKS.join(','), '--suppress-health-check', 'all'];
  const fuzzer = spawn(executable, ['run', `${headwater.api}/api/v1/openapi.json`, ...header, ...limits, ...options], {
    cwd: headwater.directory,
    stdio: 'inherit',
  });
  [process.exitCode] = await once(fuzzer, 'exit');
} finally {
  await headwater.stop();
}
