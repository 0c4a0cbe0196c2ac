//! Whose is this datagram? STUN, DTLS, RTP and TURN share one port, and all sessions share it too.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use super::ufrag::{IceCredentials, Ufrag};
use crate::ids::WorkerId;
use crate::net::datagram::Datagram;
use crate::wire::stun::{self, Message, Method};

/// How many addresses of a session are remembered. A client has a few local addresses and may pass a few
/// NATs while it roams; who brings more loses the oldest.
pub const MAX_ADDRESSES: usize = 8;

/// How long a path stays with a session that no longer confirms it, when another session claims it.
///
/// A message's integrity does not cover its source address, so that any session can prove itself on a path
/// that is not its own, by a forged source or by sending on what it overheard. The true owner confirms its path
/// with every check: browsers each 2 to 3 s, and whoever checks consent each 4 to 6 s (RFC 7675 section 5.1).
/// So 10 s are longer than a living owner is silent, unless checks are lost. They are shorter than the 15 s
/// after which a session that hears no check ends, and than the 30 s that a new session has to connect: a
/// client that crashed and comes back from the same port waits for its old session, but gets through.
pub const HELD_FOR: Duration = Duration::from_secs(10);

/// What a datagram is by its first bytes (RFC 7983 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// STUN, so also ICE and TURN requests.
    Stun,
    /// TURN ChannelData (RFC 8656 section 12.4).
    ChannelData,
    /// DTLS.
    Dtls,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// Nothing that belongs here.
    Unknown,
}

/// Tells the protocol of a datagram by its first two bytes.
///
/// RTP and RTCP share their first byte. The second is RTCP's packet type, 192 to 223, which as RTP would be a
/// set marker bit and one of the payload types 64 to 95 that are kept free for it (RFC 5761 section 4).
#[must_use]
pub fn classify(payload: &[u8]) -> Class {
    match payload {
        [0..=3, ..] => Class::Stun,
        [20..=63, ..] => Class::Dtls,
        // RFC 7983 gives it those up to 79; clients of RFC 5766 use the others, which nothing else claims.
        [64..=127, ..] => Class::ChannelData,
        [128..=191, 192..=223, ..] => Class::Rtcp,
        [128..=191, _, ..] => Class::Rtp,
        _ => Class::Unknown,
    }
}

/// The length below which a datagram of this class cannot be whole: the headers of STUN, of a DTLS record
/// (RFC 6347 section 4.1), of RTP and of RTCP with a sender's SSRC (RFC 3550 sections 5.1 and 6.4).
fn shortest(class: Class) -> usize {
    match class {
        Class::Stun => stun::HEADER_LEN,
        Class::ChannelData => 4,
        Class::Dtls => 13,
        Class::Rtp => 12,
        Class::Rtcp => 8,
        Class::Unknown => 0,
    }
}

/// Where a datagram belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<K> {
    /// To this session.
    Session(K),
    /// To a session of another worker, which knows whose it is.
    Elsewhere(WorkerId),
    /// To the STUN server (`turn::binding`).
    Binding,
    /// To the TURN server.
    Turn,
    /// Nowhere.
    Drop(DropReason),
}

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// None of the protocols spoken here, or malformed.
    Garbage,
    /// Shorter than the header of its protocol.
    Truncated,
    /// An ICE check for a session that is not here. No answer: silence is how the other side learns that its
    /// session is over (RFC 7675 section 5.1).
    UnknownUfrag,
    /// Media, DTLS or a STUN response from an address that no session has proved to be its own.
    UnknownSource,
    /// TURN while no TURN server runs, or through a relay.
    Turn,
    /// A STUN request of somebody whose address was sent as many replies as it may be.
    Stranger,
    /// From an address that only TURN clients have, in this process; nobody on the network has it.
    Forged,
}

impl DropReason {
    /// All reasons, for counters.
    pub const ALL: [Self; 7] = [
        Self::Garbage,
        Self::Truncated,
        Self::UnknownUfrag,
        Self::UnknownSource,
        Self::Turn,
        Self::Stranger,
        Self::Forged,
    ];

    /// The name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Truncated => "truncated",
            Self::UnknownUfrag => "unknown_ufrag",
            Self::UnknownSource => "unknown_source",
            Self::Turn => "turn",
            Self::Stranger => "stranger",
            Self::Forged => "forged",
        }
    }
}

/// Whose a connectivity check is: the receiver's ufrag stands first in its user name (RFC 8445 section 7.2.2). `None` when it
/// is none of ours.
#[must_use]
pub fn receiver(username: &[u8]) -> Option<Ufrag> {
    username.split(|byte| *byte == b':').next().and_then(Ufrag::parse)
}

/// The table of ufrags and addresses of one worker; `K` names a session.
///
/// A ufrag beats an address: Chromium sends ICE checks of several sessions, STUN and TURN from one socket, so
/// that the source says nothing about a STUN message. Only what carries no ufrag goes by address, and an
/// address enters the table only when the caller has seen a check from it whose integrity was right. Even then
/// it stays with the session that has it, as long as that session goes on to confirm it ([`HELD_FOR`]).
///
/// Where several workers listen on one port, the system decides which of them gets the datagrams of a path: its
/// arrival worker. That need not be the one that holds the session. The arrival worker's table then says which worker
/// has the path ([`Demux::learn_elsewhere`]), by the same rules, and the other's table whose it is.
#[derive(Debug)]
pub struct Demux<K> {
    worker: WorkerId,
    ufrags: HashMap<Ufrag, K>,
    addresses: HashMap<Path, Holder<K>>,
    sessions: HashMap<K, Known>,
    released: Vec<(WorkerId, Path)>,
}

/// The source and the local address of a datagram.
pub type Path = (SocketAddr, SocketAddr);

/// Who has a path, and when it last proved itself there.
#[derive(Debug)]
struct Holder<K> {
    owner: Owner<K>,
    confirmed: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner<K> {
    /// A session of this worker, and the other worker at which the path's datagrams arrive, if it is another.
    Session(K, Option<WorkerId>),
    /// A session of another worker.
    Elsewhere(WorkerId),
}

impl<K: Copy + Eq> Owner<K> {
    fn session(self) -> Option<K> {
        match self {
            Self::Session(session, _) => Some(session),
            Self::Elsewhere(_) => None,
        }
    }

    fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Session(one, _), Self::Session(another, _)) => one == another,
            (one, another) => one == another,
        }
    }

    fn arrival(self) -> Option<WorkerId> {
        match self {
            Self::Session(_, arrival) => arrival,
            Self::Elsewhere(_) => None,
        }
    }
}

/// What is in the tables of one session, so that removing it needs no search.
#[derive(Debug)]
struct Known {
    ufrags: Vec<Ufrag>,
    /// The newest is last.
    addresses: VecDeque<Path>,
}

impl<K> Default for Demux<K> {
    fn default() -> Self {
        Self {
            worker: WorkerId(0),
            ufrags: HashMap::new(),
            addresses: HashMap::new(),
            sessions: HashMap::new(),
            released: Vec::new(),
        }
    }
}

impl<K: Copy + Eq + Hash> Demux<K> {
    /// An empty table of the first worker.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty table of one of several workers.
    #[must_use]
    pub fn on(worker: WorkerId) -> Self {
        Self { worker, ..Self::default() }
    }

    /// The worker whose sessions these are.
    #[must_use]
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Tells where a datagram belongs.
    #[must_use]
    pub fn route(&self, datagram: &Datagram<'_>) -> Route<K> {
        let class = classify(datagram.payload);
        if datagram.payload.len() < shortest(class) {
            return Route::Drop(DropReason::Truncated);
        }
        match class {
            Class::Stun => self.route_stun(datagram),
            Class::ChannelData => Route::Turn,
            Class::Dtls | Class::Rtp | Class::Rtcp => self.route_address(datagram),
            Class::Unknown => Route::Drop(DropReason::Garbage),
        }
    }

    fn route_stun(&self, datagram: &Datagram<'_>) -> Route<K> {
        let Ok(message) = Message::parse(datagram.payload) else { return Route::Drop(DropReason::Garbage) };
        if message.method() != Method::BINDING {
            return Route::Turn;
        }
        if message.class() != stun::Class::Request {
            return self.route_address(datagram);
        }
        let Some(username) = message.username() else { return Route::Binding };
        let Some(ufrag) = receiver(username) else { return Route::Drop(DropReason::UnknownUfrag) };
        match self.ufrags.get(&ufrag) {
            Some(session) => Route::Session(*session),
            None if ufrag.worker() != self.worker => Route::Elsewhere(ufrag.worker()),
            None => Route::Drop(DropReason::UnknownUfrag),
        }
    }

    fn route_address(&self, datagram: &Datagram<'_>) -> Route<K> {
        match self.addresses.get(&(datagram.source, datagram.local)).map(|holder| holder.owner) {
            Some(Owner::Session(session, _)) => Route::Session(session),
            Some(Owner::Elsewhere(worker)) => Route::Elsewhere(worker),
            None => Route::Drop(DropReason::UnknownSource),
        }
    }

    /// Whether somebody has proved this path to be its own.
    #[must_use]
    pub fn knows(&self, source: SocketAddr, local: SocketAddr) -> bool {
        self.addresses.contains_key(&(source, local))
    }

    /// Makes `session` reachable by `ufrag`. A session may have several: after an ICE restart the old one is
    /// good until the first check on the new one, then [`Demux::remove_ufrag`] takes it away.
    pub fn insert_ufrag(&mut self, ufrag: Ufrag, session: K) {
        self.remove_ufrag(ufrag);
        self.ufrags.insert(ufrag, session);
        let known = self
            .sessions
            .entry(session)
            .or_insert_with(|| Known { ufrags: Vec::new(), addresses: VecDeque::new() });
        known.ufrags.push(ufrag);
    }

    /// Forgets a ufrag; the session and its addresses stay.
    pub fn remove_ufrag(&mut self, ufrag: Ufrag) {
        let Some(session) = self.ufrags.remove(&ufrag) else { return };
        if let Some(known) = self.sessions.get_mut(&session) {
            known.ufrags.retain(|other| *other != ufrag);
        }
    }

    /// Remembers that `session` was heard from `source` at `local`. To be called whenever the integrity of a
    /// STUN message on this path was found right, again and again: it confirms the path, and keeps it from being
    /// the oldest.
    ///
    /// Returns whether the path is the session's now. It is not when another session has it and confirmed it
    /// less than [`HELD_FOR`] ago, and never a session's that has no ufrag, for that one is unknown.
    pub fn learn(&mut self, now: Instant, source: SocketAddr, local: SocketAddr, session: K) -> bool {
        self.learn_from(now, (source, local), session, None)
    }

    /// Does what [`Self::learn`] does, for a message that another worker received, `arrival`, and handed over. When the
    /// path is the session's, that worker is to be told ([`Self::learn_elsewhere`] there).
    pub fn learn_from(&mut self, now: Instant, path: Path, session: K, arrival: Option<WorkerId>) -> bool {
        if !self.sessions.contains_key(&session) || !self.take(now, path, Owner::Session(session, arrival)) {
            return false;
        }
        self.make_newest(session, path);
        true
    }

    /// Remembers that a session of `worker` proved itself on a path whose datagrams arrive here. To be called whenever
    /// that worker tells so. Returns whether the path is that worker's now, by the rules of [`Self::learn`].
    pub fn learn_elsewhere(&mut self, now: Instant, path: Path, worker: WorkerId) -> bool {
        self.take(now, path, Owner::Elsewhere(worker))
    }

    /// Forgets that `worker` has a path, if it still has it.
    pub fn forget_elsewhere(&mut self, path: Path, worker: WorkerId) {
        if let Entry::Occupied(holder) = self.addresses.entry(path)
            && holder.get().owner == Owner::Elsewhere(worker)
        {
            holder.remove();
        }
    }

    /// Takes out the paths that no session of this worker has any more, each with the worker at which its datagrams
    /// arrive, which is to be told ([`Self::forget_elsewhere`] there).
    pub fn take_released(&mut self) -> impl Iterator<Item = (WorkerId, Path)> + '_ {
        self.released.drain(..)
    }

    /// Gives a path to `owner`, unless another holds it.
    fn take(&mut self, now: Instant, path: Path, owner: Owner<K>) -> bool {
        let before = match self.addresses.entry(path) {
            Entry::Vacant(vacant) => {
                vacant.insert(Holder { owner, confirmed: now });
                return true;
            }
            Entry::Occupied(mut occupied) => {
                let holder = occupied.get_mut();
                let silent = now.saturating_duration_since(holder.confirmed);
                if !holder.owner.is_same(owner) && silent < HELD_FOR {
                    return false;
                }
                std::mem::replace(holder, Holder { owner, confirmed: now }).owner
            }
        };
        if let Some(arrival) = before.arrival().filter(|arrival| owner.arrival() != Some(*arrival)) {
            self.released.push((arrival, path));
        }
        if let Some(other) = before.session().filter(|before| owner.session() != Some(*before))
            && let Some(known) = self.sessions.get_mut(&other)
        {
            known.addresses.retain(|other| *other != path);
        }
        true
    }

    /// Removes a path that a session had.
    fn release(&mut self, path: Path) {
        if let Some(arrival) = self.addresses.remove(&path).and_then(|holder| holder.owner.arrival()) {
            self.released.push((arrival, path));
        }
    }

    /// Puts a path last among those of its session, and forgets the session's oldest when there are too many.
    fn make_newest(&mut self, session: K, path: Path) {
        let Some(known) = self.sessions.get_mut(&session) else { return };
        if known.addresses.back() == Some(&path) {
            return;
        }
        known.addresses.retain(|other| *other != path);
        known.addresses.push_back(path);
        if known.addresses.len() > MAX_ADDRESSES
            && let Some(oldest) = known.addresses.pop_front()
        {
            self.release(oldest);
        }
    }

    /// Forgets a session with all its ufrags and addresses.
    pub fn remove(&mut self, session: K) {
        let Entry::Occupied(known) = self.sessions.entry(session) else { return };
        let known = known.remove();
        for ufrag in known.ufrags {
            self.ufrags.remove(&ufrag);
        }
        for path in known.addresses {
            self.release(path);
        }
    }
}

#[cfg(test)]
mod tests;
