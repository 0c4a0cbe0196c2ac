// Publishes H.264 and Opus by libdatachannel, the stack of OBS, with an offer as OBS 32 makes it: `layers` of simulcast by RID
// or one stream, the RID extension in either case, no RTX, no transport-wide numbers, and no answer to PLI.

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';

import { Audio, PeerConnection, RtcpNackResponder, Video } from 'node-datachannel';

const [url, layers = '1'] = process.argv.slice(2);
const count = Number(layers);
const rids = [...Array(count).keys()].map(String);
const [AUDIO, VIDEO] = [111, 96];
const ssrc = (place) => 0x1000_0000 + place;

const connection = new PeerConnection('publisher', { iceServers: [], disableAutoNegotiation: true });
const audio = new Audio('0', 'SendOnly');
audio.addOpusCodec(AUDIO, 'minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1');
audio.addSSRC(ssrc(0), 'publisher', 'stream', 'stream-audio');
const video = new Video('1', 'SendOnly');
for (const line of ['extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid', 'extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id']) {
  video.parseSdpLine(`a=${line}`);
}
video.addH264Codec(VIDEO, 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1');
if (count > 1) {
  for (const line of [...rids.map((rid) => `rid:${rid} send`), `simulcast:send ${rids.join(';')}`]) video.parseSdpLine(`a=${line}`);
} else {
  video.addSSRC(ssrc(1), 'publisher', 'stream', 'stream-video');
}
const tracks = { audio: connection.addTrack(audio), video: connection.addTrack(video) };
for (const track of Object.values(tracks)) {
  track.setMediaHandler(new RtcpNackResponder());
  track.onMessage(() => {}); // RTCP, a wish for a key frame among it.
}

/// RTP of the feed as this publisher sends it: another payload type and source, and the layer's name.
function rewritten(packet, payloadType, source, rid) {
  const extension = rid === undefined ? Buffer.alloc(0) : Buffer.from([0xbe, 0xde, 0, 1, 0x10, 0x31, 0x20, rid.charCodeAt(0)]);
  const head = Buffer.from(packet.subarray(0, 12));
  head[0] = 0x80 | (extension.length > 0 ? 0x10 : 0);
  head[1] = (packet[1] & 0x80) | payloadType;
  head.writeUInt32BE(source, 8);
  return Buffer.concat([head, extension, packet.subarray(12)]);
}

/// A port of this machine whose RTP goes to a track.
function feed(track, ...how) {
  const socket = createSocket('udp4');
  socket.on('message', (packet) => track.isOpen() && track.sendMessageBinary(rewritten(packet, ...how)));
  return new Promise((resolve) => socket.bind(0, '127.0.0.1', () => resolve(socket.address().port)));
}

const described = new Promise((resolve) => connection.onLocalDescription((sdp) => resolve(sdp)));
const connected = new Promise((resolve) => connection.onStateChange((state) => state === 'connected' && resolve()));
connection.setLocalDescription('offer');
const reply = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: await described });
if (reply.status !== 201) throw new Error(`${url} answered ${reply.status}: ${await reply.text()}`);
connection.setRemoteDescription(await reply.text(), 'answer');
await connected;

const ports = { audio: await feed(tracks.audio, AUDIO, ssrc(0)), video: [] };
for (const [place, rid] of rids.entries()) ports.video.push(await feed(tracks.video, VIDEO, ssrc(place + 1), rid));
const script = new URL('feed_rtp.py', import.meta.url).pathname;
const words = [script, '--audio', ports.audio, '--video', ...ports.video].map(String);
spawn(process.env.E2E_PYTHON, words, { stdio: ['pipe', 'ignore', 'inherit'] });
console.log(JSON.stringify({ up: true }));
