// The ways of docs/deploy.md: a cloud machine, a container, a reverse proxy, and clients as they are in the world.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Authority, NAME } from '../harness/authority.mjs';
import { chromium, chromiumIn } from '../harness/browsers.mjs';
import { Child } from '../harness/child.mjs';
import * as net from '../harness/internet.mjs';
import { CLIENT_ADDRESS, SERVER_ADDRESS } from '../harness/namespaces.mjs';
import { publishFfmpeg } from '../harness/peers.mjs';
import { BINARY, Server, start, words } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const { server: GATEWAY, client: CLIENTS } = JSON.parse(process.env.E2E_NAMESPACES);
const PAGE = readFileSync(new URL('../../../docs/deploy.md', import.meta.url), 'utf8');

/// The first block of this kind in docs/deploy.md that holds `word`.
function fromDocs(kind, word) {
  const blocks = [...PAGE.matchAll(new RegExp(`\`\`\`${kind}\n([^]*?)\`\`\``, 'g'))].map(([, text]) => text);
  const found = blocks.find((text) => text.includes(word));
  assert.ok(found, `docs/deploy.md has a block of ${kind} with ${word}`);
  return found;
}

/// The picture comes, whole, and goes on. How smoothly is for other suites.
async function watches(viewer) {
  await viewer.plays();
  await viewer.shows('red', 'blue');
  const { numbers, ...watched } = await viewer.watch(4);
  const told = JSON.stringify(watched);
  assert.equal(watched.state, 'connected');
  assert.ok(numbers.length > 0 && watched.decoded > 0, `the picture moves: ${told}`);
  assert.equal(watched.lost, 0, `no packet was lost: ${told}`);
}

/// What the doctor found under this name, as "status: text".
function found(report, check) {
  return report.findings.filter((one) => one.check === check).map((one) => `${one.status}: ${one.found}`);
}

/// The address with which a page exchanges media, by its newest connection.
function remoteOf(page) {
  return page.evaluate(async () => {
    const reports = [...(await probe.connections.at(-1).getStats()).values()];
    const find = (id) => reports.find((one) => one.id === id);
    const { selectedCandidatePairId } = reports.find((one) => one.type === 'transport');
    return find(find(selectedCandidatePairId).remoteCandidateId).address;
  });
}

e2e('a cloud machine behind 1:1 NAT, told its public address', async (scope) => {
  const machine = net.cloudMachine(scope);
  const settings = { 'http.listen': '0.0.0.0:8080', 'media.announce': net.PUBLIC };
  const server = await Server.start(scope, settings, { namespace: machine, url: `http://${net.PUBLIC}:8080` });
  await publishFfmpeg(scope, server.whip('cloud'));
  const viewer = await Viewer.bare(scope, chromium, server.whep('cloud'));
  await watches(viewer);
  assert.equal(await remoteOf(viewer.page), net.PUBLIC);

  const { report } = net.doctor(machine, BINARY, words({ ...settings, 'auth.open': true }), scope.folder());
  assert.deepEqual(found(report, 'server'), ['ok: Sluice runs and answers']);
  assert.deepEqual(found(report, 'HTTP port'), ['ok: TCP 0.0.0.0:8080 answers']);
  assert.deepEqual(found(report, 'addresses'), [`ok: clients are told to send media to UDP ${net.PUBLIC}:3478`]);
});

e2e('a cloud machine with a name, as docs/deploy.md configures it, with a certificate for it', async (scope) => {
  const authority = await Authority.start(scope, { tls: 443, http: 80 });
  const folder = scope.folder();
  const config = fromDocs('toml', 'acme = [')
    .replaceAll('live.example.org', NAME)
    .replaceAll('/var/lib/sluice', folder)
    .replaceAll('[::]:', `${SERVER_ADDRESS}:`);
  writeFileSync(join(folder, 'sluice.toml'), config);
  net.hosts(scope, GATEWAY, `${SERVER_ADDRESS} ${NAME}`);
  const env = { SSL_CERT_FILE: authority.root, SLUICE__TLS__ACME_DIRECTORY: authority.directory };
  const server = start(scope, [], { cwd: folder, env });
  await until('the certificate', () => server.lines.some((line) => line.includes('certificate got')), 30);

  const args = ['--ignore-certificate-errors', `--host-resolver-rules=MAP ${NAME} ${SERVER_ADDRESS}`];
  const page = await chromiumIn(scope, CLIENTS, `http://${NAME}/publish/stage`, { args });
  assert.equal(page.url(), `https://${NAME}/publish/stage`, 'people are sent to HTTPS');
  const key = config.match(/stream_keys = \{ "\*" = "(.*)" \}/)[1];
  const refused = await page.evaluate((url) => probe.publish(url, 'VP8'), `https://${NAME}/whip/stage`);
  assert.equal(refused.status, 401);
  const published = await page.evaluate((...words) => probe.publish(words[0], 'VP8', words[1]), `https://${NAME}/whip/stage`, key);
  assert.equal(published.status, 201);
  await until('the stream to flow', async () => (await page.evaluate(() => probe.stats())).sentFrames > 10, 30);
  assert.equal(await remoteOf(page), SERVER_ADDRESS);
  assert.deepEqual(await server.stop('SIGINT'), { code: 0, signal: null });
}, { seconds: 120 });

e2e('a cloud machine that asks a STUN server for its public address', async (scope) => {
  const machine = net.cloudMachine(scope);
  // Any other Sluice is one.
  const other = start(scope, words({ 'media.listen': `${CLIENT_ADDRESS}:3478` }), { namespace: CLIENTS });
  await until('the other one to run', () => other.lines.some((line) => line.includes('Media')));
  const settings = { 'http.listen': '0.0.0.0:8080', 'media.discover': `${CLIENT_ADDRESS}:3478` };
  const server = await Server.start(scope, settings, { namespace: machine, url: `http://${net.PUBLIC}:8080` });
  assert.match(server.log, new RegExp(`Media +UDP ${net.PUBLIC}:3478, ${net.MACHINE}:3478, `));
  await publishFfmpeg(scope, server.whip('seen'));
  const viewer = await Viewer.bare(scope, chromium, server.whep('seen'));
  await watches(viewer);
  assert.equal(await remoteOf(viewer.page), net.PUBLIC);

  const all = { ...settings, 'auth.open': true };
  const well = net.doctor(machine, BINARY, words(all), scope.folder()).report;
  assert.deepEqual(found(well, 'public address'), [
    `ok: a STUN server sees this machine as ${net.PUBLIC}, and the NAT in front keeps ports`,
  ]);
  const wrong = net.doctor(machine, BINARY, words({ ...all, 'media.announce': '203.0.113.99' }), scope.folder());
  assert.deepEqual(found(wrong.report, 'public address'), [
    `warning: a STUN server sees this machine as ${net.PUBLIC}, which clients are not told`,
  ]);
  assert.equal(wrong.code, 1);
});

e2e('a name that comes to stand for another address: new sessions are told within a minute', async (scope) => {
  const machine = net.cloudMachine(scope);
  const change = net.hosts(scope, machine, '203.0.113.99 live.example.org');
  const settings = { 'http.listen': '0.0.0.0:8080', 'media.announce': 'live.example.org' };
  const server = await Server.start(scope, settings, { namespace: machine, url: `http://${net.PUBLIC}:8080` });
  assert.match(server.log, /Media +UDP 203\.0\.113\.99:3478/);
  change(`${net.PUBLIC} live.example.org`);
  const told = /new sessions are told other addresses.*203\.0\.113\.7:3478/;
  await until('the server to notice', () => told.test(server.log), 75);
  await publishFfmpeg(scope, server.whip('moved'));
  await watches(await Viewer.bare(scope, chromium, server.whep('moved')));
}, { seconds: 150 });

e2e('a viewer behind a router that lets only answers in', async (scope) => {
  const machine = net.cloudMachine(scope);
  const home = net.home(scope);
  const settings = { 'http.listen': '0.0.0.0:8080', 'media.announce': net.PUBLIC };
  const server = await Server.start(scope, settings, { namespace: machine, url: `http://${net.PUBLIC}:8080` });
  await publishFfmpeg(scope, server.whip('home'));
  const page = await chromiumIn(scope, home, `${server.url}/watch/home`);
  await watches(new Viewer(page));
  assert.equal(await remoteOf(page), net.PUBLIC);
}, { seconds: 120 });

e2e('a viewer who has nothing but IPv6', async (scope) => {
  const machine = net.cloudMachine(scope);
  const world = net.newWorld(scope);
  const settings = { 'http.listen': '[::]:8080', 'media.announce': `${net.PUBLIC},${net.MACHINE_6}` };
  const server = await Server.start(scope, settings, { namespace: machine, url: `http://${net.PUBLIC}:8080` });
  await publishFfmpeg(scope, server.whip('six'));
  // Chromium hides local addresses behind names of multicast DNS, and has none of these where there is no IPv4 at all.
  const args = ['--disable-features=WebRtcHideLocalIpsWithMdns'];
  const page = await chromiumIn(scope, world, `http://[${net.MACHINE_6}]:8080/watch/six`, { args });
  await watches(new Viewer(page));
  assert.equal(await remoteOf(page), net.MACHINE_6);
}, { seconds: 120 });

e2e('a container on a bridge: without a word it is warned of, with one it works', async (scope) => {
  const inside = net.container(scope);
  const silent = { 'http.listen': '0.0.0.0:8080', 'auth.open': true };
  const warned = start(scope, words(silent), { namespace: inside });
  await until('the warning', () => warned.lines.some((line) => /WARN.*172\.17\.0\.2.*set media\.announce/.test(line)));
  const { code, report } = net.doctor(inside, BINARY, words(silent), scope.folder());
  assert.equal(code, 1);
  assert.match(found(report, 'addresses').join('\n'), /^warning: clients are told to send media to 172\.17\.0\.2, which looks like/m);
  assert.deepEqual(await warned.stop('SIGINT'), { code: 0, signal: null });

  const settings = { ...silent, 'media.announce': net.CONTAINER_HOST };
  const server = await Server.start(scope, settings, { namespace: inside, url: `http://${net.CONTAINER_HOST}:8080` });
  await publishFfmpeg(scope, server.whip('box'));
  const viewer = await Viewer.bare(scope, chromium, server.whep('box'));
  await watches(viewer);
  assert.equal(await remoteOf(viewer.page), net.CONTAINER_HOST);
});

/// nginx with the site of docs/deploy.md: what its words and the files of its certificate are.
function nginx(folder) {
  const [certificate, key] = [join(folder, 'fullchain.pem'), join(folder, 'privkey.pem')];
  execFileSync('openssl', ['req', '-new', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-keyout', key, '-out', certificate, '-subj', '/CN=live.example.org', '-days', '2',
    '-addext', `subjectAltName=DNS:live.example.org,IP:${SERVER_ADDRESS}`], { stdio: 'pipe' });
  const site = fromDocs('nginx', 'proxy_pass')
    .replaceAll('/etc/letsencrypt/live/live.example.org', folder)
    .replaceAll('live.example.org', SERVER_ADDRESS);
  const config = join(folder, 'nginx.conf');
  writeFileSync(config, `daemon off; pid ${folder}/pid; error_log stderr; user root;
    events {}
    http { access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
      ${site} }`);
  return ['nginx', '-c', config];
}

/// Caddy with that page's lines. For an address instead of a name it signs a certificate itself.
function caddy(folder) {
  const config = join(folder, 'Caddyfile');
  const site = fromDocs('text', 'reverse_proxy').replaceAll('live.example.org', SERVER_ADDRESS);
  writeFileSync(config, `{\n\tadmin off\n\tskip_install_trust\n\tdefault_sni ${SERVER_ADDRESS}\n}\n${site}`);
  return ['env', `HOME=${folder}`, 'caddy', 'run', '--config', config, '--adapter', 'caddyfile'];
}

for (const proxied of [nginx, caddy]) {
  e2e(`${proxied.name} in front, as docs/deploy.md sets it up`, async (scope) => {
    const folder = scope.folder();
    const command = proxied(folder);
    const url = `https://${SERVER_ADDRESS}`;
    const settings = { 'http.listen': '127.0.0.1:8080', 'http.public_url': url, 'media.announce': SERVER_ADDRESS };
    const server = start(scope, words({ ...settings, 'auth.open': true }));
    const proxy = new Child(scope, proxied.name, 'ip', ['netns', 'exec', GATEWAY, ...command]);
    const page = await chromium(scope, 'about:blank', { trusting: true });
    await until('the page through the proxy', async () => {
      assert.equal(proxy.end, undefined, `${proxied.name} runs`);
      return (await page.goto(`${url}/publish/proxied`)).ok();
    });
    const published = await page.evaluate((address) => probe.publish(address, 'VP8'), `${url}/whip/proxied`);
    assert.equal(published.status, 201);
    assert.match(published.location, new RegExp(`^${url}/whip/proxied/`), 'the session is told by its public address');
    const watching = await chromium(scope, `${url}/watch/proxied`, { trusting: true });
    await new Viewer(watching).plays();
    // The WebSocket of rooms passes too.
    const opened = await watching.evaluate((address) => new Promise((resolve) => {
      const socket = new WebSocket(address);
      socket.onopen = () => resolve('open');
      socket.onerror = () => resolve('failed');
    }), `wss://${SERVER_ADDRESS}/ws`);
    assert.equal(opened, 'open');

    const { report } = net.doctor(GATEWAY, BINARY, words({ ...settings, 'auth.open': true }), folder);
    assert.deepEqual(found(report, 'certificate'), [`ok: none here, as the proxy of ${url} speaks HTTPS`]);
    await proxy.stop('SIGTERM');
    assert.deepEqual(await server.stop('SIGINT'), { code: 0, signal: null });
  }, { seconds: 120 });
}
