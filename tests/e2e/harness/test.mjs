// One end-to-end test: a `node:test` test with a scope that ends in reverse order what was started in it, and that
// prints what the processes said when it fails. When all have run, the last line is `e2e: N passed, M failed`.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const count = { passed: 0, failed: 0 };
process.on('exit', () => console.log(`\ne2e: ${count.passed} passed, ${count.failed} failed`));

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
    const scope = new Scope();
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done after ${seconds} s`)), seconds * 1000);
    });
    try {
      await Promise.race([body(scope).then(() => scope.check()), late]);
      count.passed += 1;
    } catch (error) {
      count.failed += 1;
      console.error(`--- ${name}: ${error.stack}\n${await scope.reports()}\n---`);
      throw error;
    } finally {
      clearTimeout(timer);
      await scope.close();
    }
  });
}
