// What the OpenAPI document describes, asked in hundreds of odd ways by schemathesis: no 5xx, nothing that hangs, and no
// answer that the document does not know.

import assert from 'node:assert/strict';

import { SERVER_ADDRESS } from '../harness/namespaces.mjs';
import { Child } from '../harness/child.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';

const DOCUMENT = new URL('../../../web-demo/openapi.json', import.meta.url).pathname;
const KEY = 'a-key-for-the-admin-api';
const CHECKS = 'not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance';

/// Asks all that is described below paths that match, always in the same ways.
async function fuzz(scope, url, more) {
  const words = ['run', DOCUMENT, '--url', url, '--checks', CHECKS, '--phases', 'examples,coverage,fuzzing', '--mode', 'all',
    '--max-examples', '12', '--seed', '20261123', '--generation-deterministic',
    '--request-timeout', '5', '--max-failures', '5', '--continue-on-failure', ...more];
  const child = new Child(scope, 'schemathesis', process.env.E2E_PYTHON, ['-m', 'schemathesis.cli', ...words], {
    cwd: scope.folder(), env: { ...process.env, NO_COLOR: '1' },
  });
  const end = await child.ended;
  assert.equal(end.code, 0, child.lines.join('\n'));
}

e2e('the pages, WHIP, WHEP and the rest of HTTP, as described', async (scope) => {
  const server = await Server.start(scope, { 'limits.sessions': 100_000 });
  // Doctors take their time, and what is asked of them is nothing.
  await fuzz(scope, server.url, ['--exclude-path-regex', '^/admin']);
  assert.ok((await fetch(`${server.url}/readyz`)).ok);
}, { seconds: 90 });

e2e('the admin API, as described', async (scope) => {
  await Server.start(scope, { 'admin.listen': `${SERVER_ADDRESS}:8081`, 'admin.key': KEY });
  await fuzz(scope, `http://${SERVER_ADDRESS}:8081`, ['--include-path-regex', '^/admin', '--exclude-path-regex', '^/admin/doctor',
    '--header', `Authorization: Bearer ${KEY}`]);
}, { seconds: 60 });
