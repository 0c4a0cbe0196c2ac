/** The room's page: lobby, call, and what comes after it. */
import { Bar, startClock } from './room-bar.js';
import { Banner } from './room-banner.js';
import { ConnectionView } from './room-connection.js';
import { Devices } from './room-devices.js';
import { wireKeys } from './room-keys.js';
import { Lobby } from './room-lobby.js';
import { Panel } from './room-panel.js';
import { Stage } from './room-stage.js';
import { watchTrouble } from './room-trouble.js';
import { Room } from './sluice.js';
import { byId, formatDuration, remember, setText, streamOfPage, wireCopyButtons } from './ui.js';

const VIEWS = ['lobby', 'room', 'gone'];
/** Why a call ended, by the code of the server's `bye`; without a code the person left. */
const ENDS = {
  removed: ['You were removed from the room', 'Somebody who runs this server ended your call.'],
  room_closed: ['The room was closed', 'Somebody who runs this server ended the call for everybody.'],
  resumed: ['You are in this room elsewhere', 'Another tab or device took over your call.'],
};

const name = streamOfPage();
const devices = new Devices();
const invited = keyOfAddress();
let key = invited;
/** @type {AbortController | null} Ends all that belongs to the call. */
let call = null;
/** @type {Lobby | null} */
let lobby = null;

if (name === null) {
  showEnd('This room name cannot be used', 'Names have 1 to 128 letters, digits or - _ . ~', false);
} else {
  wireCopyButtons();
  byId('first-link').value = link();
  byId('again').addEventListener('click', enterLobby);
  enterLobby();
}

/** Who invites by a link with the key in it wants it to be passed on. Behind the `#` it never reaches a log. */
function link() {
  const address = `${location.origin}/room/${encodeURIComponent(name)}`;
  return invited ? `${address}#key=${encodeURIComponent(invited)}` : address;
}

function keyOfAddress() {
  return new URLSearchParams(location.hash.slice(1)).get('key') ?? '';
}

/** @param {'lobby' | 'room' | 'gone'} view */
function show(view) {
  document.body.dataset.view = view;
  for (const id of VIEWS) byId(id).hidden = id !== view;
}

function setTitle(unread = 0) {
  document.title = `${unread > 0 ? `(${unread}) ` : ''}${name} · Sluice`;
}

function enterLobby() {
  setTitle();
  show('lobby');
  if (key === '') key = remember.get('sessionStorage', `sluice.room-key.${name}`) ?? '';
  byId('room-key').value = key;
  lobby = new Lobby(devices, name, link, join);
  devices.begin();
}

/** @param {string} who @param {string} typedKey */
async function join(who, typedKey) {
  if (call) return;
  key = typedKey || key;
  lobby.refuse(null);
  lobby.setBusy(true);
  call = new AbortController();
  const room = new Room({ name: who, key: key || undefined });
  try {
    await room.join(name);
  } catch (error) {
    call.abort();
    call = null;
    lobby.setBusy(false);
    lobby.refuse(error);
    return;
  }
  if (key && !invited) remember.set('sessionStorage', `sluice.room-key.${name}`, key);
  lobby.setBusy(false);
  lobby.close();
  lobby = null;
  begin(room, call.signal);
}

/** @param {Room} room @param {AbortSignal} signal */
function begin(room, signal) {
  show('room');
  setText(byId('room-title'), `Room ${name}`);
  setText(byId('where'), name);
  byId('where').title = name;
  const banner = new Banner(signal);
  let bar = null;
  const stage = new Stage(room, devices, signal, () => bar.stopSharing());
  const panel = new Panel(room, devices, link, signal);
  const connection = new ConnectionView(room, signal);
  bar = new Bar({ room, devices, stage, panel, banner, connection, link, leave: () => leave(room) }, signal);
  watchTrouble(room, devices, banner, connection, signal);
  startClock(signal, formatDuration);
  wireKeys({
    mic: () => bar.toggleMic(),
    camera: () => bar.toggleCamera(),
    share: () => bar.toggleShare(),
    chat: () => panel.toggle('chat'),
    people: () => panel.toggle('people'),
    layout: () => stage.toggleMode(),
    fullscreen: () => bar.toggleFullscreen(),
    connection: () => connection.toggle(),
    close: () => panel.close(),
    turn: (by) => stage.turn(by),
    talk: (on) => bar.talk(on),
    isMuted: () => bar.isMuted,
  }, signal);
  panel.addEventListener('unread', () => setTitle(panel.unread), { signal });
  publish(room, banner, signal);
  watchEnd(room, signal);
  sayWhoComes(room, signal);
  keepAwake(signal);
  const output = devices.current('audiooutput');
  // Where that device is gone, the system's choice is as good.
  if (output !== 'default') room.audio.setOutput(output).catch(() => {});
}

function publish(room, banner, signal) {
  const send = (track) => room.publish(track).catch((error) => {
    banner.set('error', { text: error.message || 'Your camera or microphone could not be sent.', closable: true });
  });
  for (const track of [devices.mic, devices.camera]) if (track) send(track);
  devices.addEventListener('track', ({ detail }) => send(detail), { signal });
}

/** Phones must not go to sleep in the middle of a call. @param {AbortSignal} signal */
function keepAwake(signal) {
  let lock = null;
  const ask = async () => {
    if (document.hidden || signal.aborted) return;
    // Refused with little battery, for instance: then the phone does what it always does.
    lock = (await navigator.wakeLock?.request('screen').catch(() => null)) ?? null;
    if (signal.aborted) lock?.release();
  };
  // The browser takes it back from hidden pages.
  document.addEventListener('visibilitychange', ask, { signal });
  signal.addEventListener('abort', () => lock?.release());
  ask();
}

/** For screen readers: the picture of it is on the stage. */
function sayWhoComes(room, signal) {
  const say = (peer, what) => setText(byId('said'), `${peer.name || 'Guest'} ${what}`);
  room.addEventListener('peer-joined', ({ detail }) => say(detail.peer, 'joined'), { signal });
  room.addEventListener('peer-left', ({ detail }) => say(detail.peer, 'left'), { signal });
}

function watchEnd(room, signal) {
  room.addEventListener('state', ({ detail }) => {
    if (detail.state !== 'left' && detail.state !== 'failed') return;
    const { code, message } = room.error ?? {};
    if (code in ENDS) end(...ENDS[code]);
    else if (detail.state === 'left') end(`You left ${name}`, '');
    else end('The call ended', message ?? '');
  }, { signal });
}

function leave(room) {
  end(`You left ${name}`, '');
  room.leave();
}

function end(title, text) {
  if (!call) return;
  call.abort();
  call = null;
  devices.close();
  if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  setTitle();
  showEnd(title, text, true);
}

/** @param {string} title @param {string} text @param {boolean} again Whether coming back makes sense. */
function showEnd(title, text, again) {
  show('gone');
  setText(byId('gone-title'), title);
  setText(byId('gone-text'), text ?? '');
  byId('again').hidden = !again;
  (again ? byId('again') : byId('gone-title')).focus({ focusVisible: false });
}

