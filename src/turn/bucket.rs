//! Token buckets: so much at once, so much a second.

use std::time::Instant;

/// What a bucket holds and how it fills, in bytes or in tries.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// What comes in within a second.
    pub per_second: u64,
    /// What fits.
    pub burst: u64,
}

/// One unit in the millionths that a bucket counts in.
const UNIT: u64 = 1_000_000;

/// A token bucket that is full at first.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    level: u64,
    filled: Instant,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { level: rate.burst.saturating_mul(UNIT), filled: now }
    }

    /// Takes `amount` out, if there is as much.
    pub fn take(&mut self, rate: Rate, now: Instant, amount: usize) -> bool {
        self.fill(rate, now);
        let amount = u64::try_from(amount).unwrap_or(u64::MAX).saturating_mul(UNIT);
        let Some(left) = self.level.checked_sub(amount) else { return false };
        self.level = left;
        true
    }

    /// Puts `amount` in; what does not fit is lost.
    pub fn put(&mut self, rate: Rate, amount: usize) {
        let amount = u64::try_from(amount).unwrap_or(u64::MAX).saturating_mul(UNIT);
        self.level = self.level.saturating_add(amount).min(rate.burst.saturating_mul(UNIT));
    }

    /// Whether there is anything in it, without taking.
    pub fn has(&mut self, rate: Rate, now: Instant, amount: u64) -> bool {
        self.fill(rate, now);
        self.level >= amount.saturating_mul(UNIT)
    }

    /// Whether nothing would be lost by forgetting it.
    pub fn is_full(&mut self, rate: Rate, now: Instant) -> bool {
        self.has(rate, now, rate.burst)
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled).as_micros();
        let added = u64::try_from(elapsed).unwrap_or(u64::MAX).saturating_mul(rate.per_second);
        self.level = self.level.saturating_add(added).min(rate.burst.saturating_mul(UNIT));
        self.filled = self.filled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: Rate = Rate { per_second: 100, burst: 50 };

    #[test]
    fn gives_a_burst_then_the_rate() {
        let began = Instant::now();
        let mut bucket = Bucket::full(RATE, began);
        let taken =
            (0..10_000_u64).filter(|ms| bucket.take(RATE, began + Duration::from_millis(*ms), 1)).count();
        assert_eq!(taken, 50 + 999, "a burst, then 100 in each of ten seconds");
    }

    #[test]
    fn never_holds_more_than_the_burst() {
        let began = Instant::now();
        let mut bucket = Bucket::full(RATE, began);
        let later = began + Duration::from_secs(1_000_000);
        bucket.put(RATE, 1000);
        assert!(
            !bucket.take(RATE, later, 51) && bucket.take(RATE, later, 50) && !bucket.take(RATE, later, 1)
        );
        assert!(!bucket.is_full(RATE, later));
        bucket.put(RATE, 50);
        assert!(bucket.is_full(RATE, later));
        assert!(bucket.take(RATE, began, 50), "a clock that stands still takes nothing away");
    }
}
