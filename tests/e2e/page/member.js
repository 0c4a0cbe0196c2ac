// Takes part in rooms by the client module: as many participants as are asked for, each of which may show all others.

(() => {
  const member = { rooms: {}, tiles: {}, got: [] };
  window.member = member;

  member.load = async (server) => {
    member.server = server;
    // Chromium aborts what it loads when its network has just changed, and does not import again what it could not: each
    // attempt has an address of its own.
    for (let attempt = 0; !member.sdk; attempt += 1) {
      const url = `${server}/assets/sluice.js${attempt > 0 ? `?${attempt}` : ''}`;
      member.sdk = await import(url).catch(() => new Promise((resolve) => setTimeout(resolve, 200)));
    }
  };

  /// Joins `room` as `name`. `options` are those of the module's Room, and `picture`, `hertz` (0 for a silent microphone,
  /// none for no microphone), `fps`, and `watches`: whether it shows everybody in a tile.
  member.join = async (room, name, { picture, hertz, fps, watches = false, ...options } = {}) => {
    const one = new member.sdk.Room({ url: `${member.server}/ws`, name, ...options });
    member.rooms[name] = one;
    one.states = [];
    one.addEventListener('state', () => one.states.push(one.state));
    if (watches) {
      const show = ({ detail: { track } }) => track.kind === 'video' && member.show(track.peer.name, track, member.tile(`${track.peer.name}/${track.source}`));
      one.addEventListener('track-published', show);
      one.addEventListener('track-unpublished', ({ detail: { track } }) => {
        const key = `${track.peer.name}/${track.source}`;
        if (member.tiles[key]?.track !== track) return;
        member.tiles[key].remove();
        delete member.tiles[key];
      });
    }
    await one.join(room);
    if (picture) await one.publish(new member.sdk.LocalTrack(cast.camera(picture, fps), 'camera'));
    if (hertz !== undefined) await one.publish(new member.sdk.LocalTrack(cast.microphone(hertz), 'mic'));
    return one.me.id;
  };

  member.tile = (key) => {
    member.tiles[key] ??= document.body.appendChild(document.createElement('video'));
    Object.assign(member.tiles[key].style, { width: '160px', height: '90px' });
    return member.tiles[key];
  };

  member.show = (name, track, video) => {
    video.track = track;
    track.attach(video);
  };

  member.peer = (own, name) => [...member.rooms[own].peers.values()].find((peer) => peer.name === name);

  /// The picture in each tile.
  member.look = () => Object.fromEntries(Object.entries(member.tiles).map(([key, video]) => [key, cast.look(video)]));

  /// Notes down each message that `name` gets.
  member.takeMessages = (name) =>
    member.rooms[name].addEventListener('message', ({ detail: { from, topic, body, reliable } }) =>
      member.got.push({ at: name, from: from.name ?? from, topic, reliable, body: body instanceof Uint8Array ? `bytes ${[...body]}` : body }));
})();
