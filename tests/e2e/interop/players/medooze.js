// The WHEP client of medooze, as its README shows it.

import { WHEPClient } from 'whip-whep/whep.js';

window.play = async (url) => {
  const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  connection.addTransceiver('audio');
  connection.addTransceiver('video');
  connection.ontrack = ({ track, streams }) => {
    if (track.kind === 'video') document.querySelector('video').srcObject = streams[0];
  };
  await new WHEPClient().view(connection, url);
};
