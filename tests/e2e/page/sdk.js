// Goes into pages that try the client module. It remembers the WebSockets that the page opens, makes tracks of one
// colour, and tells which colour a video shows as a person would see it.

(() => {
  const lab = { sockets: [] };
  window.lab = lab;

  const Native = window.WebSocket;
  window.WebSocket = class extends Native {
    constructor(...words) {
      super(...words);
      lab.sockets.push(this);
    }
  };

  /// A camera whose picture is of one colour. A corner changes, so that every frame is one.
  lab.camera = (colour) => {
    const canvas = document.createElement('canvas');
    canvas.width = 320;
    canvas.height = 180;
    const paint = canvas.getContext('2d', { alpha: false });
    let count = 0;
    const draw = () => {
      paint.fillStyle = colour;
      paint.fillRect(0, 0, 320, 180);
      paint.fillStyle = count % 2 ? '#fff' : '#000';
      paint.fillRect(0, 0, 16, 16);
      count += 1;
    };
    draw();
    setInterval(draw, 1000 / 15);
    return canvas.captureStream(15).getVideoTracks()[0];
  };

  lab.tile = () => {
    const video = document.createElement('video');
    Object.assign(video.style, { width: '320px', height: '180px' });
    document.body.append(video);
    return video;
  };

  const point = document.createElement('canvas').getContext('2d', { willReadFrequently: true });

  /// `red`, `green`, `blue`, another colour's numbers, or null for an element that shows nothing.
  lab.colour = (video) => {
    if (!video.srcObject || !video.videoWidth || getComputedStyle(video).visibility === 'hidden') return null;
    point.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
    const parts = [...point.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    const [strongest, name] = parts.reduce((best, part, at) => (part > best[0] ? [part, ['red', 'green', 'blue'][at]] : best), [0, '']);
    return parts.filter((part) => part > 110).length === 1 && strongest > 150 ? name : parts.join();
  };

  /// Looks at each video as often as the screen is drawn, until told to stop. Answers what was seen in it, by colour.
  lab.watch = (videos) => {
    const seen = Object.fromEntries(Object.keys(videos).map((name) => [name, {}]));
    let over = false;
    const look = () => {
      for (const [name, video] of Object.entries(videos)) {
        const colour = lab.colour(video);
        if (colour) seen[name][colour] = (seen[name][colour] ?? 0) + 1;
      }
      if (!over) requestAnimationFrame(look);
    };
    look();
    return () => {
      over = true;
      return seen;
    };
  };
})();
