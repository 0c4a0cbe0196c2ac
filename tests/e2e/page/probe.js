// Goes into every page before the page's own scripts. It remembers each RTCPeerConnection that the page makes, reads
// the known picture (peers/picture.py) and tone back from what is played, and holds the smallest WHIP and WHEP client.

(() => {
  const CELLS = 16;
  const probe = { connections: [], posts: 0 };
  window.probe = probe;

  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...words) {
      super(...words);
      probe.connections.push(this);
    }
  };

  const nativeFetch = window.fetch.bind(window);
  window.fetch = (resource, options = {}) => {
    const method = (options.method ?? resource.method ?? 'GET').toUpperCase();
    probe.posts += method === 'POST' ? 1 : 0;
    return nativeFetch(resource, options);
  };

  // --- reading the picture ---

  const canvas = document.createElement('canvas');
  canvas.width = CELLS;
  canvas.height = 2;
  const paint = canvas.getContext('2d', { willReadFrequently: true });

  /// What the video shows now: frame number, the colours left and right, and the size of the decoded picture.
  probe.look = (video = probe.video()) => {
    const { videoWidth: width, videoHeight: height } = video;
    if (width === 0) {
      return null;
    }
    // One pixel per cell of the counter, from the middle of the cells; below it the two halves' middle.
    paint.drawImage(video, 0, height * 0.04, width, height * 0.03, 0, 0, CELLS, 1);
    paint.drawImage(video, 0, height * 0.4, width, height * 0.05, 0, 1, CELLS, 1);
    const { data } = paint.getImageData(0, 0, CELLS, 2);
    const pixel = (index) => [...data.slice(index * 4, index * 4 + 3)];
    let number = 0;
    for (let cell = 0; cell < CELLS; cell += 1) {
      number = number * 2 + (data[cell * 4 + 1] > 127 ? 1 : 0);
    }
    return { number, left: name(pixel(CELLS + 4)), right: name(pixel(CELLS + 11)), width, height };
  };

  function name([red, green, blue]) {
    const high = [red > 140, green > 120, blue > 140].map(Number).join('');
    const low = [red < 100, green < 100, blue < 100].map(Number).join('');
    const known = { '100/011': 'red', '001/110': 'blue', '010/101': 'green', '000/111': 'black' };
    return known[`${high}/${low}`] ?? `rgb(${red}, ${green}, ${blue})`;
  }

  probe.video = () => document.querySelector('video');

  /// The numbers of the frames that are presented for `seconds`, every `stride`th of them.
  probe.frames = (seconds, stride = 1, video = probe.video()) =>
    new Promise((resolve) => {
      const numbers = [];
      let presented = 0;
      let over = false;
      const next = () => {
        if (presented % stride === 0) {
          numbers.push(probe.look(video).number);
        }
        presented += 1;
        if (!over) {
          video.requestVideoFrameCallback(next);
        }
      };
      video.requestVideoFrameCallback(next);
      setTimeout(() => {
        over = true;
        resolve(numbers);
      }, seconds * 1000);
    });

  // --- listening ---

  /// The loudest frequency of what the video plays and its level, over a second.
  probe.listen = async (video = probe.video()) => {
    const context = new AudioContext();
    await context.resume();
    const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(video.srcObject).connect(analyser);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const levels = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(levels);
    await context.close();
    const loudest = levels.indexOf(Math.max(...levels));
    return { hertz: (loudest * context.sampleRate) / analyser.fftSize, decibels: levels[loudest] };
  };

  // --- statistics ---

  /// The figures of one connection (the newest by default) that the suites compare.
  probe.stats = async (connection = probe.connections.at(-1)) => {
    const report = [...(await connection.getStats()).values()];
    const find = (type, kind) => report.find((one) => one.type === type && one.kind === kind) ?? {};
    const video = find('inbound-rtp', 'video');
    const audio = find('inbound-rtp', 'audio');
    const sent = find('outbound-rtp', 'video');
    const codec = (of) => report.find((one) => one.id === of.codecId)?.mimeType;
    return {
      state: connection.connectionState,
      connections: probe.connections.length,
      posts: probe.posts,
      codec: codec(video),
      audioCodec: codec(audio),
      received: video.framesReceived ?? video.framesDecoded ?? 0,
      decoded: video.framesDecoded ?? 0,
      dropped: video.framesDropped ?? 0,
      lost: (video.packetsLost ?? 0) + (audio.packetsLost ?? 0),
      packets: video.packetsReceived ?? 0,
      audioPackets: audio.packetsReceived ?? 0,
      audioEnergy: audio.totalAudioEnergy ?? 0,
      freezes: video.freezeCount ?? 0,
      freezeSeconds: video.totalFreezesDuration ?? 0,
      sentCodec: codec(sent),
      sentFrames: sent.framesEncoded ?? 0,
    };
  };

  // --- the smallest clients ---

  async function exchange(connection, url, token) {
    await connection.setLocalDescription();
    if (connection.iceGatheringState !== 'complete') {
      await Promise.race([
        new Promise((resolve) => {
          connection.addEventListener('icegatheringstatechange', () => {
            if (connection.iceGatheringState === 'complete') resolve();
          });
        }),
        new Promise((resolve) => setTimeout(resolve, 2000)),
      ]);
    }
    const headers = { 'Content-Type': 'application/sdp', ...(token && { Authorization: `Bearer ${token}` }) };
    const reply = await fetch(url, { method: 'POST', headers, body: connection.localDescription.sdp });
    const text = await reply.text();
    if (reply.status !== 201) {
      connection.close();
      return { status: reply.status, type: reply.headers.get('Content-Type'), problem: text };
    }
    const sdp = probe.rewriteAnswer ? probe.rewriteAnswer(text) : text;
    await connection.setRemoteDescription({ type: 'answer', sdp });
    const location = reply.headers.get('Location');
    connection.exchanged = { session: new URL(location, url).href, answer: sdp };
    return { status: 201, location, links: reply.headers.get('Link'), answer: sdp };
  }

  /// Restarts ICE on a connection by a PATCH of its session (RFC 9725 section 4.3.3).
  probe.restartIce = async (connection = probe.connections.at(-1)) => {
    const value = (sdp, name) => sdp.match(new RegExp(`a=${name}:(.*)\r\n`))[1];
    const { session, answer } = connection.exchanged;
    connection.restartIce();
    await connection.setLocalDescription();
    const { sdp } = connection.localDescription;
    const own = ['mid', 'ice-ufrag', 'ice-pwd'].map((name) => `a=${name}:${value(sdp, name)}\r\n`);
    const reply = await fetch(session, {
      method: 'PATCH',
      headers: { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*' },
      body: `a=ice-options:trickle\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n${own.join('')}`,
    });
    const fragment = await reply.text();
    if (reply.status === 200) {
      const renewed = (text, name) => text.replaceAll(value(answer, name), value(fragment, name));
      connection.exchanged.answer = ['ice-ufrag', 'ice-pwd'].reduce(renewed, answer);
      await connection.setRemoteDescription({ type: 'answer', sdp: connection.exchanged.answer });
    }
    return { status: reply.status, etag: reply.headers.get('ETag'), fragment };
  };

  /// Plays `url` in the page's video element.
  probe.watch = (url) => {
    const connection = new RTCPeerConnection();
    const stream = new MediaStream();
    connection.addEventListener('track', ({ track }) => stream.addTrack(track));
    connection.addTransceiver('video', { direction: 'recvonly' });
    connection.addTransceiver('audio', { direction: 'recvonly' });
    const video = probe.video();
    video.srcObject = stream;
    video.play().catch(() => {});
    return exchange(connection, url);
  };

  /// Plays `url`. Tells how long the first picture takes, in ms, and which it is.
  probe.firstPicture = async (url, video = probe.video()) => {
    const began = performance.now();
    video.srcObject = null;
    const shown = new Promise((resolve) => {
      video.requestVideoFrameCallback(() => resolve({ took: performance.now() - began, number: probe.look(video).number }));
    });
    const reply = await probe.watch(url);
    return reply.status === 201 ? shown : reply;
  };

  /// Leaves what is played.
  probe.leave = async (connection = probe.connections.at(-1)) => {
    connection.close();
    await fetch(connection.exchanged.session, { method: 'DELETE' });
  };

  /// Publishes the fake camera and microphone to `url` in one codec ("VP8", "H264", "VP9", "AV1"), with the layers of a
  /// scalability mode if one is given, or in several encodings.
  probe.publish = async (url, codec, token, { mode, sendEncodings = mode && [{ scalabilityMode: mode }], height = 360, fps } = {}) => {
    const video = { width: (height * 16) / 9, height, ...(fps && { frameRate: fps }) };
    const media = await navigator.mediaDevices.getUserMedia({ video, audio: true });
    const connection = new RTCPeerConnection();
    const [camera] = media.getVideoTracks();
    const transceiver = connection.addTransceiver(camera, { direction: 'sendonly', streams: [media], ...(sendEncodings && { sendEncodings }) });
    connection.addTransceiver(media.getAudioTracks()[0], { direction: 'sendonly', streams: [media] });
    const { codecs } = RTCRtpSender.getCapabilities('video');
    transceiver.setCodecPreferences(codecs.filter((one) => one.mimeType === `video/${codec}` || /rtx/.test(one.mimeType)));
    return exchange(connection, url, token);
  };
})();
