//! Who is counted as one client where addresses are counted.

use std::net::{IpAddr, Ipv4Addr};

/// An IPv4 address, or the 64 bits of an IPv6 address that a provider gives to one customer at least, within which it can be
/// whoever it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Network {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl Network {
    /// The network of an address. A socket that listens on both families writes IPv4 addresses as IPv6.
    pub(super) fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn a_network_is_an_ipv4_address_or_64_bits_of_ipv6() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::4"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_ne!(of("198.51.100.1"), of("198.51.100.2"));
        assert_eq!(of("::ffff:198.51.100.1"), of("198.51.100.1"));
        assert_ne!(of("::ffff:198.51.100.1"), of("::ffff:198.51.100.2"));
        assert_ne!(of("0.0.0.0"), Network::of(Ipv6Addr::UNSPECIFIED.into()));
    }
}
