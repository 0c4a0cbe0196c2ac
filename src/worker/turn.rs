//! TURN on a media thread: the server of this worker, and the way of relayed packets between its clients and the media.
//!
//! ```text
//! client -> client_says() -> Worker::take(), as a datagram from the relayed address -> the session
//! session -> SendBatch, to the relayed address -> divert() -> the worker that lends it -> wrap() -> deliver() -> client
//! ```
//!
//! No socket stands behind a relayed address, so what is sent to one never leaves the process as it is. Each worker lends a
//! share of the ports; what is for an address of another worker's share is handed over to it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::message::TurnCounters;
use super::neighbour::Neighbours;
use super::random::random;
use crate::ids::WorkerId;
use crate::net::datagram::{Datagram, SendBatch};
use crate::net::streams::mark::StreamId;
use crate::net::streams::outgoing::StreamOut;
use crate::net::throttle::Throttle;
use crate::turn::allocation::{FiveTuple, Transport};
use crate::turn::counters::Dropped;
use crate::turn::credentials::Credential;
use crate::turn::relays::Relayed;
use crate::turn::server::{Limits, Outcome, Server, Settings};
use crate::units::Bitrate;

/// The addresses that relayed ones have: dummies, which by their registration nobody on any network has (RFC 7600 section
/// 4.8, RFC 9780). So a datagram that bears one is forged, and nobody else's is taken for it.
const DUMMIES: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(192, 0, 0, 8), Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 8));

/// The ports of relayed addresses. They are names, and none is opened.
const PORTS: RangeInclusive<u16> = 16_384..=32_767;

/// How long after the last relayed packet what is sent is still looked through for relayed addresses. Longer than a session
/// lives that hears nothing.
const WATCHED_FOR: Duration = Duration::from_secs(60);

/// How often the wall clock is read, on which the expiry of credentials depends.
const CLOCK_EVERY: Duration = Duration::from_secs(10);

/// What the TURN servers of all workers are made with.
#[derive(Clone)]
pub struct TurnConfig {
    /// The realm that clients are told.
    pub realm: String,
    /// Users with passwords.
    pub users: Vec<Credential>,
    /// The secrets of credentials that say themselves until when they are good.
    pub secrets: Vec<String>,
    /// Relayed clients at one time, of all workers together.
    pub allocations: u32,
    /// Relayed clients of one user, on each worker.
    pub per_user: u32,
    /// Relayed clients of one address, on each worker.
    pub per_address: u32,
    /// What each may send, and what it may receive. `None`: as much as there is.
    pub bandwidth: Option<Bitrate>,
    /// What nonces are made with, and where their time begins: common to all workers, which so take each other's.
    key: [u8; 32],
    began: Instant,
    dummies: (Ipv4Addr, Ipv6Addr),
}

impl TurnConfig {
    /// Servers for these credentials, with the limits that the configuration has by default.
    #[must_use]
    pub fn new(realm: String, users: Vec<Credential>, secrets: Vec<String>) -> Self {
        let (key, began) = (random(), Instant::now());
        let bandwidth = Some(Bitrate(50_000_000));
        let (allocations, per_user, per_address) = (2000, 32, 256);
        Self {
            realm,
            users,
            secrets,
            allocations,
            per_user,
            per_address,
            bandwidth,
            key,
            began,
            dummies: DUMMIES,
        }
    }

    fn limits(&self, workers: u8) -> Limits {
        let count = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        Limits {
            allocations: count(self.allocations.div_ceil(workers.max(1).into())),
            per_user: count(self.per_user),
            per_host: count(self.per_address),
            bandwidth: self.bandwidth,
            ..Limits::default()
        }
    }
}

impl fmt::Debug for TurnConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnConfig").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// How the relayed addresses are shared by the workers.
#[derive(Debug, Clone)]
struct Lending {
    relayed: Relayed,
    /// How many ports each worker lends; even, as ports are lent in pairs.
    share: u16,
}

impl Lending {
    /// There are relayed addresses of those families in which media is received.
    fn new(dummies: (Ipv4Addr, Ipv6Addr), announced: &[SocketAddr], workers: u8) -> Self {
        let all = PORTS.end() - PORTS.start() + 1;
        let share = (all / u16::from(workers.max(1))) & !1;
        let last = PORTS.start() + (share * u16::from(workers.max(1)) - 1);
        let v4 = announced.iter().any(SocketAddr::is_ipv4).then_some(dummies.0);
        let v6 = announced.iter().any(SocketAddr::is_ipv6).then_some(dummies.1);
        Self { relayed: Relayed { v4, v6, ports: *PORTS.start()..=last }, share }
    }

    fn ports(&self, worker: WorkerId) -> RangeInclusive<u16> {
        let first = PORTS.start() + self.share * u16::from(worker.0);
        first..=first + (self.share - 1)
    }

    /// The worker that lends this relayed address.
    fn lender(&self, relayed: SocketAddr) -> WorkerId {
        let place = relayed.port().saturating_sub(*PORTS.start()) / self.share.max(1);
        WorkerId(u8::try_from(place).unwrap_or(u8::MAX))
    }
}

/// The TURN server of one worker.
pub(super) struct Turn {
    own: WorkerId,
    server: Server,
    lending: Lending,
    /// Until when what is sent is looked through.
    watched_until: Instant,
    clock_read: Instant,
    /// Passwords that were not looked at, of which the log was told or is about to be.
    guesses: u64,
    guessing: Throttle,
    /// The moment of this turn of the worker's loop.
    now: Instant,
    clients: Clients,
}

/// The ways to clients.
#[derive(Default)]
struct Clients {
    /// What goes to them over UDP.
    wrapped: SendBatch,
    /// Those that have a connection.
    streams: HashMap<FiveTuple, (StreamId, StreamOut)>,
    undelivered: u64,
}

impl Clients {
    /// Sends a message, given in parts, to a client. The one place where transports differ.
    fn deliver(&mut self, now: Instant, client: &FiveTuple, parts: &[&[u8]]) {
        match client.transport {
            Transport::Udp => {
                let write = |arena: &mut Vec<u8>| {
                    parts.iter().for_each(|part| arena.extend_from_slice(part));
                    Ok::<(), Infallible>(())
                };
                let Ok(_) = self.wrapped.write(client.server, client.client, write);
            }
            Transport::Tcp => match self.streams.get(client) {
                Some((_, out)) => out.send(now, parts),
                None => self.undelivered += 1,
            },
        }
    }
}

impl Turn {
    /// The server of worker `own` of so many. `media`: where media is received, as clients and as datagrams name it.
    pub(super) fn new(
        config: &TurnConfig,
        own: WorkerId,
        workers: u8,
        announced: &[SocketAddr],
        media: Vec<SocketAddr>,
    ) -> Self {
        let now = Instant::now();
        let lending = Lending::new(config.dummies, announced, workers);
        let settings = Settings {
            realm: config.realm.clone(),
            users: config.users.clone(),
            secrets: config.secrets.clone(),
            key: config.key,
            began: config.began,
            media,
            relayed: lending.relayed.clone(),
            ports: lending.ports(own),
            limits: config.limits(workers),
        };
        Self {
            own,
            server: Server::new(settings, now, since_1970()),
            lending,
            watched_until: now,
            clock_read: now,
            guesses: 0,
            guessing: Throttle::new(),
            now,
            clients: Clients::default(),
        }
    }

    /// A turn of the worker's loop begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.now = now;
        if now.saturating_duration_since(self.clock_read) >= CLOCK_EVERY {
            self.clock_read = now;
            self.server.set_clock(now, since_1970());
            self.tell_guesses(now);
        }
        if self.server.deadline().is_some_and(|deadline| deadline <= now) {
            self.server.expire(now);
        }
    }

    /// Tells the log that somebody guesses passwords.
    fn tell_guesses(&mut self, now: Instant) {
        let total = self.server.counters().dropped(Dropped::Guessing);
        if total > self.guesses && self.guessing.count(now).is_some() {
            let (refused, wrong) = (total - self.guesses, self.server.counters().wrong_passwords);
            tracing::warn!(
                refused,
                wrong,
                "somebody guesses TURN passwords; they are looked at every 2 s only"
            );
            self.guesses = total;
        }
    }

    /// Media is received at these addresses from now on.
    pub(super) fn set_media(&mut self, media: &[SocketAddr]) {
        self.server.set_media(media);
    }

    /// Whether an allocation may have this address.
    pub(super) fn is_relayed(&self, address: SocketAddr) -> bool {
        self.lending.relayed.contains(address)
    }

    /// Something came from a relayed address: from now on something may be sent to one.
    pub(super) fn heard_relayed(&mut self) {
        self.watched_until = self.now + WATCHED_FOR;
    }

    /// A client is there, in this stream.
    pub(super) fn opened(&mut self, client: FiveTuple, id: StreamId, out: StreamOut) {
        // A port may come back before the end of the stream that had it was told.
        self.server.closed(&client);
        self.clients.streams.insert(client, (id, out));
    }

    /// A client's stream is gone, and its allocation with it (RFC 8656 section 3.1).
    pub(super) fn closed(&mut self, client: &FiveTuple, id: StreamId) {
        if self.clients.streams.get(client).is_some_and(|(own, _)| *own == id) {
            self.clients.streams.remove(client);
            self.server.closed(client);
        }
    }

    /// Says whether a client's stream is of use.
    pub(super) fn judge(&self, client: &FiveTuple) {
        if let Some((_, out)) = self.clients.streams.get(client) {
            out.admit(self.server.has_allocation(client));
        }
    }

    /// Takes a message of a client: a datagram, or what was taken out of its stream. Returns what it sends to the media, as a
    /// datagram from its relayed address. Replies, and what is for other clients, are on their way.
    pub(super) fn client_says<'d>(
        &mut self,
        client: &FiveTuple,
        message: &'d [u8],
        neighbours: &mut Neighbours,
    ) -> Option<Datagram<'d>> {
        match self.server.receive(self.now, client, message) {
            Outcome::Nothing => None,
            Outcome::Reply(reply) => {
                self.clients.deliver(self.now, client, &[reply]);
                None
            }
            Outcome::ToMedia { relayed, media, data } => {
                self.heard_relayed();
                // Datagrams are never empty, and no protocol of the media has empty ones.
                (!data.is_empty()).then_some(Datagram { source: relayed, local: media, payload: data })
            }
            Outcome::ToRelayed { relayed, peer, data } => {
                self.send(peer, relayed, data, neighbours);
                None
            }
        }
    }

    /// Takes what is for relayed addresses out of a batch.
    pub(super) fn divert(&mut self, batch: &mut SendBatch, neighbours: &mut Neighbours) {
        if self.watched_until <= self.now {
            return;
        }
        batch.divert(|outgoing| {
            let is_relayed = self.is_relayed(outgoing.destination);
            if is_relayed {
                self.send(outgoing.destination, outgoing.local, outgoing.payload, neighbours);
            }
            is_relayed
        });
    }

    /// Sends a datagram from `peer` to a relayed address of any worker.
    fn send(&mut self, relayed: SocketAddr, peer: SocketAddr, data: &[u8], neighbours: &mut Neighbours) {
        let lender = self.lending.lender(relayed);
        if lender == self.own {
            self.wrap(relayed, peer, data);
        } else {
            let datagram = Datagram { source: peer, local: relayed, payload: data };
            neighbours.hand_to_lender(lender, &datagram);
        }
    }

    /// Sends a datagram from `peer` to the client that has a relayed address of this worker.
    pub(super) fn wrap(&mut self, relayed: SocketAddr, peer: SocketAddr, data: &[u8]) {
        let Some((client, envelope)) = self.server.to_client(self.now, relayed, peer, data.len()) else {
            return;
        };
        let padding = [0; 3];
        let padding = padding.get(..envelope.padding()).unwrap_or(&padding);
        self.clients.deliver(self.now, &client, &[envelope.head(), data, padding]);
    }

    /// What goes to clients over UDP since the last call.
    pub(super) fn wrapped(&mut self) -> &mut SendBatch {
        &mut self.clients.wrapped
    }

    pub(super) fn counters(&self) -> TurnCounters {
        TurnCounters {
            allocations: self.server.allocations() as u64,
            server: *self.server.counters(),
            undelivered: self.clients.undelivered,
        }
    }
}

/// How long after 1970 it is. A clock before 1970 is wrong by so much that zero does as well.
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
