//! One allocation: its relayed addresses, and whom it lets through (RFC 8656 sections 2 and 3).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use super::counters::Refused;
use super::credentials::LongTermKey;
use super::relays::{Both, Family, Token};
use crate::wire::channel::ChannelNumber;
use crate::wire::stun::TransactionId;

/// How long a permission lasts (RFC 8656 section 9).
pub const PERMITTED_FOR: Duration = Duration::from_secs(300);

/// How long a channel stays bound (RFC 8656 section 12).
pub const BOUND_FOR: Duration = Duration::from_secs(600);

/// How messages travel between a client and the server. TLS is TCP here (RFC 8656 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// In datagrams, whose source may be forged.
    Udp,
    /// In a stream, be it TLS or not.
    Tcp,
}

/// What tells clients apart (RFC 8656 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiveTuple {
    /// The transport between them.
    pub transport: Transport,
    /// The client's address, as the server sees it.
    pub client: SocketAddr,
    /// The server's address that the client speaks to.
    pub server: SocketAddr,
}

/// A relayed address and how long it lives without a Refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) address: SocketAddr,
    pub(super) expires: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Permission {
    ip: IpAddr,
    expires: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Channel {
    number: ChannelNumber,
    peer: SocketAddr,
    expires: Instant,
}

/// What a repeated Allocate is told again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granted {
    pub(super) transaction: TransactionId,
    pub(super) lifetime: Duration,
    pub(super) token: Option<Token>,
    /// Two addresses were asked for, and for this reason there is none of that family.
    pub(super) lacks: Option<(Family, Refused)>,
}

/// Why a channel cannot be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BindError {
    /// The number has another peer, or the peer another number (RFC 8656 section 12.2).
    Taken,
    /// There are as many as there may be.
    Full,
}

/// One allocation.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: FiveTuple,
    pub(super) username: Box<[u8]>,
    /// Under which name it is counted.
    pub(super) user: Box<[u8]>,
    pub(super) key: LongTermKey,
    pub(super) granted: Granted,
    pub(super) legs: Both<Option<Leg>>,
    /// From the client to peers, and from peers to the client.
    pub(super) outward: Bucket,
    pub(super) inward: Bucket,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
}

/// What an allocation starts with.
pub(super) struct Start {
    pub(super) client: FiveTuple,
    pub(super) username: Box<[u8]>,
    pub(super) user: Box<[u8]>,
    pub(super) key: LongTermKey,
    pub(super) granted: Granted,
    pub(super) legs: Both<Option<Leg>>,
    pub(super) bucket: Bucket,
}

impl Allocation {
    pub(super) fn new(start: Start) -> Self {
        let Start { client, username, user, key, granted, legs, bucket } = start;
        Self {
            client,
            username,
            user,
            key,
            granted,
            legs,
            outward: bucket,
            inward: bucket,
            permissions: Vec::new(),
            channels: Vec::new(),
        }
    }

    /// The relayed address of a family.
    pub(super) fn relayed(&self, family: Family) -> Option<SocketAddr> {
        self.legs.of(family).map(|leg| leg.address)
    }

    /// When the next of its addresses expires; `None` when it has none left.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.legs.v4.iter().chain(&self.legs.v6).map(|leg| leg.expires).min()
    }

    /// Whether peers of this IP address are let through.
    pub(super) fn permits(&self, now: Instant, ip: IpAddr) -> bool {
        self.permissions.iter().any(|permission| permission.ip == ip && now < permission.expires)
    }

    /// Whether all of these can be permitted, with at most `limit` permissions in the end.
    pub(super) fn has_room(&mut self, now: Instant, ips: &[IpAddr], limit: usize) -> bool {
        self.permissions.retain(|permission| now < permission.expires);
        let is_new = |ip: &&IpAddr| !self.permissions.iter().any(|permission| permission.ip == **ip);
        self.permissions.len() + ips.iter().filter(is_new).count() <= limit
    }

    /// Permits an IP address from now on.
    pub(super) fn permit(&mut self, now: Instant, ip: IpAddr) {
        let expires = now + PERMITTED_FOR;
        match self.permissions.iter_mut().find(|permission| permission.ip == ip) {
            Some(permission) => permission.expires = expires,
            None => self.permissions.push(Permission { ip, expires }),
        }
    }

    /// Binds a channel, or keeps it bound.
    pub(super) fn bind(
        &mut self,
        now: Instant,
        number: ChannelNumber,
        peer: SocketAddr,
        limit: usize,
    ) -> Result<(), BindError> {
        self.channels.retain(|channel| now < channel.expires);
        let expires = now + BOUND_FOR;
        let is_full = self.channels.len() >= limit;
        let same = self.channels.iter_mut().find(|channel| channel.number == number || channel.peer == peer);
        match same {
            Some(channel) if channel.number == number && channel.peer == peer => channel.expires = expires,
            Some(_) => return Err(BindError::Taken),
            None if is_full => return Err(BindError::Full),
            None => self.channels.push(Channel { number, peer, expires }),
        }
        Ok(())
    }

    /// The peer of a channel.
    pub(super) fn peer(&self, now: Instant, number: ChannelNumber) -> Option<SocketAddr> {
        self.live_channels(now).find(|channel| channel.number == number).map(|channel| channel.peer)
    }

    /// The channel of a peer.
    pub(super) fn channel(&self, now: Instant, peer: SocketAddr) -> Option<ChannelNumber> {
        self.live_channels(now).find(|channel| channel.peer == peer).map(|channel| channel.number)
    }

    fn live_channels(&self, now: Instant) -> impl Iterator<Item = &Channel> {
        self.channels.iter().filter(move |channel| now < channel.expires)
    }
}
