/** What the publisher's page shows: preview, notes, figures, clock, meter. */
import { LevelMeter } from './capture.js';
import { byId, formatBitrate, formatMs, formatShare, setIcon, setText } from './ui.js';

/** A limit must last so many seconds before it is worth a word: every sender starts low and works its way up. */
const LIMIT_LASTS = 20;
const LIMITS = {
  bandwidth: 'Your network cannot carry the full picture, so it is sent smaller or with fewer frames.',
  cpu: 'This computer is too busy for the full picture. Try a smaller one under Advanced.',
};

/** @type {Map<string, {text: string, element: HTMLElement}>} */
const notes = new Map();
let limited = 0;
let clock = null;

/**
 * One note for each subject; a new one replaces the old.
 *
 * @param {string} subject @param {'warn' | 'bad'} kind @param {string} text
 * @param {{label: string, action: () => void}} [button]
 */
export function note(subject, kind, text, button) {
  if (notes.get(subject)?.text === text) return;
  clearNote(subject);
  const element = document.createElement('div');
  element.className = `note ${kind}`;
  element.innerHTML = '<svg class="icon" aria-hidden="true"><use href="/assets/icons.svg#warning"/></svg><div><p></p></div>';
  element.querySelector('p').textContent = text;
  if (button) {
    const action = document.createElement('button');
    action.className = 'button';
    action.textContent = button.label;
    action.addEventListener('click', button.action);
    element.lastElementChild.append(action);
  }
  byId('notes').append(element);
  notes.set(subject, { text, element });
}

/** @param {string} subject */
export function clearNote(subject) {
  notes.get(subject)?.element.remove();
  notes.delete(subject);
}

/**
 * @param {import('./capture.js').Capture} capture
 * @param {'ask' | 'blocked' | 'none'} without What to say without a picture: ask for permission, tell how to get it, or
 *   just state it.
 */
export function showPreview(capture, without) {
  const { video: track, source } = capture;
  const video = byId('video');
  const preview = byId('preview');
  if (video.srcObject?.getVideoTracks()[0] !== (track ?? undefined)) {
    video.srcObject = track ? new MediaStream([track]) : null;
  }
  const visible = Boolean(track?.enabled);
  preview.classList.toggle('mirrored', source === 'camera');
  preview.classList.toggle('dark', !visible);
  byId('empty').hidden = visible;
  if (visible) return;
  const screen = source === 'screen';
  if (track) {
    showEmpty(screen ? 'screen' : 'camera-off', screen ? 'Your screen is hidden' : 'Your camera is off', 'Viewers see a black picture.', '');
  } else if (without === 'ask') {
    showEmpty('camera', 'Ready when you are', 'Nothing is sent before you go live.', 'Allow camera and microphone');
  } else if (without === 'blocked') {
    const text = 'Your browser keeps them from this page. Change that beside the address bar.';
    showEmpty('camera-off', 'Camera and microphone are blocked', text, 'Try again');
  } else {
    const text = capture.audio ? 'Only sound is sent.' : '';
    showEmpty(screen ? 'screen' : 'camera-off', 'No picture', text, screen ? 'Share your screen' : 'Turn the camera on');
  }
}

function showEmpty(icon, title, text, action) {
  setIcon(byId('empty'), icon);
  setText(byId('empty-title'), title);
  setText(byId('empty-text'), text);
  setText(byId('start'), action);
  byId('start').hidden = action === '';
  byId('start').classList.toggle('accent', action.startsWith('Allow'));
}

/** @param {import('./stats.js').PublisherStats} stats */
export function showStats(stats) {
  setText(byId('bitrate'), formatBitrate(stats.bitrate));
  setText(byId('fps'), `${Math.round(stats.fps)} fps`);
  setText(byId('size'), stats.height ? `${stats.width}×${stats.height}` : '–');
  setText(byId('lost'), formatShare(stats.lost));
  setText(byId('rtt'), formatMs(stats.rttMs));
  setText(byId('codec-used'), stats.codec || '–');
  limited = stats.limit in LIMITS ? limited + 1 : 0;
  if (limited > LIMIT_LASTS) note('limit', 'warn', LIMITS[stats.limit]);
  else if (limited === 0) clearNote('limit');
}

/** @param {(ms: number) => void} show Called every second with the time since the start. */
export function startClock(show) {
  if (clock !== null) return;
  const begin = Date.now();
  limited = 0;
  for (const id of ['bitrate', 'fps', 'size', 'lost', 'rtt', 'codec-used']) setText(byId(id), '–');
  show(0);
  clock = setInterval(() => show(Date.now() - begin), 1000);
}

export function stopClock() {
  clearInterval(clock);
  clock = null;
  setText(byId('clock'), '');
}

/** @param {() => MediaStreamTrack | null} trackNow */
export function startMeter(trackNow) {
  const meter = new LevelMeter();
  const bar = byId('meter').firstElementChild;
  let watched = null;
  let shown = 0;
  let spoken = 0;
  const draw = (now) => {
    const track = trackNow();
    if (track !== watched) meter.watch((watched = track));
    // Up at once, down slowly: easier on the eye, and peaks stay readable.
    shown = Math.max(meter.level(), shown * 0.92);
    bar.style.transform = `scaleX(${shown.toFixed(3)})`;
    if (now - spoken > 1000) {
      spoken = now;
      byId('meter').setAttribute('aria-valuenow', String(Math.round(shown * 100)));
    }
    requestAnimationFrame(draw);
  };
  requestAnimationFrame(draw);
}
