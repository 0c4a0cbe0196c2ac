// A WHEP player in another origin hears what encodings there are, and picks one.

import assert from 'node:assert/strict';

import { chromium } from '../harness/browsers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const SIZES = [['q', 4], ['h', 2], ['f', 1]];

e2e('a player listens to events and chooses an encoding', async (scope) => {
  const server = await Server.start(scope);
  const publisher = await chromium(scope);
  const sendEncodings = SIZES.map(([rid, scaleResolutionDownBy]) => ({ rid, scaleResolutionDownBy }));
  const reply = await publisher.evaluate(
    (url, encodings) => probe.publish(url, 'VP8', undefined, { sendEncodings: encodings, height: 720 }), server.whip('sizes'), sendEncodings,
  );
  assert.equal(reply.status, 201, JSON.stringify(reply));
  await until('the camera to be sent', async () => (await publisher.evaluate(() => probe.stats())).sentFrames > 10);
  const viewer = await Viewer.bare(scope, chromium, server.whep('sizes'));
  await viewer.plays();

  const linked = (rel) => new URL(viewer.links.match(new RegExp(`<([^>]+)>; rel="urn:ietf:params:whep:ext:core:${rel}"`))[1], server.url).href;
  await viewer.page.evaluate((url) => {
    window.heard = {};
    const source = new EventSource(url);
    for (const name of ['active', 'inactive', 'layers', 'viewercount', 'reconnect']) {
      source.addEventListener(name, ({ data }) => { window.heard[name] = JSON.parse(data); });
    }
  }, linked('server-sent-events'));
  const heard = () => viewer.page.evaluate(() => window.heard);
  const encodings = async () => Object.values((await heard()).layers ?? {}).flatMap((layers) => layers.map(({ rid }) => rid));
  await until('the layers to be told', async () => new Set(await encodings()).size > 1, 20);
  assert.deepEqual((await heard()).viewercount, { viewercount: 1 });
  assert.ok('active' in (await heard()) && !('inactive' in (await heard())));

  const choose = (choice) => viewer.page.evaluate(async (url, body) => {
    const headers = { 'Content-Type': 'application/json' };
    return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).status;
  }, linked('layer'), choice);
  const shown = async () => (await viewer.look())?.height ?? 0;
  await until('a large picture', async () => (await shown()) > 180, 30);
  assert.equal(await choose({ rid: 'q' }), 200);
  await until('the smallest', async () => (await shown()) === 180, 10);
  assert.equal(await choose({ rid: 'x' }), 400);
  assert.equal(await choose({}), 200);
  await until('a large picture again', async () => (await shown()) > 180, 20);
}, { seconds: 120 });
