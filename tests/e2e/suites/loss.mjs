// Packets are lost on the way to a viewer, and sent again when it asks.

import assert from 'node:assert/strict';

import { chromium } from '../harness/browsers.mjs';
import { loseReceived } from '../harness/network.mjs';
import { publishFfmpeg } from '../harness/peers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer } from '../harness/viewer.mjs';

const WATCH_SECONDS = 30;

e2e('of 5 % lost packets a viewer sees nothing: they are sent again', async (scope) => {
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('studio'));
  const viewer = await Viewer.bare(scope, chromium, server.whep('studio'));
  await viewer.plays();
  loseReceived(scope, 5);
  const { numbers, ...watched } = await viewer.watch(WATCH_SECONDS);
  const told = JSON.stringify(watched);
  const sent = numbers.at(-1) - numbers[0];
  assert.ok(watched.decoded / sent >= 0.9, `${watched.decoded} frames were decoded of ${sent} sent: ${told}`);
  assert.ok(watched.freezeSeconds <= 0.1 * WATCH_SECONDS, told);
});
