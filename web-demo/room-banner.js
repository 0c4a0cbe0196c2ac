/** The one slim banner: of all that is worth a word, the most important. */
import { byId, formatDuration, setIcon, setText } from './ui.js';

/** The most important first. */
const ORDER = ['moving', 'connection', 'sound-blocked', 'lost', 'trouble', 'error', 'muted', 'silent', 'network', 'info'];

/**
 * @typedef {object} Notice
 * @property {string} text @property {'warn' | 'bad' | 'calm'} [kind] @property {string} [icon]
 * @property {number} [since] Shows the time that has passed since then. @property {{label: string, act: () => void}} [action]
 * @property {boolean} [closable] @property {number} [lasts] Milliseconds after which it goes by itself.
 */

export class Banner {
  /** @type {Map<string, Notice>} */
  #notices = new Map();
  #timers = new Map();
  #clock = null;
  #shown = null;

  /** @param {AbortSignal} signal */
  constructor(signal) {
    byId('trouble-close').addEventListener('click', () => this.clear(this.#shown), { signal });
    byId('trouble-act').addEventListener('click', () => {
      const { action } = this.#notices.get(this.#shown) ?? {};
      this.clear(this.#shown);
      action?.act();
    }, { signal });
    signal.addEventListener('abort', () => {
      for (const timer of this.#timers.values()) clearTimeout(timer);
      clearInterval(this.#clock);
      this.#notices.clear();
      byId('trouble').hidden = true;
    });
  }

  /** @param {string} subject One of ORDER; a new notice replaces the old. @param {Notice} notice */
  set(subject, notice) {
    const old = this.#notices.get(subject);
    if (old?.text === notice.text && old.since === notice.since && !notice.lasts) return;
    clearTimeout(this.#timers.get(subject));
    this.#notices.set(subject, notice);
    if (notice.lasts) this.#timers.set(subject, setTimeout(() => this.clear(subject), notice.lasts));
    this.#draw();
  }

  /** @param {string} subject */
  clear(subject) {
    clearTimeout(this.#timers.get(subject));
    if (this.#notices.delete(subject)) this.#draw();
  }

  #draw() {
    const subject = ORDER.find((name) => this.#notices.has(name)) ?? null;
    const notice = this.#notices.get(subject);
    this.#shown = subject;
    clearInterval(this.#clock);
    const element = byId('trouble');
    element.hidden = !notice;
    if (!notice) {
      setText(byId('trouble-text'), '');
      return;
    }
    element.classList.toggle('bad', notice.kind === 'bad');
    element.classList.toggle('calm', notice.kind === 'calm');
    setIcon(element, notice.icon ?? 'warning');
    setText(byId('trouble-text'), notice.text);
    byId('trouble-act').hidden = !notice.action;
    setText(byId('trouble-act'), notice.action?.label ?? '');
    byId('trouble-close').hidden = !notice.closable;
    const tick = () => setText(byId('trouble-clock'), notice.since ? formatDuration(Date.now() - notice.since) : '');
    tick();
    if (notice.since) this.#clock = setInterval(tick, 1000);
  }
}
