// Runs the end-to-end suites: `node tests/e2e/main.mjs [part of a suite's file name]...`
//
// E2E_SUITES names the folder that they are in, if it is not `suites`.
//
// The first process makes two network namespaces joined by a veth pair, one for the server and one for its
// clients, and starts itself again inside the clients' one, where the suites run. So every run has its own
// addresses and ports, a browser sees a real interface with a default route (Firefox gathers no candidates without
// one), and nothing leaves the machine. Needs root for the namespaces.

import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { makeNamespaces, removeNamespaces } from './harness/namespaces.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, process.env.E2E_SUITES ?? 'suites');

if (process.env.E2E_NAMESPACES) {
  await runSuites(process.argv.slice(2));
} else {
  process.exitCode = await runInNamespaces();
}

async function runInNamespaces() {
  const names = makeNamespaces(process.pid);
  const inside = spawn(
    'ip',
    ['netns', 'exec', names.client, process.execPath, '--test-reporter=spec', fileURLToPath(import.meta.url), ...process.argv.slice(2)],
    { stdio: 'inherit', env: { ...process.env, E2E_NAMESPACES: JSON.stringify(names) } },
  );
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => inside.kill('SIGTERM'));
  }
  const code = await new Promise((resolve) => inside.on('exit', (exit) => resolve(exit ?? 1)));
  removeNamespaces(names);
  return code;
}

async function runSuites(wanted) {
  const files = readdirSync(folder).filter((file) => file.endsWith('.mjs')).sort();
  const chosen = files.filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)));
  if (chosen.length === 0) {
    throw new Error(`no suite's file name contains ${wanted.join(' or ')}; there are ${files.join(', ')}`);
  }
  for (const file of chosen) {
    await import(join(folder, file));
  }
}
