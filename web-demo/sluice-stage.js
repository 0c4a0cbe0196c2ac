// @ts-check
/**
 * Puts tracks on screen: which elements want to show what, how large they are, which slot carries what, and when a
 * slot's picture may be seen.
 */
import { emit } from './sluice-error.js';
import { carries, isOfTrack, planSlots, viewOf } from './sluice-view.js';

/**
 * @typedef {import('./sluice-peers.js').RemoteTrack} RemoteTrack
 * @typedef {import('./sluice-media.js').MediaSlot} MediaSlot
 * @typedef {import('./protocol.js').Binding} Binding
 * @typedef {import('./protocol.js').View} View
 */

/** Changes are gathered for so long before they become one view, in milliseconds. */
const GATHER_MS = 16;
/** Views are so far apart, in milliseconds. */
const APART_MS = 150;
/** A size is told once it has been the same for so long, in milliseconds: windows are dragged, tiles move. */
const RESIZED_MS = 250;
/** How often a slot that was bound is looked at until it shows what it shall, in milliseconds. */
const LOOK_EVERY_MS = 30;
/** What is asked for until the size of an element is known, in CSS pixels. */
const USUAL = { width: 320, height: 180 };
/** The sound that belongs to a picture: who sees the one hears the other. */
const SOUND_OF = new Map([['screen', 'screen_audio'], ['stream', 'stream_audio']]);

/**
 * An element that shall show a track.
 *
 * @typedef {object} Tile
 * @property {RemoteTrack} track
 * @property {HTMLVideoElement} element
 * @property {number} width In CSS pixels. @property {number} height In CSS pixels.
 * @property {boolean} visible Whether any of it is on screen.
 * @property {MediaStreamTrack | null} playing What it was given to show.
 * @property {boolean} seen Whether its track is on screen for certain.
 */

/**
 * What is known of a video slot.
 *
 * @typedef {object} Place
 * @property {MediaSlot} slot
 * @property {RemoteTrack} track What it shall show.
 * @property {Binding | null} bound What the server said last of this track in this slot.
 * @property {number | null} boundAt When it said so, on the clock of contributing sources.
 * @property {{from: number | null} | null} carried Null until it carries that track for certain; see `carries()`.
 */

export class VideoStage {
  /** @type {Map<HTMLVideoElement, Tile>} */
  #tiles = new Map();
  /** @type {Map<string, Place>} By section. */
  #places = new Map();
  /** @type {MediaSlot[]} */
  #slots = [];
  /** @type {Set<RemoteTrack>} Tracks that are to be heard whoever else speaks. */
  #listened = new Set();
  /** @type {Map<string, number>} By track. */
  #priorities = new Map();
  /** @type {ResizeObserver | null} */
  #resize = null;
  /** @type {IntersectionObserver | null} */
  #crossing = null;
  /** @type {ReturnType<typeof setTimeout> | null} */
  #gathering = null;
  /** @type {ReturnType<typeof setInterval> | null} */
  #looking = null;
  /** @type {ReturnType<typeof setTimeout> | null} */
  #resizing = null;
  #plannedAt = 0;
  /** @type {Map<string, {w: number, h: number}>} Sizes that the server knows, by track. */
  #told = new Map();
  /** @type {Set<string>} Tracks for which there was no slot. */
  #without = new Set();
  #sent = '';
  #send;
  #lack;

  /**
   * @param {(view: View) => boolean} send False where it could not be sent.
   * @param {(count: number) => void} lack Told how many more video slots would be of use.
   */
  constructor(send, lack) {
    this.#send = send;
    this.#lack = lack;
  }

  /** @param {RemoteTrack} track @param {HTMLVideoElement} element */
  attach(track, element) {
    const before = this.#tiles.get(element);
    if (before?.track === track) return;
    if (before) this.detach(before.track, element);
    const { width, height } = element.getBoundingClientRect();
    this.#tiles.set(element, { track, element, width, height, visible: true, playing: null, seen: false });
    element.srcObject = null;
    element.playsInline = true;
    // The sound of a room is played apart from its pictures, and muted elements may play without a touch.
    element.muted = true;
    this.#observe(element);
    this.#settle(track);
    this.#show(track);
    this.changed();
  }

  /** @param {RemoteTrack} track @param {HTMLVideoElement} element */
  detach(track, element) {
    const tile = this.#tiles.get(element);
    if (tile?.track !== track) return;
    this.#tiles.delete(element);
    this.#resize?.unobserve(element);
    this.#crossing?.unobserve(element);
    element.srcObject = null;
    element.style.visibility = '';
    this.#settle(track);
    this.changed();
  }

  /** The track is no longer published. @param {RemoteTrack} track */
  release(track) {
    for (const tile of this.#tilesOf(track)) this.detach(track, tile.element);
    this.#listened.delete(track);
    this.#priorities.delete(track.id);
    this.changed();
  }

  /** @param {RemoteTrack} track @param {boolean} listening */
  listen(track, listening) {
    if (listening) this.#listened.add(track);
    else this.#listened.delete(track);
    this.changed();
  }

  /** @param {RemoteTrack} track @param {number} priority */
  prioritize(track, priority) {
    this.#priorities.set(track.id, priority);
    this.changed();
  }

  /** The slots that there are from now on. Elements keep their last picture until new slots have one. @param {MediaSlot[]} slots */
  use(slots) {
    this.#slots = slots.filter(({ kind }) => kind === 'video');
    for (const [mid, place] of this.#places) {
      const slot = this.#slots.find((slot) => slot.mid === mid);
      if (slot?.receiver !== place.slot.receiver) this.#places.delete(mid);
    }
    this.#sent = '';
    this.#told.clear();
    this.changed();
  }

  /** What the server says that slots carry. @param {Binding[]} list */
  bind(list) {
    for (const binding of list) {
      const place = this.#places.get(binding.mid);
      if (!place || (binding.track !== undefined && binding.track !== place.track.id)) continue;
      if (binding.state === 'live' && place.bound?.state !== 'live') place.boundAt = wallClock();
      if (binding.state === 'live' && place.bound?.state === 'paused') this.#goesOn(place);
      place.bound = binding;
      this.#settle(place.track);
    }
    this.#look();
  }

  /** @param {RemoteTrack} track @returns {RTCRtpReceiver | null} Of the slot that shows it. */
  receiverOf(track) {
    return this.#placeOf(track)?.slot.receiver ?? null;
  }

  /** Something changed that a view tells. Everything within a short time becomes one message. */
  changed() {
    const wait = Math.max(GATHER_MS, this.#plannedAt + APART_MS - performance.now());
    this.#gathering ??= setTimeout(() => {
      this.#gathering = null;
      this.#plannedAt = performance.now();
      this.#plan();
    }, wait);
  }

  /** Gives all elements back. */
  clear() {
    for (const tile of [...this.#tiles.values()]) this.detach(tile.track, tile.element);
    this.#places.clear();
    this.#slots = [];
    this.#listened.clear();
    this.#priorities.clear();
    this.#resize?.disconnect();
    this.#crossing?.disconnect();
    this.#resize = this.#crossing = null;
    if (this.#gathering !== null) clearTimeout(this.#gathering);
    if (this.#resizing !== null) clearTimeout(this.#resizing);
    if (this.#looking !== null) clearInterval(this.#looking);
    this.#gathering = this.#resizing = this.#looking = null;
    this.#without.clear();
    this.#sent = '';
    this.#told.clear();
  }

  #plan() {
    const wishes = this.#wishes();
    const now = new Map([...this.#places].map(([mid, place]) => [mid, place.track.id]));
    const plan = planSlots(this.#slots.map(({ mid }) => mid), now, wishes);
    this.#without = new Set(plan.without);
    this.#place(plan.slots);
    const view = viewOf(plan.slots, wishes, this.#heard(), this.#told);
    const text = JSON.stringify(view);
    const without = wishes.filter(({ track, muted }) => !muted && this.#without.has(track)).length;
    if (this.#slots.length === 0) return;
    if (text !== this.#sent && this.#send(view)) {
      this.#sent = text;
      this.#told = new Map((view.slots ?? []).map(({ track, w, h }) => [track ?? '', { w: w ?? 0, h: h ?? 0 }]));
    }
    if (without > 0) this.#lack(without);
  }

  #wishes() {
    const ratio = globalThis.devicePixelRatio || 1;
    /** @type {Map<string, import('./sluice-view.js').Wish>} */
    const wishes = new Map();
    for (const { track, width, height, visible } of this.#tiles.values()) {
      if (!visible) continue;
      const known = wishes.get(track.id);
      const w = (width || USUAL.width) * ratio;
      const h = (height || USUAL.height) * ratio;
      if (known && known.w * known.h >= w * h) continue;
      const priority = this.#priorities.get(track.id) ?? 1;
      wishes.set(track.id, { track: track.id, w, h, priority, muted: track.muted });
    }
    return [...wishes.values()];
  }

  /** @param {Map<string, string>} plan */
  #place(plan) {
    const tracks = new Map([...this.#tiles.values()].map(({ track }) => [track.id, track]));
    /** @type {Set<RemoteTrack>} */
    const touched = new Set();
    for (const [mid, place] of this.#places) {
      if (plan.get(mid) === place.track.id) continue;
      // Before the server hears of it: from here on this slot's picture is somebody else's.
      this.#blank(place);
      this.#places.delete(mid);
      touched.add(place.track);
    }
    for (const slot of this.#slots) {
      const track = tracks.get(plan.get(slot.mid) ?? '');
      if (!track || this.#places.has(slot.mid)) continue;
      this.#places.set(slot.mid, { slot, track, bound: null, boundAt: null, carried: null });
      touched.add(track);
    }
    for (const { track } of this.#tiles.values()) touched.add(track);
    for (const track of touched) this.#settle(track);
    this.#look();
  }

  /** @param {Place} place */
  #blank(place) {
    for (const tile of this.#tilesOf(place.track)) {
      if (tile.playing !== place.slot.receiver.track) continue;
      tile.playing = null;
      tile.seen = false;
      tile.element.srcObject = null;
    }
  }

  /** Looks at the slots until each shows what it shall. */
  #look() {
    const pending = [...this.#places.values()].filter((place) => !place.carried);
    for (const place of pending) {
      const { receiver } = place.slot;
      const last = receiver.getSynchronizationSources?.()[0]?.timestamp ?? null;
      const contributing = receiver.getContributingSources?.() ?? [];
      const evidence = { contributing, lastFrame: last, boundAt: place.boundAt };
      place.carried = carries(place.track.csrc, evidence, wallClock());
      if (place.carried) this.#show(place.track);
    }
    const busy = [...this.#places.values()].some((place) => !place.carried);
    if (busy) this.#looking ??= setInterval(() => this.#look(), LOOK_EVERY_MS);
    if (busy || this.#looking === null) return;
    clearInterval(this.#looking);
    this.#looking = null;
  }

  /** Gives the picture to the elements that wait for it. @param {RemoteTrack} track */
  #show(track) {
    const place = this.#placeOf(track);
    if (!place?.carried) return;
    const source = place.slot.receiver.track;
    for (const tile of this.#tilesOf(track)) {
      if (tile.playing === source) continue;
      tile.playing = source;
      tile.element.style.visibility = 'hidden';
      tile.element.srcObject = new MediaStream([source]);
      tile.element.play().catch(() => {});
      this.#await(tile, source, place.carried.from);
    }
  }

  /** @param {Tile} tile @param {MediaStreamTrack} source What it plays. @param {number | null} from As `carries()` told it. */
  #await(tile, source, from) {
    const isCurrent = () => tile.playing === source && this.#tiles.get(tile.element) === tile;
    whenPresented(tile.element, from, isCurrent, () => {
      tile.seen = true;
      tile.element.style.visibility = '';
      this.#settle(tile.track);
      emit(tile.track, 'frame', { element: tile.element });
    });
  }

  /** A slot that was paused: its elements have an old picture until the next one comes. @param {Place} place */
  #goesOn(place) {
    const source = place.slot.receiver.track;
    for (const tile of this.#tilesOf(place.track)) {
      if (tile.playing !== source || !tile.seen) continue;
      tile.seen = false;
      this.#await(tile, source, null);
    }
  }

  /** Works out what a track is doing. @param {RemoteTrack} track */
  #settle(track) {
    if (track.kind === 'audio') return;
    const tiles = this.#tilesOf(track);
    const place = this.#placeOf(track);
    if (tiles.length === 0) track.setState('idle');
    else if (place?.bound?.state === 'paused') track.setState('paused', place.bound.why ?? null);
    else if (!place && track.muted) track.setState('paused', 'muted');
    else if (place && tiles.some(({ seen }) => seen)) track.setState('live');
    else track.setState('waiting', this.#without.has(track.id) ? 'slots' : null);
  }

  /** @param {RemoteTrack} track */
  #tilesOf(track) {
    return [...this.#tiles.values()].filter((tile) => tile.track === track);
  }

  /** @param {RemoteTrack} track */
  #placeOf(track) {
    return [...this.#places.values()].find((place) => place.track === track);
  }

  /** @returns {string[]} Audio tracks that are to be heard: those asked for, and those that belong to a picture. */
  #heard() {
    const heard = new Set(this.#listened);
    for (const { track } of this.#tiles.values()) {
      const sound = SOUND_OF.get(track.source);
      for (const other of track.peer.tracks.values()) if (other.source === sound) heard.add(other);
    }
    return [...heard].map(({ id }) => id);
  }

  /** @param {HTMLVideoElement} element */
  #observe(element) {
    this.#resize ??= new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) {
        this.#resized(target, contentRect);
      }
    });
    this.#crossing ??= new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const tile = this.#tiles.get(/** @type {HTMLVideoElement} */ (target));
        if (!tile) continue;
        tile.visible = isIntersecting;
        this.changed();
      }
    });
    this.#resize.observe(element);
    this.#crossing.observe(element);
  }

  /** @param {Element} element @param {{width: number, height: number}} size */
  #resized(element, { width, height }) {
    const tile = this.#tiles.get(/** @type {HTMLVideoElement} */ (element));
    if (!tile || (tile.width === width && tile.height === height)) return;
    Object.assign(tile, { width, height });
    if (this.#resizing !== null) clearTimeout(this.#resizing);
    this.#resizing = setTimeout(() => {
      this.#resizing = null;
      this.changed();
    }, RESIZED_MS);
  }
}

/** The clock of contributing sources, in milliseconds. */
function wallClock() {
  return performance.timeOrigin + performance.now();
}

/**
 * @param {HTMLVideoElement} element
 * @param {number | null} from As `carries()` told it.
 * @param {() => boolean} isCurrent
 * @param {() => void} action Called once a frame of the track is on screen, unless it is not current any more.
 */
function whenPresented(element, from, isCurrent, action) {
  if (!('requestVideoFrameCallback' in element)) {
    /** @type {HTMLVideoElement} */ (element).addEventListener('loadeddata', () => isCurrent() && action(), { once: true });
    return;
  }
  let count = 0;
  /** @type {VideoFrameRequestCallback} */
  const look = (_, { rtpTimestamp }) => {
    if (!isCurrent()) return;
    count += 1;
    if (isOfTrack(from, rtpTimestamp, count)) action();
    else element.requestVideoFrameCallback(look);
  };
  element.requestVideoFrameCallback(look);
}
