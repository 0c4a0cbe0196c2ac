import assert from 'node:assert/strict';
import { test } from 'node:test';

import { iceServersOf, relaysOf } from '../../web-demo/sluice-ice.js';

const UDP = 'turn:192.0.2.1:3478?transport=udp';
const TCP = 'turn:192.0.2.1:443?transport=tcp';
const TLS = 'turns:live.example.org:443?transport=tcp';

test('relays without TLS are for those who want nothing but a relay', () => {
  const servers = [{ urls: ['stun:192.0.2.1:3478', UDP, TCP, TLS], username: 'a', credential: 'b' }];
  assert.deepEqual(relaysOf(servers, 'all'), [{ urls: [TLS], username: 'a', credential: 'b' }]);
  assert.deepEqual(relaysOf(servers, 'relay'), [{ urls: [UDP, TCP, TLS], username: 'a', credential: 'b' }]);
  assert.deepEqual(relaysOf([{ urls: 'turn:192.0.2.1' }, { urls: 'stun:192.0.2.1' }], 'all'), []);
});

test('Link headers become ICE servers', () => {
  const words = 'rel="ice-server"; username="17:s,1"; credential="a+/b="; credential-type="password"';
  const header = `<${UDP}>; ${words}, <https://example.org/more>; rel="next", <${TLS}>; ${words}`;
  const server = (url) => ({ urls: [url], username: '17:s,1', credential: 'a+/b=' });
  assert.deepEqual(iceServersOf(header), [server(UDP), server(TLS)]);
  assert.deepEqual(iceServersOf(null), []);
});
