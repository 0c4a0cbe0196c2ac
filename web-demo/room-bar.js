/** The bar: what one can do in a call, by button and by key. */
import { canShareScreen } from './capture.js';
import { canChooseOutput, showLoudness } from './room-lobby.js';
import { toggleKeys } from './room-keys.js';
import { closeMenu, openMenu } from './room-menu.js';
import { LocalTrack } from './sluice.js';
import { byId, copy, make, makeIcon, setIcon, setLabel, setText } from './ui.js';

const IDLE_AFTER = 3000;

export class Bar {
  #talking = false;

  /**
   * @param {object} parts
   * @param {import('./sluice.js').Room} parts.room @param {import('./room-devices.js').Devices} parts.devices
   * @param {import('./room-stage.js').Stage} parts.stage @param {import('./room-panel.js').Panel} parts.panel
   * @param {import('./room-connection.js').ConnectionView} parts.connection
   * @param {import('./room-banner.js').Banner} parts.banner @param {() => string} parts.link @param {() => void} parts.leave
   * @param {AbortSignal} signal
   */
  constructor(parts, signal) {
    Object.assign(this, parts);
    this.signal = signal;
    const on = (id, act) => byId(id).addEventListener('click', act, { signal });
    on('mic', () => this.toggleMic());
    on('camera', () => this.toggleCamera());
    on('share', () => this.toggleShare());
    on('chat-open', () => this.panel.toggle('chat'));
    on('people-open', () => this.panel.toggle('people'));
    on('layout', () => this.stage.toggleMode());
    on('leave', () => this.leave());
    on('mic-menu', () => this.#openSound(byId('mic-menu')));
    on('camera-menu', () => this.#openCameras(byId('camera-menu')));
    on('more', () => this.#openMore());
    this.devices.addEventListener('change', () => this.draw(), { signal });
    this.stage.addEventListener('view', () => this.draw(), { signal });
    document.addEventListener('fullscreenchange', () => this.#watchIdle(), { signal });
    signal.addEventListener('abort', () => closeMenu());
    if (!canShareScreen) byId('share').hidden = true;
    this.draw();
  }

  draw() {
    const muted = this.isMuted;
    const dark = !this.devices.camera || this.devices.camera.muted;
    this.#drawSwitch('mic', muted, muted ? 'Turn the microphone on' : 'Turn the microphone off', 'M');
    this.#drawSwitch('camera', dark, dark ? 'Turn the camera on' : 'Turn the camera off', 'V');
    const shares = this.room.tracks.has('screen');
    byId('share').classList.toggle('sends', shares);
    setIcon(byId('share'), shares ? 'screen-off' : 'screen');
    setLabel(byId('share'), shares ? 'Stop sharing' : 'Share your screen', 'S');
    const focused = this.stage.isFocused;
    setIcon(byId('layout'), focused ? 'grid' : 'speaker-view');
    setLabel(byId('layout'), focused ? 'Grid view' : 'Speaker view', 'L');
  }

  #drawSwitch(id, off, label, key) {
    byId(id).classList.toggle('off', off);
    setIcon(byId(id), off ? `${id}-off` : id);
    setLabel(byId(id), label, key);
  }

  get isMuted() {
    return !this.devices.mic || this.devices.mic.muted;
  }

  toggleMic() {
    return this.devices.set('mic', this.isMuted);
  }

  toggleCamera() {
    return this.devices.set('camera', !this.devices.camera || this.devices.camera.muted);
  }

  /** While Space is held. @param {boolean} on */
  talk(on) {
    if (on === this.#talking) return;
    this.#talking = on;
    this.devices.set('mic', on);
  }

  async toggleShare() {
    if (!canShareScreen) return;
    if (this.room.tracks.has('screen')) {
      await this.stopSharing();
      return;
    }
    let tracks;
    try {
      tracks = await LocalTrack.screen({ audio: true });
    } catch (error) {
      // The person closed the browser's own list: no news to them.
      if (error.code === 'canceled') return;
      this.banner.set('trouble', { text: error.message, closable: true, lasts: 8000 });
      return;
    }
    try {
      for (const track of tracks) {
        track.addEventListener('ended', () => this.stopSharing(), { signal: this.signal });
        await this.room.publish(track);
      }
    } catch (error) {
      for (const track of tracks) track.stop();
      this.banner.set('trouble', { text: error.message, closable: true, lasts: 8000 });
    }
    this.stage.refresh();
    this.draw();
  }

  async stopSharing() {
    for (const source of ['screen', 'screen_audio']) {
      const track = this.room.tracks.get(source);
      if (!track) continue;
      await this.room.unpublish(track).catch(() => {});
      track.stop();
    }
    this.stage.refresh();
    this.draw();
  }

  /** @returns {import('./room-menu.js').Entry[]} */
  #devicesOf(kind, heading) {
    const devices = this.devices.ofKind(kind);
    if (devices.length === 0) return [];
    const current = this.devices.current(kind);
    return [{ group: heading }, ...devices.map((device) => ({
      label: device.label,
      checked: device.deviceId === current,
      action: () => this.#choose(kind, device.deviceId),
    }))];
  }

  async #choose(kind, deviceId) {
    await this.devices.choose(kind, deviceId);
    if (kind !== 'audiooutput') return;
    await this.room.audio.setOutput(deviceId).catch((error) => {
      this.banner.set('trouble', { text: error.message, closable: true, lasts: 8000 });
    });
  }

  #openSound(anchor) {
    const entries = this.#devicesOf('audioinput', 'Microphone');
    const end = new AbortController();
    if (entries.length > 0) {
      const bar = make('div', 'loudness', makeIcon('mic', 'icon s'), make('span', '', make('i', '')));
      bar.setAttribute('role', 'presentation');
      showLoudness(bar, () => (this.isMuted ? null : this.devices.mic.mediaStreamTrack), end.signal);
      entries.push({ element: bar });
    }
    const outputs = canChooseOutput ? this.#devicesOf('audiooutput', 'Sound') : [];
    if (entries.length > 0 && outputs.length > 0) entries.push({ line: true });
    entries.push(...outputs);
    this.#openList(anchor, entries, 'microphone', () => end.abort());
  }

  #openCameras(anchor) {
    this.#openList(anchor, this.#devicesOf('videoinput', 'Camera'), 'camera');
  }

  #openList(anchor, entries, word, onClose) {
    if (entries.length > 0) {
      openMenu(anchor, entries, onClose);
      return;
    }
    const text = { insecure: 'Your browser blocks it on http pages.', blocked: 'Your browser blocks it for this page.' };
    const none = text[this.devices.access] ?? `No ${word} was found.`;
    const allow = { label: `Allow the ${word}`, icon: word === 'camera' ? 'camera' : 'mic', action: () => this.devices.set(word === 'camera' ? 'camera' : 'mic', true) };
    openMenu(anchor, [{ group: none }, ...(this.devices.access === 'insecure' ? [] : [allow])], onClose);
  }

  #openMore() {
    const { room, stage } = this;
    const narrow = matchMedia('(max-width: 560px)').matches;
    const dark = document.querySelector('[data-theme-switch]');
    const entries = [];
    if (narrow) {
      const shares = room.tracks.has('screen');
      if (canShareScreen) entries.push({ label: shares ? 'Stop sharing' : 'Share your screen', icon: shares ? 'screen-off' : 'screen', action: () => this.toggleShare() });
      entries.push({ label: stage.isFocused ? 'Grid view' : 'Speaker view', icon: stage.isFocused ? 'grid' : 'speaker-view', action: () => stage.toggleMode() });
      entries.push({ label: 'Microphone and sound', icon: 'mic', action: () => this.#openSound(byId('more')) });
      entries.push({ label: 'Camera', icon: 'camera', action: () => this.#openCameras(byId('more')) }, { line: true });
    }
    entries.push({ label: 'Copy link to this room', icon: 'link', action: () => this.#copyLink() });
    if (document.fullscreenEnabled) {
      const full = document.fullscreenElement !== null;
      entries.push({ label: full ? 'Leave full screen' : 'Full screen', icon: full ? 'fullscreen-exit' : 'fullscreen', key: 'F', action: () => this.toggleFullscreen() });
    }
    const deaf = room.audio.muted;
    entries.push({ label: deaf ? 'Hear the others again' : 'Hear nobody', icon: deaf ? 'volume' : 'muted', action: () => this.#setDeaf(!deaf) });
    entries.push({ label: stage.statsOfAll ? 'Hide statistics' : 'Statistics', icon: 'stats', action: () => stage.toggleAllStats() });
    entries.push({ label: 'Your connection', icon: 'bars', key: 'N', action: () => this.connection.toggle() });
    entries.push({ label: dark.dataset.tip ?? 'Theme', icon: dark.dataset.tip === 'Dark theme' ? 'moon' : 'sun', action: () => dark.click() });
    if (!narrow) entries.push({ label: 'Keys', icon: 'keyboard', key: '?', action: toggleKeys });
    openMenu(byId('more'), entries);
  }

  async #copyLink() {
    const done = await copy(this.link());
    const text = done ? 'The link to this room is copied.' : 'Could not copy. The link is in the address bar.';
    this.banner.set('info', { text, kind: 'calm', icon: done ? 'check' : 'warning', lasts: 2500 });
  }

  #setDeaf(deaf) {
    this.room.audio.muted = deaf;
    const action = { label: 'Hear them', act: () => this.#setDeaf(false) };
    if (deaf) this.banner.set('sound-blocked', { text: 'You hear nobody.', kind: 'calm', icon: 'muted', action });
    else this.banner.clear('sound-blocked');
  }

  async toggleFullscreen() {
    if (!document.fullscreenEnabled) return;
    if (document.fullscreenElement) await document.exitFullscreen();
    else await byId('room').requestFullscreen().catch(() => {});
  }

  /** In full screen the bar steps back while nobody moves. */
  #watchIdle() {
    this.idle?.abort();
    byId('room').classList.remove('idle');
    if (!document.fullscreenElement) return;
    this.idle = new AbortController();
    const signal = AbortSignal.any ? AbortSignal.any([this.idle.signal, this.signal]) : this.idle.signal;
    let timer;
    const wake = () => {
      byId('room').classList.remove('idle');
      clearTimeout(timer);
      timer = setTimeout(() => {
        const busy = byId('bar').matches(':hover, :focus-within:has(:focus-visible)') || document.querySelector('.menu');
        if (!busy) byId('room').classList.add('idle');
      }, IDLE_AFTER);
    };
    for (const type of ['pointermove', 'pointerdown', 'keydown']) addEventListener(type, wake, { signal });
    signal.addEventListener('abort', () => clearTimeout(timer));
    wake();
  }
}

/** The clock beside the room's name. @param {AbortSignal} signal @param {(ms: number) => string} format */
export function startClock(signal, format) {
  const began = Date.now();
  const tick = () => setText(byId('clock'), format(Date.now() - began));
  tick();
  const timer = setInterval(tick, 1000);
  signal.addEventListener('abort', () => clearInterval(timer));
}
