// What the OpenAPI document describes, asked in hundreds of odd ways by schemathesis: no 5xx, nothing that hangs, and no
// answer that the document does not know.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Child } from '../harness/child.mjs';
import { SERVER_ADDRESS } from '../harness/namespaces.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';

const below = (path) => new URL(`../../../${path}`, import.meta.url).pathname;
const DOCUMENT = below('web-demo/openapi.json');
const KEY = 'a-key-for-the-admin-api';
const CHECKS = [
  'not_a_server_error', 'status_code_conformance', 'content_type_conformance', 'response_headers_conformance',
  'response_schema_conformance',
];
/// How long one run may go on asking.
const SECONDS = 15;

/// Asks all that `words` leave in, with the parameters of `known` where it names some, in the same order each time.
async function fuzz(scope, url, words, known = {}) {
  const folder = scope.folder();
  const config = join(folder, 'schemathesis.toml');
  const lines = Object.entries(known).map(([name, value]) => `"path.${name}" = "${value}"\n`);
  writeFileSync(config, `[parameters]\n${lines.join('')}`);
  const child = new Child(scope, 'schemathesis', process.env.E2E_PYTHON, [
    '-m', 'schemathesis.cli', '--config-file', config, 'run', DOCUMENT, '--url', url, '--checks', CHECKS.join(),
    '--phases', 'examples,coverage,fuzzing', '--generation-deterministic', '--max-examples', '12',
    '--max-time', `${SECONDS}`, '--request-timeout', '5', '--max-failures', '5', '--continue-on-failure', '--no-color', ...words,
  ], { cwd: folder, env: { ...process.env, SCHEMATHESIS_HOOKS: below('tests/e2e/peers/schemathesis_hooks.py') } });
  const { code } = await child.ended;
  assert.equal(code, 0, child.lines.join('\n'));
  const asked = child.lines.join('\n').match(/(\d+) generated, (\d+) passed/);
  console.log(`# ${asked?.[0]}`);
  assert.ok(Number(asked?.[1]) > 100, child.lines.join('\n'));
}

e2e('the pages, WHIP, WHEP and the rest of HTTP are as described', async (scope) => {
  const server = await Server.start(scope, { 'limits.sessions': 100_000 });
  await fuzz(scope, server.url, ['--exclude-path-regex', '^/admin']);
});

e2e('a session is as described, whatever is asked of it', async (scope) => {
  const server = await Server.start(scope, { 'http.wait_for_stream': true });
  const offer = readFileSync(below('tests/fixtures/offers/play/chromium.sdp'));
  const headers = { 'Content-Type': 'application/sdp' };
  const reply = await fetch(server.whep('studio'), { method: 'POST', headers, body: offer });
  const [, side, stream, session] = reply.headers.get('Location').split('/');
  assert.deepEqual([reply.status, side, stream], [201, 'whep', 'studio']);
  // The events of a live session do not end, and whoever deletes it ends the test.
  const lasting = ['--exclude-operation-id', 'eventsGet', '--exclude-operation-id', 'eventStreamGet', '--exclude-method', 'DELETE'];
  await fuzz(scope, server.url, ['--include-path-regex', '^/whep/.stream./.session.', ...lasting], { stream, session });
  assert.equal((await fetch(`${server.url}/whep/studio/${session}`)).status, 204, 'the session has seen all of it');
});

e2e('the admin API is as described', async (scope) => {
  await Server.start(scope, { 'admin.listen': `${SERVER_ADDRESS}:8081`, 'admin.key': KEY });
  // A doctor takes some seconds each time.
  await fuzz(scope, `http://${SERVER_ADDRESS}:8081`, [
    '--include-path-regex', '^/admin', '--exclude-path', '/admin/doctor', '--header', `Authorization: Bearer ${KEY}`,
  ]);
});
