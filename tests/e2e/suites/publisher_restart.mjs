// A publisher that dies and comes back, or that a second one replaces: viewers go on by themselves.

import assert from 'node:assert/strict';

import { chromium } from '../harness/browsers.mjs';
import { publishFfmpeg } from '../harness/peers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer, assertGood } from '../harness/viewer.mjs';

/// The viewer goes on with the picture blue | red on the connection it had.
async function assertGoesOn(viewer, before, seconds) {
  await viewer.shows('blue', 'red', seconds);
  const after = await viewer.stats();
  assert.equal(after.connections, before.connections, 'the viewer made no new connection');
  assert.equal(after.posts, before.posts, 'the viewer sent no new POST');
  assert.equal(after.state, 'connected');
  assert.ok(after.decoded > before.decoded);
  assertGood(await viewer.watch(4), { seconds: 4 });
}

for (const [kind, start] of [
  ['a bare WHEP client', (scope, server) => Viewer.bare(scope, chromium, server.whep('studio'))],
  ['the watch page', (scope, server) => Viewer.page(scope, chromium, `${server.url}/watch/studio`)],
]) {
  e2e(`FFmpeg is killed and restarted with another picture: ${kind} recovers`, async (scope) => {
    const server = await Server.start(scope);
    const first = await publishFfmpeg(scope, server.whip('studio'));
    const viewer = await start(scope, server);
    await viewer.plays();
    await viewer.shows('red', 'blue');
    await first.stop('SIGKILL');
    const before = await viewer.stats();
    await publishFfmpeg(scope, server.whip('studio'), { left: 'blue', right: 'red' });
    await assertGoesOn(viewer, before, 20);
  });
}

e2e('a second publisher replaces the first while both run', async (scope) => {
  const server = await Server.start(scope);
  const first = await publishFfmpeg(scope, server.whip('studio'));
  const viewer = await Viewer.bare(scope, chromium, server.whep('studio'));
  await viewer.plays();
  await viewer.shows('red', 'blue');
  const before = await viewer.stats();
  await publishFfmpeg(scope, server.whip('studio'), { left: 'blue', right: 'red' });
  await assertGoesOn(viewer, before, 15);
  assert.equal(first.end?.code ?? 1, 1, 'the first encoder is not told that all is well');
});
