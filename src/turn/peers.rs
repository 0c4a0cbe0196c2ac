//! Whom an allocation may reach: this server's media, and other allocations. Nobody else, whatever it is called.
//!
//! There is nothing behind a relayed address but this process, so there is no network to scan through it. What could
//! still go wrong is that something is mistaken for one of our addresses; so all are compared in canonical form.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use super::relays::Relayed;

/// What a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// An address at which this server receives media.
    Media,
    /// An address that an allocation may have, here or on another worker.
    Relayed,
}

/// The form in which addresses are compared: an IPv4 address that wears IPv6 is an IPv4 address, and scopes and flow
/// labels, which TURN cannot say, are left out.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The addresses that may be peers.
#[derive(Debug)]
pub(super) struct Peers {
    media: HashSet<SocketAddr>,
    ips: HashSet<IpAddr>,
    relayed: Relayed,
}

impl Peers {
    pub(super) fn new(media: &[SocketAddr], relayed: Relayed) -> Self {
        let mut peers = Self { media: HashSet::new(), ips: HashSet::new(), relayed };
        peers.set_media(media);
        peers
    }

    pub(super) fn set_media(&mut self, media: &[SocketAddr]) {
        self.media = media.iter().copied().map(canonical).collect();
        self.ips = self.media.iter().map(SocketAddr::ip).chain(self.relayed.ips()).collect();
    }

    /// Whether permissions are given for this IP address, in canonical form.
    pub(super) fn has_ip(&self, ip: IpAddr) -> bool {
        self.ips.contains(&ip)
    }

    /// What is at an address in canonical form; `None` for everything that is not ours.
    pub(super) fn find(&self, address: SocketAddr) -> Option<Peer> {
        if self.media.contains(&address) {
            return Some(Peer::Media);
        }
        self.relayed.contains(address).then_some(Peer::Relayed)
    }
}
