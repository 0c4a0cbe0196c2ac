// Prometheus: promtool accepts what /metrics says, and a real Prometheus scrapes and answers queries about it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { chromium } from '../harness/browsers.mjs';
import { Child } from '../harness/child.mjs';
import { SERVER_ADDRESS } from '../harness/namespaces.mjs';
import { publishFfmpeg } from '../harness/peers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const MANUAL = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8');
const PROMETHEUS = 'http://127.0.0.1:9090';

/// Asks Prometheus; returns the values of the series that answer.
async function query(expression) {
  const reply = await fetch(`${PROMETHEUS}/api/v1/query?query=${encodeURIComponent(expression)}`);
  const { status, data, error } = await reply.json();
  assert.equal(status, 'success', `${expression}: ${error}`);
  return data.result.map((one) => Number(one.value[1]));
}

function promtool(words, input) {
  const { status, stdout, stderr } = spawnSync('promtool', words, { input, encoding: 'utf8' });
  assert.equal(status, 0, `promtool ${words.join(' ')}: ${stderr}${stdout}`);
  return stderr;
}

function startPrometheus(scope) {
  const folder = scope.folder();
  const file = join(folder, 'prometheus.yml');
  writeFileSync(file, `scrape_configs:
  - job_name: sluice
    scrape_interval: 1s
    static_configs:
      - targets: ['${SERVER_ADDRESS}:8080']
`);
  return new Child(scope, 'prometheus', 'prometheus', [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    '--web.listen-address=127.0.0.1:9090',
  ]);
}

e2e('promtool accepts /metrics, a Prometheus scrapes a live stream', async (scope) => {
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('studio'));
  const viewer = await Viewer.bare(scope, chromium, server.whep('studio'));
  await viewer.plays();

  const text = await (await fetch(server.metricsUrl)).text();
  assert.equal(promtool(['check', 'metrics'], text).trim(), '', 'promtool has no advice either');

  startPrometheus(scope);
  await until('Prometheus to have scraped', async () => (await query('up{job="sluice"}'))[0] === 1, 30);
  const counted = async (name) => (await query(`sum(sluice_${name})`))[0];
  await until('one publisher and one viewer', async () => (await counted('sessions')) === 2);
  assert.equal(await counted('streams'), 1);
  assert.equal(await counted('tracks'), 2);
  assert.equal(await counted('subscriptions'), 2);
  for (const name of ['media_received_packets_total', 'media_sent_packets_total', 'udp_sent_bytes_total']) {
    const first = await until(name, () => counted(name));
    await until(`${name} to grow`, async () => (await counted(name)) > first + 50);
  }
  // One viewer gets what one publisher sends, apart from what came before the viewer.
  const [ratio] = await query('delta(sluice_media_sent_packets_total[5s]) / delta(sluice_media_received_packets_total[5s])');
  assert.ok(ratio > 0.9 && ratio < 1.1, `packets sent per packet received: ${ratio}`);

  const [questions] = /^## Questions and their queries[^#]*/m.exec(MANUAL);
  for (const [, expression] of questions.matchAll(/`([^`]+)`/g)) {
    await query(expression);
  }
}, { seconds: 120 });

e2e('the alerts that the manual proposes are valid', async (scope) => {
  const [, alerts] = /```yaml\n(groups:\n[^]*?)```/.exec(MANUAL);
  const file = join(scope.folder(), 'alerts.yml');
  writeFileSync(file, alerts);
  promtool(['check', 'rules', file]);
});

e2e('/healthz and /readyz answer', async (scope) => {
  const server = await Server.start(scope);
  for (const path of ['/healthz', '/readyz']) {
    assert.equal((await fetch(server.url + path)).status, 200, path);
  }
});

e2e('metrics.listen moves /metrics to its own address', async (scope) => {
  const server = await Server.start(scope, { 'metrics.listen': `${SERVER_ADDRESS}:9100` });
  server.metricsUrl = `http://${SERVER_ADDRESS}:9100/metrics`;
  assert.match(await (await fetch(server.metricsUrl)).text(), /^sluice_/m);
  assert.equal((await fetch(`${server.url}/metrics`)).status, 404);
});
