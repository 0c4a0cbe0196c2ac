// Publishes VP8 in three sizes (RIDs) by libwebrtc in Node.

import wrtc from '@roamhq/wrtc';

const [url] = process.argv.slice(2);
const [WIDTH, HEIGHT, FPS] = [1280, 720, 15];
const { RTCVideoSource } = wrtc.nonstandard;

/// Red on the left, blue on the right, as I420 (BT.601), with a line that moves.
function frame(number) {
  const data = new Uint8ClampedArray((WIDTH * HEIGHT * 3) / 2);
  const chroma = (WIDTH / 2) * (HEIGHT / 2);
  const [red, blue] = [{ y: 81, u: 90, v: 240 }, { y: 41, u: 240, v: 110 }];
  for (let row = 0; row < HEIGHT; row += 1) {
    data.fill(red.y, row * WIDTH, row * WIDTH + WIDTH / 2).fill(blue.y, row * WIDTH + WIDTH / 2, (row + 1) * WIDTH);
  }
  const [u, v] = [WIDTH * HEIGHT, WIDTH * HEIGHT + chroma];
  for (let row = 0; row < HEIGHT / 2; row += 1) {
    const [from, half, to] = [row * (WIDTH / 2), row * (WIDTH / 2) + WIDTH / 4, (row + 1) * (WIDTH / 2)];
    data.fill(red.u, u + from, u + half).fill(blue.u, u + half, u + to);
    data.fill(red.v, v + from, v + half).fill(blue.v, v + half, v + to);
  }
  const row = HEIGHT - 1 - ((number * 4) % (HEIGHT / 4));
  data.fill(235, row * WIDTH, (row + 1) * WIDTH);
  return { width: WIDTH, height: HEIGHT, data };
}

const source = new RTCVideoSource();
const connection = new wrtc.RTCPeerConnection();
const sendEncodings = [['q', 4], ['h', 2], ['f', 1]].map(([rid, scaleResolutionDownBy]) => ({ rid, scaleResolutionDownBy }));
const transceiver = connection.addTransceiver(source.createTrack(), { direction: 'sendonly', sendEncodings });
transceiver.setCodecPreferences?.(wrtc.RTCRtpSender.getCapabilities('video').codecs.filter(({ mimeType }) => mimeType === 'video/VP8'));
const gathered = new Promise((resolve) => {
  connection.onicegatheringstatechange = () => connection.iceGatheringState === 'complete' && resolve();
});
const connected = new Promise((resolve) => {
  connection.onconnectionstatechange = () => connection.connectionState === 'connected' && resolve();
});
await connection.setLocalDescription(await connection.createOffer());
await gathered;
const headers = { 'Content-Type': 'application/sdp' };
const reply = await fetch(url, { method: 'POST', headers, body: connection.localDescription.sdp });
if (reply.status !== 201) throw new Error(`${url} answered ${reply.status}: ${await reply.text()}`);
await connection.setRemoteDescription({ type: 'answer', sdp: await reply.text() });
await connected;
console.log(JSON.stringify({ up: true }));
let number = 0;
setInterval(() => source.onFrame(frame(number++)), 1000 / FPS);
