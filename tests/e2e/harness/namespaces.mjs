// Two network namespaces joined by a veth pair; their names carry the process id, so that runs do not meet.

import { execFileSync } from 'node:child_process';

export const SERVER_ADDRESS = '10.83.0.1';
export const CLIENT_ADDRESS = '10.83.0.2';
export const SERVER_ADDRESS_6 = 'fd83::1';
const CLIENT_ADDRESS_6 = 'fd83::2';
const OTHER_ADDRESS = '10.83.0.3';
const SLOW_GATEWAY = '10.84.0.1';
const SLOW_ADDRESS = '10.84.0.2';

function ip(...words) {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export function makeNamespaces(pid) {
  const names = { server: `sluice-server-${pid}`, client: `sluice-client-${pid}` };
  try {
    ip('netns', 'add', names.server);
    ip('netns', 'add', names.client);
    ip('-n', names.server, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth0', 'netns', names.client);
    address(names.server, SERVER_ADDRESS, SERVER_ADDRESS_6);
    address(names.client, CLIENT_ADDRESS, CLIENT_ADDRESS_6);
    ip('-n', names.client, 'route', 'add', 'default', 'via', SERVER_ADDRESS);
  } catch (error) {
    removeNamespaces(names);
    throw new Error(`cannot make network namespaces (root is needed): ${error.stderr ?? error}`);
  }
  return names;
}

function address(namespace, four, six) {
  ip('-n', namespace, 'link', 'set', 'lo', 'up');
  ip('-n', namespace, 'link', 'set', 'veth0', 'up');
  ip('-n', namespace, 'addr', 'add', `${four}/24`, 'dev', 'veth0');
  ip('-n', namespace, 'addr', 'add', `${six}/64`, 'dev', 'veth0', 'nodad');
}

export function removeNamespaces(names) {
  for (const name of Object.values(names)) {
    try {
      ip('netns', 'del', name);
    } catch {
      // It was never made.
    }
  }
}

/// The clients have no IPv6 until the scope ends.
export function withoutIPv6(scope) {
  const { client } = JSON.parse(process.env.E2E_NAMESPACES);
  ip('-n', client, 'addr', 'del', `${CLIENT_ADDRESS_6}/64`, 'dev', 'veth0');
  scope.defer(() => ip('-n', client, 'addr', 'add', `${CLIENT_ADDRESS_6}/64`, 'dev', 'veth0', 'nodad'));
}

/// The clients are in another network all of a sudden: what was sent to their old address is lost. Until the scope ends.
export function changeAddress(scope) {
  const { client } = JSON.parse(process.env.E2E_NAMESPACES);
  const move = (from, to) => {
    ip('-n', client, 'addr', 'add', `${to}/24`, 'dev', 'veth0');
    ip('-n', client, 'addr', 'del', `${from}/24`, 'dev', 'veth0');
    // The second address of a network goes with the first, unless the kernel is told to promote it.
    ip('-n', client, 'addr', 'replace', `${to}/24`, 'dev', 'veth0');
    ip('-n', client, 'route', 'replace', 'default', 'via', SERVER_ADDRESS);
  };
  move(CLIENT_ADDRESS, OTHER_ADDRESS);
  scope.defer(() => move(OTHER_ADDRESS, CLIENT_ADDRESS));
}

/// Addresses that all are the clients', until the scope ends.
export function manyAddresses(scope, count) {
  const { server, client } = JSON.parse(process.env.E2E_NAMESPACES);
  ip('-n', client, 'route', 'add', 'local', '10.85.0.0/24', 'dev', 'lo');
  ip('-n', server, 'route', 'add', '10.85.0.0/24', 'via', CLIENT_ADDRESS);
  scope.defer(() => {
    ip('-n', client, 'route', 'del', 'local', '10.85.0.0/24', 'dev', 'lo');
    ip('-n', server, 'route', 'del', '10.85.0.0/24');
  });
  return Array.from({ length: count }, (_, number) => `10.85.0.${number + 1}`);
}

/// New links in this namespace have their own IPv6 addresses as soon as they are up, instead of asking for a second or two
/// whether anybody else has them.
export function hasty(namespace) {
  execFileSync('ip', ['netns', 'exec', namespace, 'sysctl', '-qw', 'net.ipv6.conf.default.dad_transmits=0'], { stdio: 'pipe' });
}

/// Waits until this link is up and has all its addresses. A browser that sees an address come gives up what it is loading
/// (ERR_NETWORK_CHANGED), and how long the kernel takes depends on how busy the machine is.
export function settle(namespace, device) {
  const end = Date.now() + 10_000;
  const isSettled = () => {
    const text = execFileSync('ip', ['-j', '-n', namespace, 'addr', 'show', 'dev', device], { encoding: 'utf8' });
    const [{ operstate, addr_info }] = JSON.parse(text);
    return operstate === 'UP' && addr_info.some(({ scope }) => scope === 'link') && !addr_info.some(({ tentative }) => tentative);
  };
  while (!isSettled()) {
    if (Date.now() > end) throw new Error(`${device} in ${namespace} does not come up`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

/// A third namespace, with a way to the server of its own, until the scope ends. Answers with its name, and with a function
/// that sets how much that way carries towards it, in bits per second.
export function slowNamespace(scope) {
  const { server } = JSON.parse(process.env.E2E_NAMESPACES);
  const name = server.replace('server', 'slow');
  ip('netns', 'add', name);
  [server, name].forEach(hasty);
  scope.defer(() => {
    // A namespace and what is in it go some time after they were told to: the next one needs the name of the link.
    execFileSync('sh', ['-c', `ip -n ${server} link del veth1 2>/dev/null || true`]);
    ip('netns', 'del', name);
  });
  ip('-n', server, 'link', 'add', 'veth1', 'type', 'veth', 'peer', 'name', 'veth1', 'netns', name);
  ip('-n', name, 'link', 'set', 'lo', 'up');
  for (const [namespace, four] of [[server, SLOW_GATEWAY], [name, SLOW_ADDRESS]]) {
    ip('-n', namespace, 'link', 'set', 'veth1', 'up');
    ip('-n', namespace, 'addr', 'add', `${four}/24`, 'dev', 'veth1');
  }
  ip('-n', name, 'route', 'add', 'default', 'via', SLOW_GATEWAY);
  for (const namespace of [server, name]) settle(namespace, 'veth1');
  const limit = (rate) =>
    execFileSync('tc', ['-n', server, 'qdisc', 'replace', 'dev', 'veth1', 'root', 'tbf', 'rate', `${rate}bit`, 'burst', '6000', 'latency', '300ms'], { stdio: 'pipe' });
  return { name, limit };
}
