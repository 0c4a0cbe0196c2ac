//! How many messages a client may send.

use std::time::Instant;

use crate::protocol::{MESSAGE_BURST, MESSAGES_PER_SECOND};

/// A client whose last so many messages were all too many does it on purpose.
const FLOOD: u32 = 200;

/// A budget of messages that fills up again with time.
#[derive(Debug)]
pub(super) struct Rate {
    left: f64,
    counted: Instant,
    /// Messages in a row for which there was no budget.
    refused: u32,
}

impl Rate {
    /// A full budget.
    pub(super) fn new(now: Instant) -> Self {
        Self { left: f64::from(MESSAGE_BURST), counted: now, refused: 0 }
    }

    /// Takes the price of a message. `false` when there is not enough for it.
    pub(super) fn take(&mut self, now: Instant, cost: u32) -> bool {
        let passed = now.saturating_duration_since(self.counted).as_secs_f64();
        self.counted = now;
        self.left = (self.left + passed * f64::from(MESSAGES_PER_SECOND)).min(f64::from(MESSAGE_BURST));
        let enough = self.left >= f64::from(cost);
        if enough {
            self.left -= f64::from(cost);
            self.refused = 0;
        } else {
            self.refused = self.refused.saturating_add(1);
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
        assert!(!rate.is_flooding());
    }
}
