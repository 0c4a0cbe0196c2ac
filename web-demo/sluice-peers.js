// @ts-check
/**
 * The others in a room, and what they publish.
 */
import { emit } from './sluice-error.js';

/**
 * @typedef {import('./protocol.js').Peer} PeerInfo
 * @typedef {import('./protocol.js').TrackInfo} TrackInfo
 * @typedef {import('./protocol.js').QualityLevel} QualityLevel
 * @typedef {import('./protocol.js').Source} Source
 */

/**
 * Whether a track is to be seen or heard here.
 *
 * - `idle`: it is not attached to any element.
 * - `waiting`: it is, and no frame of it has come yet. `why` is `slots` while more is attached than there is room for.
 * - `live`: it is on screen.
 * - `paused`: nothing comes of it, and `why` tells the reason, such as `muted`, or `bandwidth` where this participant's
 *   connection carries too little; it goes on by itself.
 *
 * @typedef {'idle' | 'waiting' | 'live' | 'paused'} TrackState
 */

/**
 * What carries out what a track is asked for.
 *
 * @typedef {object} Stage
 * @property {(track: RemoteTrack, element: HTMLVideoElement) => void} attach
 * @property {(track: RemoteTrack, element: HTMLVideoElement) => void} detach
 * @property {(track: RemoteTrack, listening: boolean) => void} listen
 */

/** Something that another participant publishes. Events: `state` (read `state` and `why`), `frame` (the first frame of it is on screen). */
export class RemoteTrack extends EventTarget {
  /** @type {TrackState} */
  state = 'idle';
  /** @type {import('./protocol.js').PauseReason | 'bandwidth' | 'slots' | null} */
  why = null;
  #stage;

  /** @param {RemotePeer} peer @param {TrackInfo} info @param {Stage} stage */
  constructor(peer, info, stage) {
    super();
    /** @readonly */
    this.peer = peer;
    /** @readonly */
    this.id = info.id;
    /** @readonly @type {Source} */
    this.source = info.source;
    /** @readonly @type {'audio' | 'video'} */
    this.kind = ['mic', 'screen_audio', 'stream_audio'].includes(info.source) ? 'audio' : 'video';
    this.muted = info.muted;
    /** @type {string | undefined} */
    this.label = info.label;
    /** @internal What its packets name as contributing source. */
    this.csrc = info.csrc;
    this.#stage = stage;
  }

  /**
   * Shows it in an element, from its first frame on; until then the element shows nothing. It is asked for at the size
   * at which the element is on screen, and not at all while the element is not. One element shows one track.
   *
   * @param {HTMLVideoElement} element
   */
  attach(element) {
    this.#stage.attach(this, element);
  }

  /** Shows it no longer there. @param {HTMLVideoElement} element */
  detach(element) {
    this.#stage.detach(this, element);
  }

  /** Hears this track of sound whoever else speaks. */
  listen() {
    this.#stage.listen(this, true);
  }

  /** Hears it only while it is among the loudest. */
  unlisten() {
    this.#stage.listen(this, false);
  }

  /** @internal @param {TrackState} state @param {RemoteTrack['why']} [why] */
  setState(state, why = null) {
    if (this.state === state && this.why === why) return;
    this.state = state;
    this.why = why;
    emit(this, 'state', { state, why });
  }
}

/** Another participant: somebody who joined, or a WHIP stream. Read it after `peer-changed`, `speakers` and `quality` of the room. */
export class RemotePeer {
  /** @type {string} */
  name = '';
  /** @type {'here' | 'reconnecting'} */
  state = 'here';
  /** @type {Record<string, unknown>} */
  meta = {};
  /** @type {Map<string, RemoteTrack>} By id. */
  tracks = new Map();
  /** @type {QualityLevel} */
  quality = 'good';
  speaking = false;
  /** How loud: 0 (silent) to 127, in dB. */
  level = 0;

  /** @param {PeerInfo} info */
  constructor(info) {
    /** @readonly @type {string} */
    this.id = info.id;
    /** @readonly @type {'member' | 'stream'} */
    this.kind = info.kind;
  }

  /** @param {Source} source @returns {RemoteTrack | undefined} */
  track(source) {
    return [...this.tracks.values()].find((track) => track.source === source);
  }
}

/**
 * What the room is told.
 *
 * @typedef {(type: string, detail: object) => void} Tell
 */

/** Keeps the list of the others in line with what the server says, and tells what changed. */
export class Roster {
  /** @type {Map<string, RemotePeer>} By id, in the order in which they came. */
  peers = new Map();
  #stage;
  #tell;

  /** @param {Stage} stage @param {Tell} tell */
  constructor(stage, tell) {
    this.#stage = stage;
    this.#tell = tell;
  }

  /** Everybody there is. @param {PeerInfo[]} list */
  replace(list) {
    const here = new Set(list.map((info) => info.id));
    this.remove([...this.peers.keys()].filter((id) => !here.has(id)));
    this.set(list);
  }

  /** Those who came or changed. @param {PeerInfo[]} list */
  set(list) {
    for (const info of list) {
      const known = this.peers.get(info.id);
      const peer = known ?? new RemotePeer(info);
      const changed = describe(peer, info);
      if (!known) {
        this.peers.set(peer.id, peer);
        this.#tell('peer-joined', { peer });
      } else if (changed) {
        this.#tell('peer-changed', { peer });
      }
      this.#setTracks(peer, info.tracks);
    }
  }

  /** Those who left. @param {string[]} ids */
  remove(ids) {
    for (const id of ids) {
      const peer = this.peers.get(id);
      if (!peer) continue;
      this.#setTracks(peer, []);
      this.peers.delete(id);
      this.#tell('peer-left', { peer });
    }
  }

  /** @param {{peer: string, level: number}[]} list The loudest first. @returns {RemotePeer[]} */
  speakers(list) {
    const levels = new Map(list.map(({ peer, level }) => [peer, level]));
    for (const peer of this.peers.values()) {
      peer.level = levels.get(peer.id) ?? 0;
      peer.speaking = levels.has(peer.id);
    }
    return list.map(({ peer }) => this.peers.get(peer)).filter((peer) => peer !== undefined);
  }

  /** @param {string} id @returns {RemoteTrack | undefined} */
  track(id) {
    for (const peer of this.peers.values()) {
      const track = peer.tracks.get(id);
      if (track) return track;
    }
    return undefined;
  }

  /** @param {RemotePeer} peer @param {TrackInfo[]} list */
  #setTracks(peer, list) {
    const there = new Set(list.map((info) => info.id));
    for (const track of [...peer.tracks.values()].filter(({ id }) => !there.has(id))) {
      peer.tracks.delete(track.id);
      this.#tell('track-unpublished', { track, peer });
    }
    for (const info of list) {
      const known = peer.tracks.get(info.id);
      if (known) {
        this.#change(known, info);
      } else {
        const track = new RemoteTrack(peer, info, this.#stage);
        peer.tracks.set(track.id, track);
        this.#tell('track-published', { track, peer });
      }
    }
  }

  /** @param {RemoteTrack} track @param {TrackInfo} info */
  #change(track, info) {
    track.label = info.label;
    track.csrc = info.csrc;
    if (track.muted === info.muted) return;
    track.muted = info.muted;
    this.#tell(info.muted ? 'track-muted' : 'track-unmuted', { track, peer: track.peer });
  }
}

/** @param {RemotePeer} peer @param {PeerInfo} info @returns {boolean} Whether anything changed. */
function describe(peer, info) {
  const meta = info.meta ?? {};
  const changed =
    peer.name !== info.name || peer.state !== info.state || JSON.stringify(peer.meta) !== JSON.stringify(meta);
  Object.assign(peer, { name: info.name, state: info.state, meta });
  return changed;
}
