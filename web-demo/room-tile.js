/** One tile of the stage: a person, a stream or a screen. */
import { hueOf, initials, shownName } from './room-names.js';
import { figures } from './room-stats.js';
import { make, makeIcon, setIcon, setLabel, setText } from './ui.js';

/** So long the ring stays after the last word: people breathe. */
const RING_LASTS = 700;

/** Why a picture is held back, where it is worth a word. */
const WHY = {
  codec: 'Your browser cannot show this video',
  connecting: 'Connecting',
  bandwidth: 'Paused: your connection is slow',
  gone: '',
  muted: '',
};

/** @param {HTMLElement} element Of class `avatar`. @param {string} name @param {string} [icon] Instead of initials. */
export function paintAvatar(element, name, icon = '') {
  const letters = icon ? '' : initials(name);
  element.style.setProperty('--hue', String(hueOf(name)));
  const wanted = letters || `icon:${icon || 'person'}`;
  if (element.dataset.shows === wanted) return;
  element.dataset.shows = wanted;
  element.replaceChildren(letters || makeIcon(icon || 'person'));
}

/** @param {string} source Of a track of this peer. */
export const trackOf = (peer, source) => [...peer.tracks.values()].find((track) => track.source === source);

function button(icon, label, action) {
  const element = make('button', 'round tip-below tip-left', makeIcon(icon, 'icon s'));
  element.type = 'button';
  // Enter and I on the tile do the same; one stop of the Tab key is enough.
  element.tabIndex = -1;
  setLabel(element, label);
  element.addEventListener('click', (event) => {
    event.stopPropagation();
    action();
  });
  return element;
}

export class Tile {
  /** Whether the figures are shown. */
  stats = false;
  /** When this person last spoke, in milliseconds since the page began. */
  spokeAt = -1;
  #mounted = false;
  #source = null;
  #attached = null;
  #listening = null;
  #hadFrame = false;
  #quiet = null;
  #stale = false;

  /**
   * @param {string} key @param {'me' | 'peer' | 'stream' | 'screen' | 'own-screen'} kind
   * @param {{pin: () => void, figures: () => void, stopSharing?: () => void}} acts
   */
  constructor(key, kind, acts) {
    this.key = key;
    this.kind = kind;
    this.video = make('video', '');
    this.video.playsInline = true;
    this.video.muted = true;
    this.video.autoplay = true;
    this.video.disablePictureInPicture = true;
    this.video.setAttribute('aria-hidden', 'true');
    this.avatar = make('span', 'avatar');
    this.avatar.setAttribute('aria-hidden', 'true');
    this.quietly = make('p', 'quietly');
    this.face = make('div', 'face', make('div', 'person', this.avatar, this.quietly));
    this.label = make('span', 'name');
    this.chip = make('div', 'chip', this.label);
    this.says = make('div', 'says');
    this.pinButton = button('pin', 'Pin', acts.pin);
    this.statsButton = button('stats', 'Statistics', acts.figures);
    this.acts = make('div', 'acts', this.pinButton, this.statsButton);
    const contained = kind === 'screen' || kind === 'stream' || kind === 'own-screen';
    this.element = make('div', `tile ${kind}${contained ? ' contain' : ''}${kind === 'me' ? ' mirrored' : ''}`);
    this.element.append(this.video, this.face, this.says, this.chip, this.acts);
    this.element.tabIndex = 0;
    this.element.setAttribute('role', 'group');
    this.element.dataset.key = key;
    if (kind === 'own-screen') this.#sayOwnScreen(acts.stopSharing);
    this.video.addEventListener('loadeddata', () => this.#draw());
  }

  #sayOwnScreen(stop) {
    const end = make('button', 'button small danger', 'Stop sharing');
    end.type = 'button';
    end.addEventListener('click', stop);
    this.face.replaceChildren(make('div', 'own-screen', makeIcon('screen'), make('span', '', 'You are sharing your screen'), end));
  }

  /**
   * @param {object} state
   * @param {string} state.name @param {boolean} state.own @param {object | null} state.track The picture: a RemoteTrack, or
   *   for what is one's own a LocalTrack. @param {boolean} state.silent Whether the microphone is off.
   * @param {string} state.quality @param {boolean} state.reconnecting @param {boolean} state.pinned
   */
  update(state) {
    this.state = state;
    if (this.#source !== state.track) this.#follow(state.track);
    this.#attach();
    this.#draw();
  }

  mount(parent) {
    if (this.#mounted) return false;
    this.#mounted = true;
    parent.append(this.element);
    this.#attach();
    this.#draw();
    return true;
  }

  /** Out of the page, and nothing more is asked of the server for it. */
  unmount() {
    if (!this.#mounted) return;
    this.#mounted = false;
    this.#attach();
    this.element.remove();
  }

  close() {
    this.unmount();
    this.#follow(null);
    clearTimeout(this.#quiet);
  }

  get mounted() {
    return this.#mounted;
  }

  /** Width divided by height of what must not be cut off; 0 where it may be, or is not known yet. */
  get ratio() {
    if (this.kind !== 'screen' && this.kind !== 'stream') return 0;
    return this.video.videoHeight > 0 ? this.video.videoWidth / this.video.videoHeight : 0;
  }

  /** The picture that is shown, for statistics. */
  get track() {
    return this.#source;
  }

  #follow(track) {
    this.#listening?.abort();
    this.#detach();
    this.#source = track;
    this.#hadFrame = false;
    if (!track) return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    const changed = () => {
      this.#attach();
      this.#draw();
    };
    for (const type of ['state', 'mute', 'unmute', 'replaced', 'ended']) track.addEventListener(type, changed, { signal });
    track.addEventListener('frame', () => {
      this.#hadFrame = true;
      this.#draw();
    }, { signal });
  }

  #attach() {
    const wanted = this.#mounted && this.#source && !this.#source.muted ? this.#source : null;
    if (wanted && this.state?.own) {
      const picture = this.kind === 'own-screen' && !showsOwnScreen(wanted) ? null : wanted.mediaStreamTrack;
      if (this.video.srcObject?.getVideoTracks()[0] !== (picture ?? undefined)) {
        this.video.srcObject = picture ? new MediaStream([picture]) : null;
        this.video.play().catch(() => {});
      }
      return;
    }
    if (wanted === this.#attached && wanted) return;
    this.#detach();
    if (!wanted) return;
    this.#attached = wanted;
    wanted.attach(this.video);
  }

  #detach() {
    const attached = this.#attached;
    // First: letting go changes the track's state, and that leads back here.
    this.#attached = null;
    if (attached) {
      this.#hadFrame = false;
      attached.detach(this.video);
    } else if (this.video.srcObject) {
      this.video.srcObject = null;
    }
  }

  /** The client module empties the element as soon as its picture would be somebody else's. */
  #isLit() {
    if (!this.#source || this.#source.muted || !this.#mounted || !this.video.srcObject) {
      this.#hadFrame = false;
      return false;
    }
    return this.state.own || this.#hadFrame;
  }

  #draw() {
    const { state, element } = this;
    if (!state) return;
    const track = this.#source;
    const held = !state.own && track?.state === 'paused' && !track.muted;
    // It may last: a person's own sign is calmer to look at than an old picture.
    const slow = held && track.why === 'bandwidth';
    if (slow) this.#hadFrame = false;
    this.#stale = Boolean(state.reconnecting || held);
    const name = this.#nameText();
    element.style.setProperty('--hue', String(hueOf(state.name)));
    element.classList.toggle('lit', this.#isLit());
    element.classList.toggle('stale', this.#stale);
    element.classList.toggle('away', state.reconnecting);
    // Who is muted or gone does not speak, whatever was heard a moment ago.
    if (state.silent || state.reconnecting) element.classList.remove('speaking');
    if (this.kind !== 'own-screen') {
      paintAvatar(this.avatar, state.name, this.kind === 'screen' ? 'screen' : this.kind === 'stream' ? 'live' : '');
    }
    setText(this.label, name);
    this.label.title = name;
    this.#drawMarks();
    let trouble = '';
    if (state.reconnecting) trouble = 'Reconnecting';
    else if (held) trouble = WHY[track.why] ?? 'Paused: poor network';
    setText(this.quietly, slow && !state.reconnecting ? trouble : '');
    this.#say(slow && !state.reconnecting ? '' : trouble);
    const marks = [name, state.silent ? 'microphone off' : '', trouble, state.pinned ? 'pinned' : ''];
    element.setAttribute('aria-label', marks.filter(Boolean).join(', '));
    setIcon(this.pinButton, state.pinned ? 'unpin' : 'pin');
    setLabel(this.pinButton, state.pinned ? 'Unpin' : 'Pin', 'Enter');
    setLabel(this.statsButton, this.stats ? 'Hide statistics' : 'Statistics', 'I');
  }

  #nameText() {
    const name = shownName(this.state.name);
    if (this.kind === 'screen') return `${name}: screen`;
    if (this.kind === 'own-screen') return 'Your screen';
    return this.state.own ? 'You' : name;
  }

  /** Microphone, pin and network in the name chip; each only when there is something to say. */
  #drawMarks() {
    const { silent, quality, pinned } = this.state;
    const wanted = [pinned && 'pinned', silent && 'mic-off', quality === 'fair' && 'fair', quality === 'poor' && 'poor'];
    const marks = wanted.filter(Boolean).join(' ');
    if (this.chip.dataset.marks === marks) return;
    this.chip.dataset.marks = marks;
    const before = [];
    if (pinned) before.push(makeIcon('pin', 'icon pinned'));
    if (silent) before.push(makeIcon('mic-off', 'icon mic-off'));
    this.chip.replaceChildren(...before, this.label);
    if (quality === 'fair' || quality === 'poor') {
      const bars = make('span', `bars ${quality}`, make('i', ''), make('i', ''), make('i', ''));
      bars.setAttribute('role', 'img');
      bars.setAttribute('aria-label', quality === 'fair' ? 'Network not quite good' : 'Poor network');
      this.chip.append(bars);
    }
  }

  #say(text) {
    if ((this.says.textContent ?? '') === text) return;
    this.says.replaceChildren(...(text ? [make('span', '', text)] : []));
  }

  /** @param {boolean} speaks */
  setSpeaking(speaks) {
    clearTimeout(this.#quiet);
    if (speaks && !this.state?.silent) {
      this.spokeAt = performance.now();
      this.element.classList.add('speaking');
    } else if (this.element.classList.contains('speaking')) {
      this.#quiet = setTimeout(() => this.element.classList.remove('speaking'), RING_LASTS);
    }
  }

  /** @param {Record<string, any> | null} stats Null hides them. */
  showStats(stats) {
    this.element.querySelector('.figures')?.remove();
    if (this.stats) this.element.append(figures(stats, this.state.own));
    setLabel(this.statsButton, this.stats ? 'Hide statistics' : 'Statistics', 'I');
  }
}

/** A picture of the whole screen would show itself in itself without end. */
function showsOwnScreen(track) {
  const surface = track.mediaStreamTrack?.getSettings?.().displaySurface;
  return surface === 'window' || surface === 'browser';
}
