//! Which addresses clients are told to connect to, and how they relate to the real ones.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use if_addrs::IfOperStatus as Status;

use super::streams::mark::StreamId;

/// The addresses of this machine's network interfaces that are up, in the system's order, loopback included.
///
/// # Errors
/// When the system does not tell.
pub fn interfaces() -> io::Result<Vec<IpAddr>> {
    // Loopback and tunnels say "unknown" for their state, so only those that say "down" are left out.
    let is_down = |status: &_| matches!(status, Status::Down | Status::NotPresent | Status::LowerLayerDown);
    let all = if_addrs::get_if_addrs()?.into_iter().filter(|interface| !is_down(&interface.oper_status));
    Ok(all.map(|interface| interface.ip()).collect())
}

/// What the operator wants announced, with names and STUN servers turned into addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What `media.announce` holds.
    pub given: Vec<IpAddr>,
    /// Where the STUN server of `media.discover` saw this machine.
    pub seen: Vec<IpAddr>,
    /// Whether loopback addresses are announced too.
    pub loopback: bool,
}

/// The addresses to announce to clients as ICE host candidates.
///
/// - `listen`: what the sockets are really bound to.
/// - `wanted`: what the operator wants. Addresses that are given replace all others, each with every port listened on in
///   its family, and nothing is guessed; what a STUN server saw stands beside the machine's own.
/// - `interfaces`: the machine's addresses, see [`interfaces`].
///
/// Without given ones a socket on a specific address announces it, and a socket on a wildcard announces all
/// usable addresses of its family: not loopback, not link-local, not multicast. When that yields nothing (a
/// laptop without network), loopback is announced.
///
/// IPv4 stands first, for some clients read only the first candidate; public addresses stand before private
/// ones, and loopback last. An empty result means that no client can connect.
#[must_use]
pub fn announced(listen: &[SocketAddr], wanted: &Wanted, interfaces: &[IpAddr]) -> Vec<SocketAddr> {
    let Wanted { given, seen, loopback } = wanted;
    let with_ports = |ips: &[IpAddr]| {
        let of = |socket: &SocketAddr| {
            let same = ips.iter().filter(|ip| ip.is_ipv4() == socket.is_ipv4());
            same.map(|ip| SocketAddr::new(*ip, socket.port())).collect::<Vec<_>>()
        };
        listen.iter().flat_map(of).collect::<Vec<_>>()
    };
    let mut result = with_ports(given);
    if given.is_empty() {
        result.extend(listen.iter().copied().filter(|socket| !socket.ip().is_unspecified()));
        result.extend(on_wildcards(listen, interfaces, is_usable));
        result.extend(with_ports(seen));
    }
    if *loopback || (result.is_empty() && given.is_empty()) {
        result.extend(on_wildcards(listen, interfaces, |ip| ip.is_loopback()));
    }
    result.sort_by_key(|address| {
        let ip = address.ip();
        (ip.is_loopback(), ip.is_ipv6(), is_private(ip))
    });
    let mut seen = HashSet::new();
    result.retain(|address| seen.insert(*address));
    result
}

/// All addresses of this machine at which these sockets hear something, loopback included.
#[must_use]
pub fn own(listen: &[SocketAddr], interfaces: &[IpAddr]) -> Vec<SocketAddr> {
    announced(listen, &Wanted { loopback: true, ..Wanted::default() }, interfaces)
}

/// Each wildcard socket with each of the machine's addresses of its family that is `wanted`.
fn on_wildcards(
    listen: &[SocketAddr],
    interfaces: &[IpAddr],
    wanted: impl Fn(IpAddr) -> bool,
) -> Vec<SocketAddr> {
    let wildcards = listen.iter().filter(|socket| socket.ip().is_unspecified());
    wildcards
        .flat_map(|socket| {
            let same = interfaces.iter().filter(|ip| ip.is_ipv4() == socket.is_ipv4() && wanted(**ip));
            same.map(|ip| SocketAddr::new(*ip, socket.port()))
        })
        .collect()
}

/// Whether a client elsewhere could have a way to this address.
fn is_usable(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(link_local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

/// Private use (RFC 1918), shared by carriers' NAT (RFC 6598), or unique local (RFC 4193).
pub(super) fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || matches!(ip.octets(), [100, 64..=127, ..]),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

/// What clients are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announced {
    /// The addresses of the media port, IPv4 first.
    pub udp: Vec<SocketAddr>,
    /// Where media is taken over TCP, IPv4 first. Empty where it is not.
    pub tcp: Vec<SocketAddr>,
}

impl From<Vec<SocketAddr>> for Announced {
    fn from(udp: Vec<SocketAddr>) -> Self {
        Self { udp, tcp: Vec::new() }
    }
}

/// Translates between the addresses of this machine and those announced to clients.
///
/// An ICE agent answers a check only when it came to one of its candidates. Behind 1:1 NAT, or on an address
/// that was not announced, that needs a translation: to the announced address on receive, back on send.
#[derive(Debug, Clone)]
pub struct AddressMap {
    announced: Vec<SocketAddr>,
    /// For each announced address the one to send from.
    sources: Vec<IpAddr>,
    /// The announced addresses of the TCP port.
    tcp: Vec<SocketAddr>,
    /// The machine's addresses.
    own: Vec<IpAddr>,
}

impl AddressMap {
    /// A map for these announced addresses on a machine with these interfaces.
    ///
    /// What is announced and not the machine's own must be a NAT's outer side. It is sent from the machine's
    /// only other usable address of that family; if there are several, the system's routes decide.
    #[must_use]
    pub fn new(announced: Vec<SocketAddr>, interfaces: &[IpAddr]) -> Self {
        let source = |address: &SocketAddr| {
            if interfaces.contains(&address.ip()) {
                return address.ip();
            }
            let inner = |ip: &&IpAddr| {
                let taken = announced.iter().any(|other| other.ip() == **ip);
                ip.is_ipv4() == address.is_ipv4() && is_usable(**ip) && !taken
            };
            let mut inner = interfaces.iter().filter(inner);
            match (inner.next(), inner.next(), address.ip()) {
                (Some(only), None, _) => *only,
                (_, _, outer) => unspecified(outer),
            }
        };
        let sources = announced.iter().map(source).collect();
        Self { announced, sources, tcp: Vec::new(), own: interfaces.to_vec() }
    }

    /// The map with the addresses at which clients are told to reach this server over TCP.
    #[must_use]
    pub fn with_tcp(self, announced: Vec<SocketAddr>) -> Self {
        Self { tcp: announced, ..self }
    }

    /// The addresses announced for TCP, IPv4 first.
    #[must_use]
    pub fn announced_tcp(&self) -> &[SocketAddr] {
        &self.tcp
    }

    /// How a stream is named as a local address, by the address that its client connected to. `None` where no address of
    /// that family is announced for TCP: then no session can know it.
    #[must_use]
    pub fn stream(&self, id: StreamId, local: SocketAddr) -> Option<SocketAddr> {
        let found = standing_for(&self.tcp, local)?;
        let place = self.tcp.iter().position(|announced| *announced == found)?;
        u16::try_from(place).ok().map(|place| id.address(place))
    }

    /// The announced addresses, IPv4 first.
    #[must_use]
    pub fn announced(&self) -> &[SocketAddr] {
        &self.announced
    }

    /// Which of its `candidates` a session knows a real address by: itself if it is one of them, else the first of its
    /// family with its port, else the first of its family, else itself. For a stream it is the one that its client connected
    /// to. Sessions differ in this, for what is announced may change while they last.
    #[must_use]
    pub fn known_as(&self, candidates: &Announced, local: SocketAddr) -> SocketAddr {
        let found = match StreamId::named(local) {
            None => standing_for(&candidates.udp, local),
            Some(_) => {
                let connected = self.tcp.get(usize::from(local.port())).copied();
                connected.and_then(|connected| standing_for(&candidates.tcp, connected))
            }
        };
        found.unwrap_or(local)
    }

    /// The real address to send from in the name of an announced one. Unspecified means that the system chooses: so it
    /// is where several could be meant, and where something is announced since that this map does not know.
    #[must_use]
    pub fn to_local(&self, announced: SocketAddr) -> SocketAddr {
        let mut pairs = self.announced.iter().zip(&self.sources);
        let found = pairs.find(|(address, _)| **address == announced).map(|(_, source)| *source);
        let own = || self.own.contains(&announced.ip()).then_some(announced.ip());
        let source = found.or_else(own).unwrap_or_else(|| unspecified(announced.ip()));
        SocketAddr::new(source, announced.port())
    }
}

fn unspecified(family: IpAddr) -> IpAddr {
    match family {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The announced address by which clients know `local`. `None` if there is none of its family.
fn standing_for(announced: &[SocketAddr], local: SocketAddr) -> Option<SocketAddr> {
    let family = || announced.iter().filter(|other| other.is_ipv4() == local.is_ipv4());
    let found = family()
        .find(|other| **other == local)
        .or_else(|| family().find(|other| other.port() == local.port()))
        .or_else(|| family().next());
    found.copied()
}

/// Where clients are told to bring media over TCP, to a port that listens on `listen`. One on loopback only is for a proxy on
/// this machine, which hands on HTTP, unless loopback addresses are announced.
#[must_use]
pub fn announced_over_tcp(listen: SocketAddr, wanted: &Wanted, interfaces: &[IpAddr]) -> Vec<SocketAddr> {
    if listen.ip().is_loopback() && !wanted.loopback {
        return Vec::new();
    }
    announced(&families_of(listen), wanted, interfaces)
}

/// What a TCP socket on this address listens on: one on all IPv6 addresses takes IPv4 as well.
#[must_use]
pub fn families_of(listen: SocketAddr) -> Vec<SocketAddr> {
    let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), listen.port());
    if listen.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) { vec![any, listen] } else { vec![listen] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of IPv4 and one of IPv6, at a port that is announced for UDP as well, behind 1:1 NAT.
    #[test]
    fn a_stream_stands_for_the_address_that_its_client_was_told() {
        let map = AddressMap::new(sockets("203.0.113.7:443 [2001:db8::7]:443"), &ips("10.0.0.4 2001:db8::7"))
            .with_tcp(sockets("203.0.113.7:443 [2001:db8::7]:443"));
        for (local, announced) in
            [("10.0.0.4:443", "203.0.113.7:443"), ("[2001:db8::7]:443", "[2001:db8::7]:443")]
        {
            let stream = map.stream(StreamId(9), local.parse().unwrap()).unwrap();
            assert_eq!(StreamId::named(stream), Some(StreamId(9)));
            let told = Announced { udp: Vec::new(), tcp: map.announced_tcp().to_vec() };
            assert_eq!(map.known_as(&told, stream), announced.parse().unwrap());
            assert_ne!(map.stream(StreamId(10), local.parse().unwrap()), Some(stream));
        }
        let only_v4 = AddressMap::new(Vec::new(), &[]).with_tcp(sockets("203.0.113.7:443"));
        assert_eq!(only_v4.stream(StreamId(9), "[2001:db8::7]:443".parse().unwrap()), None);
    }

    #[test]
    fn all_ipv6_addresses_of_tcp_are_all_ipv4_addresses_too() {
        let of = |text: &str| families_of(text.parse().unwrap());
        assert_eq!(of("[::]:443"), sockets("0.0.0.0:443 [::]:443"));
        assert_eq!(of("0.0.0.0:443"), sockets("0.0.0.0:443"));
        assert_eq!(of("[::1]:443"), sockets("[::1]:443"));
    }

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    fn sockets(text: &str) -> Vec<SocketAddr> {
        text.split_whitespace().map(|socket| socket.parse().unwrap()).collect()
    }

    const BOTH: &str = "0.0.0.0:3478 [::]:3478";

    /// Arguments of `announced` and the result, as text: listen, announce, loopback, interfaces, expected.
    fn assert_announced(listen: &str, announce: &str, loopback: bool, interfaces: &str, expected: &str) {
        let wanted = Wanted { given: ips(announce), seen: Vec::new(), loopback };
        let got = announced(&sockets(listen), &wanted, &ips(interfaces));
        assert_eq!(got, sockets(expected), "{listen} on {interfaces}, announce {announce:?}");
    }

    #[test]
    fn all_usable_addresses_ipv4_first() {
        let machine = "127.0.0.1 ::1 fe80::1 2001:db8::5 169.254.3.4 10.0.0.5 198.51.100.5 fd00::5";
        let usable = "198.51.100.5:3478 10.0.0.5:3478 [2001:db8::5]:3478 [fd00::5]:3478";
        assert_announced(BOTH, "", false, machine, usable);
        let with_loopback = format!("{usable} 127.0.0.1:3478 [::1]:3478");
        assert_announced(BOTH, "", true, machine, &with_loopback);
        assert_announced("[::]:9", "", false, machine, "[2001:db8::5]:9 [fd00::5]:9");
    }

    #[test]
    fn loopback_when_there_is_nothing_else() {
        assert_announced(BOTH, "", false, "::1 127.0.0.1 fe80::1", "127.0.0.1:3478 [::1]:3478");
    }

    #[test]
    fn a_specific_address_stands_for_itself() {
        let machine = "127.0.0.1 10.0.0.5 10.0.0.6";
        assert_announced("10.0.0.6:1", "", false, machine, "10.0.0.6:1");
        assert_announced("127.0.0.1:1", "", false, machine, "127.0.0.1:1");
        assert_announced("10.0.0.6:1 0.0.0.0:2", "", false, machine, "10.0.0.6:1 10.0.0.5:2 10.0.0.6:2");
        assert_announced("10.0.0.6:1 0.0.0.0:1", "", false, machine, "10.0.0.6:1 10.0.0.5:1");
    }

    #[test]
    fn given_addresses_replace_everything() {
        let machine = "127.0.0.1 10.0.0.5 2001:db8::5";
        assert_announced(BOTH, "203.0.113.7", false, machine, "203.0.113.7:3478");
        assert_announced(BOTH, "203.0.113.7", true, machine, "203.0.113.7:3478 127.0.0.1:3478");
        assert_announced(
            "10.0.0.5:1 10.0.0.5:2",
            "203.0.113.7",
            false,
            machine,
            "203.0.113.7:1 203.0.113.7:2",
        );
        assert_announced("10.0.0.5:1", "2001:db8::7", false, machine, "");
    }

    #[test]
    fn what_a_stun_server_saw_stands_before_private_addresses_of_its_own() {
        let with = |given: &str| Wanted { given: ips(given), seen: ips("203.0.113.7"), loopback: false };
        let machine = ips("127.0.0.1 10.0.0.5 2001:db8::5");
        let expected = sockets("203.0.113.7:3478 10.0.0.5:3478 [2001:db8::5]:3478");
        assert_eq!(announced(&sockets(BOTH), &with(""), &machine), expected);
        let given = sockets("198.51.100.9:3478");
        assert_eq!(
            announced(&sockets(BOTH), &with("198.51.100.9"), &machine),
            given,
            "nothing is added to that"
        );
        let seen_itself = Wanted { seen: ips("10.0.0.5"), ..Wanted::default() };
        assert_eq!(announced(&sockets("10.0.0.5:1"), &seen_itself, &machine), sockets("10.0.0.5:1"));
    }

    #[test]
    fn own_addresses_map_to_themselves() {
        let announced = sockets("198.51.100.5:3478 10.0.0.5:3478 [2001:db8::5]:3478");
        let map = AddressMap::new(announced.clone(), &ips("198.51.100.5 10.0.0.5 2001:db8::5"));
        for address in announced {
            assert_eq!(
                (map.known_as(&map.announced().to_vec().into(), address), map.to_local(address)),
                (address, address)
            );
        }
    }

    #[test]
    fn one_to_one_nat_is_translated_both_ways() {
        let outer = sockets("203.0.113.7:3478 203.0.113.7:3479");
        let map = AddressMap::new(outer.clone(), &ips("127.0.0.1 10.0.0.5 fe80::1"));
        for (inner, outer) in sockets("10.0.0.5:3478 10.0.0.5:3479").into_iter().zip(outer) {
            assert_eq!(
                (map.known_as(&map.announced().to_vec().into(), inner), map.to_local(outer)),
                (outer, inner)
            );
        }
        let [inner, expected] = ["[2001:db8::5]:1"; 2].map(|a| a.parse().unwrap());
        assert_eq!(
            map.known_as(&map.announced().to_vec().into(), inner),
            expected,
            "a family that is not announced stays"
        );
    }

    #[test]
    fn what_is_announced_later_leaves_by_the_way_that_the_system_chooses() {
        let map = AddressMap::new(sockets("203.0.113.7:3478"), &ips("10.0.0.5"));
        assert_eq!(map.to_local("203.0.113.8:3478".parse().unwrap()), "0.0.0.0:3478".parse().unwrap());
        assert_eq!(map.to_local("10.0.0.5:3478".parse().unwrap()), "10.0.0.5:3478".parse().unwrap());
        // And a session that was told of it alone knows the real address by it.
        let later = Announced { udp: sockets("203.0.113.8:3478"), tcp: sockets("203.0.113.8:443") };
        assert_eq!(map.known_as(&later, "10.0.0.5:3478".parse().unwrap()), later.udp[0]);
        let map = map.with_tcp(sockets("203.0.113.7:443"));
        let stream = map.stream(StreamId(1), "10.0.0.5:443".parse().unwrap()).unwrap();
        assert_eq!(map.known_as(&later, stream), later.tcp[0]);
    }

    #[test]
    fn routes_decide_when_several_addresses_could_be_behind_the_nat() {
        let outer: SocketAddr = "203.0.113.7:3478".parse().unwrap();
        let map = AddressMap::new(vec![outer], &ips("10.0.0.5 10.1.0.5"));
        assert_eq!(map.to_local(outer), "0.0.0.0:3478".parse().unwrap());
        // One announced by itself is not behind the other's NAT.
        let own = "10.1.0.5:3478".parse().unwrap();
        let map = AddressMap::new(vec![outer, own], &ips("10.0.0.5 10.1.0.5"));
        assert_eq!(map.to_local(outer), "10.0.0.5:3478".parse().unwrap());
    }

    #[test]
    fn the_machine_tells_its_addresses() {
        let all = interfaces().unwrap();
        assert!(all.iter().any(IpAddr::is_loopback), "{all:?}");
    }
}
