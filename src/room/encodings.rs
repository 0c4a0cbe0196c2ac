//! Which encodings of a picture its publisher is told to send.

use std::time::{Duration, Instant};

/// An encoding that nobody got for so long need not be sent. Rooms look twice a second.
const UNUSED_AFTER: Duration = Duration::from_secs(1);

/// The encodings of a track, by their `rid`. `None` stands for all.
#[derive(Debug)]
pub(super) struct Encodings {
    /// What the publisher knows.
    pub(super) told: Option<Vec<String>>,
    used: Option<Vec<String>>,
    /// When `used` changed.
    since: Instant,
}

impl Encodings {
    pub(super) fn new(now: Instant) -> Self {
        Self { told: None, used: None, since: now }
    }

    /// Takes note of what anybody gets from now on.
    pub(super) fn used(&mut self, now: Instant, rids: Option<Vec<String>>) {
        if self.used != rids {
            (self.used, self.since) = (rids, now);
        }
    }

    /// What the publisher is to know now. Returns whether that is news to it. An encoding that somebody needs is wanted at
    /// once, and one that nobody gets any more only after a while: somebody may just be leafing through a room.
    pub(super) fn settle(&mut self, now: Instant) -> bool {
        let is_over = now.saturating_duration_since(self.since) >= UNUSED_AFTER;
        let due = match (&self.told, &self.used) {
            (_, used) if is_over => used.clone(),
            (Some(told), Some(used)) => {
                let mut both = [told.as_slice(), used.as_slice()].concat();
                both.sort_unstable();
                both.dedup();
                Some(both)
            }
            _ => None,
        };
        let is_news = self.told != due;
        self.told = due;
        is_news
    }
}
