// @ts-check
/**
 * Which of the server's relays a peer connection is told of.
 */

/**
 * Relays alone: STUN tells nothing that the server does not learn from connectivity checks, and Chromium takes whatever
 * comes from the address of a STUN server for an answer of it, which would be all of the media where that is one server.
 * For the same reason a relay over UDP is only for those who want nothing but a relay: once Chromium has it, it hears
 * nothing from the media port but what is relayed. Who can reach a relay without TLS reaches the media itself, too.
 *
 * @param {RTCIceServer[]} iceServers @param {RTCIceTransportPolicy} policy @returns {RTCIceServer[]}
 */
export function relaysOf(iceServers, policy) {
  const isOfUse = (/** @type {string} */ url) => (policy === 'relay' ? /^turns?:/i : /^turns:/i).test(url);
  const relays = iceServers.map((server) => ({ ...server, urls: [server.urls].flat().filter(isOfUse) }));
  return relays.filter(({ urls }) => urls.length > 0);
}

/**
 * The ICE servers of a `Link` header (RFC 9725 section 4.6); several headers come joined by commas.
 *
 * @param {string | null} header @returns {RTCIceServer[]}
 */
export function iceServersOf(header) {
  /** @type {RTCIceServer[]} */
  const servers = [];
  for (const [, url, words] of (header ?? '').matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+="[^"]*")*)/g)) {
    const values = Object.fromEntries([...words.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name.toLowerCase(), value]));
    const { rel, username, credential } = values;
    if (rel === 'ice-server') servers.push({ urls: [url], ...(username !== undefined && { username, credential }) });
  }
  return servers;
}
