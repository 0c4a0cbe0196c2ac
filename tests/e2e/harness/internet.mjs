// A small internet for tests of how a server is reached: the clients' usual gateway forwards, and behind it stands a machine
// without a public address of its own, as clouds and containers have it.
//
//   clients (10.83.0.2) --- gateway (10.83.0.1, the internet) --- machine (MACHINE, MACHINE_6)
//   home (HOME, behind a masquerade of the clients' namespace)
//   new world (NEW_WORLD, nothing but IPv6)

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';

import { SERVER_ADDRESS, hasty, settle } from './namespaces.mjs';

/// What the cloud maps to the machine, both ways.
export const PUBLIC = '203.0.113.7';
export const MACHINE = '10.90.0.2';
export const MACHINE_6 = '2001:db8:90::2';
/// A container on Docker's bridge, and its gateway, which is the machine that runs it.
export const CONTAINER = '172.17.0.2';
export const CONTAINER_HOST = SERVER_ADDRESS;

const names = JSON.parse(process.env.E2E_NAMESPACES);
/// The internet itself.
export const GATEWAY = names.server;
const run = (command, ...words) => execFileSync(command, words, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
const inside = (namespace, ...words) => run('ip', 'netns', 'exec', namespace, ...words);

/// A namespace called `kind` with a pair of cables to `to`, until the scope ends.
function attach(scope, kind, to, addresses) {
  const name = names.server.replace('server', kind);
  const cable = `to-${kind}`;
  run('ip', 'netns', 'add', name);
  [to, name].forEach(hasty);
  scope.defer(() => run('ip', 'netns', 'del', name));
  run('ip', '-n', to, 'link', 'add', cable, 'type', 'veth', 'peer', 'name', 'veth0', 'netns', name);
  // The namespace goes when its last process has; the cable goes now.
  scope.defer(() => run('ip', '-n', to, 'link', 'del', cable));
  run('ip', '-n', name, 'link', 'set', 'lo', 'up');
  run('ip', '-n', name, 'link', 'set', 'veth0', 'up');
  run('ip', '-n', to, 'link', 'set', cable, 'up');
  for (const [gateway, own] of addresses) {
    const length = own.includes(':') ? 64 : 24;
    const dad = own.includes(':') ? ['nodad'] : [];
    run('ip', '-n', to, 'addr', 'add', `${gateway}/${length}`, 'dev', cable, ...dad);
    run('ip', '-n', name, 'addr', 'add', `${own}/${length}`, 'dev', 'veth0', ...dad);
    run('ip', '-n', name, 'route', 'add', 'default', 'via', gateway);
  }
  settle(to, cable);
  settle(name, 'veth0');
  return name;
}

/// `namespace` passes on what is not for itself.
function forwards(namespace) {
  inside(namespace, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
}

/// Rules of nftables in a namespace, as a table of their own until the scope ends.
function rules(scope, namespace, table, text) {
  inside(namespace, 'nft', `add table inet ${table}; ${text.replaceAll('TABLE', `inet ${table}`)}`);
  scope.defer(() => inside(namespace, 'nft', `delete table inet ${table}`));
}

/// A cloud machine: the cloud maps PUBLIC to it, both ways, and lets through what its firewall names. It has an IPv6 address
/// of its own. Answers with its namespace.
export function cloudMachine(scope, { tcp = 8080, udp = 3478 } = {}) {
  const name = attach(scope, 'machine', names.server, [['10.90.0.1', MACHINE], ['2001:db8:90::1', MACHINE_6]]);
  forwards(names.server);
  rules(scope, names.server, 'cloud', `
    add chain TABLE before { type nat hook prerouting priority -100 ; }
    add rule TABLE before ip daddr ${PUBLIC} dnat ip to ${MACHINE}
    add chain TABLE after { type nat hook postrouting priority 100 ; }
    add rule TABLE after ip saddr ${MACHINE} snat ip to ${PUBLIC}
    add chain TABLE firewall { type filter hook forward priority 0 ; policy drop ; }
    add rule TABLE firewall ct state established,related accept
    add rule TABLE firewall iifname "to-machine" accept
    add rule TABLE firewall meta l4proto icmpv6 accept
    add rule TABLE firewall oifname "to-machine" tcp dport ${tcp} accept
    add rule TABLE firewall oifname "to-machine" udp dport ${udp} accept`);
  return name;
}

/// A container on a bridge of the gateway, with the two ports published as \`-p\` does it: what comes to the host's own
/// address goes to the container, what leaves it looks like the host.
export function container(scope) {
  const name = attach(scope, 'container', names.server, [['172.17.0.1', CONTAINER]]);
  forwards(names.server);
  rules(scope, names.server, 'published', `
    add chain TABLE before { type nat hook prerouting priority -100 ; }
    add rule TABLE before ip daddr ${CONTAINER_HOST} tcp dport 8080 dnat ip to ${CONTAINER}
    add rule TABLE before ip daddr ${CONTAINER_HOST} udp dport 3478 dnat ip to ${CONTAINER}
    add chain TABLE after { type nat hook postrouting priority 100 ; }
    add rule TABLE after ip saddr 172.17.0.0/16 oifname "veth0" masquerade`);
  return name;
}

/// A home whose router hides it behind one address, and takes back only answers (a port-restricted NAT). If `symmetric`, its
/// port is another one for each destination, as with many offices and phone networks. Answers with its namespace.
export function home(scope, { symmetric = false } = {}) {
  const name = attach(scope, 'home', names.client, [['192.168.7.1', '192.168.7.2']]);
  forwards(names.client);
  rules(scope, names.client, 'router', `
    add chain TABLE after { type nat hook postrouting priority 100 ; }
    add rule TABLE after ip saddr 192.168.7.0/24 oifname "veth0" masquerade ${symmetric ? 'fully-random' : ''}
    add chain TABLE firewall { type filter hook forward priority 0 ; policy drop ; }
    add rule TABLE firewall ct state established,related accept
    add rule TABLE firewall iifname "to-home" accept`);
  return name;
}

/// What names stand for in a namespace, until the scope ends: a hosts file that is seen there only. Answers with a function
/// that changes it.
export function hosts(scope, namespace, text) {
  const folder = `/etc/netns/${namespace}`;
  mkdirSync(folder, { recursive: true });
  scope.defer(() => rmSync(folder, { recursive: true }));
  // Always the same file: it is mounted where the server looks.
  const write = (lines) => writeFileSync(`${folder}/hosts`, `127.0.0.1 localhost\n${lines}\n`);
  write(text);
  return write;
}

/// A network without IPv4. Answers with its namespace.
export function newWorld(scope) {
  const name = attach(scope, 'world6', names.server, [['2001:db8:66::1', '2001:db8:66::2']]);
  forwards(names.server);
  return name;
}

/// What `sluice doctor` says with these words in a namespace: { code, report }.
export function doctor(namespace, binary, words, cwd) {
  const command = ['netns', 'exec', namespace, binary, 'doctor', '--json', ...words];
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('SLUICE_')));
  try {
    const text = execFileSync('ip', command, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return { code: 0, report: JSON.parse(text) };
  } catch (error) {
    if (!error.stdout) throw error;
    return { code: error.status, report: JSON.parse(error.stdout) };
  }
}
