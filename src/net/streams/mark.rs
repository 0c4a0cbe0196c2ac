//! How a stream is named where addresses are expected.
//!
//! What decides about paths knows them as a remote and a local address. A path over TCP has a local address that is none:
//! it is the name of one stream. So a datagram can never leave for the other end of a stream, nor a frame into another
//! stream of the same client, whichever addresses and ports both use.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The addresses that stand for streams begin like this. Nothing on a network has one: they are for packets that are to be
/// discarded (RFC 6666).
const PREFIX: [u16; 4] = [0x0100, 0, 0, 0];

/// A stream of this process. No number is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

impl StreamId {
    /// The name of the stream as a local address. `candidate` is the place of the announced address at which its client
    /// knows this server.
    #[must_use]
    pub fn address(self, candidate: u16) -> SocketAddr {
        let [a, b, c, d] = PREFIX;
        let prefix = u128::from(a) << 112 | u128::from(b) << 96 | u128::from(c) << 80 | u128::from(d) << 64;
        SocketAddr::new(Ipv6Addr::from(prefix | u128::from(self.0)).into(), candidate)
    }

    /// The stream that a local address names. `None` when it is an address.
    #[must_use]
    pub fn named(local: SocketAddr) -> Option<Self> {
        let IpAddr::V6(ip) = local.ip() else { return None };
        let [a, b, c, d, ..] = ip.segments();
        let [.., e, f, g, h] = ip.segments();
        let number = u64::from(e) << 48 | u64::from(f) << 32 | u64::from(g) << 16 | u64::from(h);
        ([a, b, c, d] == PREFIX).then_some(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_back_and_no_address_is_taken_for_one() {
        for number in [0, 1, 0x1234_5678_9ABC_DEF0, u64::MAX] {
            let address = StreamId(number).address(7);
            assert_eq!((StreamId::named(address), address.port()), (Some(StreamId(number)), 7));
        }
        let relayed = "[100:0:0:1::8]:16384";
        for address in ["192.0.2.1:443", "[2001:db8::1]:443", "[::ffff:192.0.2.1]:443", relayed] {
            assert_eq!(StreamId::named(address.parse().unwrap()), None);
        }
    }
}
