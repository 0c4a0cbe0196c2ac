// The relay through the eyes of another implementation: coturn's test client, over UDP, TCP and TLS.
//
// Its peers can be nothing but this server's: with -y its clients send to each other, each through its own allocation, so
// that every message passes the relay twice.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { connect } from 'node:tls';

import { withTls } from '../harness/certificate.mjs';
import { Child } from '../harness/child.mjs';
import { SERVER_ADDRESS } from '../harness/namespaces.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { until } from '../harness/wait.mjs';

const PASSWORD = 'a-long-random-text';
const USERS = { 'turn.users.gateway': PASSWORD };
const [CLIENTS, MESSAGES] = [2, 60];
/// One socket for each client; without it there is a second beside it, as RTCP has beside RTP, on a neighbouring port
/// (EVEN-PORT, RESERVATION-TOKEN).
const ALONE = '-c';
const [INDICATIONS, TCP, TLS] = ['-s', '-t', '-S'];

/// Runs the client to its end.
async function uclient(scope, port, flags, { password = PASSWORD, address = SERVER_ADDRESS } = {}) {
  const words = ['-y', '-u', 'gateway', '-w', password, '-m', CLIENTS, '-n', MESSAGES, '-z', 5, '-l', 500, '-p', port];
  const child = new Child(scope, 'turnutils_uclient', 'turnutils_uclient', [...flags, ...words, address].map(String));
  await child.ended;
  return child;
}

/// All messages leave, pass the relay, and come.
async function exchange(scope, server, port, flags, where) {
  const child = await uclient(scope, port, flags, where);
  const [, sent, came] = /tot_send_msgs=(\d+), tot_recv_msgs=(\d+)$/m.exec(child.lines.join('\n')) ?? [];
  const expected = CLIENTS * MESSAGES * (flags.includes(ALONE) ? 1 : 2);
  const told = `${flags}: ${child.lines.slice(-3).join(' | ')}`;
  assert.equal(Number(sent), expected, told);
  // It takes what is in a record of TLS for one message, and forgets what stands behind the first.
  if (flags.includes(TLS)) assert.ok(came > 0, told);
  else assert.equal(Number(came), expected, told);
  for (const name of ['received', 'sent']) {
    // Counters are told once a second.
    const counted = () => server.metric(`sluice_turn_${name}_packets_total`);
    await until(`${expected} to be counted`, async () => (await counted()) >= expected);
    assert.equal(await counted(), expected, name);
  }
}

/// A port here behind which everything is wrapped in TLS, and goes to the server.
async function tlsInFront(scope) {
  const front = createServer({ noDelay: true }, (plain) => {
    const wrapped = connect({ host: SERVER_ADDRESS, port: 8080, rejectUnauthorized: false });
    for (const [from, to] of [[plain, wrapped], [wrapped, plain]]) from.pipe(to).on('error', () => from.destroy());
    plain.on('close', () => wrapped.destroy());
  });
  await new Promise((resolve) => front.listen(0, '127.0.0.1', resolve));
  scope.defer(() => front.close());
  return front.address().port;
}

e2e("coturn's client over UDP, by channels, on several media threads", async (scope) => {
  const server = await Server.start(scope, { ...USERS, 'worker.count': 3 });
  await exchange(scope, server, 3478, [ALONE]);
});

e2e("coturn's client over UDP, by indications, with pairs of ports", async (scope) => {
  // A reserved port is known to the thread that lends it, and the kernel chooses the thread by the client's own port.
  const server = await Server.start(scope, { ...USERS, 'worker.count': 1 });
  await exchange(scope, server, 3478, [INDICATIONS]);
});

e2e("coturn's client over TCP, by channels", async (scope) => {
  const server = await Server.start(scope, { ...USERS, 'worker.count': 3 });
  await exchange(scope, server, 8080, [TCP, ALONE]);
});

e2e("coturn's client over TLS", async (scope) => {
  const server = await Server.start(scope, { ...USERS, ...withTls(scope) });
  await exchange(scope, server, 8080, [TCP, TLS, ALONE]);
});

e2e("coturn's client over TLS that is spoken for it, by indications", async (scope) => {
  const server = await Server.start(scope, { ...USERS, ...withTls(scope) });
  await exchange(scope, server, await tlsInFront(scope), [TCP, INDICATIONS, ALONE], { address: '127.0.0.1' });
});

e2e("coturn's client with a wrong password gets nothing", async (scope) => {
  const server = await Server.start(scope, USERS);
  const { end } = await uclient(scope, 3478, [ALONE], { password: 'another-password' });
  assert.notEqual(end.code, 0);
  await until('the wrong ones to be counted', async () => (await server.metric('sluice_turn_wrong_passwords_total')) > 0);
  assert.equal(await server.metric('sluice_turn_allocations_total'), 0);
  assert.equal((await uclient(scope, 8080, [TCP, ALONE])).end.code, 0, 'the right one is still good');
});
