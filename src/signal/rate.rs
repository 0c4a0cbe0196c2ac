//! How many messages a client may send.

use std::time::Instant;

use crate::protocol::{MESSAGE_BURST, MESSAGES_PER_SECOND};

/// A client that is so many messages above its budget does it on purpose. What is above falls at the rate at which the
/// budget rises, so that a client can send twice what it may for long, and not more.
const FLOOD: f64 = 200.0;

/// A budget of messages that fills up again with time.
#[derive(Debug)]
pub(super) struct Rate {
    left: f64,
    counted: Instant,
    /// Messages for which there was no budget.
    refused: f64,
}

impl Rate {
    /// A full budget.
    pub(super) fn new(now: Instant) -> Self {
        Self { left: f64::from(MESSAGE_BURST), counted: now, refused: 0.0 }
    }

    /// Takes the price of a message. `false` when there is not enough for it.
    pub(super) fn take(&mut self, now: Instant, cost: u32) -> bool {
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.counted = now;
        let earned = passed * f64::from(MESSAGES_PER_SECOND);
        self.left = (self.left + earned).min(f64::from(MESSAGE_BURST));
        self.refused = (self.refused - earned).max(0.0);
        let enough = self.left >= f64::from(cost);
        if enough {
            self.left -= f64::from(cost);
        } else {
            self.refused += 1.0;
        }
        enough
    }

    /// Whether the client goes on and on although it is refused.
    pub(super) fn is_flooding(&self) -> bool {
        self.refused >= FLOOD
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let at_once = (0..1_000).filter(|_| rate.take(start, 1)).count();
        assert_eq!(at_once, 60);
        assert!(rate.is_flooding());
        let later = (0..100u64).filter(|step| rate.take(start + Duration::from_millis(step * 10), 1)).count();
        assert!((19..=21).contains(&later), "{later} in one second");
    }

    /// Whether a client that sends steadily is taken to flood within a minute.
    fn floods(per_second: u32) -> bool {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        (0..per_second * 60).any(|number| {
            rate.take(start + Duration::from_secs(1) / per_second * number, 1);
            rate.is_flooding()
        })
    }

    #[test]
    fn who_sends_too_much_for_long_floods_whatever_passes_between() {
        for (per_second, is_flood) in [(20, false), (35, false), (60, true), (1_000, true)] {
            assert_eq!(floods(per_second), is_flood, "{per_second} a second");
        }
    }
}
