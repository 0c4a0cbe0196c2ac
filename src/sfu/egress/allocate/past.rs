//! When a slot went up and down, and how long it has to wait because of that.

use std::time::{Duration, Instant};

/// How long a slot that went down does not go up again, to begin with.
const FIRST_HOLD: Duration = Duration::from_millis(1_500);
/// What an upgrade that failed again and again makes of it.
const LONGEST_HOLD: Duration = Duration::from_secs(12);
/// An upgrade that is taken back within this time has failed.
const PROOF: Duration = Duration::from_secs(8);

/// How a slot fared.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) slot: usize,
    /// What was chosen last was worth this.
    pub(super) worth: u64,
    raised: Option<Instant>,
    lowered: Option<Instant>,
    /// Whether the budget was too small for it when it was last looked at.
    pub(super) is_paused: bool,
    hold: Duration,
}

impl Past {
    pub(super) fn new(slot: usize) -> Self {
        Self { slot, worth: 0, raised: None, lowered: None, is_paused: false, hold: FIRST_HOLD }
    }

    /// Whether it went down a moment ago.
    pub(super) fn is_held(&self, now: Instant) -> bool {
        self.lowered.is_some_and(|lowered| now.saturating_duration_since(lowered) < self.hold)
    }

    /// Takes note of what was decided: numbers of ways, the higher the better.
    pub(super) fn learn(&mut self, now: Instant, before: Option<usize>, after: Option<usize>) {
        let is_proven = self.raised.is_some_and(|raised| now.saturating_duration_since(raised) >= PROOF);
        if is_proven {
            (self.raised, self.hold) = (None, FIRST_HOLD);
        }
        self.is_paused = after.is_none();
        if after > before {
            self.raised = Some(now);
        } else if after < before {
            let has_failed = self.raised.take().is_some();
            let hold = if has_failed { self.hold * 2 } else { self.hold };
            // What is paused has nothing to lose.
            self.hold = if after.is_none() { FIRST_HOLD } else { hold.min(LONGEST_HOLD) };
            self.lowered = Some(now);
        }
    }
}
