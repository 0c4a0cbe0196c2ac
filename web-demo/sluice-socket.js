// @ts-check
/**
 * The WebSocket under a room: JSON messages, requests that are answered, and a look whether the other side is alive.
 */
import { SluiceError } from './sluice-error.js';

/** @typedef {import('./protocol.js').ServerMessage} ServerMessage */

/** How long the server may take to open the connection, and to answer a request, in milliseconds. */
const ANSWER_WITHIN_MS = 10_000;
/** How long it may take to answer a ping, in milliseconds. */
const PONG_WITHIN_MS = 5_000;
/** How often it is pinged while nobody says how often, in milliseconds. */
const PING_EVERY_MS = 15_000;
/** Close code of a socket that is given up while its participant comes back by another. 1000 would be a goodbye. */
const ABANDONED = 4000;

/**
 * @typedef {object} SocketListener
 * @property {(message: ServerMessage) => void} message Anything that answers no request.
 * @property {() => void} closed Called once, unless `close()` came before.
 */

export class Socket {
  #socket;
  #listener;
  #nextId = 1;
  /** @type {Map<number, {resolve: (message: ServerMessage) => void, reject: (error: SluiceError) => void}>} */
  #pending = new Map();
  /** @type {Set<ReturnType<typeof setTimeout>>} */
  #timers = new Set();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pinging;
  #over = false;
  #heard = false;

  /** @param {string} url @param {SocketListener} listener */
  constructor(url, listener) {
    this.#listener = listener;
    this.#socket = new WebSocket(url);
    /** @type {Promise<void>} */
    this.opened = new Promise((resolve, reject) => {
      this.#socket.addEventListener('open', () => resolve());
      this.#socket.addEventListener('close', () => reject(new SluiceError('unreachable')));
    });
    this.opened.catch(() => {});
    this.#after(ANSWER_WITHIN_MS, () => this.#socket.readyState === WebSocket.CONNECTING && this.#broke());
    this.#socket.addEventListener('close', () => this.#broke());
    this.#socket.addEventListener('message', ({ data }) => this.#take(data));
  }

  /**
   * @param {import('./protocol.js').ClientMessage} message
   * @returns {Promise<ServerMessage>} What answers it, an `error` apart.
   * @throws {SluiceError} With the server's words, or `unreachable`.
   */
  request(message) {
    return new Promise((resolve, reject) => {
      if (this.#over) {
        reject(new SluiceError('unreachable'));
        return;
      }
      const id = this.#nextId;
      this.#nextId += 1;
      this.#pending.set(id, { resolve, reject });
      // A server that does not answer a request is of no use for the next one either.
      this.#after(ANSWER_WITHIN_MS, () => this.#pending.has(id) && this.#broke());
      this.#write({ ...message, id });
    });
  }

  /** Sends what needs no answer. @param {import('./protocol.js').ClientMessage} message */
  post(message) {
    if (!this.#over) this.#write(message);
  }

  /** Looks from time to time whether the server is alive. @param {number} [everyMs] */
  watch(everyMs = PING_EVERY_MS) {
    clearInterval(this.#pinging);
    this.#pinging = setInterval(() => this.ping(), everyMs);
  }

  /** Looks at once. @param {number} [withinMs] */
  ping(withinMs = PONG_WITHIN_MS) {
    if (this.#over || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#heard = false;
    this.post({ t: 'ping', ts: performance.now() });
    this.#after(withinMs, () => !this.#heard && this.#broke());
  }

  /** Ends it, with nothing more to be heard of it. @param {number} [code] 1000 where the participant leaves. */
  close(code = ABANDONED) {
    this.#end(new SluiceError('unreachable'));
    this.#socket.close(code);
  }

  #broke() {
    if (this.#over) return;
    this.close();
    this.#listener.closed();
  }

  /** @param {SluiceError} error */
  #end(error) {
    this.#over = true;
    clearInterval(this.#pinging);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(error);
  }

  /** @param {object} message */
  #write(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** @param {unknown} data */
  #take(data) {
    if (this.#over || typeof data !== 'string') return;
    this.#heard = true;
    /** @type {import('./protocol.js').Reply} */
    let reply;
    try {
      reply = JSON.parse(data);
    } catch {
      return;
    }
    const asked = reply.re === undefined ? undefined : this.#pending.get(reply.re);
    if (asked && reply.re !== undefined) {
      this.#pending.delete(reply.re);
      if (reply.t === 'error') asked.reject(new SluiceError(reply.code, reply.message));
      else asked.resolve(reply);
    } else {
      this.#listener.message(reply);
    }
  }

  /** @param {number} ms @param {() => void} action */
  #after(ms, action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, ms);
    this.#timers.add(timer);
  }
}
