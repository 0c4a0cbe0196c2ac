// @ts-check
/**
 * When to connect, and how: the policy alone, without a socket or a clock. It is told what happened and when, and
 * answers with what to do.
 */

/** How long the media may take to come up after the server answered, in milliseconds. */
export const MEDIA_WITHIN_MS = 12_000;
/** A restart of ICE gets this long to bring the media back; then comes a new peer connection. */
export const DISCONNECTED_GRACE_MS = 4_000;
/** A break that is mended within this time is not shown. */
export const SHOW_AFTER_MS = 1_000;
/** A connection that held this long was a good one: the next break starts again with the shortest delay. */
const STABLE_MS = 5_000;
const FIRST_DELAY_MS = 300;
const LONGEST_DELAY_MS = 30_000;

/** Refusals that pass by themselves. A participant that was in the room before waits for that. */
const PASSING = new Set(['full', 'busy', 'rate']);
/** How often a busy server is asked again by somebody who was not in the room before. */
const BUSY_ATTEMPTS = 4;

/**
 * What a person sees of the connection.
 *
 * @typedef {'idle' | 'joining' | 'joined' | 'reconnecting' | 'left' | 'failed'} RoomState
 */

/**
 * What happened. `closed`: the socket closed, or an attempt ended without an answer. `nudge`: the network came back, or
 * the page became visible. `silent`: what came steadily has stopped, which is no fault if nobody sends any more. `flows`: it
 * goes on.
 *
 * @typedef {{type: 'start'} | {type: 'leave'} | {type: 'closed'} | {type: 'nudge'} | {type: 'tick'} | {type: 'media_error'}
 *   | {type: 'silent'} | {type: 'flows'}
 *   | {type: 'welcome', renewed: boolean}
 *   | {type: 'refused', code: string, message?: string}
 *   | {type: 'bye', code: string, message?: string, retryMs?: number}
 *   | {type: 'media', state: 'connecting' | 'connected' | 'disconnected' | 'broken'}} Happening
 */

/**
 * What to do. `connect`: open a socket and join, `resume` with the token, `renew` with a new peer connection. `restart`:
 * find another path for the peer connection that there is. `ping`: see whether the server can be reached. `close`: let go
 * of socket and peer connection.
 *
 * @typedef {{do: 'connect', resume: boolean, renew: boolean} | {do: 'restart'} | {do: 'ping'} | {do: 'close'}
 *   | {do: 'show', state: RoomState, code?: string, message?: string}} Step
 */

export class Reconnection {
  /** @type {RoomState} */
  state = 'idle';
  /** @type {'rest' | 'opening' | 'welcomed' | 'waiting'} */
  #phase = 'rest';
  /** @type {'none' | 'connecting' | 'connected' | 'disconnected' | 'broken'} */
  #media = 'none';
  #isSilent = false;
  #wasJoined = false;
  #resumable = false;
  #attempts = 0;
  /** @type {number | null} When the connection began to be less than whole. */
  #brokenAt = null;
  /** @type {number | null} When it was whole again. */
  #wholeAt = null;
  /** @type {number | null} When the next attempt is due. */
  #retryAt = null;
  /** @type {number | null} Until when the media must have come up, or come back. */
  #mediaBy = null;
  #random;

  /** @param {() => number} [random] 0 to 1; spreads the attempts of many clients over time. */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /** @returns {number | null} When the next attempt is due. */
  get retryAt() {
    return this.#retryAt;
  }

  /** @returns {number | null} When a `tick` is due, if nothing else happens before. */
  get wakeAt() {
    const shown = this.state === 'joined' && this.#brokenAt !== null ? this.#brokenAt + SHOW_AFTER_MS : null;
    const times = [this.#retryAt, this.#mediaBy, shown].filter((time) => time !== null);
    return times.length > 0 ? Math.min(...times) : null;
  }

  /**
   * @param {Happening} happening
   * @param {number} now Milliseconds of any clock that never goes back.
   * @returns {Step[]}
   */
  handle(happening, now) {
    if (happening.type === 'start') return this.#start();
    if (this.#phase === 'rest') return [];
    switch (happening.type) {
      case 'leave':
        return this.#finish('left', 'left');
      case 'welcome':
        return this.#welcomed(happening.renewed, now);
      case 'closed':
        return this.#wasJoined ? this.#lost(now) : this.#finish('failed', 'unreachable');
      case 'refused':
        return this.#refused(happening, now);
      case 'bye':
        return this.#goodbye(happening, now);
      case 'media':
        return this.#mediaIs(happening.state, now);
      case 'media_error':
        return this.#mediaIs('broken', now);
      case 'silent':
        this.#isSilent = true;
        return this.#phase === 'welcomed' ? [{ do: 'ping' }] : [];
      case 'flows':
        this.#isSilent = false;
        return [];
      case 'nudge':
        return this.#phase === 'waiting' ? this.#connect() : [];
      default:
        return this.#tick(now);
    }
  }

  #start() {
    if (this.#phase !== 'rest') return [];
    this.state = 'idle';
    this.#media = 'none';
    this.#isSilent = this.#wasJoined = this.#resumable = false;
    this.#attempts = 0;
    this.#brokenAt = this.#wholeAt = this.#retryAt = this.#mediaBy = null;
    return [...this.#show('joining'), ...this.#connect()];
  }

  /** @returns {Step[]} */
  #connect() {
    this.#phase = 'opening';
    this.#retryAt = null;
    const renew = !this.#resumable || this.#media === 'none' || this.#media === 'broken';
    if (renew) {
      this.#media = 'none';
      this.#mediaBy = null;
    }
    return [{ do: 'connect', resume: this.#resumable, renew }];
  }

  /** @param {boolean} renewed @param {number} now @returns {Step[]} */
  #welcomed(renewed, now) {
    this.#phase = 'welcomed';
    this.#resumable = true;
    if (renewed && this.#media === 'none') {
      this.#media = 'connecting';
      this.#mediaBy = now + MEDIA_WITHIN_MS;
    }
    if (this.#media === 'broken') return this.#connect();
    // What took the socket away took the media's path as well.
    if (this.#media === 'disconnected') return this.#restart(now);
    if (!this.#isSilent || renewed) return this.#settle(now);
    this.#isSilent = false;
    return [{ do: 'restart' }, ...this.#settle(now)];
  }

  /** The socket is gone. If the media went with it, the way to the server is another now: that cannot wait. @param {number} now @returns {Step[]} */
  #lost(now) {
    this.#breaks(now);
    if (!this.#isSilent || this.#attempts > 0) return this.#retry(now);
    this.#attempts += 1;
    return this.#connect();
  }

  /** @param {number} now */
  #settle(now) {
    if (this.#phase !== 'welcomed' || this.#media !== 'connected') return [];
    this.#wasJoined = true;
    this.#brokenAt = null;
    this.#wholeAt = now;
    return this.#show('joined');
  }

  /** @param {number} now @param {number} [wait] Milliseconds that the server asks for. @returns {Step[]} */
  #retry(now, wait) {
    this.#breaks(now);
    this.#phase = 'waiting';
    const delay = wait ?? Math.min(FIRST_DELAY_MS * 2 ** this.#attempts, LONGEST_DELAY_MS);
    this.#attempts += 1;
    // Spread over half the delay, so that all clients of a restarted server do not return in one instant.
    this.#retryAt = now + delay * (0.75 + this.#random() / 2);
    return [];
  }

  /** @param {number} now */
  #breaks(now) {
    if (this.#brokenAt !== null) return;
    this.#brokenAt = now;
    if (this.#wholeAt !== null && now - this.#wholeAt >= STABLE_MS) this.#attempts = 0;
  }

  /** @param {{code: string, message?: string}} refusal @param {number} now */
  #refused({ code, message }, now) {
    if (code === 'resume' && this.#resumable) {
      this.#resumable = false;
      return this.#connect();
    }
    // The server has let go of the peer connection that was to go on.
    if (code === 'media' && this.#resumable && this.#media !== 'none') {
      this.#media = 'none';
      return this.#connect();
    }
    const isWorthIt = this.#wasJoined ? PASSING.has(code) : code === 'busy' && this.#attempts < BUSY_ATTEMPTS;
    if (isWorthIt) return this.#retry(now);
    return this.#finish('failed', code, message);
  }

  /** @param {{code: string, message?: string, retryMs?: number}} bye @param {number} now */
  #goodbye({ code, message, retryMs }, now) {
    if (retryMs !== undefined && this.#wasJoined) return this.#retry(now, retryMs);
    return this.#finish(code === 'left' ? 'left' : 'failed', code, message);
  }

  /** @param {'connecting' | 'connected' | 'disconnected' | 'broken'} state @param {number} now @returns {Step[]} */
  #mediaIs(state, now) {
    const before = this.#media;
    // A peer connection that is about to be replaced tells nothing of the one that comes.
    if (before === 'none' || before === state) return [];
    this.#media = state;
    if (state === 'connected') {
      this.#mediaBy = null;
      return this.#settle(now);
    }
    if (state === 'disconnected') {
      this.#breaks(now);
      return this.#restart(now);
    }
    if (state === 'broken') return this.#mediaBroke(now);
    return [];
  }

  /** @param {number} now @returns {Step[]} */
  #restart(now) {
    this.#mediaBy = now + DISCONNECTED_GRACE_MS;
    return this.#phase === 'welcomed' ? [{ do: 'restart' }] : [];
  }

  /** @param {number} now @returns {Step[]} */
  #mediaBroke(now) {
    this.#media = 'broken';
    this.#mediaBy = null;
    if (!this.#wasJoined) return this.#finish('failed', 'media_path');
    this.#breaks(now);
    // While a socket is being opened, its welcome decides; a renewal that failed again waits its turn.
    if (this.#phase !== 'welcomed') return [];
    return this.#attempts > 0 ? this.#retry(now) : (this.#attempts++, this.#connect());
  }

  /** @param {number} now @returns {Step[]} */
  #tick(now) {
    /** @type {Step[]} */
    const steps = [];
    const due = (/** @type {number | null} */ time) => time !== null && now >= time;
    if (due(this.#mediaBy)) steps.push(...this.#mediaBroke(now));
    if (due(this.#retryAt)) steps.push(...this.#connect());
    if (this.state === 'joined' && this.#brokenAt !== null && now >= this.#brokenAt + SHOW_AFTER_MS) {
      steps.push(...this.#show('reconnecting'));
    }
    return steps;
  }

  /** @param {'left' | 'failed'} state @param {string} code @param {string} [message] @returns {Step[]} */
  #finish(state, code, message) {
    this.#phase = 'rest';
    this.#resumable = false;
    this.#media = 'none';
    this.#brokenAt = this.#retryAt = this.#mediaBy = null;
    return [{ do: 'close' }, ...this.#show(state, code, message)];
  }

  /** @param {RoomState} state @param {string} [code] @param {string} [message] @returns {Step[]} */
  #show(state, code, message) {
    if (this.state === state) return [];
    this.state = state;
    return [{ do: 'show', state, code, message }];
  }
}
