//! How the delay-based estimate moves: up slowly near what the link was seen to carry, faster away from it, and down to
//! what arrives when a queue grows (draft-ietf-rmcat-gcc-02 section 5.5).

/// What is left of what arrives when a queue grows (draft section 5.5 says 0.85).
const BETA: f64 = 0.85;
/// How much the estimate grows in a second while the link's capacity is unknown (draft section 5.5).
const GROWTH: f64 = 1.08;
/// The most that the estimate may be over what arrives (draft section 5.5), and a little for slow links, bit/s.
const AHEAD: (f64, f64) = (1.5, 10_000.0);
/// What a packet takes, bits: near the capacity, the estimate grows by one each response time (draft section 5.5).
const PACKET: f64 = 9_600.0;
/// The least growth near the capacity, bit/s in a second.
const LEAST_GROWTH: f64 = 4_000.0;
/// How much one new sample moves the capacity.
const CAPACITY_WEIGHT: f64 = 0.05;

/// What the link was seen to carry: a mean and its variance, both in kbit/s as the paper has them.
#[derive(Debug, Default)]
struct Capacity {
    mean: Option<f64>,
    variance: f64,
}

impl Capacity {
    fn bounds(&self) -> Option<(f64, f64)> {
        let mean = self.mean?;
        let deviation = 3.0 * (self.variance * mean).sqrt();
        Some(((mean - deviation) * 1e3, (mean + deviation) * 1e3))
    }

    fn push(&mut self, rate: f64) {
        let rate = rate / 1e3;
        let mean = match self.mean {
            Some(mean) => mean + CAPACITY_WEIGHT * (rate - mean),
            None => rate,
        };
        let error = (mean - rate).powi(2) / mean.max(1.0);
        let variance = (1.0 - CAPACITY_WEIGHT) * self.variance + CAPACITY_WEIGHT * error;
        self.variance = variance.clamp(0.4, 2.5);
        self.mean = Some(mean);
    }
}

/// The rate.
#[derive(Debug)]
pub(super) struct Aimd {
    pub(super) rate: f64,
    capacity: Capacity,
    changed: i64,
    decreased: Option<i64>,
}

impl Aimd {
    pub(super) fn new(rate: f64, now: i64) -> Self {
        Self { rate, capacity: Capacity::default(), changed: now, decreased: None }
    }

    /// When a queue last grew, us.
    pub(super) fn decreased(&self) -> Option<i64> {
        self.decreased
    }

    /// A queue grows, and this arrives. Says whether the rate changed: it takes a round trip until a change is felt.
    pub(super) fn decrease(&mut self, now: i64, delivered: f64, is_limited: bool, rtt: i64) -> bool {
        let soon = self.decreased.is_some_and(|at| now - at < rtt.max(50_000) + 50_000);
        if soon && delivered > self.rate * 0.5 {
            return false;
        }
        if let Some((low, _)) = self.capacity.bounds().filter(|(low, _)| delivered < *low)
            && low > 0.0
        {
            self.capacity.mean = None;
        }
        // While little is sent, what arrives says little of the link: then steps go down from the estimate.
        let target = if is_limited { self.rate.max(delivered) * BETA } else { delivered * BETA };
        if !is_limited {
            self.capacity.push(delivered);
        }
        self.rate = self.rate.min(target);
        (self.changed, self.decreased) = (now, Some(now));
        true
    }

    /// Nothing is wrong: time passes.
    pub(super) fn increase(&mut self, now: i64, delivered: f64, rtt: i64) {
        let passed = ((now - self.changed) as f64 / 1e6).clamp(0.0, 1.0);
        self.changed = now;
        if self.capacity.bounds().is_some_and(|(_, high)| delivered > high) {
            self.capacity.mean = None;
        }
        let grown = if self.capacity.mean.is_some() {
            let response = (rtt + 100_000) as f64 / 1e6;
            self.rate + (PACKET / response).max(LEAST_GROWTH) * passed
        } else {
            self.rate * GROWTH.powf(passed) + 1_000.0 * passed
        };
        let most = AHEAD.0 * delivered + AHEAD.1;
        self.rate = grown.min(most).max(self.rate);
    }

    /// Time passes without anything to be learned from it.
    pub(super) fn hold(&mut self, now: i64) {
        self.changed = now;
    }

    /// A probe got through at a higher rate.
    pub(super) fn probed(&mut self, now: i64, rate: f64) {
        if rate > self.rate {
            self.rate = rate;
            self.changed = now;
            if self.capacity.bounds().is_some_and(|(_, high)| rate > high) {
                self.capacity.mean = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_queue_lowers_the_rate_below_what_arrives() {
        let mut aimd = Aimd::new(2e6, 0);
        assert!(aimd.decrease(0, 1e6, false, 50_000));
        assert!((aimd.rate - 850_000.0).abs() < 1.0);
        assert!(!aimd.decrease(60_000, 0.9e6, false, 50_000), "the change cannot be felt yet");
    }

    #[test]
    fn near_the_capacity_it_grows_by_a_packet_each_response_time() {
        let mut aimd = Aimd::new(1e6, 0);
        aimd.decrease(0, 1e6, false, 50_000);
        aimd.increase(1_000_000, 1e6, 50_000);
        assert!((aimd.rate - 914_000.0).abs() < 1e3, "{}", aimd.rate);
    }

    #[test]
    fn it_never_grows_far_beyond_what_arrives() {
        let mut aimd = Aimd::new(1e6, 0);
        (1..1_000).for_each(|n| aimd.increase(n * 100_000, 1e6, 50_000));
        assert!(aimd.rate <= 1.51e6 + 1.0);
    }
}
