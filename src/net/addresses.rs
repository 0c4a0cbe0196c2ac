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

/// The addresses to announce to clients as ICE host candidates.
///
/// - `listen`: what the sockets are really bound to.
/// - `announce`: given by the operator, for a server behind 1:1 NAT. When there are any, exactly these are
///   announced, each with every port listened on in its family, and nothing is guessed.
/// - `loopback`: announce loopback addresses too.
/// - `interfaces`: the machine's addresses, see [`interfaces`].
///
/// Without `announce` a socket on a specific address announces it, and a socket on a wildcard announces all
/// usable addresses of its family: not loopback, not link-local, not multicast. When that yields nothing (a
/// laptop without network), loopback is announced.
///
/// IPv4 stands first, for some clients read only the first candidate; public addresses stand before private
/// ones, and loopback last. An empty result means that no client can connect.
#[must_use]
pub fn announced(
    listen: &[SocketAddr],
    announce: &[IpAddr],
    loopback: bool,
    interfaces: &[IpAddr],
) -> Vec<SocketAddr> {
    let mut result = if announce.is_empty() {
        let specific = listen.iter().copied().filter(|socket| !socket.ip().is_unspecified());
        specific.chain(on_wildcards(listen, interfaces, is_usable)).collect()
    } else {
        let given = |socket: &SocketAddr| {
            let (family, port) = (socket.is_ipv4(), socket.port());
            let ips = announce.iter().filter(move |ip| ip.is_ipv4() == family);
            ips.map(move |ip| SocketAddr::new(*ip, port))
        };
        listen.iter().flat_map(given).collect::<Vec<_>>()
    };
    if loopback || (result.is_empty() && announce.is_empty()) {
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
fn is_private(ip: IpAddr) -> bool {
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
                (_, _, IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
                (_, _, IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
            }
        };
        let sources = announced.iter().map(source).collect();
        Self { announced, sources, tcp: Vec::new() }
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

    /// The announced address that stands for a real one: itself if it is announced, else the first of its
    /// family with its port, else the first of its family, else itself. For a stream it is the one that its client
    /// connected to.
    #[must_use]
    pub fn to_announced(&self, local: SocketAddr) -> SocketAddr {
        let found = match StreamId::named(local) {
            None => standing_for(&self.announced, local),
            Some(_) => self.tcp.get(usize::from(local.port())).copied(),
        };
        found.unwrap_or(local)
    }

    /// The real address to send from in the name of an announced one. Unspecified means that the system
    /// chooses; what is not announced is taken as real.
    #[must_use]
    pub fn to_local(&self, announced: SocketAddr) -> SocketAddr {
        let mut pairs = self.announced.iter().zip(&self.sources);
        let found = pairs.find(|(address, _)| **address == announced);
        found.map_or(announced, |(_, source)| SocketAddr::new(*source, announced.port()))
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
            assert_eq!(map.to_announced(stream), announced.parse().unwrap());
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
        let got = announced(&sockets(listen), &ips(announce), loopback, &ips(interfaces));
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
    fn own_addresses_map_to_themselves() {
        let announced = sockets("198.51.100.5:3478 10.0.0.5:3478 [2001:db8::5]:3478");
        let map = AddressMap::new(announced.clone(), &ips("198.51.100.5 10.0.0.5 2001:db8::5"));
        for address in announced {
            assert_eq!((map.to_announced(address), map.to_local(address)), (address, address));
        }
    }

    #[test]
    fn one_to_one_nat_is_translated_both_ways() {
        let outer = sockets("203.0.113.7:3478 203.0.113.7:3479");
        let map = AddressMap::new(outer.clone(), &ips("127.0.0.1 10.0.0.5 fe80::1"));
        for (inner, outer) in sockets("10.0.0.5:3478 10.0.0.5:3479").into_iter().zip(outer) {
            assert_eq!((map.to_announced(inner), map.to_local(outer)), (outer, inner));
        }
        let [inner, expected] = ["[2001:db8::5]:1"; 2].map(|a| a.parse().unwrap());
        assert_eq!(map.to_announced(inner), expected, "a family that is not announced stays");
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
