/** The publisher's page. */
import { Capture, canCapture, canShareScreen, explain } from './capture.js';
import { clearNote, note, showPreview, showStats, startClock, startMeter, stopClock } from './publish-view.js';
import { byId, formatDuration, remember, setIcon, setLabel, setText, streamOfPage, wireCopyButtons } from './ui.js';
import { WhipClient, videoCodecs } from './whip.js';

const page = byId('publish');
const stream = streamOfPage();
const keyName = `sluice.key.${stream}`;
const capture = new Capture();
let publisher = null;
let wakeLock = null;

if (stream === null) refusePage('This stream name cannot be used', 'Names have 1 to 128 letters, digits or - _ . ~');
else start();

function start() {
  setText(byId('name'), stream);
  document.title = `Publish ${stream} · Sluice`;
  byId('link').value = `${location.origin}/watch/${stream}`;
  byId('open').href = `/watch/${stream}`;
  byId('server').value = `${location.origin}/whip/${stream}`;
  publisher = new WhipClient(`/whip/${stream}`);
  wireCopyButtons();
  wireKey();
  if (!canCapture) {
    refuseCapture();
    return;
  }
  wireCapture();
  wireAdvanced();
  wirePublisher();
  openIfAllowed();
}

/** Cameras need a secure page. Say so, and show the way that works without. */
function refuseCapture() {
  const secure = location.href.replace(/^http:/, 'https:');
  const text = isSecureContext
    ? 'This browser has no access to a camera. Try another browser, or use OBS.'
    : `Your browser blocks the camera on http pages. Open ${secure} if this server has a certificate, or open the page as http://localhost on the server itself. OBS works from here as well.`;
  refusePage('No camera on this page', text);
  byId('obs').open = true;
  byId('advanced').hidden = true;
}

function refusePage(title, text) {
  page.classList.add('no-capture');
  setIcon(byId('empty'), 'warning');
  setText(byId('empty-title'), title);
  setText(byId('empty-text'), text);
  if (stream === null) document.querySelector('.side').hidden = true;
}

/** Starts the preview right away where permission was given before; asks for a click where not. */
async function openIfAllowed() {
  const states = await Promise.all(
    ['camera', 'microphone'].map((name) =>
      navigator.permissions?.query({ name }).then((status) => status.state, () => 'prompt'),
    ),
  );
  await capture.listDevices();
  if (states.every((state) => state === 'granted')) await open();
  else showPreview(capture, 'ask');
}

async function open() {
  clearNote('devices');
  byId('start').disabled = true;
  const error = await capture.openBoth();
  byId('start').disabled = false;
  if (!error) return;
  if (error.name === 'NotAllowedError') {
    showPreview(capture, 'blocked');
    return;
  }
  const nothing = !capture.video && !capture.audio;
  const what = nothing ? 'camera and microphone' : capture.video ? 'microphone' : 'camera';
  note('devices', nothing ? 'bad' : 'warn', explain(error, what));
  showPreview(capture, 'none');
}

function wireCapture() {
  byId('sources').hidden = !canShareScreen;
  byId('start').addEventListener('click', () => (capture.audio || capture.source === 'screen' ? choose(capture.source) : open()));
  capture.addEventListener('video', () => {
    publisher.setVideo(capture.video).catch(() => {});
    showPreview(capture, 'none');
    byId('camera-field').hidden = capture.source === 'screen';
    refresh();
  });
  capture.addEventListener('audio', () => {
    publisher.setAudio(capture.audio).catch(() => {});
    refresh();
  });
  capture.addEventListener('devices', () => {
    byId('devices').hidden = !capture.devices.some((device) => device.deviceId !== '');
    fill(byId('camera'), capture.ofKind('videoinput'), capture.source === 'camera' ? capture.video : null, 'No camera');
    fill(byId('microphone'), capture.ofKind('audioinput'), capture.audio, 'No microphone');
  });
  capture.addEventListener('lost', ({ detail }) => recover(detail));
  for (const radio of document.getElementsByName('source')) radio.addEventListener('change', () => choose(radio.value));
  byId('camera').addEventListener('change', () => chooseCamera());
  byId('microphone').addEventListener('change', chooseMicrophone);
  byId('mic').addEventListener('click', () => flip(capture.audio));
  byId('cam').addEventListener('click', () => flip(capture.video));
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.('input, select, textarea')) return;
    if (event.key === 'm') flip(capture.audio);
    if (event.key === 'v') flip(capture.video);
  });
  startMeter(() => capture.audio);
}

/** @param {HTMLSelectElement} select @param {MediaDeviceInfo[]} devices @param {MediaStreamTrack | null} track */
function fill(select, devices, track, none) {
  const used = track?.getSettings().deviceId ?? '';
  select.replaceChildren(
    ...devices.map((device) => new Option(device.label || 'Unnamed device', device.deviceId)),
    new Option(none, ''),
  );
  select.value = devices.some((device) => device.deviceId === used) ? used : '';
}

async function choose(source) {
  clearNote('devices');
  if (source === 'camera') {
    const error = await capture.openCamera(byId('camera').value);
    if (error) note('devices', 'warn', explain(error, 'camera'));
  } else {
    await capture.shareScreen();
    await capture.listDevices();
  }
  showSource();
}

async function chooseCamera() {
  clearNote('devices');
  const id = byId('camera').value;
  if (id === '') {
    if (capture.source === 'camera') capture.closeVideo();
    return;
  }
  const error = await capture.openCamera(id);
  if (error) note('devices', 'warn', explain(error, 'camera'));
  showSource();
}

async function chooseMicrophone() {
  clearNote('devices');
  const id = byId('microphone').value;
  if (id === '') {
    capture.closeAudio();
    return;
  }
  const error = await capture.openMicrophone(id);
  if (error) note('devices', 'warn', explain(error, 'microphone'));
}

/** The radio shows what is really sent, also after a cancelled screen picker. */
function showSource() {
  for (const radio of document.getElementsByName('source')) radio.checked = radio.value === capture.source;
}

/** Something went away by itself. An unplugged device is replaced; after a screen, the camera waits for a click. */
async function recover(what) {
  await capture.listDevices();
  if (what === 'screen') {
    note('devices', 'warn', 'Screen sharing has ended.', { label: 'Use the camera', action: () => choose('camera') });
    return;
  }
  const kind = what === 'camera' ? 'videoinput' : 'audioinput';
  const next = capture.ofKind(kind)[0];
  if (!next) {
    note('devices', 'warn', `The ${what} was unplugged, and there is no other one.`);
    return;
  }
  const error = what === 'camera' ? await capture.openCamera(next.deviceId) : await capture.openMicrophone(next.deviceId);
  note('devices', 'warn', error ? `The ${what} was unplugged.` : `The ${what} was unplugged. Now in use: ${next.label}.`);
}

function flip(track) {
  if (!track) return;
  track.enabled = !track.enabled;
  showPreview(capture, 'none');
  refresh();
}

function wireAdvanced() {
  const codecs = videoCodecs();
  byId('codec-field').hidden = codecs.length === 0;
  for (const codec of codecs) byId('codec').append(new Option(codec.slice(codec.indexOf('/') + 1), codec));
  byId('codec').addEventListener('change', () => (publisher.codec = byId('codec').value));
  byId('limit').addEventListener('change', () => publisher.setMaxBitrate(Number(byId('limit').value)).catch(() => {}));
  byId('resolution').addEventListener('change', () => {
    capture.height = Number(byId('resolution').value);
    if (capture.source === 'camera' && capture.video) chooseCamera();
  });
}

function wireKey() {
  const key = byId('key');
  const use = () => {
    publisher.token = key.value.trim();
    remember.set('sessionStorage', keyName, publisher.token);
    byId('token').value = publisher.token;
    byId('token-field').hidden = publisher.token === '';
    byId('no-token').hidden = publisher.token !== '';
  };
  key.value = remember.get('sessionStorage', keyName) ?? '';
  key.addEventListener('input', use);
  use();
  byId('key-show').addEventListener('click', () => {
    const show = key.type === 'password';
    key.type = show ? 'text' : 'password';
    byId('key-show').setAttribute('aria-pressed', String(show));
    setIcon(byId('key-show'), show ? 'eye-off' : 'eye');
  });
  byId('key-field').addEventListener('submit', (event) => {
    event.preventDefault();
    if (canCapture && publisher.state !== 'live') byId('go').click();
  });
}

function wirePublisher() {
  byId('go').addEventListener('click', () => {
    if (['idle', 'ended', 'failed'].includes(publisher.state)) publisher.start();
    else publisher.stop();
  });
  publisher.addEventListener('state', refresh);
  publisher.addEventListener('stats', () => showStats(publisher.stats));
  addEventListener('beforeunload', (event) => publisher.state === 'live' && event.preventDefault());
  refresh();
}

function refresh() {
  const { state, error } = publisher;
  const busy = ['connecting', 'live', 'reconnecting'].includes(state);
  page.dataset.state = state;
  const go = byId('go');
  setText(go, busy ? (state === 'connecting' ? 'Cancel' : 'Stop') : 'Go live');
  go.classList.toggle('accent', !busy);
  go.classList.toggle('danger', state === 'live' || state === 'reconnecting');
  go.disabled = !busy && !capture.video && !capture.audio;
  byId('figures').hidden = state !== 'live';
  byId('codec').disabled = busy;
  byId('codec-hint').hidden = !busy;
  byId('corner').hidden = !busy;
  byId('badge').classList.toggle('off', state !== 'live');
  setText(byId('badge'), { connecting: 'CONNECTING', reconnecting: 'RECONNECTING' }[state] ?? 'LIVE');
  if (state === 'live') startClock((ms) => setText(byId('clock'), formatDuration(ms)));
  else if (!busy) stopClock();
  if (state !== 'live') clearNote('limit');
  describe(state, error);
  describeMute('mic', capture.audio, 'Microphone', 'M');
  describeMute('cam', capture.video, capture.source === 'screen' ? 'Screen' : 'Camera', 'V');
  byId('bar').hidden = !capture.audio && !capture.video;
  keepAwake(busy);
}

function describeMute(id, track, name, key) {
  const button = byId(id);
  const off = Boolean(track && !track.enabled);
  button.hidden = !track;
  button.setAttribute('aria-pressed', String(off));
  setLabel(button, `${name} ${off ? 'on' : 'off'}`, key);
  const icon = id === 'mic' ? 'mic' : 'camera';
  setIcon(button, off ? `${icon}-off` : icon);
}

function describe(state, error) {
  if (state === 'failed' && (error.status === 401 || error.status === 403)) {
    const wrong = publisher.token !== '';
    note('state', 'bad', wrong ? 'The server did not accept this stream key.' : `This server asks for a stream key to publish “${stream}”.`);
    byId('key-asked').append(byId('key-field'));
    byId('key').setAttribute('aria-invalid', String(wrong));
    setText(byId('key-hint'), 'Forgotten when you close the tab.');
    byId('key').focus();
  } else if (state === 'failed') {
    note('state', 'bad', error.detail || error.message);
  } else if (state === 'ended') {
    note('state', 'warn', error.message);
  } else if (state === 'reconnecting') {
    note('state', 'warn', `${error.message} Trying again by itself.`);
  } else {
    clearNote('state');
    byId('key').removeAttribute('aria-invalid');
  }
}

/** A phone that falls asleep stops its camera. */
async function keepAwake(wanted) {
  if (!navigator.wakeLock || wanted === Boolean(wakeLock && !wakeLock.released)) return;
  if (!wanted) {
    await wakeLock.release();
    return;
  }
  wakeLock = await navigator.wakeLock.request('screen').catch(() => null);
}
