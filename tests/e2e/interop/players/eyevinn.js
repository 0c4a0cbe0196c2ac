// Eyevinn's player, as its README shows it.

import { WebRTCPlayer } from '@eyevinn/webrtc-player';

window.play = async (url) => {
  const player = new WebRTCPlayer({ video: document.querySelector('video'), type: 'whep', iceServers: [] });
  await player.load(new URL(url));
  player.unmute();
};
