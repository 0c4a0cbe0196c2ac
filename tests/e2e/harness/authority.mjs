// A certificate authority: pebble, with the DNS that it believes, in the clients' namespace.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { get } from 'node:https';

import { Child } from './child.mjs';
import { CLIENT_ADDRESS, SERVER_ADDRESS } from './namespaces.mjs';
import { until } from './wait.mjs';

/// The name that leads to the server, for this authority.
export const NAME = 'live.example.test';
const DNS_PORT = 8053;
const PORT = 14000;

export class Authority {
  /// Starts one that looks for proofs on `tls` and `http` of the server. `env` changes what it does.
  static async start(scope, { tls = 8080, http = 8081, env = {} } = {}) {
    const folder = scope.folder();
    const at = (name) => join(folder, name);
    const openssl = (...words) => execFileSync('openssl', words, { stdio: 'pipe' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    openssl('req', '-x509', ...key, '-subj', '/CN=root', '-days', '2', '-keyout', at('root.key'), '-out', at('root.pem'));
    openssl('req', ...key, '-subj', '/CN=authority', '-keyout', at('own.key'), '-out', at('own.csr'));
    writeFileSync(at('own.ext'), `subjectAltName=IP:${CLIENT_ADDRESS}`);
    openssl('x509', '-req', '-in', at('own.csr'), '-CA', at('root.pem'), '-CAkey', at('root.key'), '-CAcreateserial',
      '-days', '2', '-extfile', at('own.ext'), '-out', at('own.pem'));
    writeFileSync(at('config.json'), JSON.stringify({ pebble: {
      listenAddress: `${CLIENT_ADDRESS}:${PORT}`,
      managementListenAddress: `${CLIENT_ADDRESS}:15000`,
      certificate: at('own.pem'),
      privateKey: at('own.key'),
      httpPort: http,
      tlsPort: tls,
    } }));
    new Child(scope, 'dns', 'pebble-challtestsrv', ['-dns01', `127.0.0.1:${DNS_PORT}`, '-http01', '', '-https01', '',
      '-tlsalpn01', '', '-management', '127.0.0.1:8055', '-defaultIPv4', SERVER_ADDRESS, '-defaultIPv6', '']);
    const child = new Child(scope, 'authority', 'pebble',
      ['-config', at('config.json'), '-dnsserver', `127.0.0.1:${DNS_PORT}`, '-strict'],
      { env: { ...process.env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '0', PEBBLE_AUTHZREUSE: '0', ...env } });
    const authority = new Authority(child, at('root.pem'));
    await until('the authority to answer', () => reachable(authority.directory));
    return authority;
  }

  constructor(child, root) {
    this.child = child;
    this.root = root;
  }

  get directory() {
    return `https://${CLIENT_ADDRESS}:${PORT}/dir`;
  }

  /// What it wrote so far, to count requests in.
  get log() {
    return this.child.lines.join('\n');
  }

  /// The orders that it took.
  get orders() {
    return this.child.lines.filter((line) => line.includes('POST /order-plz')).length;
  }

  /// The settings of a server that asks it, with its files in `folder`.
  settings(folder) {
    return { 'tls.acme': NAME, 'tls.acme_directory': this.directory, 'tls.acme_folder': folder };
  }
}

function reachable(url) {
  return new Promise((resolve) => {
    get(url, { rejectUnauthorized: false }, (reply) => resolve(reply.resume().statusCode === 200)).on('error', () => resolve(false));
  });
}
