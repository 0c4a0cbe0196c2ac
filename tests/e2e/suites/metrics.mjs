// Prometheus: promtool accepts what /metrics says, and a real Prometheus scrapes and answers queries about it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { chromium } from '../harness/browsers.mjs';
import { Child } from '../harness/child.mjs';
import { SERVER_ADDRESS } from '../harness/namespaces.mjs';
import { publishFfmpeg } from '../harness/peers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const PROMETHEUS = 'http://127.0.0.1:9090';

async function query(expression) {
  const reply = await fetch(`${PROMETHEUS}/api/v1/query?query=${encodeURIComponent(expression)}`);
  const { data } = await reply.json();
  return data.result.map((one) => Number(one.value[1]));
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

  const text = await (await fetch(`${server.url}/metrics`)).text();
  const check = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  assert.equal(check.status, 0, `promtool check metrics: ${check.stderr}${check.stdout}`);
  assert.equal(check.stderr.trim(), '', 'promtool has no advice either');

  startPrometheus(scope);
  await until('Prometheus to have scraped', async () => (await query('up{job="sluice"}'))[0] === 1, 30);
  assert.deepEqual(await query('sum(sluice_sessions)'), [2], 'one publisher and one viewer');
  assert.deepEqual(await query('sluice_streams'), [1]);
  const first = await until('the packet counter', async () => (await query('sum(sluice_rtp_packets_total)'))[0]);
  await until('the packet counter to grow', async () => (await query('sum(sluice_rtp_packets_total)'))[0] > first + 100);
}, { seconds: 120 });

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
