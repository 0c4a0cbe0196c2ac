// One end-to-end test: a `node:test` test with a scope that ends in reverse order what was started in it, and that
// prints what the processes said when it fails. When all have run, the last lines are `e2e: N passed, M failed`, and why.
//
// Two browsers, an encoder and the server share two processors here, so that now and then something comes later than any
// bound. What fails is tried once more, in few tests of a run, and never silently: the last lines name those too.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

/// So many tests of a run may fail once. More are no accident.
const SECOND_CHANCES = 3;

const count = { passed: 0, failed: 0 };
const failures = [];
process.on('exit', () => {
  console.log(`\ne2e: ${count.passed} passed, ${count.failed} failed`);
  for (const { name, error, isFinal } of failures) {
    console.log(`${isFinal ? 'failed' : 'failed at first, then passed'}: ${name}: ${String(error.message).split('\n')[0].slice(0, 300)}`);
  }
});

class Scope {
  #ends = [];
  #reports = [];
  #checks = [];

  /// Runs `end` when the test is over, last deferred first.
  defer(end) {
    this.#ends.push(end);
  }

  /// Asks `report` for a text (or null) when the test has failed.
  onFailure(report) {
    this.#reports.push(report);
  }

  /// Asserts `check` when the test's body has passed and everything still runs.
  atEnd(check) {
    this.#checks.push(check);
  }

  async check() {
    for (const check of this.#checks) {
      await check();
    }
  }

  /// A folder that goes with the test.
  folder() {
    const path = mkdtempSync(join(tmpdir(), 'sluice-e2e-'));
    this.defer(() => rmSync(path, { recursive: true, force: true }));
    return path;
  }

  async close() {
    for (const end of this.#ends.reverse()) {
      try {
        await end();
      } catch (error) {
        console.error(`while ending: ${error.message}`);
      }
    }
  }

  async reports() {
    const texts = [];
    for (const report of this.#reports) {
      texts.push(await Promise.resolve().then(report).catch((error) => `no report: ${error.message}`));
    }
    return texts.filter(Boolean).join('\n');
  }
}

/// Declares a test that may take `seconds`; `body` gets the scope.
export function e2e(name, body, { seconds = 90 } = {}) {
  test(name, async () => {
    try {
      await attempt(name, body, seconds);
    } catch (error) {
      const failure = { name, error, isFinal: true };
      failures.push(failure);
      if (failures.length > SECOND_CHANCES) {
        count.failed += 1;
        throw error;
      }
      try {
        await attempt(name, body, seconds);
        failure.isFinal = false;
      } catch (again) {
        count.failed += 1;
        failure.error = again;
        throw again;
      }
    }
    count.passed += 1;
  });
}

async function attempt(name, body, seconds) {
  const scope = new Scope();
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${seconds} s`)), seconds * 1000);
  });
  try {
    await Promise.race([body(scope).then(() => scope.check()), late]);
  } catch (error) {
    console.error(`--- ${name}: ${error.stack}\n${await scope.reports()}\n---`);
    throw error;
  } finally {
    clearTimeout(timer);
    await scope.close();
  }
}
