// @ts-check
/**
 * Video rooms for any page: joins a room of a Sluice server, publishes, shows and hears the others, and keeps itself
 * connected. docs/sdk.md has an example and all names.
 *
 *     const room = new Room({ name: 'Ada' });
 *     room.addEventListener('track-published', ({ detail: { track } }) => track.kind === 'video' && track.attach(video));
 *     await room.join('my-room');
 *     await room.publish(await LocalTrack.microphone());
 */
import { RoomAudio } from './sluice-audio.js';
import { Connection } from './sluice-connection.js';
import { CHAT_TOPIC, Chat, bytesOf, decodeData, encodeData, jsonBody } from './sluice-data.js';
import { SluiceError, asSluiceError, emit } from './sluice-error.js';
import { LocalTrack } from './sluice-local.js';
import { RemotePeer, RemoteTrack, Roster } from './sluice-peers.js';
import { Publisher } from './sluice-publisher.js';
import { VideoStage } from './sluice-stage.js';
import { ConnectionStatsReader, TrackStatsReader } from './sluice-stats.js';

export { Chat, LocalTrack, RemotePeer, RemoteTrack, RoomAudio, SluiceError };

/**
 * @typedef {import('./sluice-reconnect.js').RoomState} RoomState
 * @typedef {import('./sluice-local.js').LocalSource} LocalSource
 * @typedef {import('./sluice-stats.js').TrackStats} TrackStats
 * @typedef {import('./sluice-stats.js').ConnectionStats} ConnectionStats
 * @typedef {Omit<ConnectionStats, 'heights'> & {pictures: Map<RemoteTrack, number>}} ConnectionFigures
 * @typedef {import('./sluice-data.js').ChatMessage} ChatMessage
 * @typedef {import('./protocol.js').ServerMessage} ServerMessage
 * @typedef {import('./protocol.js').Limits} Limits
 * @typedef {import('./protocol.js').QualityLevel} QualityLevel
 */

/**
 * @typedef {object} RoomOptions
 * @property {string | URL} [url] The server's WebSocket endpoint; `/ws` of the page's own server where it is missing.
 * @property {string} [name] What others see this participant called.
 * @property {string} [key] The room's key, where it has one.
 * @property {Record<string, unknown>} [meta] What the application wants others to know.
 * @property {RTCIceTransportPolicy} [iceTransportPolicy] `relay` to connect through the server's relay only.
 * @property {{video?: number, audio?: number}} [slots] How many tracks can be received at once: 9 and 3.
 * @property {number} [maxSlots] Up to how many video slots are added when more is attached: 25.
 * @property {'vp8' | 'h264' | 'vp9' | 'av1'} [codec] What to send; the browser's order where it is missing.
 */

/**
 * This participant.
 *
 * @typedef {object} Me
 * @property {string} id Empty before the room was joined. @property {string} name
 * @property {boolean} speaking @property {number} level 0 to 127, in dB. @property {QualityLevel} quality
 */

/** Refusals that say nothing about what the server would take at another time. */
const PASSING = new Set(['unreachable', 'not_joined', 'rate', 'busy', 'media']);
/** More than this in the way of a data channel is not added to, in bytes: reliable, and lossy. */
const MOST_WAITING = { reliable: 4_000_000, lossy: 64_000 };

/**
 * A room. See docs/sdk.md for its events; each is a `CustomEvent` with a `detail`.
 */
export class Room extends EventTarget {
  /** @type {string} */
  name = '';
  /** @type {Me} */
  me = { id: '', name: '', speaking: false, level: 0, quality: 'good' };
  /** @type {SluiceError | null} Why the state is `failed` or `left`. */
  error = null;
  /** @type {Limits | null} What the server takes. */
  limits = null;
  chat = new Chat(this);
  audio = new RoomAudio((blocked) => emit(this, blocked ? 'audio-blocked' : 'audio-started'));
  #options;
  #name;
  #meta;
  #maxSlots;
  /** @type {Connection | null} */
  #connection = null;
  #since = Date.now();
  #growing = false;
  #stats = new TrackStatsReader();
  #connectionStats = new ConnectionStatsReader();
  /** @type {{resolve: () => void, reject: (error: SluiceError) => void} | null} */
  #joining = null;
  #stage = new VideoStage(
    (view) => this.#connection?.post({ t: 'view', ...view }) ?? false,
    (count) => this.#grow(count),
  );
  #roster = new Roster(this.#stage, (type, detail) => this.#told(type, detail));
  #publisher = new Publisher({
    tracks: (tracks) => this.#request({ t: 'tracks', tracks }),
    mute: (mid, muted) => this.#connection?.post({ t: 'mute', mid, muted }),
  });

  /** @param {RoomOptions} [options] */
  constructor(options = {}) {
    super();
    this.#options = options;
    this.#name = options.name ?? '';
    this.#meta = options.meta ?? {};
    this.#maxSlots = options.maxSlots ?? 25;
    this.me.name = this.#name;
  }

  /** @returns {RoomState} */
  get state() {
    return this.#connection?.state ?? 'idle';
  }

  /** Since when, in milliseconds of `Date.now()`. */
  get since() {
    return this.#since;
  }

  /** @returns {number | null} When the next attempt to reconnect starts, in milliseconds of `Date.now()`. */
  get retryAt() {
    const at = this.#connection?.retryAt ?? null;
    return at === null ? null : Date.now() + at - performance.now();
  }

  /** @returns {ReadonlyMap<string, RemotePeer>} Everybody else, by id. */
  get peers() {
    return this.#roster.peers;
  }

  /** @returns {ReadonlyMap<LocalSource, LocalTrack>} What is published here, by source. */
  get tracks() {
    return this.#publisher.tracks;
  }

  /** @returns {QualityLevel} How well this participant's own connection does. */
  get connectionQuality() {
    return this.me.quality;
  }

  /**
   * Joins. Resolves when the room is joined and media can flow.
   *
   * @param {string} name The room's name: letters, digits and `- _ . ~`.
   * @throws {SluiceError}
   */
  async join(name) {
    if (!['idle', 'left', 'failed'].includes(this.state)) throw new SluiceError('order', 'The room is joined already.');
    this.name = name;
    const { slots, codec, iceTransportPolicy } = this.#options;
    const media = { slots: { video: slots?.video ?? 9, audio: slots?.audio ?? 3 }, codec, iceTransportPolicy };
    this.#connection = new Connection(this.#endpoint(), media, {
      join: (media) => ({
        t: 'join',
        v: 1,
        room: this.name,
        key: this.#options.key,
        name: this.#name,
        meta: this.#meta,
        tracks: this.#publisher.joinWith(media),
      }),
      welcomed: (welcome) => this.#welcomed(welcome),
      negotiated: (media, renewed) => this.#negotiated(media, renewed),
      message: (message) => this.#heard(message),
      data: (message, reliable) => this.#data(message, reliable),
      state: (state, error) => this.#stateIs(state, error),
    });
    const joined = new Promise((resolve, reject) => {
      this.#joining = { resolve: () => resolve(undefined), reject };
    });
    this.#connection.start();
    await joined;
  }

  /** Leaves. What was opened by `LocalTrack` and is published is closed. */
  leave() {
    this.#connection?.leave();
  }

  /**
   * Publishes a track. Another one of the same source is no longer published then.
   *
   * @param {LocalTrack} track
   * @param {import('./sluice-publisher.js').PublishOptions} [options] `simulcast: false` sends a camera in one size only.
   */
  async publish(track, options) {
    await this.#publisher.publish(track, options);
  }

  /** @param {LocalTrack} track */
  async unpublish(track) {
    await this.#publisher.unpublish(track);
  }

  /** Prefers a track where there are fewer slots or bits than wishes. @param {RemoteTrack} track @param {number} priority 1 as the others. */
  setPriority(track, priority) {
    this.#stage.prioritize(track, priority);
  }

  /** Plays the sound that the browser kept back. Call it in a click. */
  startAudio() {
    return this.audio.start();
  }

  /** @param {string} name */
  async setName(name) {
    this.#name = name;
    this.me.name = name;
    await this.#update({ name });
  }

  /** @param {Record<string, unknown>} meta */
  async setMeta(meta) {
    this.#meta = meta;
    await this.#update({ meta });
  }

  /** @param {import('./protocol.js').Update} update While there is no connection, the join that brings it back tells it. */
  async #update(update) {
    if (this.state === 'joined') await this.#request({ t: 'update', ...update });
  }

  /**
   * Sends a message to others.
   *
   * @param {unknown} body Any JSON value, or bytes, which arrive as a `Uint8Array`.
   * @param {{topic?: string, to?: (string | RemotePeer)[], reliable?: boolean}} [options] `to`: everybody where it is
   *   missing. `reliable`: false for what is of no use when it is late.
   * @throws {SluiceError} `too_large`, `busy` or `not_joined`.
   */
  async send(body, { topic = '', to, reliable = true } = {}) {
    const ids = to?.map((peer) => (typeof peer === 'string' ? peer : peer.id));
    const channels = this.#connection?.media?.channels;
    const kind = reliable ? 'reliable' : 'lossy';
    const channel = channels?.[kind];
    const message = encodeData(body, topic, ids, this.limits?.data_bytes);
    if (channel?.readyState === 'open') {
      if (channel.bufferedAmount <= MOST_WAITING[kind]) channel.send(/** @type {string} */ (message));
      else if (reliable) throw new SluiceError('busy');
    } else if (bytesOf(body) === null) {
      await this.#request({ t: 'send', topic, to: ids, body: jsonBody(body) });
    } else {
      throw new SluiceError('not_joined');
    }
  }

  /**
   * @param {LocalTrack | RemoteTrack} track
   * @returns {Promise<TrackStats | null>} Null while nothing of it is sent or received.
   */
  async getStats(track) {
    if (track instanceof LocalTrack) {
      const published = this.tracks.get(track.source) === track;
      const sender = published ? this.#connection?.media?.senders[track.source].transceiver.sender : undefined;
      return sender ? this.#stats.sent(sender) : null;
    }
    const receiver = this.#stage.receiverOf(track);
    return receiver ? this.#stats.received(receiver) : null;
  }

  /**
   * Figures of the whole connection, and how high the picture of each remote track is that is on screen, in pixels. Rates
   * are over the time since the last call.
   *
   * @returns {Promise<ConnectionFigures | null>} Null while there is no connection.
   */
  async getConnectionStats() {
    const media = this.#connection?.media;
    if (!media) return null;
    const { heights, ...figures } = await this.#connectionStats.read(media.pc);
    /** @type {Map<RemoteTrack, number>} */
    const pictures = new Map();
    for (const peer of this.peers.values()) {
      for (const track of peer.tracks.values()) {
        const receiver = track.kind === 'video' ? this.#stage.receiverOf(track) : null;
        if (receiver) pictures.set(track, track.state === 'live' ? (heights.get(receiver.track.id) ?? 0) : 0);
      }
    }
    return { ...figures, pictures };
  }

  #endpoint() {
    const url = new URL(this.#options.url ?? '/ws', location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    return url.href;
  }

  /** @param {import('./protocol.js').ClientMessage} message */
  async #request(message) {
    if (!this.#connection) throw new SluiceError('not_joined');
    return this.#connection.request(message);
  }

  /** @param {import('./protocol.js').Welcome} welcome */
  #welcomed(welcome) {
    this.limits = welcome.limits;
    Object.assign(this.me, { id: welcome.you, name: welcome.name });
    // A server that was started anew counts from the beginning: the same ids are other people then.
    if (!welcome.resumed) this.#roster.replace([]);
    this.#roster.replace(welcome.peers);
    // Whoever speaks, and whose connection is not good, is told after this; all others are as at first.
    this.#speakers([]);
    for (const { id, quality } of [this.me, ...this.peers.values()]) if (quality !== 'good') this.#quality(id, 'good');
  }

  /** @param {import('./sluice-media.js').Media} media @param {boolean} renewed */
  #negotiated(media, renewed) {
    this.#publisher.use(media, renewed).catch((error) => this.#failed(error));
    this.#stage.use(media.slots);
    this.audio.use(media.slots);
  }

  /** @param {ServerMessage} message */
  #heard(message) {
    switch (message.t) {
      case 'peers':
        this.#roster.remove(message.gone ?? []);
        this.#roster.set(message.set ?? []);
        break;
      case 'slots':
        this.#stage.bind(message.bind);
        break;
      case 'speakers':
        this.#speakers(message.list);
        break;
      case 'want':
        this.#publisher.wanted(message.tracks);
        break;
      case 'quality':
        for (const { peer, level } of message.peers) this.#quality(peer, level);
        break;
      case 'ice_servers':
        this.#connection?.media?.useIceServers(message.list);
        break;
      case 'msg':
        this.#received(message, true);
        break;
      case 'error':
        emit(this, 'error', { code: message.code, message: message.message });
        break;
      case 'bye':
        emit(this, 'bye', { code: message.code, message: message.message });
        break;
      default:
    }
  }

  /** @param {import('./protocol.js').Speaker[]} list */
  #speakers(list) {
    const own = list.find(({ peer }) => peer === this.me.id);
    Object.assign(this.me, { speaking: own !== undefined, level: own?.level ?? 0 });
    const others = this.#roster.speakers(list);
    const speakers = list.map(({ peer }) => (peer === this.me.id ? this.me : others.find(({ id }) => id === peer)));
    emit(this, 'speakers', { speakers: speakers.filter((peer) => peer !== undefined) });
  }

  /** @param {string} id @param {QualityLevel} level */
  #quality(id, level) {
    const peer = id === this.me.id ? this.me : this.peers.get(id);
    if (!peer) return;
    peer.quality = level;
    emit(this, 'quality', { peer, level });
  }

  /** @param {string | ArrayBuffer} message @param {boolean} reliable */
  #data(message, reliable) {
    const incoming = decodeData(message);
    if (incoming) this.#received(incoming, reliable);
  }

  /** @param {import('./sluice-data.js').Incoming} incoming @param {boolean} reliable */
  #received({ from, topic, body }, reliable) {
    const peer = this.peers.get(from);
    if (topic === CHAT_TOPIC) this.chat.received(from, peer?.name ?? '', body);
    emit(this, 'message', { from: peer ?? from, topic, body, reliable });
  }

  /** @param {string} type @param {object} detail */
  #told(type, detail) {
    if (type === 'track-unpublished' && 'track' in detail) this.#stage.release(/** @type {RemoteTrack} */ (detail.track));
    if (type.startsWith('track-')) this.#stage.changed();
    emit(this, type, detail);
  }

  /** @param {number} missing How many more video slots would be of use. */
  async #grow(missing) {
    const connection = this.#connection;
    const media = connection?.media;
    const count = media?.slots.filter(({ kind }) => kind === 'video').length ?? 0;
    const more = Math.min(missing, this.#maxSlots - count);
    if (!connection || !media || more <= 0 || this.#growing || this.state !== 'joined') return;
    this.#growing = true;
    try {
      await media.grow(more, async (sdp) => {
        const answer = await connection.request({ t: 'offer', sdp });
        return answer.t === 'answer' ? answer.sdp : '';
      });
      if (connection.media === media) this.#stage.use(media.slots);
    } catch (error) {
      // The slots that there are go on. Where the server refuses more, there will be no more of them.
      if (!PASSING.has(asSluiceError(error).code)) this.#maxSlots = count;
      this.#failed(error);
    } finally {
      this.#growing = false;
    }
  }

  /** Something went wrong that nobody waits for. @param {unknown} error */
  #failed(error) {
    const { code, message } = asSluiceError(error);
    emit(this, 'error', { code, message });
  }

  /** @param {RoomState} state @param {SluiceError | null} error */
  #stateIs(state, error) {
    this.#since = Date.now();
    this.error = error;
    const over = state === 'left' || state === 'failed';
    if (over) this.#clear(this.#joining !== null && state === 'failed');
    if (state === 'joined') this.#stage.changed();
    emit(this, 'state', { state, since: this.#since });
    if (state === 'joined') this.#joining?.resolve();
    if (over) this.#joining?.reject(error ?? new SluiceError('left'));
    if (over || state === 'joined') this.#joining = null;
  }

  /** @param {boolean} isRetry Whether a join failed: what was to be published is kept for the next one. */
  #clear(isRetry) {
    if (isRetry) this.#publisher.release();
    else this.#publisher.clear();
    this.#roster.replace([]);
    this.#stage.clear();
    this.audio.clear();
    Object.assign(this.me, { speaking: false, level: 0, quality: 'good' });
  }
}
