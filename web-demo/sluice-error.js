// @ts-check
/**
 * What goes wrong, in words for people, and the one way in which things are done one after another.
 */

/** @typedef {import('./protocol.js').ErrorCode | import('./protocol.js').ByeCode} ServerCode */

/**
 * What can go wrong on this side.
 *
 * - `unreachable`: no answer from the server. `media_path`: signaling works, media does not get through.
 * - `denied`, `missing`, `in_use`, `no_answer`, `insecure`, `device`: see `openDevice()`.
 * - `canceled`: the person closed the browser's picker. `ended`: a device was unplugged, a share was stopped.
 * - `not_joined`, `busy`, `too_large`, `unsupported`: what was asked for cannot be done now, or not at all.
 *
 * @typedef {'unreachable' | 'media_path' | 'denied' | 'missing' | 'in_use' | 'no_answer' | 'insecure' | 'device' |
 *   'canceled' | 'ended' | 'not_joined' | 'busy' | 'too_large' | 'unsupported'} LocalCode
 */

/** Why something did not work. `code` is for programs, `message` for people. */
export class SluiceError extends Error {
  /** @param {LocalCode | ServerCode} code @param {string} [message] The usual words of the code, where it is missing. */
  constructor(code, message) {
    super(message || WORDS[code] || 'Something went wrong. Reload the page and try again.');
    this.name = 'SluiceError';
    /** @type {LocalCode | ServerCode} */
    this.code = code;
  }
}

/** @type {Record<string, string>} */
const WORDS = {
  unreachable: 'The server does not answer. Check your network and that the server is running.',
  media_path: 'The server answers, but sound and picture do not get through. A firewall may block UDP.',
  insecure: 'This browser gives camera and microphone to secure pages only. Open this page by https:// or on localhost.',
  canceled: 'Nothing was chosen.',
  ended: 'The device was unplugged or stopped.',
  not_joined: 'There is no connection to the room at the moment. Try again when it is back.',
  busy: 'Too much is waiting to be sent. Try again in a moment.',
  too_large: 'That is too large to be sent.',
  unsupported: 'This browser cannot do that.',
  left: 'You left the room.',
  removed: 'You were removed from the room.',
  room_closed: 'The room was closed.',
  restarting: 'The server restarts.',
  timeout: 'The connection was gone for too long.',
};

/** @param {unknown} error @returns {SluiceError} The same, or one that wraps what a browser threw. */
export function asSluiceError(error) {
  if (error instanceof SluiceError) return error;
  const wrapped = new SluiceError('unsupported', 'The browser refused that. Reload the page and try again.');
  wrapped.cause = error;
  return wrapped;
}

/** Carries out what it is given one after another, whatever the outcome of what was before. */
export class Serial {
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * @template T
   * @param {() => T | Promise<T>} task
   * @returns {Promise<T>} The outcome of this task.
   */
  run(task) {
    const outcome = this.#last.then(task, task);
    this.#last = outcome.catch(() => {});
    return outcome;
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @param {() => Error} error What it rejects with after so many milliseconds.
 * @returns {Promise<T>}
 */
export function within(promise, ms, error) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(error()), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * A `CustomEvent` on its way.
 *
 * @param {EventTarget} target @param {string} type @param {unknown} [detail]
 */
export function emit(target, type, detail) {
  target.dispatchEvent(new CustomEvent(type, { detail }));
}
