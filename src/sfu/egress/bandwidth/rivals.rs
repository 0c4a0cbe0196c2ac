//! Whether somebody else fills the queue, who would take all if we gave way to every queue.
//!
//! A queue of our own is gone soon after less is sent. One that stays nevertheless is made by others, such as TCP, which
//! fills a queue until packets get lost. Copa tells them apart in the same way (Arun, Balakrishnan: "Copa: Practical
//! Delay-Based Congestion Control for the Internet", NSDI 2018, section 2.2).

/// How long a window is, us. A queue that was not nearly empty for two of them, and shrank little, belongs to others.
const WINDOW: i64 = 2_000_000;
/// A queue of ours shrinks at least to this part from one window to the next.
const SHRINKS: f64 = 0.9;

/// The shortest queue of a window and of the one before.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    since: Option<i64>,
    before: Option<i64>,
    least: i64,
    are_here: bool,
}

impl Rivals {
    /// Packets wait so long now, which is nearly nothing or not.
    pub(super) fn update(&mut self, now: i64, waiting: i64, is_nearly_empty: bool) {
        if is_nearly_empty {
            *self = Self::default();
            return;
        }
        let Some(since) = self.since else {
            (self.since, self.least) = (Some(now), waiting);
            return;
        };
        self.least = self.least.min(waiting);
        if now - since >= WINDOW {
            self.are_here |= self.before.is_some_and(|before| self.least as f64 > before as f64 * SHRINKS);
            (self.before, self.since, self.least) = (Some(self.least), Some(now), waiting);
        }
    }

    pub(super) fn are_here(&self) -> bool {
        self.are_here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(queue: impl Fn(i64) -> i64) -> bool {
        let mut rivals = Rivals::default();
        (0..100).for_each(|n| rivals.update(n * 100_000, queue(n), queue(n) < 20_000));
        rivals.are_here()
    }

    #[test]
    fn a_queue_that_stays_is_made_by_others() {
        assert!(after(|n| 60_000 + (n % 40) * 2_000));
    }

    #[test]
    fn a_queue_that_shrinks_or_goes_is_ours() {
        assert!(!after(|n| 2_000_000 - n * 20_000));
        assert!(!after(|n| (n % 25) * 5_000));
    }
}
