// The server under test: started as a user starts it, in the server's namespace, and stopped by Ctrl-C.

import assert from 'node:assert/strict';

import { Child } from './child.mjs';
import { samples, sum } from './metrics.mjs';
import { SERVER_ADDRESS } from './namespaces.mjs';
import { until } from './wait.mjs';

export const BINARY = process.env.SLUICE_BIN ?? new URL('../../../target/release/sluice', import.meta.url).pathname;
const { server: NAMESPACE } = JSON.parse(process.env.E2E_NAMESPACES);

/// Ctrl-C must have ended everything by then.
const STOP_WITHIN_MS = 2000;

/// Starts the binary with `words` in the server's namespace or another, without waiting for anything.
export function start(scope, words, { env = {}, cwd = scope.folder(), namespace = NAMESPACE } = {}) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('SLUICE_')));
  return new Child(scope, 'server', 'ip', ['netns', 'exec', namespace, BINARY, ...words], {
    cwd,
    env: { ...clean, ...env },
  });
}

/// Settings as the arguments of the command line.
export function words(settings) {
  return Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
}

export class Server {
  /// Starts a server that anyone in the namespaces may use, waits until it is ready, and has the scope stop and
  /// check it. `settings` are `--set` pairs by key. `url` is where it is reached, if it is not in the usual place;
  /// `namespace` is where it runs.
  static async start(scope, settings = {}, { url, ...where } = {}) {
    const all = { 'http.listen': `${SERVER_ADDRESS}:8080`, 'auth.open': true, ...settings };
    const scheme = 'tls.cert' in all ? 'https' : 'http';
    const server = new Server(start(scope, words(all), where), url ?? `${scheme}://${SERVER_ADDRESS}:8080`);
    await until('/readyz to answer 200', async () => {
      assert.equal(server.child.end, undefined, `the server ended: ${JSON.stringify(server.child.end)}`);
      return (await fetch(`${server.url}/readyz`)).ok;
    });
    scope.atEnd(() => server.finish());
    return server;
  }

  constructor(child, url = `http://${SERVER_ADDRESS}:8080`) {
    this.child = child;
    this.url = url;
    this.metricsUrl = `${this.url}/metrics`;
  }

  whip(stream) {
    return `${this.url}/whip/${stream}`;
  }

  whep(stream) {
    return `${this.url}/whep/${stream}`;
  }

  get log() {
    return this.child.lines.join('\n');
  }

  async metrics() {
    const reply = await fetch(this.metricsUrl);
    assert.equal(reply.status, 200);
    return samples(await reply.text());
  }

  /// The sum over the samples of one metric now.
  async metric(name, labels) {
    return sum(await this.metrics(), name, labels);
  }

  /// Ctrl-C: the process must exit 0 in time. Returns the milliseconds it took.
  async stop() {
    const began = Date.now();
    const { code, signal } = await this.child.stop('SIGINT');
    const took = Date.now() - began;
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, 'Ctrl-C ends the server with status 0');
    assert.ok(took < STOP_WITHIN_MS, `Ctrl-C took ${took} ms`);
    return took;
  }

  /// What must hold at the end of every test: nothing panicked, all that was to be sent left, and Ctrl-C works.
  async finish() {
    if (!this.child.end) {
      const all = await this.metrics();
      for (const name of ['sluice_panics_total', 'sluice_udp_unsent_datagrams_total', 'sluice_media_unknown_packets_total']) {
        assert.equal(sum(all, name), 0, name);
      }
      await this.stop();
    }
    assert.doesNotMatch(this.log, /panicked/);
  }
}
