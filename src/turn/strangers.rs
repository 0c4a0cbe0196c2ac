//! What those get who have proved nothing: few and short replies.
//!
//! Over UDP the source of a request may be forged. The reply then hits somebody who never asked, so it must not pay to
//! make us send: of an address without proof we send at most half the bytes that came from it, plus [`GRANT`] a
//! minute, without which no newcomer could be told the nonce. No more than [`MAX_HOSTS`] addresses have a grant; all
//! others together share one. So whatever arrives and from wherever, less is sent than half of it and 1.2 Mbit/s.
//! An address that presents a nonce of ours has received a reply, so its grant is whole again.
//!
//! And passwords are not guessed here: after [`GUESSES`] wrong ones, an address gets a try every two seconds.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::bucket::{Bucket, Rate};

/// What is sent to an address in a minute beyond half of what came from it, in bytes: about twenty challenges.
pub const GRANT: u64 = 2048;

/// How many addresses are remembered. One takes about 100 bytes, for a minute after it was last heard.
pub const MAX_HOSTS: usize = 4096;

/// How many wrong passwords an address may try at once.
pub const GUESSES: u64 = 30;

/// How often the addresses are looked through for those that can be forgotten.
const SWEEP: Duration = Duration::from_secs(5);

const REPLIES: Rate = Rate { per_second: GRANT / 60, burst: GRANT };

/// Counted in halves, so that one comes back every two seconds.
const TRIES: Rate = Rate { per_second: 1, burst: 2 * GUESSES };

/// Who is counted as one: an IPv4 address, or the 64 bits of an IPv6 address within which its owner picks freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Host(IpAddr);

impl Host {
    /// Who has this address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(ip) => {
                let network = u128::from(ip) & !u128::from(u64::MAX);
                Self(IpAddr::V6(Ipv6Addr::from(network)))
            }
            ip @ IpAddr::V4(_) => Self(ip),
        }
    }
}

/// The address, or the first of a network.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(address) = self;
        write!(f, "{address}")?;
        if address.is_ipv6() { f.write_str("/64") } else { Ok(()) }
    }
}

#[derive(Debug, Clone, Copy)]
struct Account {
    replies: Bucket,
    tries: Bucket,
}

impl Account {
    fn new(now: Instant) -> Self {
        Self { replies: Bucket::full(REPLIES, now), tries: Bucket::full(TRIES, now) }
    }
}

/// The accounts of all addresses that sent something we could not trust.
#[derive(Debug)]
pub(super) struct Strangers {
    accounts: HashMap<Host, Account>,
    /// Of those for whom there is no room.
    others: Account,
    swept: Instant,
}

impl Strangers {
    pub(super) fn new(now: Instant) -> Self {
        Self { accounts: HashMap::new(), others: Account::new(now), swept: now }
    }

    /// Whether a reply of `reply` bytes may be sent to a request of `request` bytes. Counts both.
    pub(super) fn may_reply(&mut self, now: Instant, host: Host, request: usize, reply: usize) -> bool {
        let account = self.account(now, host);
        account.replies.put(REPLIES, request / 2);
        account.replies.take(REPLIES, now, reply)
    }

    /// Whether the password of this host is to be looked at.
    pub(super) fn may_try(&mut self, now: Instant, host: Host) -> bool {
        self.accounts.get_mut(&host).is_none_or(|account| account.tries.has(TRIES, now, 2))
    }

    /// The password was wrong.
    pub(super) fn failed(&mut self, now: Instant, host: Host) {
        self.account(now, host).tries.take(TRIES, now, 2);
    }

    /// The host has shown that it receives what is sent to it.
    pub(super) fn proved(&mut self, now: Instant, host: Host) {
        if let Some(account) = self.accounts.get_mut(&host) {
            account.replies = Bucket::full(REPLIES, now);
        }
    }

    fn account(&mut self, now: Instant, host: Host) -> &mut Account {
        if self.accounts.len() >= MAX_HOSTS && !self.accounts.contains_key(&host) {
            self.sweep(now);
            if self.accounts.len() >= MAX_HOSTS {
                return &mut self.others;
            }
        }
        self.accounts.entry(host).or_insert_with(|| Account::new(now))
    }

    /// Forgets those of whom there is nothing to remember, if that was not done just now.
    pub(super) fn sweep(&mut self, now: Instant) {
        if now < self.swept + SWEEP {
            return;
        }
        self.swept = now;
        self.accounts.retain(|_, account| {
            !account.replies.is_full(REPLIES, now) || !account.tries.is_full(TRIES, now)
        });
        if self.accounts.is_empty() {
            self.accounts = HashMap::new();
        }
    }

    /// When [`Self::sweep`] is to be called next; `None` while nobody is remembered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.accounts.is_empty()).then(|| self.swept + SWEEP)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u32) -> Host {
        Host::of(IpAddr::V4(number.into()))
    }

    #[test]
    fn less_than_half_is_sent_beyond_the_grant() {
        let began = Instant::now();
        let mut strangers = Strangers::new(began);
        let (mut received, mut sent) = (0, 0);
        // 10,000 of the shortest requests in ten seconds, each of which would get the usual challenge.
        for number in 0..10_000 {
            let now = began + Duration::from_millis(number);
            received += 28;
            if strangers.may_reply(now, host(1), 28, 88) {
                sent += 88;
            }
        }
        assert!(sent <= received / 2 + GRANT + GRANT / 6 + 10, "{sent} of {received}");
        assert!(sent > received / 3, "{sent} of {received}");
    }

    #[test]
    fn a_flood_from_everywhere_shares_one_grant_beyond_the_table() {
        let began = Instant::now();
        let mut strangers = Strangers::new(began);
        let (mut received, mut sent) = (0, 0);
        for number in 0..1_000_000 {
            received += 28;
            if strangers.may_reply(began, host(number), 28, 88) {
                sent += 88;
            }
        }
        assert_eq!(strangers.len(), MAX_HOSTS);
        assert!(sent <= received / 2 + u64::try_from(MAX_HOSTS).unwrap() * 88, "{sent} of {received}");
    }

    #[test]
    fn who_has_proved_itself_starts_afresh() {
        let now = Instant::now();
        let mut strangers = Strangers::new(now);
        let used_up = |strangers: &mut Strangers| {
            (0..1000).take_while(|_| strangers.may_reply(now, host(1), 28, 88)).count()
        };
        assert!((20..40).contains(&used_up(&mut strangers)));
        assert_eq!(used_up(&mut strangers), 0);
        strangers.proved(now, host(1));
        assert!((20..40).contains(&used_up(&mut strangers)));
    }

    #[test]
    fn guessing_becomes_slow_and_only_for_the_one_who_guesses() {
        let began = Instant::now();
        let mut strangers = Strangers::new(began);
        let mut guesses = 0;
        for ms in 0..60_000 {
            let now = began + Duration::from_millis(ms);
            if strangers.may_try(now, host(1)) {
                guesses += 1;
                strangers.failed(now, host(1));
            }
        }
        assert!((59..=60).contains(&guesses), "thirty, then one in two seconds: {guesses}");
        assert!(strangers.may_try(began, host(2)));
    }

    #[test]
    fn nobody_is_remembered_for_long() {
        let began = Instant::now();
        let mut strangers = Strangers::new(began);
        for number in 0..1000 {
            strangers.may_reply(began, host(number), 28, 88);
            strangers.failed(began, host(number));
        }
        assert_eq!(strangers.len(), 1000);
        while let Some(deadline) = strangers.deadline() {
            assert!(deadline < began + Duration::from_secs(60), "still {}", strangers.len());
            strangers.sweep(deadline);
        }
        assert_eq!(strangers.len(), 0);
    }

    #[test]
    fn who_owns_an_ipv6_network_is_one() {
        let host = |text: &str| Host::of(text.parse().unwrap());
        assert_eq!(host("2001:db8::1"), host("2001:db8::ffff:1:2:3"));
        assert_ne!(host("2001:db8::1"), host("2001:db8:0:1::1"));
        assert_eq!(host("::ffff:192.0.2.1"), host("192.0.2.1"));
        assert_ne!(host("192.0.2.1"), host("192.0.2.2"));
    }
}
