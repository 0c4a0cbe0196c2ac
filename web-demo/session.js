/**
 * What WHIP and WHEP have in common: one offer is POSTed, one answer comes back, and the session lives at the
 * `Location` of that answer until it is DELETEd. This module adds what a page needs around it: supervision of the
 * connection, retries, and states a user interface can show.
 *
 * The server is ICE-lite, so the offer leaves without waiting for candidates: the browser's own connectivity checks
 * tell the server where it is.
 */
import { iceServersOf, relaysOf } from './sluice-ice.js';

/** How long the HTTP exchange may take, in milliseconds. */
const POST_TIMEOUT_MS = 10_000;
/** How long ICE and DTLS may take after the answer. Chromium needs well under 1 s on a working path. */
const CONNECT_TIMEOUT_MS = 12_000;
/** ICE often recovers from "disconnected" by itself (a roaming phone does), so it gets this long to do so. */
const DISCONNECTED_GRACE_MS = 5_000;
/** A connection that held this long was a good one: the next loss starts again with the shortest delay. */
const STABLE_MS = 5_000;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 10_000;
/** A server may ask for more by `Retry-After`, up to this. */
const LONGEST_WAIT_MS = 30_000;

/**
 * An HTTP reply that was not the wanted one. Filled from `application/problem+json` (RFC 9457) where the server sent it.
 */
export class ProblemError extends Error {
  /**
   * @param {number} status HTTP status code.
   * @param {string} title Short name of the problem, the same for all problems of its type.
   * @param {string} detail One sentence on this case; may be empty.
   * @param {number | null} retryAfterMs What `Retry-After` asks for, in milliseconds.
   */
  constructor(status, title, detail, retryAfterMs) {
    super(detail || title);
    this.name = 'ProblemError';
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.retryAfterMs = retryAfterMs;
  }

  /** @param {Response} response */
  static async from(response) {
    const retryAfterMs = parseRetryAfter(response.headers.get('Retry-After'));
    let title = response.statusText || `The server answered ${response.status}`;
    let detail = '';
    const type = response.headers.get('Content-Type') ?? '';
    const body = await response.text().catch(() => '');
    if (type.includes('json')) {
      try {
        const problem = JSON.parse(body);
        title = String(problem.title ?? title);
        detail = String(problem.detail ?? '');
      } catch {
        // A broken body changes nothing about the status, which is what decides.
      }
    } else if (type.startsWith('text/plain')) {
      detail = body.slice(0, 300);
    }
    return new ProblemError(response.status, title, detail, retryAfterMs);
  }
}

/** The server could not be reached at all: no HTTP reply. */
export class UnreachableError extends Error {
  constructor() {
    super('The server does not answer. Check your network and that the server is running.');
    this.name = 'UnreachableError';
  }
}

/** HTTP works, but media does not get through. */
export class MediaPathError extends Error {
  constructor() {
    super('The server answered, but sound and picture do not get through. A firewall may block UDP.');
    this.name = 'MediaPathError';
  }
}

/** The connection was there and is gone. */
export class ConnectionLostError extends Error {
  constructor() {
    super('The connection was lost.');
    this.name = 'ConnectionLostError';
  }
}

/**
 * @param {string | null} value `Retry-After`: seconds or an HTTP date (RFC 9110 section 10.2.3).
 * @returns {number | null} Milliseconds from now, or null where there is nothing usable.
 */
export function parseRetryAfter(value) {
  if (!value) return null;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - Date.now());
}

/** @param {string} sdp @param {string} name @returns {string} The value of the first such attribute. */
function attribute(sdp, name) {
  return new RegExp(`^a=${name}:(.*)$`, 'm').exec(sdp)?.[1].trim() ?? '';
}

/**
 * One POST of an offer.
 *
 * @param {string} url Endpoint.
 * @param {string} sdp Offer.
 * @param {string} [token] Bearer token.
 * @returns {Promise<{sdp: string, location: string | null, iceServers: RTCIceServer[]}>} The answer, the absolute URL of
 *   the session, and the server's relays.
 * @throws {ProblemError | UnreachableError}
 */
export async function postOffer(url, sdp, token) {
  const headers = { 'Content-Type': 'application/sdp' };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers,
      body: sdp,
      signal: AbortSignal.timeout(POST_TIMEOUT_MS),
    });
  } catch {
    throw new UnreachableError();
  }
  if (response.status !== 201 && response.status !== 200) throw await ProblemError.from(response);
  const location = response.headers.get('Location');
  return {
    sdp: await response.text(),
    // Against the URL of the response, not of the request: a 307 may have sent us elsewhere.
    location: location ? new URL(location, response.url).href : null,
    iceServers: iceServersOf(response.headers.get('Link')),
  };
}

/** @param {string} url @param {string} words @returns {string} */
function withQuery(url, words) {
  const parts = new URL(url);
  parts.search += `${parts.search ? '&' : '?'}${words}`;
  return parts.href;
}

/**
 * What a session is doing.
 *
 * - `idle`: not started, or stopped.
 * - `connecting`: first attempt under way.
 * - `waiting`: the server is fine, the stream is not live yet (WHEP only); asks again by itself.
 * - `live`: connected.
 * - `reconnecting`: the connection or the server was lost; tries again by itself.
 * - `ended`: the server closed the session on purpose (WHIP only); `start()` begins anew.
 * - `failed`: trying again would not help; `error` says why.
 *
 * @typedef {'idle' | 'connecting' | 'waiting' | 'live' | 'reconnecting' | 'ended' | 'failed'} SessionState
 */

/**
 * @typedef {object} SessionOptions
 * @property {string} [token] Bearer token.
 * @property {RTCIceServer[]} [iceServers] STUN and TURN servers beside the relays that the server names.
 * @property {RTCIceTransportPolicy} [iceTransportPolicy] `relay` to connect through relays only.
 */

/**
 * Fires `state` after every change (read `state`, `error` and `retryAt`).
 */
export class Session extends EventTarget {
  /** @type {AbortController | null} Aborted when the attempt it belongs to is over. */
  #attempt = null;
  #timers = new Map();
  #delay = FIRST_DELAY_MS;
  /** @type {string} The answer, with the credentials of the last ICE restart. */
  #answer = '';
  #onPageHide = () => this.stop();
  #onOnline = () => this.#timers.has('retry') && this.#connect();

  /**
   * @param {string | URL} url WHIP or WHEP endpoint; relative ones are resolved against the page.
   * @param {SessionOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    this.url = new URL(url, globalThis.location?.href).href;
    this.token = options.token ?? '';
    this.iceServers = options.iceServers ?? [];
    this.iceTransportPolicy = options.iceTransportPolicy ?? 'all';
    if (this.iceTransportPolicy === 'relay') this.url = withQuery(this.url, 'relay=all');
    /** @type {SessionState} */
    this.state = 'idle';
    /** @type {Error | null} Why the state is `waiting`, `reconnecting`, `ended` or `failed`. */
    this.error = null;
    /** @type {number | null} When the next attempt starts, in milliseconds of `Date.now()`. */
    this.retryAt = null;
    /** @type {RTCPeerConnection | null} */
    this.pc = null;
    /** @type {string | null} Absolute URL of the session at the server. */
    this.location = null;
  }

  /** Connects, and stays connected until `stop()`. Does nothing when already started. */
  start() {
    if (this.#attempt) return;
    this.#delay = FIRST_DELAY_MS;
    addEventListener('pagehide', this.#onPageHide);
    addEventListener('online', this.#onOnline);
    this.setState('connecting');
    this.#connect();
  }

  /** Ends the session here and at the server. */
  stop() {
    this.#rest();
    this.setState('idle');
  }

  /** @protected Adds transceivers before the offer is made. */
  addMedia(_pc) {}

  /** @protected Last change to the offer. @param {string} sdp @returns {string} */
  shapeOffer(sdp) {
    return sdp;
  }

  /** @protected Last change to the answer. @param {string} sdp @returns {string} */
  shapeAnswer(sdp) {
    return sdp;
  }

  /** @protected Called when ICE and DTLS are through. */
  connected() {}

  /**
   * @protected What an error of the HTTP exchange means.
   * @param {Error} error
   * @returns {'retry' | 'wait' | 'fail'}
   */
  judge(error) {
    if (error instanceof UnreachableError) return 'retry';
    if (error instanceof ProblemError) {
      return error.status >= 500 || [408, 425, 429].includes(error.status) ? 'retry' : 'fail';
    }
    return 'fail';
  }

  /** @protected The server ended the session with a DTLS close. */
  closedByServer() {
    this.reconnect(new ConnectionLostError());
  }

  /** @protected @param {SessionState} state @param {Error | null} [error] @param {number | null} [retryAt] */
  setState(state, error = null, retryAt = null) {
    this.state = state;
    this.error = error;
    this.retryAt = retryAt;
    this.dispatchEvent(new Event('state'));
  }

  /** @protected Gives up for good, with a state that says so. @param {'ended' | 'failed'} state @param {Error} error */
  finish(state, error) {
    this.#rest();
    this.setState(state, error);
  }

  /** @protected Drops what is there and tries again after a growing delay. @param {Error} error */
  reconnect(error) {
    this.#drop();
    // Spread over half the delay, so that a thousand viewers of a restarted server do not return in one instant.
    const wait = Math.min(error.retryAfterMs ?? this.#delay, LONGEST_WAIT_MS) * (0.75 + Math.random() / 2);
    this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY_MS);
    this.#retry('reconnecting', error, wait);
  }

  #retry(state, error, wait) {
    this.#timer('retry', wait, () => this.#connect());
    this.setState(state, error, Date.now() + wait);
  }

  async #connect() {
    this.#drop();
    const attempt = new AbortController();
    this.#attempt = attempt;
    const { iceServers, iceTransportPolicy } = this;
    /** @type {RTCConfiguration} */
    const configuration = { iceServers, iceTransportPolicy, bundlePolicy: 'max-bundle' };
    const pc = new RTCPeerConnection(configuration);
    this.pc = pc;
    pc.addEventListener('connectionstatechange', () => this.#check(pc, attempt.signal));
    try {
      await this.addMedia(pc);
      const offer = await pc.createOffer();
      const sdp = this.shapeOffer(offer.sdp);
      const answer = await postOffer(this.url, sdp, this.token);
      if (attempt.signal.aborted) {
        this.#delete(answer.location);
        return;
      }
      this.location = answer.location;
      // Only now are candidates gathered, as only now the relays are known; the server needs none of them.
      const relays = relaysOf(answer.iceServers, iceTransportPolicy);
      if (relays.length > 0) pc.setConfiguration({ ...configuration, iceServers: [...iceServers, ...relays] });
      await pc.setLocalDescription({ type: 'offer', sdp });
      if (attempt.signal.aborted) return;
      this.#answer = this.shapeAnswer(answer.sdp);
      await pc.setRemoteDescription({ type: 'answer', sdp: this.#answer });
      if (attempt.signal.aborted) return;
      // Browsers differ in what connectionState becomes after a DTLS close from the other side; the transport tells.
      const dtls = pc.getTransceivers()[0]?.receiver.transport;
      dtls?.addEventListener('statechange', () => this.#check(pc, attempt.signal));
      this.#timer('connect', CONNECT_TIMEOUT_MS, () => this.reconnect(new MediaPathError()));
      this.#check(pc, attempt.signal);
    } catch (error) {
      if (!attempt.signal.aborted) this.#refused(error);
    }
  }

  #refused(error) {
    const verdict = this.judge(error);
    if (verdict === 'retry') {
      this.reconnect(error);
    } else if (verdict === 'wait') {
      this.#drop();
      this.#delay = FIRST_DELAY_MS;
      const asked = Math.min(Math.max(error.retryAfterMs ?? 2000, 1000), LONGEST_WAIT_MS);
      this.#retry('waiting', error, asked * (0.85 + Math.random() * 0.3));
    } else {
      this.finish('failed', error);
    }
  }

  /** @param {RTCPeerConnection} pc @param {AbortSignal} over */
  #check(pc, over) {
    if (over.aborted) return;
    const dtls = pc.getTransceivers()[0]?.receiver.transport?.state;
    if (dtls === 'closed' || pc.connectionState === 'closed') {
      this.closedByServer();
    } else if (pc.connectionState === 'failed') {
      this.reconnect(this.#timers.has('connect') ? new MediaPathError() : new ConnectionLostError());
    } else if (pc.connectionState === 'disconnected') {
      // Once for each loss: while the timer runs, a restart is under way.
      if (!this.#timers.has('grace')) this.#restartIce(pc, over).catch(() => {});
      this.#timer('grace', DISCONNECTED_GRACE_MS, () => this.reconnect(new ConnectionLostError()));
    } else if (pc.connectionState === 'connected') {
      this.#cancel('connect');
      this.#cancel('grace');
      this.#timer('stable', STABLE_MS, () => (this.#delay = FIRST_DELAY_MS));
      if (this.state !== 'live') {
        this.connected();
        this.setState('live');
      }
    }
  }

  /**
   * Finds another path for the session that is there (RFC 9725 section 4.3.3). If that fails, the grace period ends.
   *
   * @param {RTCPeerConnection} pc @param {AbortSignal} over
   */
  async #restartIce(pc, over) {
    if (!this.location) return;
    pc.restartIce();
    const sdp = this.shapeOffer((await pc.createOffer()).sdp);
    await pc.setLocalDescription({ type: 'offer', sdp });
    const own = ['mid', 'ice-ufrag', 'ice-pwd'].map((name) => `a=${name}:${attribute(sdp, name)}\r\n`);
    const response = await fetch(this.location, {
      method: 'PATCH',
      headers: { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*' },
      body: `m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n${own.join('')}`,
      signal: AbortSignal.any([over, AbortSignal.timeout(DISCONNECTED_GRACE_MS)]),
    });
    const fragment = await response.text();
    if (over.aborted) return;
    // The session is over: there is no point in waiting.
    if (response.status === 404) this.reconnect(new ConnectionLostError());
    if (response.status !== 200) return;
    for (const name of ['ice-ufrag', 'ice-pwd']) {
      this.#answer = this.#answer.replaceAll(attribute(this.#answer, name), attribute(fragment, name));
    }
    await pc.setRemoteDescription({ type: 'answer', sdp: this.#answer });
  }

  #timer(name, ms, action) {
    this.#cancel(name);
    this.#timers.set(
      name,
      setTimeout(() => {
        this.#timers.delete(name);
        action();
      }, ms),
    );
  }

  #cancel(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  /** Ends the current attempt or connection; what comes next is the caller's choice. */
  #drop() {
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    this.#attempt?.abort();
    this.#delete(this.location);
    this.location = null;
    this.pc?.close();
    this.pc = null;
  }

  #rest() {
    this.#drop();
    this.#attempt = null;
    removeEventListener('pagehide', this.#onPageHide);
    removeEventListener('online', this.#onOnline);
  }

  /** @param {string | null} location */
  #delete(location) {
    if (!location) return;
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    // keepalive lets the request outlive the page. When it fails, the server's own timeout does the same later.
    fetch(location, { method: 'DELETE', headers, keepalive: true }).catch(() => {});
  }
}
