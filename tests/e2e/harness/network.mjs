// A bad network between the server and its clients.

import { execFileSync } from 'node:child_process';

/// Loses `percent` of the datagrams from the media port, at random, until the scope ends. They are lost where they
/// arrive: dropped where they leave, the sender would be told.
export function loseReceived(scope, percent) {
  const nft = (rules) => execFileSync('nft', [rules], { stdio: 'pipe' });
  nft(`add table inet loss
    add chain inet loss arriving { type filter hook input priority 0 ; }
    add rule inet loss arriving udp sport 3478 numgen random mod 100 < ${percent} drop`);
  scope.defer(() => nft('delete table inet loss'));
}
