//! Relayed addresses. They are virtual: no socket is bound to them, and nobody outside can reach them.
//!
//! Ports are lent in pairs. An allocation gets the even one, so that EVEN-PORT is always met; the odd one stays with it,
//! for a reservation. A pair that comes back goes to the end of the queue, so that what is still on its way to the old
//! owner does not reach a new one.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;

/// How long a reserved port is kept (RFC 8656 section 7.2 asks for 30 s).
pub const RESERVED_FOR: Duration = Duration::from_secs(30);

/// How many ports are kept at one time. Hardly any client asks for one, and each takes a pair from the others.
const MAX_RESERVED: usize = 256;

/// A family of IP addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address in canonical form.
    pub(super) fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The family of this number (RFC 8656 section 18.6).
    pub(super) fn read(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.number() == number)
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }
}

/// One value for each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Both<T> {
    pub(super) v4: T,
    pub(super) v6: T,
}

impl<T> Both<T> {
    pub(super) fn of(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    pub(super) fn of_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// Which addresses are relayed ones, on all workers together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    /// The IPv4 address that allocations get; `None`: there are none of that family.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address that allocations get; `None`: there are none of that family.
    pub v6: Option<Ipv6Addr>,
    /// The ports that allocations get. They are not opened, and the media port may be among them: it is left out.
    pub ports: RangeInclusive<u16>,
}

impl Relayed {
    pub(super) fn ip(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4.map(IpAddr::V4),
            Family::V6 => self.v6.map(IpAddr::V6),
        }
    }

    pub(super) fn ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        Family::ALL.into_iter().filter_map(|family| self.ip(family))
    }

    /// Whether an allocation may have this address. What arrives from the network under such a source is forged.
    #[must_use]
    pub fn contains(&self, address: SocketAddr) -> bool {
        // Ports first: they tell most addresses apart, and this is asked of every datagram.
        self.ports.contains(&address.port()) && {
            let ip = address.ip().to_canonical();
            self.ips().any(|own| own == ip)
        }
    }
}

/// What names a reserved port (RFC 8656 section 18.10).
pub(super) type Token = [u8; 8];

#[derive(Debug)]
struct Reservation {
    address: SocketAddr,
    user: Box<[u8]>,
}

/// The relayed addresses of one worker.
pub(super) struct Relays {
    relayed: Relayed,
    ports: RangeInclusive<u16>,
    /// The even port of each pair that nobody has.
    free: Both<VecDeque<u16>>,
    /// To which allocation an address belongs.
    live: HashMap<SocketAddr, usize>,
    reservations: HashMap<Token, Reservation>,
    reserved: HashMap<SocketAddr, Token>,
    /// The reservations in the order in which they end.
    ends: VecDeque<(Instant, Token)>,
    key: hmac::Key,
    tokens: u64,
}

impl Relays {
    /// The addresses of `relayed` with a port in `ports`, except `media`. Tokens are made with `key`.
    pub(super) fn new(
        relayed: Relayed,
        ports: &RangeInclusive<u16>,
        media: &[SocketAddr],
        key: &[u8; 32],
    ) -> Self {
        let pairs = |family: Family| -> VecDeque<u16> {
            let Some(ip) = relayed.ip(family) else { return VecDeque::new() };
            let is_ours = |port: u16| media.contains(&SocketAddr::new(ip, port)) || !ports.contains(&port);
            let even = ports.clone().filter(|port| port % 2 == 0);
            even.filter(|port| !is_ours(*port) && !is_ours(port | 1)).collect()
        };
        let free = Both { v4: pairs(Family::V4), v6: pairs(Family::V6) };
        Self {
            relayed,
            ports: ports.clone(),
            free,
            live: HashMap::new(),
            reservations: HashMap::new(),
            reserved: HashMap::new(),
            ends: VecDeque::new(),
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            tokens: 0,
        }
    }

    /// Whether this worker is the one that lends this address.
    pub(super) fn lends(&self, address: SocketAddr) -> bool {
        self.relayed.contains(address) && self.ports.contains(&address.port())
    }

    /// Whether there are addresses of this family at all.
    pub(super) fn has(&self, family: Family) -> bool {
        self.relayed.ip(family).is_some()
    }

    /// The allocation that has this address.
    pub(super) fn find(&self, address: SocketAddr) -> Option<usize> {
        self.live.get(&address).copied()
    }

    /// Lends an address with an even port; `None` when none is left.
    pub(super) fn lend(&mut self, family: Family, allocation: usize) -> Option<SocketAddr> {
        let ip = self.relayed.ip(family)?;
        let address = SocketAddr::new(ip, self.free.of_mut(family).pop_front()?);
        self.live.insert(address, allocation);
        Some(address)
    }

    /// Whether one more port may be kept.
    pub(super) fn may_reserve(&self) -> bool {
        self.ends.len() < MAX_RESERVED
    }

    /// Keeps the port behind the one that was just lent for `user`.
    pub(super) fn reserve(&mut self, now: Instant, lent: SocketAddr, user: &[u8]) -> Token {
        let address = SocketAddr::new(lent.ip(), lent.port() | 1);
        self.tokens += 1;
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"reservation");
        context.update(&self.tokens.to_be_bytes());
        let mut token = Token::default();
        token.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        self.reservations.insert(token, Reservation { address, user: user.into() });
        self.reserved.insert(address, token);
        self.ends.push_back((now + RESERVED_FOR, token));
        token
    }

    /// Lends what was reserved, if it was for this user.
    pub(super) fn redeem(&mut self, token: &[u8], user: &[u8], allocation: usize) -> Option<SocketAddr> {
        let token = Token::try_from(token).ok()?;
        let address = self.reservations.get(&token).filter(|kept| *kept.user == *user)?.address;
        self.reservations.remove(&token);
        self.reserved.remove(&address);
        self.live.insert(address, allocation);
        Some(address)
    }

    /// Takes an address back.
    pub(super) fn release(&mut self, address: SocketAddr) {
        if self.live.remove(&address).is_some() {
            self.free_pair(address);
        }
    }

    /// Ends the reservations that nobody redeemed in time.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, token)) = self.ends.front().copied().filter(|(end, _)| *end <= now) {
            self.ends.pop_front();
            if let Some(reservation) = self.reservations.remove(&token) {
                self.reserved.remove(&reservation.address);
                self.free_pair(reservation.address);
            }
        }
    }

    /// When the next reservation ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ends.front().map(|(end, _)| *end)
    }

    #[cfg(test)]
    pub(super) fn reservations(&self) -> usize {
        self.reservations.len()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    #[cfg(test)]
    pub(super) fn free_pairs(&self) -> usize {
        self.free.v4.len() + self.free.v6.len()
    }

    /// Puts the pair of an address back, unless its other half is still in use.
    fn free_pair(&mut self, address: SocketAddr) {
        let is_held = |port| {
            let half = SocketAddr::new(address.ip(), port);
            self.live.contains_key(&half) || self.reserved.contains_key(&half)
        };
        let even = address.port() & !1;
        if !is_held(even) && !is_held(even | 1) {
            self.free.of_mut(Family::of(address.ip())).push_back(even);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relays(ports: RangeInclusive<u16>) -> Relays {
        let relayed = Relayed { v4: Some(Ipv4Addr::new(192, 0, 2, 1)), v6: None, ports: ports.clone() };
        Relays::new(relayed, &ports, &["192.0.2.1:5004".parse().unwrap()], &[1; 32])
    }

    #[test]
    fn all_pairs_are_lent_before_one_is_lent_again() {
        let mut relays = relays(5000..=5008);
        let lend = |relays: &mut Relays| relays.lend(Family::V4, 7).map(|address| address.port());
        // 5004 is a media port, and 5008 has no odd one.
        assert_eq!([lend(&mut relays), lend(&mut relays)], [Some(5000), Some(5002)]);
        relays.release("192.0.2.1:5000".parse().unwrap());
        assert_eq!([lend(&mut relays), lend(&mut relays), lend(&mut relays)], [Some(5006), Some(5000), None]);
        assert_eq!(relays.find("192.0.2.1:5006".parse().unwrap()), Some(7));
        assert_eq!(relays.find("192.0.2.1:5007".parse().unwrap()), None);
        assert!(relays.lend(Family::V6, 7).is_none() && !relays.has(Family::V6));
    }

    #[test]
    fn a_reserved_port_waits_half_a_minute_for_its_user() {
        let now = Instant::now();
        let mut relays = relays(5000..=5001);
        let first = relays.lend(Family::V4, 1).unwrap();
        let token = relays.reserve(now, first, b"ann");
        assert_eq!(relays.redeem(&token, b"bob", 2), None);
        assert_eq!(relays.redeem(&[0; 8], b"ann", 2), None);
        assert_eq!(relays.redeem(&token[..7], b"ann", 2), None);
        relays.expire(now + RESERVED_FOR - Duration::from_nanos(1));
        assert_eq!(relays.redeem(&token, b"ann", 2), Some("192.0.2.1:5001".parse().unwrap()));
        assert_eq!(relays.redeem(&token, b"ann", 2), None, "only once");
        relays.release(first);
        assert_eq!(relays.lend(Family::V4, 3), None, "half of the pair is in use");
        relays.release("192.0.2.1:5001".parse().unwrap());
        assert_eq!(relays.lend(Family::V4, 3), Some(first));
        assert_eq!(relays.len(), 1);
    }

    #[test]
    fn a_reservation_that_ends_frees_its_pair() {
        let now = Instant::now();
        let mut relays = relays(5000..=5001);
        let first = relays.lend(Family::V4, 1).unwrap();
        let token = relays.reserve(now, first, b"ann");
        relays.release(first);
        assert_eq!(relays.lend(Family::V4, 3), None);
        assert_eq!(relays.deadline(), Some(now + RESERVED_FOR));
        relays.expire(now + RESERVED_FOR);
        assert_eq!((relays.deadline(), relays.reservations()), (None, 0));
        assert_eq!(relays.redeem(&token, b"ann", 2), None);
        assert_eq!(relays.lend(Family::V4, 3), Some(first));
    }

    #[test]
    fn only_its_own_addresses_are_relayed_ones() {
        let relayed = Relayed { v4: Some(Ipv4Addr::new(192, 0, 2, 1)), v6: None, ports: 5000..=5001 };
        for (address, expected) in [
            ("192.0.2.1:5000", true),
            ("[::ffff:192.0.2.1]:5001", true),
            ("192.0.2.1:4999", false),
            ("192.0.2.1:5002", false),
            ("192.0.2.2:5000", false),
            ("[::1]:5000", false),
        ] {
            assert_eq!(relayed.contains(address.parse().unwrap()), expected, "{address}");
        }
    }
}
