/** The lobby: how one looks and sounds, under which name, and the door. */
import { LevelMeter } from './capture.js';
import { showPeople } from './room-people.js';
import { paintAvatar } from './room-tile.js';
import { byId, copy, make, remember, setIcon, setLabel, setText } from './ui.js';

const NAME = 'sluice.name';
const KINDS = ['audioinput', 'videoinput', 'audiooutput'];

/** Where the loudspeaker can be chosen: Chromium, and Firefox of late. */
export const canChooseOutput = 'setSinkId' in HTMLMediaElement.prototype;

/**
 * Shows the loudness of a microphone in bars until `signal` says stop.
 *
 * @param {HTMLElement} bar Of class `loudness`. @param {() => MediaStreamTrack | null} trackNow @param {AbortSignal} signal
 */
export function showLoudness(bar, trackNow, signal) {
  const meter = new LevelMeter();
  const fill = bar.querySelector('i');
  let [watched, shown, spoken] = [null, 0, 0];
  const draw = (now) => {
    if (signal.aborted) {
      meter.watch(null);
      return;
    }
    const track = trackNow();
    if (track !== watched) meter.watch((watched = track));
    // Up at once, down slowly: easier on the eye.
    shown = Math.max(meter.level(), shown * 0.92);
    fill.style.transform = `scaleX(${shown.toFixed(3)})`;
    if (bar.getAttribute('role') === 'meter' && now - spoken > 1000) {
      spoken = now;
      bar.setAttribute('aria-valuenow', String(Math.round(shown * 100)));
    }
    requestAnimationFrame(draw);
  };
  requestAnimationFrame(draw);
}

/** Copies a link and says so on the button. @param {HTMLElement} button With a `span`. @param {() => string} link */
export function wireLinkButton(button, link, signal) {
  const label = button.querySelector('span');
  const words = label.textContent;
  let timer;
  button.addEventListener('click', async () => {
    const done = await copy(link());
    setIcon(button, done ? 'check' : 'close');
    setText(label, done ? 'Link copied' : 'Could not copy');
    setText(byId('said'), label.textContent);
    clearTimeout(timer);
    timer = setTimeout(() => {
      setIcon(button, 'link');
      setText(label, words);
      setText(byId('said'), '');
    }, 1800);
  }, { signal });
}

/** Why there is no picture, and what to do. @returns {{title: string, text: string, action: string}} */
function explainBlank(devices) {
  const { access, problem } = devices;
  if (access === 'insecure') {
    const url = `https://${location.host}`;
    const text = `Open ${url}, or use localhost on this computer. You can join now to listen and chat.`;
    return { title: 'Your browser blocks the camera on http pages', text, action: '' };
  }
  if (access === 'none') {
    return { title: 'No camera or microphone found', text: 'You can join to listen and chat, and plug one in any time.', action: '' };
  }
  if (access === 'blocked') {
    const text = 'Your browser keeps them from this page. Change that beside the address bar, then try again.';
    return { title: 'Camera and microphone are blocked', text, action: 'Try again' };
  }
  if (access === 'ask') {
    return { title: '', text: problem || 'Nobody sees or hears you before you join.', action: 'Allow camera and microphone' };
  }
  if (access === 'unknown') return { title: '', text: '', action: '' };
  return { title: devices.cameraOn && problem ? '' : 'Your camera is off', text: problem, action: '' };
}

export class Lobby {
  #devices;
  #end = new AbortController();

  /**
   * @param {import('./room-devices.js').Devices} devices @param {string} room @param {() => string} link
   * @param {(name: string, key: string) => void} join
   */
  constructor(devices, room, link, join) {
    this.#devices = devices;
    setText(byId('lobby-name'), room);
    byId('lobby-name').title = room;
    byId('who').value = remember.get('localStorage', NAME) ?? '';
    const { signal } = this.#end;
    byId('who').addEventListener('input', () => this.#draw(), { signal });
    byId('allow').addEventListener('click', () => devices.open(), { signal });
    byId('lobby-mic').addEventListener('click', () => devices.set('mic', !this.#isOn('mic')), { signal });
    byId('lobby-camera').addEventListener('click', () => devices.set('camera', !this.#isOn('camera')), { signal });
    for (const kind of KINDS) {
      byId(`pick-${kind}`).addEventListener('change', ({ target }) => devices.choose(kind, target.value), { signal });
    }
    byId('room-key-show').addEventListener('click', () => this.#showKey(), { signal });
    byId('enter').addEventListener('submit', (event) => {
      event.preventDefault();
      const name = byId('who').value.trim();
      remember.set('localStorage', NAME, name);
      join(name, byId('room-key').value.trim());
    }, { signal });
    wireLinkButton(byId('lobby-link'), link, signal);
    showPeople(byId('lobby-people'), room, () => byId('room-key').value.trim(), signal);
    devices.addEventListener('change', () => this.#draw(), { signal });
    showLoudness(byId('loudness'), () => (this.#isOn('mic') ? devices.mic?.mediaStreamTrack : null) ?? null, signal);
    this.#draw();
    if (matchMedia('(hover: hover)').matches) (byId('who').value ? byId('join') : byId('who')).focus({ focusVisible: false });
  }

  close() {
    this.#end.abort();
    byId('lobby-video').srcObject = null;
  }

  #isOn(what) {
    const track = this.#devices[what];
    return Boolean(track?.mediaStreamTrack && !track.muted);
  }

  /** @param {boolean} busy */
  setBusy(busy) {
    byId('join').disabled = busy;
    if (busy) setText(byId('join'), 'Joining…');
    else this.#draw();
  }

  /** @param {{code: string, message: string} | null} error */
  refuse(error) {
    const asksKey = error?.code === 'room_key';
    if (asksKey) {
      byId('room-key-field').hidden = false;
      byId('room-key').setAttribute('aria-invalid', String(byId('room-key').value !== ''));
      byId('room-key').focus();
    }
    const message = asksKey && byId('room-key').value === '' ? 'This room needs a key. Ask whoever invited you for it.' : error?.message;
    byId('refused').hidden = !error;
    setText(byId('refused').querySelector('p'), message ?? '');
    if (error) byId('enter').scrollIntoView({ block: 'nearest' });
  }

  #showKey() {
    const field = byId('room-key');
    const shown = field.type === 'password';
    field.type = shown ? 'text' : 'password';
    byId('room-key-show').setAttribute('aria-pressed', String(shown));
    setIcon(byId('room-key-show'), shown ? 'eye-off' : 'eye');
    setLabel(byId('room-key-show'), shown ? 'Hide the key' : 'Show the key');
  }

  #draw() {
    const devices = this.#devices;
    const { access } = devices;
    const lit = this.#isOn('camera');
    const video = byId('lobby-video');
    const track = lit ? devices.camera.mediaStreamTrack : null;
    if (video.srcObject?.getVideoTracks()[0] !== (track ?? undefined)) {
      video.srcObject = track ? new MediaStream([track]) : null;
      video.play().catch(() => {});
    }
    byId('mirror').classList.toggle('lit', lit);
    byId('mirror').classList.toggle('no-toggles', access !== 'given');
    byId('loudness').hidden = !devices.mic;
    setIcon(byId('loudness'), this.#isOn('mic') ? 'mic' : 'mic-off');
    const name = byId('who').value.trim();
    paintAvatar(byId('lobby-avatar'), name, access === 'insecure' ? 'camera-off' : '');
    const blank = explainBlank(devices);
    setText(byId('blank-title'), blank.title);
    setText(byId('blank-text'), blank.text);
    setText(byId('allow'), devices.busy ? 'Waiting for your answer…' : blank.action);
    byId('allow').hidden = blank.action === '';
    if (!byId('join').disabled || byId('join').textContent !== 'Joining…') {
      const mute = access === 'insecure' || access === 'none' || access === 'blocked';
      setText(byId('join'), mute ? 'Join to listen' : 'Join');
    }
    this.#drawToggle('lobby-mic', 'mic', 'microphone');
    this.#drawToggle('lobby-camera', 'camera', 'camera');
    for (const kind of KINDS) this.#drawPicker(kind);
  }

  #drawToggle(id, what, word) {
    const on = this.#isOn(what);
    byId(id).classList.toggle('off', !on);
    setIcon(byId(id), on ? what : `${what}-off`);
    setLabel(byId(id), `Turn the ${word} ${on ? 'off' : 'on'}`);
  }

  #drawPicker(kind) {
    const select = byId(`pick-${kind}`);
    const devices = this.#devices.ofKind(kind);
    const useful = this.#devices.access === 'given' && devices.length > 0 && (kind !== 'audiooutput' || canChooseOutput);
    select.parentElement.hidden = !useful;
    const labels = devices.map((device) => `${device.deviceId} ${device.label}`).join('\n');
    if (select.dataset.labels !== labels) {
      select.dataset.labels = labels;
      select.replaceChildren(...devices.map((device) => {
        const option = make('option', '', device.label);
        option.value = device.deviceId;
        return option;
      }));
    }
    const current = this.#devices.current(kind);
    if (devices.some(({ deviceId }) => deviceId === current)) select.value = current;
  }
}
