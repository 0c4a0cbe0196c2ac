//! When a slot went up and down, and how long it has to wait because of that.

use std::time::{Duration, Instant};

/// How long a slot that went down does not go up again, to begin with.
const FIRST_HOLD: Duration = Duration::from_millis(1_500);
/// The same for one that shows nothing: who waits for a picture is not to wait for two seconds.
const PAUSED_HOLD: Duration = Duration::from_millis(800);
/// What an upgrade that failed again and again makes of it, whatever the link is said to carry by then.
const LONG_HOLD: Duration = Duration::from_secs(6);
/// And what it makes of it while the link is said to carry no more than when it failed.
const LONGEST_HOLD: Duration = Duration::from_secs(60);
/// What it makes of it when the link is said to carry far more.
const SHORT_HOLD: Duration = Duration::from_secs(3);
/// From these parts of what it was, in percent, a budget counts as more, and as far more.
const MORE: (u64, u64) = (125, 200);
/// An upgrade that is taken back within this time has failed.
const PROOF: Duration = Duration::from_secs(8);

/// How a slot fared.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) slot: usize,
    /// What was chosen last was worth this.
    pub(super) worth: u64,
    raised: Option<Instant>,
    /// The budget of the last upgrade.
    raised_with: u64,
    lowered: Option<Instant>,
    hold: Duration,
    /// Whether the budget was too small for it when it was last looked at.
    pub(super) is_paused: bool,
}

impl Past {
    pub(super) fn new(slot: usize) -> Self {
        Self {
            slot,
            worth: 0,
            raised: None,
            raised_with: 0,
            lowered: None,
            hold: FIRST_HOLD,
            is_paused: false,
        }
    }

    /// Whether it went down a moment ago, too recently to be raised with such a budget. For what is paused it is whether it has
    /// to stay so.
    pub(super) fn is_held(&self, now: Instant, budget: u64) -> bool {
        let is_over = |percent: u64| budget > self.raised_with.saturating_mul(percent) / 100;
        let hold = match () {
            () if self.is_paused => PAUSED_HOLD,
            () if is_over(MORE.1) => self.hold.min(SHORT_HOLD),
            () if is_over(MORE.0) => self.hold.min(LONG_HOLD),
            () => self.hold,
        };
        self.lowered.is_some_and(|lowered| now.saturating_duration_since(lowered) < hold)
    }

    /// Takes note of what was decided with a budget: numbers of ways, the higher the better.
    pub(super) fn learn(&mut self, now: Instant, budget: u64, before: Option<usize>, after: Option<usize>) {
        let is_proven = self.raised.is_some_and(|raised| now.saturating_duration_since(raised) >= PROOF);
        if is_proven {
            (self.raised, self.hold) = (None, FIRST_HOLD);
        }
        self.is_paused = after.is_none();
        // To come back is no upgrade: what failed before it would fail again.
        if after > before.or(Some(0)) {
            (self.raised, self.raised_with) = (Some(now), budget);
        } else if after < before {
            self.lowered = Some(now);
            if self.raised.take().is_some() {
                self.hold = (self.hold * 2).min(LONGEST_HOLD);
            }
        }
    }
}
