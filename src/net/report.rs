//! What became of the datagrams that were to be sent.

use std::io;
use std::ops::AddAssign;

/// What became of a [`SendBatch`](crate::net::datagram::SendBatch).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SendReport {
    /// Datagrams that the kernel took.
    pub packets: u64,
    /// Their payloads in bytes.
    pub bytes: u64,
    /// Datagrams that were dropped: the sum of `causes`.
    pub dropped: u64,
    /// System calls made.
    pub syscalls: u64,
    /// Why datagrams were dropped.
    pub causes: SendDrops,
}

/// Datagrams that could not be sent, by cause.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SendDrops {
    /// The send buffer was full.
    pub would_block: u64,
    /// Longer than the network of the destination can carry in one piece.
    pub too_large: u64,
    /// No route, or the network or the host is down; also an IPv4 source that is not this machine's.
    pub unreachable: u64,
    /// A firewall of this machine said no.
    pub denied: u64,
    /// No socket has the source's port, the source is not this machine's, or the destination is invalid.
    pub bad_address: u64,
    /// Anything else.
    pub other: u64,
}

impl SendDrops {
    /// Each cause's name in metrics, and its count.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("would_block", self.would_block),
            ("too_large", self.too_large),
            ("unreachable", self.unreachable),
            ("denied", self.denied),
            ("bad_address", self.bad_address),
            ("other", self.other),
        ]
    }
}

impl AddAssign for SendDrops {
    fn add_assign(&mut self, more: Self) {
        self.would_block += more.would_block;
        self.too_large += more.too_large;
        self.unreachable += more.unreachable;
        self.denied += more.denied;
        self.bad_address += more.bad_address;
        self.other += more.other;
    }
}

impl SendReport {
    pub(super) fn sent(&mut self, packets: usize, bytes: usize) {
        self.packets += packets as u64;
        self.bytes += bytes as u64;
    }

    pub(super) fn dropped(&mut self, packets: usize, error: &io::Error) {
        use io::ErrorKind as Kind;
        let causes = &mut self.causes;
        let cause = match error.kind() {
            _ if quinn_udp::is_msg_size_err(error) => &mut causes.too_large,
            Kind::WouldBlock => &mut causes.would_block,
            Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::ConnectionRefused
            | Kind::NetworkDown => &mut causes.unreachable,
            Kind::PermissionDenied => &mut causes.denied,
            Kind::AddrNotAvailable | Kind::InvalidInput => &mut causes.bad_address,
            _ => &mut causes.other,
        };
        *cause += packets as u64;
        self.dropped += packets as u64;
    }
}
