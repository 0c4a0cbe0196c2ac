// Goes into pages that take part in rooms, before their own scripts. It plays the devices of a participant (a picture of
// two colours, a tone), tells which picture a video shows as a person would see it, and watches the page's WebSockets.

(() => {
  const cast = { sockets: [], sent: [], heard: [], cut: false };
  window.cast = cast;

  const Native = window.WebSocket;
  window.WebSocket = class extends Native {
    constructor(url, ...words) {
      // While the way is cut, a new WebSocket finds nobody.
      super(cast.cut ? 'ws://127.0.0.1:9/' : url, ...words);
      cast.sockets.push(this);
      this.addEventListener('message', ({ data }) => cast.heard.push(JSON.parse(data)));
    }
    send(text) {
      cast.sent.push(JSON.parse(text));
      super.send(text);
    }
  };

  // --- devices ---

  const COLOURS = { red: '#f00', green: '#0f0', blue: '#00f', yellow: '#ff0', cyan: '#0ff', magenta: '#f0f', white: '#fff', black: '#000' };

  /// A camera with a picture such as "red|blue". A block wanders through it, so that every frame is a new one.
  cast.camera = (picture, fps = 15) => {
    const canvas = document.createElement('canvas');
    Object.assign(canvas, { width: 320, height: 180 });
    const paint = canvas.getContext('2d', { alpha: false });
    let count = 0;
    const draw = () => {
      picture.split('|').forEach((colour, half) => {
        paint.fillStyle = COLOURS[colour];
        paint.fillRect(half * 160, 0, 160, 180);
      });
      paint.fillStyle = '#888';
      paint.fillRect((count * 8) % 300, 140, 20, 20);
      count += 1;
    };
    draw();
    const [track] = canvas.captureStream(fps).getVideoTracks();
    const timer = setInterval(() => (track.readyState === 'ended' ? clearInterval(timer) : draw()), 1000 / fps);
    return track;
  };

  let sound;
  /// A microphone with a tone, or with silence.
  cast.microphone = (hertz) => {
    sound ??= new AudioContext();
    const way = sound.createMediaStreamDestination();
    const source = hertz ? new OscillatorNode(sound, { frequency: hertz }) : new ConstantSourceNode(sound, { offset: 0 });
    source.connect(new GainNode(sound, { gain: 0.3 })).connect(way);
    source.start();
    return way.stream.getAudioTracks()[0];
  };

  /// From now on the page's devices are these: { picture, hertz, screen }.
  cast.devices = ({ picture, hertz, screen }) => {
    navigator.mediaDevices.getUserMedia = async ({ audio, video }) =>
      new MediaStream([...(video ? [cast.camera(picture)] : []), ...(audio ? [cast.microphone(hertz)] : [])]);
    navigator.mediaDevices.getDisplayMedia = async () => new MediaStream([cast.camera(screen)]);
  };

  // --- what is seen and heard ---

  const HALVES = [2, 5];
  const point = document.createElement('canvas').getContext('2d', { willReadFrequently: true });

  /// Such as "red|blue"; null for an element that shows nothing.
  cast.look = (video) => {
    if (!video?.srcObject || !video.videoWidth || video.readyState < 2 || getComputedStyle(video).visibility === 'hidden') return null;
    const { videoWidth: width, videoHeight: height } = video;
    point.drawImage(video, 0, height * 0.3, width, height * 0.2, 0, 0, 8, 1);
    const { data } = point.getImageData(0, 0, 8, 1);
    return HALVES.map((x) => {
      const bits = [0, 1, 2].map((part) => (data[x * 4 + part] > 127 ? 'f' : '0')).join('');
      return Object.keys(COLOURS).find((name) => COLOURS[name] === `#${bits}`);
    }).join('|');
  };

  /// The tones that the newest connection receives, in hertz, and how loud, over half a second.
  cast.hear = async () => {
    const context = new AudioContext();
    const ears = probe.connections.at(-1).getReceivers().filter(({ track }) => track.kind === 'audio').map(({ track }) => {
      const analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 });
      context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
      return analyser;
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const tones = ears.map((analyser) => {
      const levels = new Float32Array(analyser.frequencyBinCount);
      analyser.getFloatFrequencyData(levels);
      const loudest = levels.indexOf(Math.max(...levels));
      return { hertz: (loudest * context.sampleRate) / analyser.fftSize, decibels: levels[loudest] };
    });
    await context.close();
    return tones.filter(({ decibels }) => decibels > -60).map(({ hertz }) => hertz);
  };

  /// What the newest connection received so far; `slots` are the frames decoded in each of its video slots.
  cast.inbound = async () => {
    const report = [...(await probe.connections.at(-1).getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
    const sum = (kind, figure) => report.filter((one) => one.kind === kind).reduce((total, one) => total + (one[figure] ?? 0), 0);
    return {
      video: sum('video', 'packetsReceived'),
      audio: sum('audio', 'packetsReceived'),
      energy: sum('audio', 'totalAudioEnergy'),
      lost: sum('video', 'packetsLost') + sum('audio', 'packetsLost'),
      received: sum('video', 'framesReceived') || sum('video', 'framesDecoded'),
      decoded: sum('video', 'framesDecoded'),
      freezes: sum('video', 'freezeCount'),
      slots: Object.fromEntries(report.filter(({ kind }) => kind === 'video').map((one) => [one.id, one.framesDecoded ?? 0])),
    };
  };

  /// Looks at elements whenever the screen is drawn; `expected` tells at each moment what an element may show. Answers
  /// with a function that ends it: { wrong: what was seen instead, frames, longestGap and longestStall in ms }.
  cast.watch = (videos, expected) => {
    const told = { wrong: {}, frames: 0, longestGap: 0, longestStall: 0 };
    let [over, frameAt, drawnAt] = [false, performance.now(), performance.now()];
    const look = () => {
      const now = performance.now();
      told.longestStall = Math.max(told.longestStall, now - drawnAt);
      drawnAt = now;
      for (const video of videos) {
        const picture = cast.look(video);
        if (picture && picture !== expected(video)) told.wrong[`${picture} for ${expected(video)}`] = true;
      }
      if (!over) requestAnimationFrame(look);
    };
    const count = (video) => {
      if (over) return;
      const now = performance.now();
      if (getComputedStyle(video).visibility !== 'hidden') {
        told.frames += 1;
        told.longestGap = Math.max(told.longestGap, now - frameAt);
        frameAt = now;
      }
      video.requestVideoFrameCallback(() => count(video));
    };
    look();
    for (const video of videos) video.requestVideoFrameCallback(() => count(video));
    return () => {
      over = true;
      told.longestGap = Math.max(told.longestGap, performance.now() - frameAt);
      return told;
    };
  };
})();
