// @ts-check
/**
 * Whether what flowed steadily has stopped. Browsers take five seconds and more to tell that a path is gone; who is in
 * another network now should not have to wait for that.
 */

/** How often it is looked, in milliseconds. */
export const LOOK_EVERY_MS = 150;
/** What moves for so long without a gap is a steady flow, in milliseconds. */
const STEADY_MS = 1_000;
/** And what has not moved for so long has stopped, in milliseconds: more than a slow picture or a lost packet takes. */
const STOPPED_MS = 600;

export class Silence {
  /** @type {number | null} */
  #newest = null;
  /** @type {number | null} Since when it has moved without a gap. */
  #began = null;
  #movedAt = 0;
  #isSilent = false;

  /**
   * @param {number | null} newest When the newest of what came was played, on any clock; null for nothing so far.
   * @param {number} now Milliseconds of any clock that never goes back.
   * @returns {boolean | null} True when a steady flow has stopped, false when it goes on; null when there is no news.
   */
  look(newest, now) {
    if (newest === this.#newest || newest === null) return this.#rests(now);
    this.#newest = newest;
    this.#movedAt = now;
    this.#began ??= now;
    const goesOn = this.#isSilent;
    this.#isSilent = false;
    return goesOn ? false : null;
  }

  /** @param {number} now */
  #rests(now) {
    if (this.#began === null || now - this.#movedAt < STOPPED_MS) return null;
    this.#isSilent = this.#movedAt - this.#began >= STEADY_MS;
    this.#began = null;
    return this.#isSilent ? true : null;
  }
}
