// @ts-check
/**
 * Keeps a room connected: the socket and the peer connection as the policy of `sluice-reconnect.js` asks for them.
 */
import { Media } from './sluice-media.js';
import { Reconnection } from './sluice-reconnect.js';
import { Socket } from './sluice-socket.js';
import { SluiceError } from './sluice-error.js';

/**
 * @typedef {import('./protocol.js').ServerMessage} ServerMessage
 * @typedef {import('./protocol.js').ClientMessage} ClientMessage
 * @typedef {import('./protocol.js').Welcome} Welcome
 * @typedef {import('./sluice-reconnect.js').RoomState} RoomState
 */

/** When the network may have changed, a server that is there answers within this time, in milliseconds. */
const QUICK_PONG_MS = 600;
/** Close code of a participant that does not come back (RFC 6455 section 7.4.1). */
const GOODBYE = 1000;

/**
 * Who stands above.
 *
 * @typedef {object} ConnectionListener
 * @property {(media: Media) => ClientMessage & {t: 'join'}} join What to join with, `sdp` and `resume` apart.
 * @property {(welcome: Welcome) => void} welcomed Messages after it come after it.
 * @property {(media: Media, renewed: boolean) => void} negotiated The sections of this peer connection can be used. Follows
 *   each welcome.
 * @property {(message: ServerMessage) => void} message
 * @property {(message: string | ArrayBuffer, reliable: boolean) => void} data
 * @property {(state: RoomState, error: SluiceError | null) => void} state
 */

export class Connection {
  /** @type {Media | null} */
  media = null;
  #url;
  #options;
  #listener;
  #policy = new Reconnection();
  /** @type {Socket | null} The one that joined. */
  #socket = null;
  /** @type {{socket: Socket, media: Media | null} | null} The attempt that is under way. */
  #attempt = null;
  #token = '';
  /** @type {SluiceError | null} What the server said before it said bye. */
  #reason = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #onNudge = () => this.#nudge();
  #onHide = () => this.leave();

  /** @param {string} url @param {import('./sluice-media.js').MediaOptions} options @param {ConnectionListener} listener */
  constructor(url, options, listener) {
    this.#url = url;
    this.#options = options;
    this.#listener = listener;
  }

  get state() {
    return this.#policy.state;
  }

  /** When the next attempt is due, on the clock of `performance.now()`. */
  get retryAt() {
    return this.#policy.retryAt;
  }

  /** Connects, and stays connected until `leave()`. */
  start() {
    addEventListener('online', this.#onNudge);
    addEventListener('pagehide', this.#onHide);
    document.addEventListener('visibilitychange', this.#onNudge);
    this.#tell({ type: 'start' });
  }

  leave() {
    this.#socket?.post({ t: 'leave' });
    this.#attempt?.socket.post({ t: 'leave' });
    this.#tell({ type: 'leave' });
  }

  /** @param {ClientMessage} message @returns {Promise<ServerMessage>} @throws {SluiceError} */
  async request(message) {
    if (!this.#socket) throw new SluiceError('not_joined');
    try {
      return await this.#socket.request(message);
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'media') this.mediaBroke();
      throw error;
    }
  }

  /** @param {ClientMessage} message @returns {boolean} Whether there is a socket to send it through. */
  post(message) {
    this.#socket?.post(message);
    return this.#socket !== null;
  }

  /** The peer connection is of no more use. */
  mediaBroke() {
    this.#tell({ type: 'media_error' });
  }

  /** @param {import('./sluice-reconnect.js').Happening} happening */
  #tell(happening) {
    for (const step of this.#policy.handle(happening, performance.now())) this.#carryOut(step);
    clearTimeout(this.#timer);
    const { wakeAt } = this.#policy;
    if (wakeAt !== null) {
      this.#timer = setTimeout(() => this.#tell({ type: 'tick' }), Math.max(0, wakeAt - performance.now()));
    }
  }

  /** @param {import('./sluice-reconnect.js').Step} step */
  #carryOut(step) {
    if (step.do === 'connect') {
      this.#connect(step.resume, step.renew);
    } else if (step.do === 'restart') {
      this.#restart();
    } else if (step.do === 'ping') {
      this.#socket?.ping(QUICK_PONG_MS);
    } else if (step.do === 'close') {
      this.#close();
    } else {
      const told = this.#reason?.code === step.code ? this.#reason : null;
      const code = /** @type {import('./sluice-error.js').LocalCode | undefined} */ (step.code);
      this.#listener.state(step.state, code ? (told ?? new SluiceError(code, step.message)) : null);
    }
  }

  async #restart() {
    // What took the media's path away may have taken the socket's as well; then the next one restarts.
    this.#socket?.ping(QUICK_PONG_MS);
    try {
      await this.media?.restart(async (sdp) => {
        const answer = await this.request({ t: 'offer', sdp });
        if (answer.t !== 'answer') throw new SluiceError('unreachable');
        return answer.sdp;
      });
    } catch {
      // The policy waits for the media no longer because of it, and renews the peer connection then.
    }
  }

  /** @param {boolean} resume @param {boolean} renew */
  async #connect(resume, renew) {
    this.#abandon();
    /** @type {{socket: Socket, media: Media | null}} */
    const attempt = { socket: this.#open(), media: renew ? this.#newMedia() : null };
    this.#attempt = attempt;
    const isOver = () => this.#attempt !== attempt;
    try {
      const media = attempt.media ?? this.media;
      if (!media) throw new SluiceError('media_path');
      const [sdp] = await Promise.all([attempt.media?.offer(), attempt.socket.opened]);
      if (isOver()) return;
      const join = this.#listener.join(media);
      const token = resume ? this.#token : undefined;
      const answer = await attempt.socket.request({ ...join, sdp, resume: token });
      if (isOver()) return;
      if (answer.t !== 'welcome') throw new SluiceError('unreachable');
      await this.#welcomed(attempt, answer);
    } catch (error) {
      if (isOver()) return;
      this.#abandon();
      this.#refused(error);
    }
  }

  /** @param {{socket: Socket, media: Media | null}} attempt @param {Welcome} welcome */
  async #welcomed(attempt, welcome) {
    this.#token = welcome.resume_token;
    this.#attempt = null;
    this.#reason = null;
    // Only now, so that the others do not see this participant break off for the moment in between.
    this.#socket?.close();
    this.#socket = attempt.socket;
    this.#socket.watch(welcome.limits.ping_ms);
    const renewed = attempt.media !== null;
    if (attempt.media) {
      this.media?.close();
      this.media = attempt.media;
    }
    const media = /** @type {Media} */ (this.media);
    this.#listener.welcomed(welcome);
    this.#tell({ type: 'welcome', renewed });
    try {
      if (renewed) await media.accept(welcome.sdp ?? '', welcome.ice_servers);
      if (this.media === media) this.#listener.negotiated(media, renewed);
    } catch {
      if (this.media === media) this.#tell({ type: 'media', state: 'broken' });
    }
  }

  /** @param {unknown} error */
  #refused(error) {
    const refusal = error instanceof SluiceError ? error : new SluiceError('unsupported');
    if (refusal.code === 'unreachable') {
      this.#tell({ type: 'closed' });
    } else {
      this.#reason = refusal;
      this.#tell({ type: 'refused', code: refusal.code, message: refusal.message });
    }
  }

  #open() {
    /** @type {Socket} */
    const socket = new Socket(this.#url, {
      message: (message) => this.#heard(socket, message),
      closed: () => {
        if (this.#socket !== socket) return;
        this.#socket = null;
        this.#tell({ type: 'closed' });
      },
    });
    return socket;
  }

  #newMedia() {
    /** @type {Media} */
    const media = new Media(this.#options, {
      state: (state) => this.media === media && this.#tell({ type: 'media', state }),
      flow: (isSilent) => this.media === media && this.#tell({ type: isSilent ? 'silent' : 'flows' }),
      data: (message, reliable) => this.media === media && this.#listener.data(message, reliable),
    });
    return media;
  }

  /** @param {Socket} socket @param {ServerMessage} message */
  #heard(socket, message) {
    if (message.t === 'bye') {
      this.#goodbye(socket, message);
    } else if (socket === this.#socket) {
      if (message.t === 'error' && message.code === 'media') this.mediaBroke();
      this.#listener.message(message);
    } else if (message.t === 'error') {
      this.#reason = new SluiceError(message.code, message.message);
    }
  }

  /** @param {Socket} socket @param {import('./protocol.js').Bye} bye */
  #goodbye(socket, bye) {
    const current = socket === this.#socket;
    if (!current && socket !== this.#attempt?.socket) return;
    socket.close();
    if (current) this.#socket = null;
    // It is this side that resumes by another socket; what becomes of that is told there.
    if (current && this.#attempt && bye.code === 'resumed') return;
    if (!current) this.#abandon();
    if (current) this.#listener.message({ t: 'bye', ...bye });
    this.#tell({ type: 'bye', code: bye.code, message: bye.message, retryMs: bye.retry_ms });
  }

  #nudge() {
    if (document.visibilityState === 'hidden') return;
    this.#socket?.ping(QUICK_PONG_MS);
    this.#tell({ type: 'nudge' });
  }

  /** Ends the attempt that is under way. */
  #abandon() {
    this.#attempt?.socket.close();
    this.#attempt?.media?.close();
    this.#attempt = null;
  }

  #close() {
    removeEventListener('online', this.#onNudge);
    removeEventListener('pagehide', this.#onHide);
    document.removeEventListener('visibilitychange', this.#onNudge);
    clearTimeout(this.#timer);
    this.#attempt?.socket.close(GOODBYE);
    this.#abandon();
    this.#socket?.close(GOODBYE);
    this.#socket = null;
    this.media?.close();
    this.media = null;
    this.#token = '';
  }
}
