/** The player page: what the session does on the left, what people see on the right. */
import { MediaPathError, ProblemError, UnreachableError } from './session.js';
import { byId, formatBitrate, formatMs, remember, setText, streamOfPage } from './ui.js';
import { WhepClient } from './whep.js';
import { wireControls } from './watch-controls.js';
import { showStats, wirePanels } from './watch-stats.js';

const player = byId('player');
const video = byId('video');
const frozen = byId('frozen');
const stream = streamOfPage();

/** Whether a frame of the current session has been shown. */
let picture = false;
let ticking = null;

const session = stream === null ? null : new WhepClient(`/whep/${stream}`);

if (session === null) {
  setText(byId('name'), 'Sluice');
  cover('This stream name cannot be used', 'Names have 1 to 128 letters, digits or - _ . ~', { warning: true });
} else {
  setText(byId('name'), stream);
  document.title = `${stream} · Sluice`;
  wireControls(player, video);
  wirePanels();
  wirePlayback();
  session.addEventListener('state', update);
  session.addEventListener('stalled', update);
  session.addEventListener('stream', attach);
  session.addEventListener('stats', () => {
    showLine();
    showStats(session.stats);
  });
  byId('retry').addEventListener('click', () => session.start());
  // The session ended with the page; a page that comes back from the browser's memory starts a new one.
  addEventListener('pageshow', (event) => event.persisted && session.start());
  session.start();
}

/** A new MediaStream: after a reconnection the last frame stays visible until the next one is there. */
function attach() {
  picture = false;
  video.srcObject = session.stream;
  video.requestVideoFrameCallback?.(shown);
  play();
}

function wirePlayback() {
  video.addEventListener('loadeddata', shown);
  const volume = Number(remember.get('localStorage', 'sluice.volume') ?? 1);
  video.volume = volume >= 0 && volume <= 1 ? volume : 1;
  video.muted = remember.get('localStorage', 'sluice.muted') === 'yes';
  video.addEventListener('volumechange', () => {
    remember.set('localStorage', 'sluice.volume', String(video.volume));
    // Muted by the browser's autoplay rule is not a choice worth remembering.
    if (byId('unmute').hidden) remember.set('localStorage', 'sluice.muted', video.muted ? 'yes' : 'no');
    if (!video.muted) byId('unmute').hidden = true;
  });
  byId('unmute').addEventListener('click', () => {
    byId('unmute').hidden = true;
    video.muted = false;
    video.play().catch(() => {});
    byId('mute').focus({ focusVisible: false });
  });
  byId('big-play').addEventListener('click', play);
}

/** Browsers let a page start with sound only after a click on it; without sound they do not mind. */
async function play() {
  byId('big-play').hidden = true;
  try {
    await video.play();
  } catch (error) {
    if (error.name !== 'NotAllowedError') return;
    if (video.muted) {
      byId('big-play').hidden = false;
      return;
    }
    byId('unmute').hidden = false;
    video.muted = true;
    await play();
  }
}

function shown() {
  if (session.state !== 'live') return;
  picture = true;
  frozen.hidden = true;
  update();
}

/** Keeps the last frame for the time without a session: the video element loses it with its tracks. */
function freeze() {
  if (!picture || !frozen.hidden || video.videoWidth === 0) return;
  frozen.width = video.videoWidth;
  frozen.height = video.videoHeight;
  frozen.getContext('2d').drawImage(video, 0, 0);
  frozen.hidden = false;
}

function update() {
  const { state, error } = session;
  const lost = state === 'reconnecting' || (state === 'connecting' && !frozen.hidden);
  if (lost) freeze();
  if (state === 'waiting' || state === 'failed') {
    frozen.hidden = true;
    picture = false;
  }
  const visible = (picture && state === 'live') || !frozen.hidden;
  player.dataset.view = visible ? 'picture' : 'cover';
  player.classList.toggle('away', visible && (lost || session.stalled));
  byId('badge').classList.toggle('off', state !== 'live' || session.stalled || video.paused);
  if (state !== 'live') {
    setText(byId('line'), '');
    showStats(null);
  }
  clearInterval(ticking);
  if (visible) {
    describeTrouble();
    if (state === 'reconnecting') ticking = setInterval(describeTrouble, 1000);
  } else {
    banner('');
    describeCover(state, error);
  }
}

/** The slim banner over a picture that stands still. */
function describeTrouble() {
  if (session.state === 'reconnecting') {
    const seconds = Math.max(0, Math.ceil((session.retryAt - Date.now()) / 1000));
    const when = seconds > 1 ? ` Next try in ${seconds} s.` : '';
    banner(`${session.error.message.replace(/ Check .*/, '')} Reconnecting.${when}`);
  } else if (session.stalled) {
    banner('The stream paused. It goes on by itself when the publisher is back.');
  } else {
    banner('');
  }
}

/** The page without a picture. */
function describeCover(state, error) {
  if (state === 'waiting') {
    cover('Waiting for the stream', 'It starts here by itself as soon as someone publishes.', { water: true });
  } else if (state === 'live') {
    const text = session.stalled ? 'You are connected. No picture has arrived yet.' : '';
    cover('Waiting for the picture', text, { water: true });
  } else if (state === 'reconnecting') {
    cover(...describeRetry(error), { water: true });
  } else if (state === 'failed') {
    cover(failureTitle(error), error.detail || error.message, { warning: true, retry: true });
  } else if (state === 'connecting') {
    cover('Connecting', '', { water: true });
  } else {
    cover('Stopped', '', { retry: true });
  }
}

/** @returns {[string, string]} Title and text. */
function describeRetry(error) {
  if (error instanceof MediaPathError) {
    return ['No way through for the picture', 'The server answers, but a firewall may block UDP. Trying again.'];
  }
  if (error instanceof UnreachableError) return ['The server does not answer', 'Trying again by itself.'];
  if (error instanceof ProblemError) return ['Not now', `${error.message} Trying again by itself.`];
  return ['Reconnecting', 'Trying again by itself.'];
}

function failureTitle(error) {
  if (error.status === 401 || error.status === 403) return 'You may not watch this stream';
  if (error.status === 404) return 'There is no such stream here';
  if (error.status === 422) return 'Your browser cannot play this stream';
  return 'This did not work';
}

function cover(title, text, { water = false, warning = false, retry = false } = {}) {
  player.dataset.view = 'cover';
  setText(byId('cover-title'), title);
  setText(byId('cover-text'), text);
  byId('water').toggleAttribute('hidden', !water);
  byId('cover-icon').toggleAttribute('hidden', !warning);
  byId('retry').hidden = !retry;
}

function banner(text) {
  if (text) setText(byId('banner'), text);
  byId('banner').classList.toggle('shown', text !== '');
}

/** "Latency 84 ms · 720p · 30 fps · 2.4 Mb/s", as much of it as is known and fits. */
function showLine() {
  const { latencyMs, height, fps, bitrate } = session.stats;
  const parts = [];
  if (session.stalled) {
    setText(byId('line'), '');
    return;
  }
  if (latencyMs !== null) parts.push(innerWidth > 640 ? `Latency ${formatMs(latencyMs)}` : formatMs(latencyMs));
  if (innerWidth > 640) {
    if (height) parts.push(`${height}p`, `${Math.round(fps)} fps`);
    if (bitrate) parts.push(formatBitrate(bitrate));
  }
  setText(byId('line'), parts.join('  ·  '));
  byId('line').title = 'Latency from the server to the decoded picture. The way from the camera to the server is not in it.';
}

video.addEventListener('pause', () => session && update());
video.addEventListener('play', () => session && update());
