//! The TURN server of one worker (RFC 8656): messages of clients in, replies and relayed data out.
//!
//! ```text
//! client --- Send, ChannelData ---> receive() ---> Outcome::ToMedia, as if it came from the relayed address
//! client <-- Data, ChannelData --- to_client() <-- what this server's media sends to a relayed address
//! ```

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::allocation::{FiveTuple, Leg};
use super::base64;
use super::bucket::Rate;
use super::counters::Counters;
use super::credentials::{Credential, Credentials};
use super::nonce::Nonces;
use super::peers::Peers;
use super::relays::{Both, Family, Relayed, Relays};
use super::strangers::Strangers;
use super::table::Table;
use crate::units::Bitrate;

mod allocate;
mod authenticate;
mod permit;
mod receive;
mod refresh;
mod reply;
mod request;

/// How old a nonce may be (RFC 8656 section 5 advises an hour).
pub const NONCE_AGE: Duration = Duration::from_secs(3600);

/// How long an allocation lives if nobody says otherwise, and at least (RFC 8656 section 3.2).
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);

/// How long an allocation lives at most without a Refresh (RFC 8656 section 7.2).
pub const MAX_LIFETIME: Duration = Duration::from_secs(3600);

/// What one server takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Allocations at one time; beyond, error 508.
    pub allocations: usize,
    /// Allocations of one user; beyond, error 486. Names that differ only in their time are one user.
    pub per_user: usize,
    /// Allocations of one client address (of IPv6, one network of 64 bits); beyond, error 486.
    pub per_host: usize,
    /// Permissions of one allocation; beyond, error 508. Its peers are few, as all are this server's.
    pub permissions: usize,
    /// Channels of one allocation; beyond, error 508.
    pub channels: usize,
    /// What an allocation may carry in each direction, with bursts of half a second; `None`: as much as there is.
    pub bandwidth: Option<Bitrate>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allocations: 2000,
            per_user: 32,
            per_host: 256,
            permissions: 16,
            channels: 16,
            bandwidth: Some(Bitrate(50_000_000)),
        }
    }
}

impl Limits {
    /// No burst is too small for a key frame.
    fn rate(&self) -> Option<Rate> {
        let per_second = self.bandwidth?.0 / 8;
        Some(Rate { per_second, burst: (per_second / 2).max(1 << 18) })
    }
}

/// What a server is made with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The realm that clients are told. Short, as it stands in every challenge: at most 127 characters (RFC 8489
    /// section 14.9).
    pub realm: String,
    /// Users with passwords.
    pub users: Vec<Credential>,
    /// The secrets of credentials that say themselves until when they are good. The first makes new ones; the others are
    /// those before it, until what was made with them has expired.
    pub secrets: Vec<String>,
    /// What nonces and reservations are made with: random, never told, and the same on all workers, so that they take
    /// each other's nonces.
    pub key: [u8; 32],
    /// Where nonces count their time from; the same on all workers.
    pub began: Instant,
    /// The addresses at which this server receives media, as clients know them.
    pub media: Vec<SocketAddr>,
    /// Which addresses are relayed ones, on all workers together.
    pub relayed: Relayed,
    /// The ports that this worker lends; no other worker lends them.
    pub ports: RangeInclusive<u16>,
    /// What it takes on.
    pub limits: Limits,
}

/// What a message of a client leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'s, 'd> {
    /// Nothing. If the message was dropped, it was counted.
    Nothing,
    /// These bytes go back to the client.
    Reply(&'s [u8]),
    /// These go to this server's media at `media`, as a datagram from `relayed`.
    ToMedia {
        /// The source that media sees, and answers to.
        relayed: SocketAddr,
        /// The media address that the client sent to.
        media: SocketAddr,
        /// The datagram.
        data: &'d [u8],
    },
    /// These go to another allocation: give them to [`Server::to_client`] of the worker that has `peer`.
    ToRelayed {
        /// The source that the other client sees.
        relayed: SocketAddr,
        /// The other's relayed address. It need not exist.
        peer: SocketAddr,
        /// The datagram.
        data: &'d [u8],
    },
}

/// The TURN server of one worker.
pub struct Server {
    credentials: Credentials,
    nonces: Nonces,
    peers: Peers,
    relays: Relays,
    table: Table,
    strangers: Strangers,
    limits: Limits,
    alternates: Both<Option<SocketAddr>>,
    /// A moment, and how long it was after 1970.
    clock: (Instant, Duration),
    counters: Counters,
    /// How many Data indications were sent, which numbers them.
    indications: u64,
    /// The reply.
    out: Vec<u8>,
}

impl Server {
    /// A server without allocations. `wall` is how long after 1970 `now` is.
    #[must_use]
    pub fn new(settings: Settings, now: Instant, wall: Duration) -> Self {
        let Settings { realm, users, secrets, key, began, media, relayed, ports, limits } = settings;
        Self {
            credentials: Credentials::new(realm, &users, &secrets, base64::encode(&key)),
            nonces: Nonces::new(&key, began, NONCE_AGE),
            relays: Relays::new(relayed.clone(), &ports, &media, &key),
            peers: Peers::new(&media, relayed),
            table: Table::new(),
            strangers: Strangers::new(now),
            limits,
            alternates: Both::default(),
            clock: (now, wall),
            counters: Counters::default(),
            indications: 0,
            out: Vec::new(),
        }
    }

    /// Tells what time it is: `now` is so long after 1970. Only the expiry of credentials depends on it.
    pub fn set_clock(&mut self, now: Instant, wall: Duration) {
        self.clock = (now, wall);
    }

    /// Changes who may allocate from now on. Allocations that exist live on, whoever made them.
    pub fn set_credentials(&mut self, users: &[Credential], secrets: &[String]) {
        self.credentials.replace(users, secrets);
    }

    /// Changes at which addresses this server receives media.
    pub fn set_media(&mut self, media: &[SocketAddr]) {
        self.peers.set_media(media);
    }

    /// Sends clients without an allocation to another server from now on (error 300): each to the one of its own
    /// family of addresses, if there is one. `None` ends that.
    pub fn set_alternates(&mut self, v4: Option<SocketAddr>, v6: Option<SocketAddr>) {
        self.alternates = Both { v4, v6 };
    }

    /// When [`Self::expire`] is to be called next; `None` while there is nothing that expires.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let allocation = self.table.next_expiry().map(|(expires, _)| expires);
        [allocation, self.relays.deadline(), self.strangers.deadline()].into_iter().flatten().min()
    }

    /// Ends what is over. [`Self::receive`] and [`Self::to_client`] do so too.
    pub fn expire(&mut self, now: Instant) {
        while let Some((_, number)) = self.table.next_expiry().filter(|(expires, _)| *expires <= now) {
            if self.end_legs(number, |_, leg| leg.expires <= now) {
                self.counters.expired += 1;
            }
        }
        self.relays.expire(now);
        self.strangers.sweep(now);
    }

    /// Ends the allocation of a client whose connection closed.
    pub fn closed(&mut self, client: &FiveTuple) {
        if let Some(number) = self.table.find(client)
            && self.end_legs(number, |_, _| true)
        {
            self.counters.released += 1;
        }
    }

    /// Whether this client has an allocation.
    #[must_use]
    pub fn has_allocation(&self, client: &FiveTuple) -> bool {
        self.table.find(client).is_some()
    }

    /// How many allocations there are.
    #[must_use]
    pub fn allocations(&self) -> usize {
        self.table.len()
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The sizes of all tables, to see that they go back to nothing.
    #[cfg(test)]
    fn sizes(&self) -> Vec<usize> {
        let own = [self.relays.len(), self.relays.reservations(), self.strangers.len()];
        [&self.table.sizes()[..], &own].concat()
    }

    /// Ends those addresses of an allocation that `ends` says. Returns whether it has none left, and is gone.
    fn end_legs(&mut self, number: usize, ends: impl Fn(Family, &Leg) -> bool) -> bool {
        let relays = &mut self.relays;
        let gone = self.table.change_expiry(number, |allocation| {
            for family in Family::ALL {
                if let Some(leg) = allocation.legs.of_mut(family).take_if(|leg| ends(family, leg)) {
                    relays.release(leg.address);
                }
            }
        });
        gone.is_some()
    }
}

#[cfg(test)]
mod tests;
