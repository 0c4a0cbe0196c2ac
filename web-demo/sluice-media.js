// @ts-check
/**
 * The one peer connection of a room: sections to publish in, slots to receive in, data channels. Its first offer has
 * all of them, so that nothing is negotiated again while tracks come and go.
 */
import { sectionEncodings } from './sluice-encodings.js';
import { relaysOf } from './sluice-ice.js';
import { Sender } from './sluice-sender.js';
import { Serial } from './sluice-error.js';
import { askForLayers, keepCodecs, midsOf, withStartBitrate, withStereo } from './sluice-sdp.js';
import { LOOK_EVERY_MS, Silence } from './sluice-silence.js';

/** @typedef {import('./sluice-local.js').LocalSource} LocalSource */

/**
 * A section to receive in.
 *
 * @typedef {object} MediaSlot
 * @property {string} mid
 * @property {'audio' | 'video'} kind
 * @property {RTCRtpReceiver} receiver
 */

/**
 * @typedef {object} MediaOptions
 * @property {{video: number, audio: number}} slots How many slots the first offer has.
 * @property {string} [codec] Name of the video codec to send, such as `vp8`; the browser's order where it is missing.
 * @property {RTCIceTransportPolicy} [iceTransportPolicy] `relay` to connect through the server's relay only.
 */

/**
 * @typedef {object} MediaListener
 * @property {(state: 'connecting' | 'connected' | 'disconnected' | 'broken') => void} state
 * @property {(isSilent: boolean) => void} flow What came steadily has stopped, or goes on.
 * @property {(message: string | ArrayBuffer, reliable: boolean) => void} data
 */

/** Where bandwidth estimation begins, in kbit/s: a clear small picture, which most uplinks carry. */
const START_KBPS = 1_000;

/** @type {Record<LocalSource, 'audio' | 'video'>} */
const SECTIONS = { mic: 'audio', camera: 'video', screen: 'video', screen_audio: 'audio' };

export class Media {
  /** @type {RTCPeerConnection} */
  pc;
  /** @type {Record<LocalSource, Sender>} */
  senders;
  /** @type {MediaSlot[]} Those that the server has answered. */
  slots = [];
  /** @type {{reliable: RTCDataChannel, lossy: RTCDataChannel}} */
  channels;
  #listener;
  #serial = new Serial();
  /** @type {string} */
  #offer = '';
  #closed = false;
  #silence = new Silence();
  /** @type {ReturnType<typeof setInterval>} */
  #looking;
  /** @type {RTCConfiguration} */
  #configuration;

  /** @param {MediaOptions} options @param {MediaListener} listener */
  constructor(options, listener) {
    this.#listener = listener;
    this.#configuration = { bundlePolicy: 'max-bundle', iceTransportPolicy: options.iceTransportPolicy ?? 'all' };
    this.pc = new RTCPeerConnection(this.#configuration);
    this.pc.addEventListener('connectionstatechange', () => this.#check());
    this.#looking = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.senders = /** @type {Record<LocalSource, Sender>} */ ({});
    for (const [name, kind] of Object.entries(SECTIONS)) {
      const source = /** @type {LocalSource} */ (name);
      const transceiver = this.#addSection(kind, sectionEncodings(source));
      keepCodecs(transceiver, 'sender', kind, options.codec);
      this.senders[source] = new Sender(transceiver);
    }
    this.#addSlots('audio', options.slots.audio);
    this.#addSlots('video', options.slots.video);
    this.channels = {
      reliable: this.#channel('reliable', {}),
      lossy: this.#channel('lossy', { ordered: false, maxRetransmits: 0 }),
    };
  }

  /** @returns {Promise<string>} The first offer. Senders know their sections from now on. */
  async offer() {
    const { sdp = '' } = await this.pc.createOffer();
    this.#offer = withStereo(sdp);
    this.#name(this.#offer);
    return this.#offer;
  }

  /**
   * The answer to the first offer. Only now are candidates gathered, as only now is it known by which servers.
   *
   * @param {string} sdp @param {RTCIceServer[]} iceServers
   */
  async accept(sdp, iceServers) {
    this.useIceServers(iceServers);
    await this.pc.setLocalDescription({ type: 'offer', sdp: this.#offer });
    await this.#answered(sdp);
    const dtls = this.pc.getTransceivers()[0]?.receiver.transport;
    // Browsers differ in what connectionState becomes after a DTLS close from the other side; the transport tells.
    dtls?.addEventListener('statechange', () => this.#check());
    this.#check();
  }

  /** For the next time that candidates are gathered. @param {RTCIceServer[]} iceServers */
  useIceServers(iceServers) {
    const relays = relaysOf(iceServers, this.#configuration.iceTransportPolicy ?? 'all');
    if (!this.#closed && relays.length > 0) this.pc.setConfiguration({ ...this.#configuration, iceServers: relays });
  }

  /**
   * More video slots, by a new offer.
   *
   * @param {number} count How many more.
   * @param {(sdp: string) => Promise<string>} exchange Takes the offer, resolves to the answer.
   */
  grow(count, exchange) {
    return this.#serial.run(async () => {
      if (this.#closed) return;
      // Those that an offer before could not bring in are still there.
      const waiting = this.pc.getTransceivers().filter(({ mid, direction }) => mid === null && direction === 'recvonly');
      this.#addSlots('video', Math.max(0, count - waiting.length));
      await this.#renegotiate(exchange);
    });
  }

  /**
   * Finds a path anew, for a client that is in another network now. Media goes on by the old path as long as it can.
   *
   * @param {(sdp: string) => Promise<string>} exchange Takes the offer, resolves to the answer.
   */
  restart(exchange) {
    return this.#serial.run(async () => {
      if (!this.#closed) await this.#renegotiate(exchange, { iceRestart: true });
    });
  }

  /** @param {(sdp: string) => Promise<string>} exchange @param {RTCOfferOptions} [options] */
  async #renegotiate(exchange, options) {
    const { sdp = '' } = await this.pc.createOffer(options);
    const offer = withStereo(sdp);
    await this.pc.setLocalDescription({ type: 'offer', sdp: offer });
    this.#name(offer);
    try {
      await this.#answered(await exchange(offer));
    } catch (error) {
      // Else the next offer would have to wait for an answer that never comes.
      if (this.pc.signalingState === 'have-local-offer') await this.pc.setLocalDescription({ type: 'rollback' });
      throw error;
    }
  }

  close() {
    this.#closed = true;
    clearInterval(this.#looking);
    this.pc.close();
  }

  /** @param {string} sdp */
  async #answered(sdp) {
    await this.pc.setRemoteDescription({ type: 'answer', sdp: withStartBitrate(sdp, START_KBPS) });
    this.slots = this.pc
      .getTransceivers()
      .filter(({ mid, direction }) => mid !== null && direction === 'recvonly')
      .map(({ mid, receiver }) => ({ mid: mid ?? '', kind: kindOf(receiver.track), receiver }));
    await Promise.all(Object.values(this.senders).map((sender) => sender.negotiated()));
  }

  /** Before the offer is applied a transceiver does not know its section, but the order of both is the same. @param {string} offer */
  #name(offer) {
    const mids = midsOf(offer);
    const order = this.pc.getTransceivers();
    for (const sender of Object.values(this.senders)) sender.mid = mids[order.indexOf(sender.transceiver)] ?? '';
  }

  /** @param {'audio' | 'video'} kind @param {RTCRtpEncodingParameters[] | undefined} sendEncodings */
  #addSection(kind, sendEncodings) {
    try {
      return this.pc.addTransceiver(kind, { direction: 'sendonly', sendEncodings });
    } catch {
      // A browser that takes no such encodings sends the one of its own.
      return this.pc.addTransceiver(kind, { direction: 'sendonly' });
    }
  }

  /** @param {'audio' | 'video'} kind @param {number} count */
  #addSlots(kind, count) {
    for (let added = 0; added < count; added += 1) {
      const slot = this.pc.addTransceiver(kind, { direction: 'recvonly' });
      keepCodecs(slot, 'receiver', kind);
      if (kind === 'video') askForLayers(slot);
    }
  }

  /** @param {'reliable' | 'lossy'} label @param {RTCDataChannelInit} how */
  #channel(label, how) {
    const channel = this.pc.createDataChannel(label, how);
    channel.binaryType = 'arraybuffer';
    channel.addEventListener('message', ({ data }) => !this.#closed && this.#listener.data(data, label === 'reliable'));
    return channel;
  }

  /** Looks whether anything comes. */
  #look() {
    let newest = null;
    for (const { receiver } of this.slots) {
      for (const { timestamp } of receiver.getSynchronizationSources()) newest = Math.max(newest ?? timestamp, timestamp);
    }
    const isSilent = this.#silence.look(newest, performance.now());
    if (isSilent !== null) this.#listener.flow(isSilent);
  }

  #check() {
    if (this.#closed) return;
    const dtls = this.pc.getTransceivers()[0]?.receiver.transport?.state;
    const state = this.pc.connectionState;
    if (dtls === 'closed' || dtls === 'failed' || state === 'closed' || state === 'failed') {
      this.#listener.state('broken');
    } else if (state === 'connected' || state === 'disconnected') {
      this.#listener.state(state);
    } else {
      this.#listener.state('connecting');
    }
  }
}

/** @param {MediaStreamTrack} track @returns {'audio' | 'video'} */
function kindOf(track) {
  return track.kind === 'audio' ? 'audio' : 'video';
}
