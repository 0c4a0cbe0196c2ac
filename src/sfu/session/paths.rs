//! The addresses of a peer: which it has proved, which local address stands behind each, how many it may try, and which of
//! them media takes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::net::demux::MAX_ADDRESSES;
use crate::net::streams::mark::StreamId;
use crate::sfu::egress::Path;
use crate::wire::stun::TransactionId;

/// How many remote addresses a peer may check from at once, and how long until it may use one more. A client with
/// Wi-Fi, mobile and IPv6 has some six; a check can be replayed from any address, and the ICE agent remembers each.
const NEW_REMOTES: u32 = 32;
const NEW_REMOTE_EVERY: Duration = Duration::from_secs(10);

/// How many checks are remembered: those of half a minute.
const HEARD: usize = 64;

/// How long a pair was not nominated before media moves to another that is. Agents check the pair they use each 2 to 3 s at
/// least, and a new one several times a second.
const SILENT_FOR: Duration = Duration::from_secs(1);

/// The address pairs of one peer.
#[derive(Debug)]
pub(super) struct Paths {
    /// The most recently confirmed is last.
    proved: Vec<Path>,
    /// Where media goes, and when the peer last nominated it.
    outgoing: Option<(Path, Instant)>,
    /// The peer chooses anew: the pair that it nominates next is the one.
    is_open: bool,
    /// The last checks and where they came from.
    heard: VecDeque<(TransactionId, Path)>,
    tried: Vec<SocketAddr>,
    budget: u32,
    refilled: Instant,
}

impl Paths {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            proved: Vec::new(),
            outgoing: None,
            is_open: false,
            heard: VecDeque::new(),
            tried: Vec::new(),
            budget: NEW_REMOTES,
            refilled: now,
        }
    }

    /// Whether a check from this address may be looked at.
    pub(super) fn admit(&mut self, now: Instant, remote: SocketAddr) -> bool {
        if self.tried.contains(&remote) {
            return true;
        }
        while self.budget < NEW_REMOTES && now.saturating_duration_since(self.refilled) >= NEW_REMOTE_EVERY {
            self.refilled += NEW_REMOTE_EVERY;
            self.budget += 1;
        }
        if self.budget == NEW_REMOTES {
            self.refilled = now;
        }
        if self.budget == 0 {
            return false;
        }
        self.budget -= 1;
        if self.tried.len() >= 2 * NEW_REMOTES as usize {
            self.tried.remove(0);
        }
        self.tried.push(remote);
        true
    }

    /// The peer proved itself on this pair.
    pub(super) fn learn(&mut self, path: Path) {
        self.proved.retain(|known| *known != path);
        if self.proved.len() >= MAX_ADDRESSES {
            self.proved.remove(0);
        }
        self.proved.push(path);
    }

    /// Where media goes. `None` before the first handshake.
    pub(super) fn outgoing(&self) -> Option<Path> {
        self.outgoing.map(|(path, _)| path)
    }

    /// The handshake takes this pair: so does media, until the peer nominates another.
    pub(super) fn begin(&mut self, now: Instant, path: Path) {
        self.outgoing.get_or_insert((path, now));
    }

    /// ICE began anew: media goes where it went until the peer nominates a pair, and then there at once.
    pub(super) fn restart(&mut self) {
        self.is_open = true;
    }

    /// The peer proved itself on this pair with USE-CANDIDATE (RFC 8445 section 7.3.1.5). Media moves there once the old
    /// pair was not nominated for a while: a check can be replayed from another address, and some agents nominate
    /// several pairs for a time. Returns whether it moves.
    pub(super) fn nominate(&mut self, now: Instant, path: Path) -> bool {
        let Some((current, nominated)) = &mut self.outgoing else { return false };
        let before = *current;
        let is_silent = now.saturating_duration_since(*nominated) >= SILENT_FOR;
        if std::mem::take(&mut self.is_open) || is_silent || *current == path {
            (*current, *nominated) = (path, now);
        }
        before != *current
    }

    /// Whether a check whose integrity was right was not heard on another path before. A client checks some times a second
    /// at most.
    pub(super) fn is_original(&mut self, path: Path, transaction: TransactionId) -> bool {
        if let Some((_, first)) = self.heard.iter().find(|(known, _)| *known == transaction) {
            return *first == path;
        }
        if self.heard.len() == HEARD {
            self.heard.pop_front();
        }
        self.heard.push_back((transaction, path));
        true
    }

    /// The real address from which `remote` was heard at the one that the session knows as `from` (`known_as`), or the
    /// stream in which it was: a client may use one port for both, and this server too. `None` when there was none.
    pub(super) fn local(
        &self,
        from: SocketAddr,
        remote: SocketAddr,
        is_stream: bool,
        known_as: impl Fn(SocketAddr) -> SocketAddr,
    ) -> Option<SocketAddr> {
        let fits = |path: &&Path| {
            path.remote == remote
                && StreamId::named(path.local).is_some() == is_stream
                && known_as(path.local) == from
        };
        self.proved.iter().rev().find(fits).map(|path| path.local)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::net::addresses::{AddressMap, Announced};

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_backup_check_does_not_move_the_media() {
        let homes = [address("192.0.2.1:3478"), address("192.0.2.2:3478")];
        let interfaces: Vec<IpAddr> = homes.iter().map(SocketAddr::ip).collect();
        let map = AddressMap::new(homes.to_vec(), &interfaces);
        let client = address("203.0.113.5:40000");
        let mut paths = Paths::new(Instant::now());
        homes.iter().for_each(|home| paths.learn(Path { remote: client, local: *home }));
        let told = homes.to_vec().into();
        let known = |local| map.known_as(&told, local);
        assert_eq!(paths.local(homes[0], client, false, known), Some(homes[0]));
        assert_eq!(paths.local(homes[1], client, false, known), Some(homes[1]));
    }

    #[test]
    fn behind_nat_the_address_that_received_also_sends() {
        let outer = address("203.0.113.7:3478");
        let inner = [address("10.0.0.4:3478"), address("10.1.0.4:3478")];
        let interfaces: Vec<IpAddr> = inner.iter().map(SocketAddr::ip).collect();
        let map = AddressMap::new(vec![outer], &interfaces);
        let client = address("198.51.100.2:5000");
        let mut paths = Paths::new(Instant::now());
        paths.learn(Path { remote: client, local: inner[1] });
        let told = vec![outer].into();
        assert_eq!(paths.local(outer, client, false, |local| map.known_as(&told, local)), Some(inner[1]));
    }

    /// One client with one port for UDP and TCP, and a server that does the same.
    #[test]
    fn what_is_for_a_stream_never_leaves_as_a_datagram_nor_the_other_way_round() {
        let home = address("192.0.2.1:443");
        let map = AddressMap::new(vec![home], &[home.ip()]).with_tcp(vec![home]);
        let told = Announced { udp: vec![home], tcp: vec![home] };
        let known = |local| map.known_as(&told, local);
        let client = address("203.0.113.5:40000");
        let streams = [1, 2].map(|number| map.stream(StreamId(number), home).unwrap());
        let mut paths = Paths::new(Instant::now());
        paths.learn(Path { remote: client, local: streams[0] });
        assert_eq!(paths.local(home, client, false, known), None, "there is no datagram yet");
        assert_eq!(paths.local(home, client, true, known), Some(streams[0]));
        paths.learn(Path { remote: client, local: home });
        assert_eq!(paths.local(home, client, true, known), Some(streams[0]));
        assert_eq!(paths.local(home, client, false, known), Some(home));
        paths.learn(Path { remote: client, local: streams[1] });
        assert_eq!(paths.local(home, client, true, known), Some(streams[1]), "the newest");
    }

    #[test]
    fn media_follows_the_nominated_pair_when_the_old_one_falls_silent() {
        let start = Instant::now();
        let pair =
            |port| Path { remote: SocketAddr::from(([198, 51, 100, 1], port)), local: address("10.0.0.4:1") };
        let mut paths = Paths::new(start);
        paths.nominate(start, pair(1));
        assert_eq!(paths.outgoing(), None, "nothing to send before the handshake");
        paths.begin(start, pair(1));
        paths.begin(start, pair(2));
        assert_eq!(paths.outgoing(), Some(pair(1)));
        let after = |ms| start + Duration::from_millis(ms);
        paths.nominate(after(900), pair(1));
        paths.nominate(after(1_800), pair(2));
        assert_eq!(paths.outgoing(), Some(pair(1)), "the old one was nominated a moment ago");
        paths.nominate(after(1_900), pair(2));
        assert_eq!(paths.outgoing(), Some(pair(2)));
    }

    #[test]
    fn after_a_restart_media_follows_the_next_nomination_at_once() {
        let start = Instant::now();
        let pair =
            |port| Path { remote: SocketAddr::from(([198, 51, 100, 1], port)), local: address("10.0.0.4:1") };
        let mut paths = Paths::new(start);
        paths.begin(start, pair(1));
        paths.nominate(start, pair(1));
        paths.restart();
        assert_eq!(paths.outgoing(), Some(pair(1)), "it goes on until then");
        let after = |ms| start + Duration::from_millis(ms);
        paths.nominate(after(10), pair(2));
        assert_eq!(paths.outgoing(), Some(pair(2)));
        paths.nominate(after(20), pair(3));
        assert_eq!(paths.outgoing(), Some(pair(2)), "once");
    }

    #[test]
    fn a_check_that_is_sent_again_from_elsewhere_is_known() {
        let pair =
            |port| Path { remote: SocketAddr::from(([198, 51, 100, 1], port)), local: address("10.0.0.4:1") };
        let mut paths = Paths::new(Instant::now());
        let check = |number: u8| TransactionId([number; 12]);
        assert!(paths.is_original(pair(1), check(1)));
        assert!(paths.is_original(pair(1), check(1)), "the client itself sends it again");
        assert!(!paths.is_original(pair(2), check(1)));
        assert!(paths.is_original(pair(2), check(2)), "its own is as good as any");
    }

    #[test]
    fn a_peer_cannot_check_from_everywhere() {
        let start = Instant::now();
        let mut paths = Paths::new(start);
        let from = |port: u16| SocketAddr::from(([198, 51, 100, 1], port));
        let admitted = (1..1_000).filter(|port| paths.admit(start, from(*port))).count();
        assert_eq!(admitted, 32);
        assert!(paths.admit(start, from(1)), "known addresses stay welcome");
        assert!(!paths.admit(start + Duration::from_secs(9), from(2_000)));
        assert!(paths.admit(start + Duration::from_secs(10), from(2_000)), "a client may roam");
        assert!(!paths.admit(start + Duration::from_secs(11), from(2_001)));
    }
}
