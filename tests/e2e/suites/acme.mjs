// Certificates of a certificate authority: got, renewed and kept, and what is said when there is none.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';

import { Authority, NAME } from '../harness/authority.mjs';
import { SERVER_ADDRESS } from '../harness/namespaces.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { until } from '../harness/wait.mjs';

const URL = `https://${SERVER_ADDRESS}:8080`;
const REDIRECT = { 'http.redirect': `${SERVER_ADDRESS}:8081` };

/// A server that asks `authority`, with its files in `folder`.
function serve(scope, authority, folder, settings = {}) {
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  scope.defer(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);
  const all = { ...authority.settings(folder), ...settings };
  return Server.start(scope, all, { url: URL, env: { SSL_CERT_FILE: authority.root } });
}

/// An open connection to the server.
function open(scope) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: SERVER_ADDRESS, port: 8080, servername: NAME, rejectUnauthorized: false },
      () => resolve(socket));
    socket.on('error', reject);
    scope.defer(() => socket.destroy());
  });
}

/// Who issued what new connections get.
async function issuer(scope) {
  const socket = await open(scope);
  const { issuer: { CN } } = socket.getPeerCertificate();
  socket.destroy();
  return CN ?? '';
}

const issued = (scope) => until('a certificate of the authority', async () => /pebble/i.test(await issuer(scope)), 40);

/// Asks by a connection that is open already.
function ask(socket) {
  return new Promise((resolve, reject) => {
    socket.once('data', (text) => resolve(text.toString()));
    socket.once('close', () => reject(new Error('the connection was closed')));
    socket.write(`GET /healthz HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`);
  });
}

const acmeOrders = (server, outcome) => server.metric('sluice_certificate_orders_total', { outcome });

e2e('a certificate is got by TLS-ALPN-01 while the server runs, kept for this user only, and used again', async (scope) => {
  const authority = await Authority.start(scope);
  const folder = join(scope.folder(), 'acme');
  const server = await serve(scope, authority, folder);
  await issued(scope);
  assert.match(server.log, /certificate got.*tls-alpn-01/);
  assert.equal(await acmeOrders(server, 'issued'), 1);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  for (const name of ['certificate.pem', 'account.json', 'state.json']) {
    assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
  }
  await server.stop();
  const before = readFileSync(join(folder, 'certificate.pem'), 'utf8');
  const again = await serve(scope, authority, folder);
  assert.match(await issuer(scope), /pebble/i, 'it is there from the first connection on');
  assert.equal(authority.orders, 1, 'nobody was asked again');
  assert.equal(readFileSync(join(folder, 'certificate.pem'), 'utf8'), before);
  assert.equal(await acmeOrders(again, 'issued'), 0);
});

e2e('where port 443 leads elsewhere a certificate is got by HTTP-01, and people are sent to HTTPS', async (scope) => {
  const authority = await Authority.start(scope, { tls: 9 });
  const server = await serve(scope, authority, join(scope.folder(), 'acme'), REDIRECT);
  await issued(scope);
  assert.match(server.log, /not proven by tls-alpn-01/);
  assert.match(server.log, /certificate got.*http-01/);
  const sent = await fetch(`http://${SERVER_ADDRESS}:8081/watch/a?b=c`, { redirect: 'manual' });
  assert.equal(sent.status, 308);
  assert.equal(sent.headers.get('Location'), `${URL}/watch/a?b=c`);
  const unknown = await fetch(`http://${SERVER_ADDRESS}:8081/.well-known/acme-challenge/unknown`);
  assert.equal(unknown.status, 404);
});

/// Writes a certificate that `authority`'s root issued 20 s ago and that ends in `left` seconds, as if it was got.
function old(authority, folder, left) {
  execFileSync('mkdir', ['-p', folder]);
  const script = `
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as s
from cryptography.hazmat.primitives.asymmetric import ec
now = datetime.datetime.now(datetime.timezone.utc)
span = lambda seconds: datetime.timedelta(seconds=seconds)
key = ec.generate_private_key(ec.SECP256R1())
name = lambda text: x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, text)])
made = (x509.CertificateBuilder().subject_name(name('old')).issuer_name(name('Old authority')).public_key(key.public_key())
    .serial_number(7).not_valid_before(now - span(20)).not_valid_after(now + span(float(sys.argv[2])))
    .add_extension(x509.SubjectAlternativeName([x509.DNSName('${NAME}')]), False).sign(key, hashes.SHA256()))
pem = s.Encoding.PEM
with open(sys.argv[1], 'wb') as file:
    file.write(key.private_bytes(pem, s.PrivateFormat.PKCS8, s.NoEncryption()) + made.public_bytes(pem))
`;
  execFileSync(process.env.E2E_PYTHON, ['-c', script, join(folder, 'certificate.pem'), String(left)]);
  const state = { directory: authority.directory, issued: true, way: 'tls-alpn-01', failures: 0, failure: null };
  writeFileSync(join(folder, 'state.json'), JSON.stringify(state));
}

e2e('a certificate is renewed when a third of its life is left, and open connections stay', async (scope) => {
  const authority = await Authority.start(scope);
  const folder = join(scope.folder(), 'acme');
  // 20 s and 34 s make 54 s: it is due in 16 s.
  old(authority, folder, 34);
  const server = await serve(scope, authority, folder);
  assert.equal(await issuer(scope), 'Old authority');
  const socket = await open(scope);
  assert.match(await ask(socket), /^HTTP\/1\.1 200/);
  assert.equal(authority.orders, 0, 'it is not due yet');
  await issued(scope);
  assert.match(await ask(socket), /^HTTP\/1\.1 200/);
  assert.equal(socket.getPeerCertificate().issuer.CN, 'Old authority', 'the connection keeps what it began with');
  assert.equal(authority.orders, 1);
  assert.ok(await server.metric('sluice_certificate_end_timestamp_seconds') > Date.now() / 1000 + 3600);
});

e2e('an authority that refuses does not keep the server from running, and the doctor has its words', async (scope) => {
  const authority = await Authority.start(scope, { tls: 9 });
  const folder = join(scope.folder(), 'acme');
  const server = await serve(scope, authority, folder, { 'admin.listen': `${SERVER_ADDRESS}:8082`, 'admin.key': 'correct-horse-battery' });
  await until('the failure to be told', () => /no certificate was got.*next_try_in/.test(server.log), 40);
  assert.match(server.log, /not proven by tls-alpn-01: Failed to connect/);
  assert.equal(await acmeOrders(server, 'failed'), 1);
  assert.ok((await fetch(`${URL}/healthz`)).ok);
  const reply = await fetch(`https://${SERVER_ADDRESS}:8082/admin/doctor`, { headers: { Authorization: 'Bearer correct-horse-battery' } });
  const { findings } = await reply.json();
  const told = findings.filter(({ check }) => check === 'ACME').map(({ found }) => found);
  assert.ok(told.some((found) => /no certificate was got 0 min ago: .*next attempt is made in [12] min/.test(found)), told.join('\n'));
  await server.stop();
  const again = await serve(scope, authority, folder);
  assert.equal(authority.orders, 1, 'a restart does not ask before its time');
  assert.ok((await fetch(`${again.url}/healthz`)).ok);
});

e2e('nonces that are refused are asked for again', async (scope) => {
  const authority = await Authority.start(scope, { env: { PEBBLE_WFE_NONCEREJECT: '10' } });
  await serve(scope, authority, join(scope.folder(), 'acme'));
  await until('a certificate, or a failure that will be tried again', async () =>
    /pebble/i.test(await issuer(scope)), 150);
}, { seconds: 180 });
