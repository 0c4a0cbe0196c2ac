/** Buttons, pointer and keys of the player. */
import { byId, setIcon, setLabel } from './ui.js';

/** Bars hide after so long without movement, in milliseconds. */
const IDLE_MS = 3000;
/** A click waits this long for a second one, which means full screen and not pause. */
const DOUBLE_CLICK_MS = 220;

/** @param {HTMLElement} player @param {HTMLVideoElement} video */
export function wireControls(player, video) {
  const actions = {
    play: () => (video.paused ? video.play().catch(() => {}) : video.pause()),
    mute: () => toggleMute(video),
    pip: () => togglePip(video),
    fullscreen: () => toggleFullscreen(player, video),
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener('click', action);
  for (const element of document.querySelectorAll('[data-needs-pip]')) element.hidden = !document.pictureInPictureEnabled;
  byId('fullscreen').hidden = !player.requestFullscreen && !video.webkitEnterFullscreen;

  const volume = byId('volume');
  volume.addEventListener('input', () => {
    video.volume = Number(volume.value);
    video.muted = video.volume === 0;
  });

  const show = () => describe(player, video);
  for (const event of ['play', 'pause', 'volumechange', 'enterpictureinpicture', 'leavepictureinpicture']) {
    video.addEventListener(event, show);
  }
  document.addEventListener('fullscreenchange', show);
  show();

  wireKeys(video, actions);
  wirePointer(player, video, actions);
}

function describe(player, video) {
  const silent = video.muted || video.volume === 0;
  setIcon(byId('play'), video.paused ? 'play' : 'pause');
  setLabel(byId('play'), video.paused ? 'Play' : 'Pause', 'K');
  setIcon(byId('mute'), silent ? 'muted' : 'volume');
  setLabel(byId('mute'), silent ? 'Sound on' : 'Sound off', 'M');
  const level = silent ? 0 : video.volume;
  byId('volume').value = String(level);
  byId('volume').style.setProperty('--level', `${level * 100}%`);
  const full = document.fullscreenElement !== null && document.fullscreenElement !== undefined;
  setIcon(byId('fullscreen'), full ? 'fullscreen-exit' : 'fullscreen');
  setLabel(byId('fullscreen'), full ? 'Leave full screen' : 'Full screen', 'F');
  const floating = document.pictureInPictureElement === video;
  setLabel(byId('pip'), floating ? 'Leave picture in picture' : 'Picture in picture', 'P');
  setLabel(byId('stats-open'), 'Statistics', 'S');
  setLabel(byId('keys-open'), 'Keys', '?');
}

function toggleMute(video) {
  if (video.volume === 0) video.volume = 0.5;
  video.muted = !video.muted;
}

function togglePip(video) {
  if (!document.pictureInPictureEnabled) return;
  const change = document.pictureInPictureElement ? document.exitPictureInPicture() : video.requestPictureInPicture();
  change.catch(() => {}); // Refused while there is no picture yet: nothing to float.
}

function toggleFullscreen(player, video) {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (player.requestFullscreen) player.requestFullscreen().catch(() => {});
  else video.webkitEnterFullscreen?.(); // iPhones let only the video itself go full screen.
}

function wireKeys(video, actions) {
  const step = (change) => {
    video.volume = Math.min(1, Math.max(0, video.volume + change));
    video.muted = video.volume === 0;
  };
  const keys = {
    k: actions.play,
    m: actions.mute,
    f: actions.fullscreen,
    p: actions.pip,
    i: actions.pip,
    s: () => byId('stats-open').click(),
    '?': () => byId('keys-open').click(),
    arrowup: () => step(0.05),
    arrowdown: () => step(-0.05),
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.target.closest?.('button, a, input');
    const key = event.key.toLowerCase();
    const action = key === ' ' && !onButton ? actions.play : keys[key];
    // The slider moves by its own arrow keys.
    if (!action || (event.target.id === 'volume' && key.startsWith('arrow'))) return;
    event.preventDefault();
    action();
  });
}

function wirePointer(player, video, actions) {
  let idle;
  let click;
  const wake = () => {
    player.classList.remove('idle');
    clearTimeout(idle);
    idle = setTimeout(rest, IDLE_MS);
  };
  const rest = () => {
    const busy = video.paused || player.querySelector(':is(.controls, .top, .unmute, .panel):is(:hover, :has(:focus-visible))');
    if (player.dataset.view === 'picture' && !busy) player.classList.add('idle');
    else wake();
  };
  for (const event of ['pointermove', 'pointerdown', 'keydown', 'focusin']) document.addEventListener(event, wake);
  video.addEventListener('play', wake);
  video.addEventListener('pause', wake);
  wake();

  video.addEventListener('pointerup', (event) => {
    // A finger only brings the bars back; a mouse on the picture means pause, twice means full screen.
    if (event.pointerType !== 'mouse' || event.button !== 0) return;
    clearTimeout(click);
    if (event.detail > 1) return;
    click = setTimeout(actions.play, DOUBLE_CLICK_MS);
  });
  video.addEventListener('dblclick', () => {
    clearTimeout(click);
    actions.fullscreen();
  });
}
