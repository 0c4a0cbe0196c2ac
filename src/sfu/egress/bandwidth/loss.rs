//! The bound that losses set.
//!
//! Some links lose packets whatever is sent, others because too much is sent. Which one it is shows in what a lower rate
//! changes: where it does not help, the loss belongs to the link, and the bound is lifted. The idea of an inherent loss is
//! that of the newer loss-based controllers; the threshold of 10 % and the step are those of draft-ietf-rmcat-gcc-02
//! section 6.

/// The fewest packets by which loss is judged.
const SAMPLE: u32 = 40;
/// The shortest and the longest time over which it is judged, us.
const SPAN: (i64, i64) = (400_000, 2_000_000);
/// More than this over what the link loses anyway is too much (draft section 6).
const TOO_MUCH: f64 = 0.1;
/// Less than this over it is nothing (draft section 6).
const LITTLE: f64 = 0.02;
/// A loss that falls by less than this part was not made by the rate.
const HELPED: f64 = 0.35;
/// How much the bound grows in a second when little is lost.
const GROWTH: f64 = 1.3;

/// The bound.
#[derive(Debug)]
pub(super) struct Losses {
    lost: u32,
    total: u32,
    since: i64,
    /// What is lost of late, 0 to 1.
    pub(super) recent: f64,
    /// What the link loses whatever is sent, 0 to 1.
    pub(super) inherent: f64,
    /// Bit/s; none when loss is no reason to send less.
    pub(super) bound: Option<f64>,
    /// The loss before the last step down.
    tried: Option<f64>,
}

impl Losses {
    pub(super) fn new(now: i64) -> Self {
        Self { lost: 0, total: 0, since: now, recent: 0.0, inherent: 0.0, bound: None, tried: None }
    }

    /// Counts what one feedback tells. `late` are packets that were counted as lost before and arrived after all.
    pub(super) fn count(&mut self, lost: u32, arrived: u32, late: u32) {
        self.lost = self.lost.saturating_add(lost).saturating_sub(late);
        self.total = self.total.saturating_add(lost).saturating_add(arrived).saturating_sub(late);
    }

    /// Whether a step down is to show what it changes.
    pub(super) fn is_tried(&self) -> bool {
        self.tried.is_some()
    }

    /// When it was judged last, us.
    pub(super) fn judged(&self) -> i64 {
        self.since
    }

    /// Whether hardly more gets lost than the link loses anyway.
    pub(super) fn is_little(&self) -> bool {
        self.recent - self.inherent < LITTLE.max(self.inherent * 0.3)
    }

    /// Judges, when there is enough to be judged. What gets lost while a queue stands did not fit it: that is no loss of
    /// the link's own. Returns whether too much was sent.
    pub(super) fn update(&mut self, now: i64, rate: f64, delivered: f64, rtt: i64, is_queued: bool) -> bool {
        let passed = now - self.since;
        if passed < SPAN.0.max(rtt + 200_000) || (self.total < SAMPLE && passed < SPAN.1) || self.total == 0 {
            return false;
        }
        let loss = f64::from(self.lost) / f64::from(self.total.max(10));
        (self.lost, self.total, self.since) = (0, 0, now);
        self.recent = loss;
        if loss < self.inherent {
            self.inherent += 0.3 * (loss - self.inherent);
        }
        if let Some(before) = self.tried.take()
            && !is_queued
            && loss > before * (1.0 - HELPED)
        {
            self.inherent = self.inherent.max(loss.min(before));
            self.bound = None;
            return false;
        }
        let excess = loss - self.inherent;
        let is_too_much = excess > TOO_MUCH.max(self.inherent * 0.7);
        if is_too_much {
            let step = (rate * (1.0 - 0.5 * excess)).min(rate.min(delivered * 1.05));
            self.bound = Some(self.bound.map_or(step, |bound| bound.min(step)));
            self.tried = Some(loss);
        } else if self.is_little() {
            let grown = self.bound.map(|bound| bound * GROWTH.powf(passed as f64 / 1e6));
            // Twice what is sent is no bound any more.
            self.bound = grown.filter(|bound| *bound < 2.0 * rate.max(delivered));
        }
        is_too_much
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(losses: &mut Losses, second: i64, lost: u32) {
        losses.count(lost, 100 - lost, 0);
        losses.update(second * 1_000_000, 1e6, 1e6 * f64::from(100 - lost) / 100.0, 50_000, false);
    }

    #[test]
    fn loss_that_a_lower_rate_ends_is_a_bound() {
        let mut losses = Losses::new(0);
        second(&mut losses, 1, 30);
        assert!(losses.bound.is_some_and(|bound| bound < 8e5));
        second(&mut losses, 2, 2);
        assert!(losses.bound.is_some() && losses.inherent < 0.01);
    }

    #[test]
    fn loss_that_stays_is_the_links_own() {
        let mut losses = Losses::new(0);
        (1..10).for_each(|n| second(&mut losses, n, 15));
        assert_eq!(losses.bound, None);
        assert!((losses.inherent - 0.15).abs() < 0.01);
    }

    #[test]
    fn loss_that_stays_beside_a_queue_is_not() {
        let mut losses = Losses::new(0);
        for second in 1..10 {
            losses.count(30, 70, 0);
            assert!(losses.update(second * 1_000_000, 1e6, 7e5, 50_000, true), "too much is sent");
        }
        assert!(losses.bound.is_some_and(|bound| bound <= 735_000.0) && losses.inherent < 0.01);
    }

    #[test]
    fn a_little_loss_is_no_reason() {
        let mut losses = Losses::new(0);
        (1..10).for_each(|n| second(&mut losses, n, 5));
        assert_eq!(losses.bound, None);
    }
}
