//! Keys are not guessed here: an address that presents many wrong ones has to wait between two tries, and nothing that it
//! presents meanwhile is looked at. Who presents none is only told that one is needed, and who is in goes on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName};

use super::peer::Peer;
use crate::metrics::http::HttpMetrics;
use crate::turn::bucket::{Bucket, Rate};
use crate::turn::strangers::{GUESSES, Host, MAX_HOSTS};

/// After how many seconds a try comes back.
pub(super) const WAIT: u64 = 2;

/// Counted in halves, so that one try comes back every [`WAIT`] seconds.
const TRIES: Rate = Rate { per_second: 1, burst: WAIT * GUESSES };

/// How often the addresses are looked through for those that can be forgotten.
const SWEEP: Duration = Duration::from_secs(5);

/// Who tried wrong keys.
#[derive(Debug)]
pub struct Guesses {
    table: Mutex<Table>,
    metrics: HttpMetrics,
}

#[derive(Debug, Default)]
struct Table {
    hosts: HashMap<Host, Account>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Account {
    tries: Bucket,
    /// Whether the log has been told.
    told: bool,
}

impl Guesses {
    /// Nobody has tried any. What is tried is counted in `metrics`.
    #[must_use]
    pub fn new(metrics: HttpMetrics) -> Self {
        Self { table: Mutex::default(), metrics }
    }

    /// Whether a key of theirs is to be looked at; counted if not.
    pub(super) fn may_try(&self, now: Instant, whom: Option<Host>) -> bool {
        let Some(host) = whom else { return true };
        let may = self.table().hosts.get_mut(&host).is_none_or(|account| account.tries.has(TRIES, now, WAIT));
        if !may {
            self.metrics.refused_guess();
        }
        may
    }

    /// The key was wrong. Returns whether that is news for the log, which is told: their last try for now is gone.
    pub(super) fn failed(&self, now: Instant, whom: Option<Host>) -> bool {
        self.metrics.wrong_key();
        let Some(host) = whom else { return false };
        let is_news = self.table().failed(now, host);
        if is_news {
            tracing::warn!(from = %host, "too many wrong keys; from there one is looked at every {WAIT} s now");
        }
        is_news
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Takes a try. Returns whether none is left, for the first time in a while. Beyond [`MAX_HOSTS`] nobody is remembered:
    /// to lock out everybody would be worse.
    fn failed(&mut self, now: Instant, host: Host) -> bool {
        self.sweep(now);
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&host) {
            return false;
        }
        let fresh = || Account { tries: Bucket::full(TRIES, now), told: false };
        let account = self.hosts.entry(host).or_insert_with(fresh);
        account.tries.take(TRIES, now, WAIT as usize);
        let is_news = !account.told && !account.tries.has(TRIES, now, WAIT);
        account.told |= is_news;
        is_news
    }

    /// Forgets those who have all their tries again.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.hosts.retain(|_, account| !account.tries.is_full(TRIES, now));
    }
}

/// Who presents keys, for the count of its tries. `None`: somebody at this very machine, who may try as often as he likes.
///
/// What a proxy passes on is counted for whom the proxy names. Only one with a private address is believed: nobody outside
/// has such an address, and could say another name each time.
pub(super) fn whom(peer: &Peer, headers: &HeaderMap) -> Option<Host> {
    if peer.is_local(headers) {
        return None;
    }
    let address = peer.address.ip().to_canonical();
    let named = if is_private(address) { passed_on_for(headers) } else { None };
    Some(Host::of(named.unwrap_or(address)))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// For whom the nearest proxy asks: it adds the last address.
fn passed_on_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = |name: &'static str| {
        let value = headers.get_all(HeaderName::from_static(name)).iter().next_back()?.to_str().ok()?;
        value.rsplit(',').next()?.trim().parse::<IpAddr>().ok()
    };
    last("x-forwarded-for").or_else(|| last("x-real-ip"))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;
    use crate::metrics::exporter::Exporter;

    fn guesses() -> Guesses {
        Guesses::new(Exporter::new("1").unwrap().http())
    }

    fn host(text: &str) -> Host {
        Host::of(text.parse().unwrap())
    }

    /// How many of so many wrong keys are looked at, one each millisecond, and how often the log hears of it.
    fn guess(guesses: &Guesses, began: Instant, host: Host, keys: u64) -> (u64, u64) {
        let (mut tried, mut told) = (0, 0);
        for ms in 0..keys {
            let now = began + Duration::from_millis(ms);
            if guesses.may_try(now, Some(host)) {
                tried += 1;
                told += u64::from(guesses.failed(now, Some(host)));
            }
        }
        (tried, told)
    }

    #[test]
    fn who_guesses_has_to_wait_and_nobody_else_has() {
        let (guesses, began) = (guesses(), Instant::now());
        let (tried, told) = guess(&guesses, began, host("203.0.113.5"), 60_000);
        assert!((59..=60).contains(&tried), "thirty, then one in two seconds: {tried}");
        assert_eq!(told, 1, "one line for all of it");
        let end = began + Duration::from_secs(60);
        assert!(guesses.may_try(end, Some(host("203.0.113.6"))));
        assert!(
            guesses.may_try(end + Duration::from_secs(WAIT), Some(host("203.0.113.5"))),
            "nobody is locked out"
        );
    }

    #[test]
    fn addresses_are_forgotten_and_no_more_than_so_many_are_remembered() {
        let (guesses, began) = (guesses(), Instant::now());
        for number in 0..2 * MAX_HOSTS {
            let host = Host::of(IpAddr::V4(u32::try_from(number).unwrap().into()));
            guesses.failed(began, Some(host));
        }
        assert_eq!(guesses.table().hosts.len(), MAX_HOSTS);
        guesses.failed(began + Duration::from_secs(10), Some(host("203.0.113.5")));
        assert_eq!(guesses.table().hosts.len(), 1);
    }

    #[test]
    fn a_proxy_is_believed_where_nobody_outside_can_be_one() {
        let passed_on = |text| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_static(text));
            headers
        };
        let whom = |peer: &str, headers| whom(&Peer::at(peer.parse().unwrap()), &headers);
        let named = passed_on("198.51.100.1, 203.0.113.5");
        assert_eq!(
            whom("127.0.0.1:1", named.clone()),
            Some(host("203.0.113.5")),
            "the nearest proxy says so"
        );
        assert_eq!(whom("172.17.0.1:1", named.clone()), Some(host("203.0.113.5")));
        assert_eq!(whom("192.0.2.9:1", named), Some(host("192.0.2.9")), "anybody can say so");
        assert_eq!(whom("10.0.0.7:1", passed_on("nonsense")), Some(host("10.0.0.7")));
        let local = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        assert_eq!(whom("127.0.0.1:1", local), None);
    }
}
