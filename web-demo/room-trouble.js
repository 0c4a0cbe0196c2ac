/** Watches what may go wrong in a call, and tells the banner. */
import { LevelMeter } from './capture.js';

/** How often the own microphone is looked at, in milliseconds. */
const LISTENS = 100;
/** Louder than this somebody speaks; see `LevelMeter`. */
const SPEECH = 0.5;
/** So many looks out of the last second, before a word about a muted microphone. */
const SPOKEN = 5;
/** A microphone that gives nothing at all for so long is broken or turned off at its switch. */
const SILENT_LOOKS = 80;
/** A bad second is no news; the network is weak when it stays so, in milliseconds. */
const WEAK_AFTER = 4000;

/**
 * @param {import('./sluice.js').Room} room @param {import('./room-devices.js').Devices} devices
 * @param {import('./room-banner.js').Banner} banner
 * @param {import('./room-connection.js').ConnectionView} connection @param {AbortSignal} signal
 */
export function watchTrouble(room, devices, banner, connection, signal) {
  watchConnection(room, banner, signal);
  watchMove(room, banner, signal);
  watchNetwork(room, banner, connection, signal);
  watchMicrophone(devices, banner, signal);
  devices.addEventListener('lost', ({ detail }) => {
    const { what, name, now } = detail;
    const text = now ? `${name} was unplugged. Using ${now} now.` : `${name} was unplugged. Your ${what} is off.`;
    banner.set('lost', { text, closable: true, lasts: now ? 8000 : undefined });
  }, { signal });
  devices.addEventListener('trouble', ({ detail }) => banner.set('trouble', { text: detail, closable: true, lasts: 12_000 }), { signal });
  const sayBlocked = () => {
    const action = { label: 'Turn the sound on', act: () => room.startAudio() };
    banner.set('sound-blocked', { text: 'Your browser holds the sound back.', icon: 'muted', action });
  };
  room.addEventListener('audio-blocked', sayBlocked, { signal });
  if (room.audio.blocked) sayBlocked();
  room.addEventListener('audio-started', () => banner.clear('sound-blocked'), { signal });
  room.addEventListener('error', ({ detail }) => {
    if (detail?.message) banner.set('error', { text: detail.message, closable: true, lasts: 8000 });
  }, { signal });
}

function watchConnection(room, banner, signal) {
  room.addEventListener('state', ({ detail }) => {
    if (detail.state !== 'reconnecting') {
      banner.clear('connection');
      banner.clear('moving');
      return;
    }
    const text = navigator.onLine ? 'Connection lost. Reconnecting…' : 'You are offline. Waiting for the network…';
    banner.set('connection', { text, icon: 'offline', since: detail.since ?? Date.now() });
  }, { signal });
}

/** The server restarts and takes everybody back. */
function watchMove(room, banner, signal) {
  room.addEventListener('bye', ({ detail }) => {
    if (detail.code !== 'restarting') return;
    banner.set('moving', { text: 'The server restarts. You come back by yourself…', icon: 'offline', since: Date.now() });
  }, { signal });
}

function watchNetwork(room, banner, connection, signal) {
  let timer = null;
  const look = () => {
    if (room.connectionQuality !== 'poor') {
      clearTimeout(timer);
      timer = null;
      banner.clear('network');
      return;
    }
    timer ??= setTimeout(() => {
      const action = { label: 'Details', act: () => connection.toggle() };
      banner.set('network', { text: 'Your network is weak. Pictures may stop; the sound goes on.', icon: 'bars', closable: true, action });
    }, WEAK_AFTER);
  };
  room.addEventListener('quality', look, { signal });
  signal.addEventListener('abort', () => clearTimeout(timer));
}

/** A muted track gives silence; a copy of it still hears whether its owner speaks. */
function watchMicrophone(devices, banner, signal) {
  const meter = new LevelMeter();
  let [watched, copy, silent] = [null, null, 0];
  /** @type {boolean[]} */
  const spoke = [];
  const follow = (track) => {
    copy?.stop();
    watched = track;
    copy = track && track.readyState === 'live' ? track.clone() : null;
    if (copy) copy.enabled = true;
    meter.watch(copy);
    [silent, spoke.length] = [0, 0];
  };
  const timer = setInterval(() => {
    const track = devices.mic?.mediaStreamTrack ?? null;
    if (track !== watched) follow(track);
    if (!copy) return;
    const level = meter.level();
    spoke.push(level > SPEECH);
    if (spoke.length > 10) spoke.shift();
    const muted = devices.mic.muted;
    if (!muted) banner.clear('muted');
    else if (spoke.filter(Boolean).length >= SPOKEN) {
      banner.set('muted', { text: 'You are muted. Press M, or hold Space to talk.', icon: 'mic-off', lasts: 4000 });
    }
    silent = !muted && meter.isDead() ? silent + 1 : 0;
    if (silent === SILENT_LOOKS) {
      const text = 'Nothing comes from your microphone. Check its switch, or choose another one.';
      banner.set('silent', { text, icon: 'mic-off', closable: true });
    } else if (silent === 0) {
      banner.clear('silent');
    }
  }, LISTENS);
  signal.addEventListener('abort', () => {
    clearInterval(timer);
    follow(null);
  });
}
