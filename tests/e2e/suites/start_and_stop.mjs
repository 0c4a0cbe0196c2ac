// What the server says when it starts, whom it lets in, and that Ctrl-C ends everything.

import assert from 'node:assert/strict';

import { chromium } from '../harness/browsers.mjs';
import { SERVER_ADDRESS } from '../harness/namespaces.mjs';
import { publishAiortc, publishFfmpeg } from '../harness/peers.mjs';
import { Server, start } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const KEY = 'correct-horse-battery';

e2e('without configuration it says what to open, and serves this machine only', async (scope) => {
  const child = start(scope, []);
  const log = () => child.lines.join('\n');
  for (const [what, said] of [
    ['the page', /http:\/\/127\.0\.0\.1:8080\//],
    ['WHIP', /http:\/\/127\.0\.0\.1:8080\/whip\//],
    ['WHEP', /http:\/\/127\.0\.0\.1:8080\/whep\//],
    ['metrics', /http:\/\/127\.0\.0\.1:8080\/metrics/],
    ['the media address', new RegExp(`${SERVER_ADDRESS.replaceAll('.', '\\.')}:3478`)],
  ]) {
    await until(`the start to name ${what}`, () => said.test(log()), 10);
  }
  await assert.rejects(fetch(`http://${SERVER_ADDRESS}:8080/healthz`), 'nothing listens beyond loopback');
  assert.deepEqual(await child.stop('SIGINT'), { code: 0, signal: null });
});

e2e('listening beyond loopback without keys is refused with a sentence', async (scope) => {
  const child = start(scope, ['--set', 'http.listen=0.0.0.0:8080']);
  const { code } = await child.ended;
  assert.notEqual(code, 0);
  const said = child.lines.join(' ');
  assert.match(said, /auth\.stream_keys/);
  assert.match(said, /auth\.open/);
}, { seconds: 10 });

e2e('a mistake in the configuration names the key', async (scope) => {
  const child = start(scope, ['--set', 'http.lisen=127.0.0.1:8080']);
  const { code } = await child.ended;
  assert.notEqual(code, 0);
  assert.match(child.lines.join(' '), /http\.lisen.*http\.listen|lisen.*listen/s, 'the nearest valid key is named');
}, { seconds: 10 });

e2e('a stream key lets its holder publish, and nobody else', async (scope) => {
  const server = await Server.start(scope, { 'auth.open': false, 'auth.stream_keys.studio': KEY });
  const page = await chromium(scope);
  for (const [token, status] of [[undefined, 401], ['wrong-horse-battery', 401], [KEY, 201]]) {
    const reply = await page.evaluate((...words) => probe.publish(...words), server.whip('studio'), 'VP8', token);
    assert.equal(reply.status, status, `token ${token}: ${JSON.stringify(reply)}`);
  }
  const other = await page.evaluate((...words) => probe.publish(...words), server.whip('other'), 'VP8', KEY);
  assert.notEqual(other.status, 201, 'a key is for its own stream');
  const refused = await fetch(server.whip('studio'), {
    method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: 'v=0\r\n',
  });
  assert.equal(refused.status, 401);
  assert.match(refused.headers.get('WWW-Authenticate') ?? '', /^Bearer/);
});

e2e('FFmpeg and aiortc publish with a stream key', async (scope) => {
  const server = await Server.start(scope, { 'auth.open': false, 'auth.stream_keys.*': KEY });
  await publishFfmpeg(scope, server.whip('one'), { token: KEY });
  await publishAiortc(scope, server.whip('two'), { token: KEY });
});

e2e('Ctrl-C ends a server that is in use: at once for its viewers', async (scope) => {
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('studio'));
  const viewer = await Viewer.bare(scope, chromium, server.whep('studio'));
  await viewer.plays();
  await server.stop();
  // ICE takes several seconds to notice and connectionState follows it; the DTLS goodbye tells the transport now.
  const transport = () => viewer.page.evaluate(() => probe.connections[0].getReceivers()[0].transport.state);
  await until('the viewer to hear the goodbye', async () => (await transport()) === 'closed', 1.5);
});

e2e('the watch page comes back by itself when the server does', async (scope) => {
  const first = await Server.start(scope);
  await publishFfmpeg(scope, first.whip('studio'));
  const viewer = await Viewer.page(scope, chromium, `${first.url}/watch/studio`);
  await viewer.plays();
  await viewer.shows('red', 'blue');
  await first.stop();
  const second = await Server.start(scope);
  await publishFfmpeg(scope, second.whip('studio'), { left: 'blue', right: 'red' });
  await viewer.shows('blue', 'red', 30);
});
