// A child process whose standard output is lines (JSON where it can be) and whose end can be waited for.

import { spawn } from 'node:child_process';

import { until } from './wait.mjs';

export class Child {
  /// Starts `command` and ends it with `scope`. `name` stands before its lines when a failed test prints them.
  constructor(scope, name, command, words, options = {}) {
    this.name = name;
    this.lines = [];
    this.messages = [];
    this.process = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.ended = new Promise((resolve) => {
      this.process.on('error', (error) => resolve({ error }));
      this.process.on('close', (code, signal) => resolve({ code, signal }));
    });
    this.ended.then((end) => {
      this.end = end;
    });
    read(this.process.stdout, (line) => this.take(line));
    read(this.process.stderr, (line) => this.lines.push(line));
    scope.defer(() => this.stop('SIGKILL'));
    scope.onFailure(() => `${this.name}:\n${this.lines.slice(-40).map((line) => `    ${line}`).join('\n')}`);
  }

  take(line) {
    this.lines.push(line);
    if (line.startsWith('{')) {
      try {
        this.messages.push(JSON.parse(line));
      } catch {
        // A line that only looks like JSON stays in `lines`.
      }
    }
  }

  /// The first message that has `key`; fails at once when the process ends without it.
  async message(key, seconds = 20) {
    const found = () => this.messages.find((message) => key in message);
    await until(`${this.name} says "${key}"`, () => found() ?? this.end, seconds);
    if (!found()) {
      throw new Error(`${this.name} ended: ${JSON.stringify(this.end)}; ${this.lines.slice(-3).join(' | ')}`);
    }
    return found();
  }

  /// Sends `signal` and waits for the end; returns { code, signal }.
  async stop(signal = 'SIGINT') {
    if (!this.end) {
      this.process.kill(signal);
    }
    return this.ended;
  }
}

function read(stream, take) {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    lines.forEach(take);
  });
  stream.on('end', () => rest && take(rest));
}
