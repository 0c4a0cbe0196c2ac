//! Telling what happens again and again only now and then.

use std::time::{Duration, Instant};

/// How often one thing is told. Someone who reads the log sees that it lasts, and it buries nothing else.
const EVERY: Duration = Duration::from_secs(60);

/// Counts occurrences of one thing, and says when to tell of them.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When it may be told again; `None` before the first time.
    next: Option<Instant>,
    untold: u64,
}

impl Throttle {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { next: None, untold: 0 }
    }

    /// Counts one more. The first is to be told at once and the others once a minute: then this returns how
    /// many there were since the last time.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = Some(now + EVERY);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_once_a_minute() {
        let (mut throttle, began) = (Throttle::default(), Instant::now());
        let told: Vec<_> = (0..150)
            .filter_map(|second| Some((second, throttle.count(began + Duration::from_secs(second))?)))
            .collect();
        assert_eq!(told, [(0, 1), (60, 60), (120, 60)]);
    }
}
