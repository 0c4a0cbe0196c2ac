//! When a certificate is asked for, and how. No clock, no network: time and chance are arguments.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// How a certificate authority sees that a name leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Way {
    /// A TLS handshake on port 443 (RFC 8737).
    #[default]
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A request for a page on port 80 (RFC 8555 section 8.3).
    #[serde(rename = "http-01")]
    Http01,
}

impl Way {
    /// As RFCs write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::TlsAlpn01 => Self::Http01,
            Self::Http01 => Self::TlsAlpn01,
        }
    }
}

/// Why an attempt brought no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The certificate authority did not find the proof, so another way may lead to it.
    Unproven,
    /// Too much was asked for already.
    RateLimited,
    /// Anything else: it is not reached, or refuses.
    Other,
}

/// What outlives a restart, so that a server which is started again and again does not ask each time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// The directory that was asked last; empty when none was yet.
    #[serde(default)]
    pub directory: String,
    /// A certificate of that directory was got.
    #[serde(default)]
    pub issued: bool,
    /// The way that worked last, or that is tried next.
    #[serde(default)]
    pub way: Way,
    /// Attempts that failed since the last one that did not.
    #[serde(default)]
    pub failures: u32,
    /// The last failure.
    #[serde(default)]
    pub failure: Option<Failed>,
}

/// A failure, for the doctor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// When, in seconds since 1970.
    pub at: u64,
    /// The next attempt, in seconds since 1970.
    pub next: u64,
    /// Why, in the words of the certificate authority where it said something.
    pub reason: String,
}

/// The certificate that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// When its life begins.
    pub from: SystemTime,
    /// When its life ends.
    pub until: SystemTime,
    /// It is of the configured certificate authority and for all configured names.
    pub fits: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask again in so long.
    Wait(Duration),
    /// Ask for a certificate now, to be proven like this.
    Order(Way),
}

const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(6 * 3_600);
/// Limits of certificate authorities mostly count an hour.
const LIMITED: Duration = Duration::from_secs(3_600);
/// The clock may be set, so a longer wait is made of several.
const LOOK: Duration = Duration::from_secs(3_600);

/// Decides. [`Memory`] is all it knows.
#[derive(Debug, Clone)]
pub struct Schedule {
    memory: Memory,
    /// Whether HTTP-01 can be answered too.
    both: bool,
}

impl Schedule {
    /// Goes on where `memory` ends. `both`: HTTP-01 can be answered too, else only TLS-ALPN-01. `directory`: the
    /// certificate authority that is configured; what another one refused counts no more.
    #[must_use]
    pub fn new(memory: Memory, both: bool, directory: &str) -> Self {
        let mut schedule = Self { memory, both };
        if schedule.memory.directory != directory {
            schedule.memory = Memory { directory: directory.to_owned(), ..Memory::default() };
        }
        if !both {
            schedule.memory.way = Way::TlsAlpn01;
        }
        schedule
    }

    /// Whether the configured authority gave the last certificate that was got.
    #[must_use]
    pub fn issued(&self) -> bool {
        self.memory.issued
    }

    /// What is to be kept.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What to do at `now` with what is `held`.
    #[must_use]
    pub fn step(&self, held: Option<Held>, now: SystemTime) -> Step {
        let due = held.filter(|held| held.fits).map_or(SystemTime::UNIX_EPOCH, renewal);
        let wait = due.duration_since(now).unwrap_or_default().max(self.back_off(now));
        if wait.is_zero() { Step::Order(self.memory.way) } else { Step::Wait(wait.min(LOOK)) }
    }

    fn back_off(&self, now: SystemTime) -> Duration {
        let Some(failed) = &self.memory.failure else { return Duration::ZERO };
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        // A clock that was set back must not keep the server waiting for years.
        if now < at(failed.at) {
            return Duration::ZERO;
        }
        at(failed.next).duration_since(now).unwrap_or_default()
    }

    /// A certificate of the configured authority was got and is in use.
    pub fn succeeded(&mut self) {
        self.memory.issued = true;
        self.memory.failures = 0;
        self.memory.failure = None;
    }

    /// An attempt failed at `now`. `chance`, evenly out of all numbers, spreads the servers that failed together.
    /// Returns how long to wait: nothing when another way has not been tried yet.
    pub fn failed(&mut self, fault: Fault, reason: String, now: SystemTime, chance: u8) -> Duration {
        let first = self.memory.failures == 0;
        self.memory.failures = self.memory.failures.saturating_add(1);
        let turn = self.both && fault == Fault::Unproven;
        if turn {
            self.memory.way = self.memory.way.other();
        }
        let wait = if turn && first { Duration::ZERO } else { self.delay(fault, chance) };
        let at = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.memory.failure = Some(Failed { at, next: at.saturating_add(wait.as_secs()), reason });
        wait
    }

    /// 1, 3, 9 ... minutes up to 6 hours, and up to a quarter more: five failures within an hour are the most that
    /// Let's Encrypt allows for a name.
    fn delay(&self, fault: Fault, chance: u8) -> Duration {
        let times = 3_u32.saturating_pow(self.memory.failures.saturating_sub(1).min(8));
        let delay = FIRST.saturating_mul(times).min(LONGEST);
        let delay = if fault == Fault::RateLimited { delay.max(LIMITED) } else { delay };
        delay + delay / 4 * u32::from(chance) / 255
    }
}

/// When a third of the life is left.
fn renewal(held: Held) -> SystemTime {
    let life = held.until.duration_since(held.from).unwrap_or_default();
    held.from + life / 3 * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const CA: &str = "https://ca.example/directory";

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY
    }

    fn held(from: SystemTime, life: Duration) -> Option<Held> {
        Some(Held { from, until: from + life, fits: true })
    }

    fn schedule(both: bool) -> Schedule {
        Schedule::new(Memory::default(), both, CA)
    }

    /// Fails again and again for `span` of virtual time; the seconds at which it asked, and how.
    fn asked(schedule: &mut Schedule, fault: Fault, span: Duration, chance: u8) -> Vec<(u64, Way)> {
        let (mut now, mut asked) = (start(), Vec::new());
        while now < start() + span {
            match schedule.step(None, now) {
                Step::Wait(wait) => now += wait,
                Step::Order(way) => {
                    asked.push((now.duration_since(start()).unwrap().as_secs(), way));
                    schedule.failed(fault, "no".to_owned(), now, chance);
                }
            }
        }
        asked
    }

    #[test]
    fn renewed_when_a_third_of_its_life_is_left() {
        let schedule = schedule(false);
        let certificate = held(start(), 90 * DAY);
        assert_eq!(schedule.step(certificate, start()), Step::Wait(LOOK));
        let almost = start() + 60 * DAY - Duration::from_secs(1);
        assert_eq!(schedule.step(certificate, almost), Step::Wait(Duration::from_secs(1)));
        assert_eq!(schedule.step(certificate, start() + 60 * DAY), Step::Order(Way::TlsAlpn01));
        let short = held(start(), 6 * DAY);
        assert_eq!(schedule.step(short, start() + 4 * DAY), Step::Order(Way::TlsAlpn01));
    }

    #[test]
    fn none_or_one_that_does_not_fit_is_replaced_at_once() {
        assert_eq!(schedule(false).step(None, start()), Step::Order(Way::TlsAlpn01));
        let other = held(start(), 90 * DAY).map(|held| Held { fits: false, ..held });
        assert_eq!(schedule(false).step(other, start()), Step::Order(Way::TlsAlpn01));
    }

    #[test]
    fn failures_are_spaced_ever_wider() {
        let asked = asked(&mut schedule(false), Fault::Other, 2 * DAY, 0);
        let minutes: Vec<u64> = asked.iter().map(|(at, _)| at / 60).take(9).collect();
        assert_eq!(minutes, [0, 1, 4, 13, 40, 121, 364, 724, 1084]);
        assert!(asked.iter().all(|(_, way)| *way == Way::TlsAlpn01));
    }

    #[test]
    fn chance_adds_a_quarter_at_most() {
        let seconds = |chance| asked(&mut schedule(false), Fault::Other, DAY / 24, chance)[1].0;
        assert_eq!((seconds(0), seconds(255)), (60, 75));
    }

    #[test]
    fn an_unproven_name_is_tried_the_other_way_at_once_and_then_in_turn() {
        let asked = asked(&mut schedule(true), Fault::Unproven, DAY / 24, 0);
        let ways: Vec<Way> = asked.iter().map(|(_, way)| *way).collect();
        assert_eq!(ways[..4], [Way::TlsAlpn01, Way::Http01, Way::TlsAlpn01, Way::Http01]);
        assert_eq!(asked[1].0, 0);
        assert!(asked.len() <= 5, "no more failures in an hour than the limit: {asked:?}");
    }

    #[test]
    fn the_way_that_worked_is_the_next_one_too() {
        let mut schedule = schedule(true);
        schedule.failed(Fault::Unproven, "no".to_owned(), start(), 0);
        schedule.succeeded();
        let again = Schedule::new(schedule.memory().clone(), true, CA);
        assert_eq!(again.step(None, start()), Step::Order(Way::Http01));
        let alone = Schedule::new(schedule.memory().clone(), false, CA);
        assert_eq!(alone.step(None, start()), Step::Order(Way::TlsAlpn01), "nobody could answer HTTP-01");
    }

    #[test]
    fn a_limit_is_waited_for() {
        let mut schedule = schedule(true);
        assert_eq!(schedule.failed(Fault::RateLimited, "too many".to_owned(), start(), 0), LIMITED);
    }

    #[test]
    fn a_restart_does_not_forget_a_failure() {
        let mut before = schedule(false);
        before.failed(Fault::Other, "no".to_owned(), start(), 0);
        let text = serde_json::to_string(before.memory()).unwrap();
        let after = Schedule::new(serde_json::from_str(&text).unwrap(), false, CA);
        assert_eq!(after.step(None, start()), Step::Wait(FIRST));
        let elsewhere = Schedule::new(after.memory().clone(), false, "https://other.example");
        assert_eq!(
            elsewhere.step(None, start()),
            Step::Order(Way::TlsAlpn01),
            "another authority is asked at once"
        );
        assert_eq!(after.step(None, start() - DAY), Step::Order(Way::TlsAlpn01), "the clock was wrong then");
    }

    #[test]
    fn a_renewal_that_fails_is_tried_again_before_the_end() {
        let mut schedule = schedule(false);
        let certificate = held(start(), 90 * DAY);
        let due = start() + 60 * DAY;
        schedule.failed(Fault::Other, "no".to_owned(), due, 0);
        assert_eq!(schedule.step(certificate, due), Step::Wait(FIRST));
        assert_eq!(schedule.step(certificate, due + FIRST), Step::Order(Way::TlsAlpn01));
    }
}
