// A bad network between the server and its clients.

import { execFileSync } from 'node:child_process';

const { server: NAMESPACE } = JSON.parse(process.env.E2E_NAMESPACES);

/// Loses `percent` of the datagrams that leave the media port, at random, until the scope ends.
export function loseSent(scope, percent) {
  const nft = (rules) => execFileSync('ip', ['netns', 'exec', NAMESPACE, 'nft', rules], { stdio: 'pipe' });
  nft(`add table inet loss
    add chain inet loss out { type filter hook output priority 0 ; }
    add rule inet loss out udp sport 3478 numgen random mod 100 < ${percent} drop`);
  scope.defer(() => nft('delete table inet loss'));
}
