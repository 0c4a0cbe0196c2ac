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
/// After a decrease, the estimate returns fast to just below the capacity and slows down towards it, as the window of CUBIC
/// does (RFC 9438 section 4.2): to this part of the capacity,
const PLATEAU: f64 = 0.97;
/// in so long, s.
const RETURN: f64 = 3.0;
/// Beside TCP: packets more for each round trip, and what is left after a loss (RFC 9438 section 4.3).
const FRIENDLY: (f64, f64) = (0.53, 0.7);
/// After a queue grew, the estimate comes within this time, s, by two thirds closer to what a probe showed: fast, and slowly
/// enough for the queue to object.
const RAMP: f64 = 0.3;
/// For how long after a queue grew a probe alone is not believed, us: whoever shares the link may just have paused.
const CAUTIOUS: i64 = 15_000_000;
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
    /// What was left by the last decrease, and for how long it has grown since then, s.
    left: f64,
    grown: f64,
    /// What a probe showed and the estimate is on its way to.
    goal: Option<f64>,
    /// When it last gave way to others, us.
    yielded: Option<i64>,
}

impl Aimd {
    pub(super) fn new(rate: f64, now: i64) -> Self {
        Self {
            rate,
            capacity: Capacity::default(),
            changed: now,
            decreased: None,
            left: rate,
            grown: 0.0,
            goal: None,
            yielded: None,
        }
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
        (self.left, self.grown, self.goal) = (self.rate, 0.0, None);
        true
    }

    /// Lets time pass, and says how much, s.
    fn pass(&mut self, now: i64) -> f64 {
        let passed = (now - self.changed) as f64 / 1e6;
        self.changed = now;
        passed.clamp(0.0, 1.0)
    }

    /// Nothing is wrong: time passes.
    pub(super) fn increase(&mut self, now: i64, delivered: f64, rtt: i64) {
        let passed = self.pass(now);
        if self.capacity.bounds().is_some_and(|(_, high)| delivered > high) {
            self.capacity.mean = None;
        }
        self.grown += passed;
        let grown = match self.capacity.mean {
            Some(mean) => self.near(mean * 1e3, passed, rtt),
            None => self.rate * GROWTH.powf(passed) + 1_000.0 * passed,
        };
        let most = AHEAD.0 * delivered + AHEAD.1;
        let grown = grown.min(most);
        self.approach(passed);
        self.rate = self.rate.max(grown);
    }

    /// How it grows near what the link was seen to carry.
    fn near(&self, capacity: f64, passed: f64, rtt: i64) -> f64 {
        let response = (rtt + 100_000) as f64 / 1e6;
        let further = self.rate + (PACKET / response).max(LEAST_GROWTH) * passed;
        let missing = (1.0 - self.grown / RETURN).max(0.0).powi(3);
        let plateau = PLATEAU * capacity;
        further.max(plateau - (plateau - self.left) * missing)
    }

    /// Somebody else fills the queue, of whom we take no more than one more TCP would. `loss` is the part of the packets that
    /// gets lost of late, if one just did.
    pub(super) fn compete(&mut self, now: i64, loss: Option<f64>, delivered: f64, rtt: i64) {
        let passed = self.pass(now);
        (self.goal, self.capacity.mean) = (None, None);
        let round_trip = rtt.max(50_000) as f64 / 1e6;
        let Some(loss) = loss else {
            let grown = self.rate + FRIENDLY.0 * PACKET / (round_trip * round_trip) * passed;
            self.rate = grown.min(AHEAD.0 * delivered + AHEAD.1).max(self.rate);
            return;
        };
        if self.yielded.is_none_or(|at| now - at > rtt + 100_000) {
            // What TCP gets with such losses (Mathis, Semke, Mahdavi, Ott: "The macroscopic behavior of the TCP congestion
            // avoidance algorithm", 1997). There is no reason to take less.
            let fair = PACKET / (round_trip * (loss.max(0.001) * 2.0 / 3.0).sqrt());
            self.rate = (self.rate * FRIENDLY.1).max(fair.min(self.rate));
            self.yielded = Some(now);
        }
    }

    /// Time passes without anything to be learned from it.
    pub(super) fn hold(&mut self, now: i64) {
        self.changed = now;
    }

    /// Too little is sent to learn anything from it but what a probe showed.
    pub(super) fn idle(&mut self, now: i64) {
        let passed = self.pass(now);
        self.approach(passed);
    }

    fn approach(&mut self, passed: f64) {
        let Some(goal) = self.goal else { return };
        self.rate = self.rate.max(goal - (goal - self.rate) * (-passed / RAMP).exp());
        self.goal = Some(goal).filter(|goal| self.rate < 0.98 * goal);
    }

    /// What a probe shows above this, bit/s, has to be confirmed by another.
    pub(super) fn doubtful(&self, now: i64) -> Option<f64> {
        self.is_cautious(now).then_some(1.5 * self.rate)
    }

    fn is_cautious(&self, now: i64) -> bool {
        self.decreased.is_some_and(|at| now - at < CAUTIOUS)
    }

    /// A probe got through at a higher rate.
    pub(super) fn probed(&mut self, now: i64, rate: f64) {
        if rate > self.rate {
            if self.is_cautious(now) {
                self.goal = Some(rate);
            } else {
                self.rate = rate;
                self.changed = now;
            }
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
        aimd.rate = 1e6;
        aimd.increase(1_000_000, 1e6, 50_000);
        assert!((aimd.rate - 1_064_000.0).abs() < 1e3, "{}", aimd.rate);
    }

    #[test]
    fn it_returns_to_just_below_the_capacity_within_seconds_and_stays_there() {
        let mut aimd = Aimd::new(1e6, 0);
        aimd.decrease(0, 1e6, false, 1_000_000);
        (1..=10).for_each(|n| aimd.increase(n * 100_000, 1e6, 1_000_000));
        assert!((0.92e6..0.95e6).contains(&aimd.rate), "{}", aimd.rate);
        (11..=30).for_each(|n| aimd.increase(n * 100_000, 1e6, 1_000_000));
        assert!((0.965e6..1e6).contains(&aimd.rate), "{}", aimd.rate);
    }

    #[test]
    fn what_a_probe_shows_is_taken_at_once_or_step_by_step_after_a_queue_grew() {
        let mut aimd = Aimd::new(1e6, 0);
        aimd.probed(0, 2e6);
        assert!((aimd.rate - 2e6).abs() < 1.0);
        aimd.decrease(1_000, 1e6, false, 50_000);
        aimd.probed(2_000, 2e6);
        assert!(aimd.rate < 1e6);
        (1..=10).for_each(|n| aimd.idle(2_000 + n * 100_000));
        assert!(aimd.rate > 1.9e6, "{}", aimd.rate);
    }

    #[test]
    fn beside_tcp_it_gives_way_to_a_loss_once_a_round_trip() {
        let mut aimd = Aimd::new(1e6, 0);
        (1..=2).for_each(|n| aimd.compete(n * 50_000, Some(0.1), 1e6, 200_000));
        assert!((aimd.rate - 0.7e6).abs() < 1.0, "{}", aimd.rate);
        (1..=10).for_each(|n| aimd.compete(100_000 + n * 100_000, None, 1e6, 200_000));
        assert!((0.8e6..0.85e6).contains(&aimd.rate), "{}", aimd.rate);
        (1..=50).for_each(|n| aimd.compete(1_100_000 + n * 400_000, Some(0.1), 1e6, 200_000));
        assert!((150e3..250e3).contains(&aimd.rate), "TCP would get as much: {}", aimd.rate);
    }

    #[test]
    fn it_never_grows_far_beyond_what_arrives() {
        let mut aimd = Aimd::new(1e6, 0);
        (1..1_000).for_each(|n| aimd.increase(n * 100_000, 1e6, 50_000));
        assert!(aimd.rate <= 1.51e6 + 1.0);
    }
}
