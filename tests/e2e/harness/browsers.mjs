// Chromium and Firefox, headless, in the clients' namespace: each started once per run, one fresh context per test.

import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { after } from 'node:test';
import puppeteer from 'puppeteer-core';

import { Child } from './child.mjs';
import { SERVER_NAME } from './certificate.mjs';
import { SERVER_ADDRESS } from './namespaces.mjs';

const probe = readFileSync(new URL('../page/probe.js', import.meta.url), 'utf8');
const blank = readFileSync(new URL('../page/blank.html', import.meta.url), 'utf8');

const CHROMIUM = {
  browser: 'chrome',
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox', // It runs as root, in a namespace that reaches nothing.
    '--disable-gpu',
    '--disable-background-networking',
    '--autoplay-policy=no-user-gesture-required',
    '--use-fake-device-for-media-stream=fps=30',
    '--use-fake-ui-for-media-stream',
    // The camera is for secure pages only; TLS has no part in these suites.
    `--unsafely-treat-insecure-origin-as-secure=http://${SERVER_ADDRESS}:8080`,
  ],
};

const FIREFOX = {
  browser: 'firefox',
  executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
  extraPrefsFirefox: {
    'media.navigator.streams.fake': true,
    'media.navigator.permission.disabled': true,
    'media.peerconnection.ice.obfuscate_host_addresses': false,
    'media.autoplay.default': 0,
    'media.autoplay.blocking_policy': 0,
  },
};

const running = new Map();

async function browser(kind) {
  if (!running.get(kind)?.connected) {
    running.set(kind, await puppeteer.launch({ headless: true, ...kind }));
  }
  return running.get(kind);
}

after(async () => {
  for (const one of running.values()) {
    await one.close();
  }
  blankServer?.close();
});

/// A page of its own browser context with the probe in it, closed with the scope. `scripts` go into it too, before the
/// page's own; `denied` is the address of a server that may have neither camera nor microphone; `alone` gives it a browser
/// of its own, which can be killed; `trusting` one of its own that takes any certificate and knows
/// the server's name.
async function open(scope, kind, address, { scripts = [], denied, trusting = false, alone = trusting } = {}) {
  const own = () => puppeteer.launch({ headless: true, ...kind, ...(trusting && trustingKind(kind)) });
  const home = alone ? await own() : await browser(kind);
  const context = await home.createBrowserContext();
  scope.defer(() => (alone ? home.close() : context.close()));
  if (denied) await context.overridePermissions(denied, []);
  const page = await context.newPage();
  const said = [];
  page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => said.push(`uncaught: ${error.message}`));
  scope.onFailure(() => (said.length ? `page ${address}:\n    ${said.slice(-20).join('\n    ')}` : null));
  for (const script of [probe, ...scripts]) await page.evaluateOnNewDocument(script);
  await page.goto(address);
  page.said = said;
  return page;
}

/// Relays over TLS are checked by the browser as a whole, pages one by one.
function trustingKind({ browser, args, extraPrefsFirefox }) {
  const more = browser === 'chrome'
    ? { args: [...args, '--ignore-certificate-errors', `--host-resolver-rules=MAP ${SERVER_NAME} ${SERVER_ADDRESS}`] }
    : { extraPrefsFirefox: { ...extraPrefsFirefox, 'network.dns.forceResolve': SERVER_ADDRESS } };
  return { acceptInsecureCerts: true, ...more };
}

export const chromium = async (scope, address, more) => open(scope, CHROMIUM, address ?? (await blankPage()), more);
export const firefox = async (scope, address, more) => open(scope, FIREFOX, address ?? (await blankPage()), more);

/// A script that starts a program in another network namespace.
function inNamespace(folder, namespace, program) {
  const script = join(folder, 'browser');
  writeFileSync(script, `#!/bin/sh\nexec ip netns exec ${namespace} ${program} "$@"\n`, { mode: 0o755 });
  return script;
}

/// Chromium in another network namespace. What drives it goes by a pipe, as its ports are out of reach from here. `args`
/// are more words for its command line.
export function chromiumIn(scope, namespace, address, { args = [], ...more } = {}) {
  const executablePath = inNamespace(scope.folder(), namespace, CHROMIUM.executablePath);
  const kind = { ...CHROMIUM, args: [...CHROMIUM.args, ...args], executablePath, pipe: true };
  return open(scope, kind, address, { ...more, alone: true });
}

/// Firefox in another network namespace. It knows no pipe, but a socket in a folder can be reached from all namespaces: a
/// relay on each side takes what comes to a port here to the same port there.
export async function firefoxIn(scope, namespace, address, more) {
  const folder = scope.folder();
  const [path, port] = [join(folder, 'socket'), 9_400];
  const there = `const net = require('node:net');
    net.createServer((one) => {
      const other = net.connect(${port}, '127.0.0.1');
      for (const [from, to] of [[one, other], [other, one]]) from.pipe(to).on('error', () => from.destroy());
    }).listen('${path}', () => console.log('{"listens":true}'));`;
  const relay = new Child(scope, 'relay', 'ip', ['netns', 'exec', namespace, process.execPath, '-e', there]);
  await relay.message('listens');
  const here = createTcpServer((one) => {
    const other = connect(path);
    for (const [from, to] of [[one, other], [other, one]]) from.pipe(to).on('error', () => from.destroy());
  });
  await new Promise((resolve) => here.listen(port, '127.0.0.1', resolve));
  scope.defer(() => here.close());
  const executablePath = inNamespace(folder, namespace, FIREFOX.executablePath);
  return open(scope, { ...FIREFOX, executablePath, debuggingPort: port }, address, { ...more, alone: true });
}

/// The end of a page's whole browser, without a word to anybody. Puppeteer makes it the leader of a process group.
export function kill(page) {
  process.kill(-page.browser().process().pid, 'SIGKILL');
}

let blankServer;

/// The address of an empty page of another origin than the server's (so that CORS is used), on localhost (so that it
/// counts as secure).
async function blankPage() {
  if (!blankServer) {
    blankServer = createServer((_, reply) => reply.setHeader('Content-Type', 'text/html').end(blank));
    await new Promise((resolve) => blankServer.listen(0, '127.0.0.1', resolve));
  }
  return `http://127.0.0.1:${blankServer.address().port}/`;
}
