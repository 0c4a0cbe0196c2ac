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

/// Loses what the clients send from the ports that they have open for UDP now, until the scope ends: what a router does that
/// has forgotten them. New ports work.
export function blockOpenPorts(scope) {
  const ports = execFileSync('ss', ['-Huan'], { encoding: 'utf8' }).match(/:\d+(?= )/g) ?? [];
  const set = [...new Set(ports.map((port) => port.slice(1)))].join(', ');
  const nft = (rules) => execFileSync('nft', [rules], { stdio: 'pipe' });
  nft(`add table inet blocked
    add chain inet blocked leaving { type filter hook output priority 0 ; }
    add rule inet blocked leaving udp sport { ${set} } drop`);
  scope.defer(() => nft('delete table inet blocked'));
}

/// Lets nothing between the clients and the server but TCP to this port, until the scope ends: a strict firewall. In the
/// clients' namespace, or in another one.
export function onlyTcp(scope, port, namespace) {
  const words = namespace ? ['ip', 'netns', 'exec', namespace, 'nft'] : ['nft'];
  const nft = (rules) => execFileSync(words[0], [...words.slice(1), rules], { stdio: 'pipe' });
  nft(`add table inet strict
    add chain inet strict leaving { type filter hook output priority 0 ; }
    add chain inet strict arriving { type filter hook input priority 0 ; }
    add rule inet strict leaving oifname lo accept
    add rule inet strict leaving tcp dport != ${port} drop
    add rule inet strict leaving meta l4proto udp drop
    add rule inet strict arriving iifname lo accept
    add rule inet strict arriving meta l4proto udp drop`);
  scope.defer(() => nft('delete table inet strict'));
}

/// What comes to this TCP port of the server's machine goes to another, until the scope ends: as `docker run -p` does it.
export function mapTcp(scope, port, to) {
  const { server } = JSON.parse(process.env.E2E_NAMESPACES);
  const nft = (rules) => execFileSync('ip', ['netns', 'exec', server, 'nft', rules], { stdio: 'pipe' });
  nft(`add table inet mapped
    add chain inet mapped before { type nat hook prerouting priority -100 ; }
    add rule inet mapped before tcp dport ${port} redirect to :${to}`);
  scope.defer(() => nft('delete table inet mapped'));
}
