/** The stage: which tiles are shown, in which order and where. */
import { floating, focus, grid, nearestCorner, place, placeStrip, promote, shaped } from './room-layout.js';
import { drag, swipe } from './room-gestures.js';
import { Tile, trackOf } from './room-tile.js';
import { byId, make, remember, setText } from './ui.js';

const ME = 'me';
const OWN_SCREEN = 'me/screen';
/** How much more important the large picture is than others, and who speaks; see `Room.setPriority()`. */
const PRIORITY = { large: 4, speaker: 2, other: 1 };
const MOVES = { duration: 180, easing: 'ease-out' };
const calm = matchMedia('(prefers-reduced-motion: reduce)');

/** Fires `view` whenever the kind of view changes. */
export class Stage extends EventTarget {
  /** @type {'grid' | 'speaker'} */
  mode = 'grid';
  /** @type {Map<string, Tile>} */
  tiles = new Map();
  /** Keys of everything but the own camera, in the order of the grid. @type {string[]} */
  #order = [];
  /** What was pinned by hand or, for a new screen, by itself. @type {string | null} */
  #pinned = null;
  #speaker = null;
  /** Who speaks at the moment, and the time until that one becomes the large one. */
  #next = null;
  #following = null;
  #page = 0;
  #pages = 1;
  #perPage = 1;
  #corner = remember.get('localStorage', 'sluice.corner') ?? 'bottom right';
  #statsOfAll = false;
  /** Whether anybody else was here. */
  #met = false;

  /**
   * @param {import('./sluice.js').Room} room @param {import('./room-devices.js').Devices} devices
   * @param {AbortSignal} signal Ends everything. @param {() => void} stopSharing
   */
  constructor(room, devices, signal, stopSharing) {
    super();
    this.room = room;
    this.devices = devices;
    this.stopSharing = stopSharing;
    this.element = byId('stage');
    this.holder = byId('tiles');
    this.#wire(signal);
    for (const peer of room.peers.values()) this.#pinScreenOf(peer);
    this.refresh();
    this.#speaks([...room.peers.values()].filter((peer) => peer.speaking));
  }

  #wire(signal) {
    let due = false;
    // Many events come at once when somebody joins; the tiles follow once.
    const refresh = () => {
      if (due) return;
      due = true;
      queueMicrotask(() => {
        due = false;
        if (!signal.aborted) this.refresh();
      });
    };
    for (const type of [
      'peer-joined', 'peer-changed', 'peer-left', 'track-unpublished', 'track-muted', 'track-unmuted', 'quality', 'state',
    ]) this.room.addEventListener(type, refresh, { signal });
    this.room.addEventListener('track-published', ({ detail }) => {
      if (detail.track.source === 'screen') this.#pinScreenOf(detail.peer);
      refresh();
    }, { signal });
    this.room.addEventListener('speakers', ({ detail }) => this.#speaks(detail.speakers), { signal });
    this.devices.addEventListener('change', refresh, { signal });
    byId('page-back').addEventListener('click', () => this.turn(-1), { signal });
    byId('page-on').addEventListener('click', () => this.turn(1), { signal });
    this.#wireTiles(signal);
    const resized = new ResizeObserver(() => this.#layout(false));
    resized.observe(this.element);
    const timer = setInterval(() => this.#showStats(), 1000);
    signal.addEventListener('abort', () => {
      resized.disconnect();
      clearInterval(timer);
      clearTimeout(this.#following);
      for (const tile of this.tiles.values()) tile.close();
      this.tiles.clear();
    });
  }

  #wireTiles(signal) {
    const keyOf = (event) => event.target.closest?.('.tile')?.dataset.key;
    this.holder.addEventListener('dblclick', (event) => keyOf(event) && this.pin(keyOf(event)), { signal });
    this.holder.addEventListener('keydown', (event) => {
      if (!event.target.classList?.contains('tile') || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === 'Enter') this.pin(keyOf(event));
      else if (event.key.toLowerCase() === 'i') this.toggleStats(keyOf(event));
      else if (event.target.classList.contains('floats') && event.key.startsWith('Arrow')) this.#step(event.key);
      else return;
      event.preventDefault();
      event.stopPropagation();
    }, { signal });
    this.holder.addEventListener('pointerdown', (event) => {
      const tile = event.target.closest?.('.tile');
      if (!tile || event.button !== 0 || event.target.closest('button')) return;
      if (tile.classList.contains('floats')) this.#drag(tile, event);
      else if (event.pointerType === 'touch') swipe(event, (by) => this.turn(by));
    }, { signal });
  }

  /** A screen that somebody begins to share is what everybody wants to see. */
  #pinScreenOf(peer) {
    const screen = trackOf(peer, 'screen');
    if (screen) this.#pinned = `${peer.id}/${screen.id}`;
  }

  /** @returns {{key: string, kind: string, peer: object | null, track: object | null}[]} All tiles there should be. */
  #wanted() {
    const { room, devices } = this;
    const list = [{ key: ME, kind: 'me', peer: room.me, track: devices.camera }];
    const screen = room.tracks.get('screen');
    if (screen) list.push({ key: OWN_SCREEN, kind: 'own-screen', peer: room.me, track: screen });
    for (const peer of room.peers.values()) {
      const isStream = peer.kind === 'stream';
      const track = trackOf(peer, isStream ? 'stream' : 'camera') ?? null;
      list.push({ key: peer.id, kind: isStream ? 'stream' : 'peer', peer, track });
      for (const shared of peer.tracks.values()) {
        if (shared.source === 'screen') list.push({ key: `${peer.id}/${shared.id}`, kind: 'screen', peer, track: shared });
      }
    }
    return list;
  }

  /** Brings the tiles in line with the room. */
  refresh() {
    const wanted = this.#wanted();
    const keys = new Set(wanted.map(({ key }) => key));
    for (const [key, tile] of this.tiles) {
      if (keys.has(key)) continue;
      tile.close();
      this.tiles.delete(key);
    }
    if (this.#pinned && !keys.has(this.#pinned)) this.#pinned = null;
    if (this.#speaker && !keys.has(this.#speaker)) this.#speaker = null;
    this.#order = this.#order.filter((key) => keys.has(key));
    for (const entry of wanted) {
      if (entry.key !== ME && !this.#order.includes(entry.key)) this.#order.push(entry.key);
      if (!this.tiles.has(entry.key)) this.tiles.set(entry.key, this.#newTile(entry));
      this.tiles.get(entry.key).update(this.#stateOf(entry));
    }
    this.#layout(true);
  }

  #newTile({ key, kind }) {
    const tile = new Tile(key, kind, {
      pin: () => this.pin(key),
      figures: () => this.toggleStats(key),
      stopSharing: this.stopSharing,
    });
    tile.stats = this.#statsOfAll;
    tile.video.addEventListener('resize', () => (this.#order.length === 1 || this.#focused() === key) && this.#layout(false));
    return tile;
  }

  #stateOf({ key, kind, peer, track }) {
    const own = kind === 'me' || kind === 'own-screen';
    const speaks = kind === 'me' || kind === 'peer';
    const mic = own ? this.devices.mic : trackOf(peer, 'mic');
    return {
      name: own ? this.room.me.name : peer.name,
      own,
      track: own && track?.muted ? null : track,
      silent: speaks && (!mic || mic.muted),
      quality: own ? (kind === 'me' ? this.room.connectionQuality : 'good') : peer.quality,
      reconnecting: !own && peer.state === 'reconnecting',
      pinned: this.#pinned === key,
    };
  }

  #speaks(speakers) {
    const keys = speakers.map((peer) => (peer === this.room.me || peer.id === this.room.me.id ? ME : peer.id));
    for (const [key, tile] of this.tiles) tile.setSpeaking(keys.includes(key));
    const other = keys.find((key) => key !== ME && this.tiles.has(key)) ?? null;
    this.#follow(other, keys.includes(this.#speaker));
    if (!other) return;
    const before = this.#order;
    if (!this.#focused()) {
      const spoke = (key) => this.tiles.get(key)?.spokeAt ?? -1;
      this.#order = promote(before, other, Math.max(1, this.#perPage - 1), spoke);
    }
    if (before !== this.#order) this.#layout(true);
  }

  /**
   * Who speaks becomes the large one, but a cough or a short "yes" changes nothing.
   *
   * @param {string | null} key Of who speaks. @param {boolean} interrupts Whether the large one speaks still.
   */
  #follow(key, interrupts) {
    if (key === this.#next) return;
    clearTimeout(this.#following);
    this.#next = key;
    if (key === null || key === this.#speaker) return;
    const wait = this.#speaker === null ? 0 : interrupts ? 2000 : 400;
    this.#following = setTimeout(() => {
      this.#speaker = key;
      if (this.mode === 'speaker') this.#layout(true);
      else this.#prioritize();
    }, wait);
  }

  /** @returns {string | null} The large tile, where there is one. */
  #focused() {
    if (this.#pinned) return this.#pinned;
    if (this.mode !== 'speaker' || this.#order.length < 2) return null;
    return this.#speaker ?? this.#order.find((key) => key !== OWN_SCREEN) ?? null;
  }

  get isFocused() {
    return this.#pinned !== null || this.mode === 'speaker';
  }

  /** Between the grid and one large tile. */
  toggleMode() {
    this.mode = this.isFocused ? 'grid' : 'speaker';
    this.#pinned = null;
    this.#page = 0;
    this.refresh();
    this.dispatchEvent(new Event('view'));
  }

  /** @param {string} key */
  pin(key) {
    this.#pinned = this.#pinned === key ? null : key;
    this.#page = 0;
    this.refresh();
    this.dispatchEvent(new Event('view'));
  }

  /** @param {number} by */
  turn(by) {
    const next = Math.min(this.#pages - 1, Math.max(0, this.#page + by));
    if (next === this.#page) return;
    this.#page = next;
    this.#layout(false);
  }

  #layout(animated) {
    const others = this.#order.length;
    // The only other one is large in any case.
    const focused = others === 1 && this.#pinned !== ME ? null : this.#focused();
    const floats = (others === 1 && !focused) || others === 0;
    let shown = this.#plan(focused, floats);
    const paged = this.#pages > 1;
    if (this.element.classList.toggle('paged', paged) !== this.wasPaged) {
      this.wasPaged = paged;
      // The pager takes some of the height.
      shown = this.#plan(focused, floats);
    }
    if (others > 0) this.#met = true;
    byId('first').hidden = others > 0;
    setText(byId('first-title'), this.#met ? 'Nobody else is here' : 'You are the first here');
    for (const [key, tile] of this.tiles) if (!shown.has(key)) tile.unmount();
    for (const [key, box] of shown) {
      const tile = this.tiles.get(key);
      tile.element.classList.toggle('floats', floats && key === ME);
      this.#put(tile, box, animated && !calm.matches);
    }
    // The Tab key goes through tiles in the order of the page.
    const wanted = [...shown.keys()].map((key) => this.tiles.get(key).element);
    wanted.forEach((element, index) => {
      if (this.holder.children[index] !== element && document.activeElement !== element) {
        this.holder.insertBefore(element, this.holder.children[index] ?? null);
      }
    });
    this.#drawPager(paged);
    this.#prioritize();
  }

  /** Where not everything fits through the connection, the server gives more to what matters more. */
  #prioritize() {
    const large = this.#focused() ?? (this.#order.length === 1 ? this.#order[0] : null);
    for (const [key, tile] of this.tiles) {
      if (!tile.track || tile.state?.own) continue;
      const priority = key === large ? PRIORITY.large : key === this.#speaker ? PRIORITY.speaker : PRIORITY.other;
      if (tile.prioritized?.track === tile.track && tile.prioritized.priority === priority) continue;
      tile.prioritized = { track: tile.track, priority };
      this.room.setPriority(tile.track, priority);
    }
  }

  /** @returns {Map<string, import('./room-layout.js').Box>} */
  #plan(focused, floats) {
    const { clientWidth: width, clientHeight: height } = this.holder;
    const shown = new Map();
    const add = (keys, boxes) => keys.forEach((key, index) => shown.set(key, boxes[index]));
    if (focused) {
      const rest = this.#order.filter((key) => key !== focused);
      const { ratio } = this.tiles.get(focused);
      const plan = focus(width, height, rest.length + (focused === ME ? 0 : 1), ratio);
      this.#turnTo(plan.pages, plan.perPage);
      if (focused !== ME) rest.splice(Math.min(rest.length, plan.perPage - 1), 0, ME);
      const page = rest.slice(this.#page * plan.perPage, (this.#page + 1) * plan.perPage);
      add([focused], [shaped(plan.main, ratio)]);
      add(page, placeStrip(plan, width, height, page.length));
      return shown;
    }
    const all = [...this.#order];
    const plan = grid(width, height, all.length + (floats ? 0 : 1));
    this.#turnTo(plan.pages, plan.perPage);
    // The own tile is the last one of the first page.
    if (!floats) all.splice(Math.min(all.length, plan.perPage - 1), 0, ME);
    const page = all.slice(this.#page * plan.perPage, (this.#page + 1) * plan.perPage);
    const boxes = place(plan, width, height, page.length);
    add(page, floats ? boxes.map((box, index) => shaped(box, this.tiles.get(page[index]).ratio)) : boxes);
    if (floats) shown.set(ME, floating(width, height, this.#corner));
    return shown;
  }

  #turnTo(pages, perPage) {
    this.#pages = pages;
    this.#perPage = perPage;
    this.#page = Math.min(this.#page, pages - 1);
  }

  #put(tile, box, animated) {
    const { element } = tile;
    const before = tile.box;
    const isNew = tile.mount(this.holder);
    tile.box = box;
    Object.assign(element.style, { left: `${box.x}px`, top: `${box.y}px`, width: `${box.w}px`, height: `${box.h}px` });
    if (!animated) return;
    if (isNew || !before) {
      element.animate([{ opacity: 0, transform: 'scale(0.96)' }, { opacity: 1, transform: 'none' }], MOVES);
    } else if (before.x !== box.x || before.y !== box.y || before.w !== box.w || before.h !== box.h) {
      const from = `translate(${before.x - box.x}px, ${before.y - box.y}px) scale(${before.w / box.w}, ${before.h / box.h})`;
      element.animate([{ transformOrigin: '0 0', transform: from }, { transformOrigin: '0 0', transform: 'none' }], MOVES);
    }
  }

  #drawPager(paged) {
    byId('pager').hidden = !paged;
    if (!paged) return;
    byId('page-back').disabled = this.#page === 0;
    byId('page-on').disabled = this.#page === this.#pages - 1;
    const dots = byId('dots');
    while (dots.children.length > this.#pages) dots.lastChild.remove();
    while (dots.children.length < this.#pages) {
      const index = dots.children.length;
      const dot = make('button', '');
      dot.type = 'button';
      dot.setAttribute('aria-label', `Page ${index + 1}`);
      dot.addEventListener('click', () => this.turn(index - this.#page));
      dots.append(dot);
    }
    [...dots.children].forEach((dot, index) => {
      if (index === this.#page) dot.setAttribute('aria-current', 'page');
      else dot.removeAttribute('aria-current');
    });
  }

  #drag(element, down) {
    const tile = this.tiles.get(ME);
    const { clientWidth: width, clientHeight: height } = this.holder;
    drag(element, tile.box, { width, height }, down, (box) => {
      tile.box = box;
      this.#moveTo(nearestCorner(box, width, height));
    });
  }

  #step(key) {
    const [vertical, horizontal] = this.#corner.split(' ');
    const to = {
      ArrowUp: `top ${horizontal}`, ArrowDown: `bottom ${horizontal}`, ArrowLeft: `${vertical} left`, ArrowRight: `${vertical} right`,
    };
    this.#moveTo(to[key]);
  }

  #moveTo(corner) {
    this.#corner = corner;
    remember.set('localStorage', 'sluice.corner', corner);
    this.#layout(true);
  }

  /** @param {string} key */
  toggleStats(key) {
    const tile = this.tiles.get(key);
    tile.stats = !tile.stats;
    tile.showStats(null);
    this.#showStats();
  }

  get statsOfAll() {
    return this.#statsOfAll;
  }

  toggleAllStats() {
    this.#statsOfAll = !this.#statsOfAll;
    for (const tile of this.tiles.values()) {
      tile.stats = this.#statsOfAll;
      tile.showStats(null);
    }
    this.#showStats();
  }

  async #showStats() {
    for (const tile of this.tiles.values()) {
      if (!tile.stats || !tile.mounted) continue;
      const stats = tile.track ? await this.room.getStats(tile.track).catch(() => null) : null;
      if (tile.mounted) tile.showStats(stats);
    }
  }
}
