//! Whether a queue grows on the way: the slope of the delay over time against a threshold that adapts.
//!
//! Carlucci et al., "Analysis and Design of the Google Congestion Control for WebRTC" (2016), section 4; the threshold as
//! in draft-ietf-rmcat-gcc-02 section 5.4. The slope comes from a line through the last smoothed delays.

use std::collections::VecDeque;

use super::arrival::Step;

/// How many groups the line goes through.
const WINDOW: usize = 20;
/// How much of the smoothed delay stays with each group.
const SMOOTHING: f64 = 0.9;
/// What the slope is multiplied with to be compared with the threshold.
const GAIN: f64 = 4.0;
/// The most groups that give a slope more weight.
const MOST_WEIGHT: f64 = 60.0;
/// The threshold at the beginning, ms (draft section 5.4).
const THRESHOLD: f64 = 12.5;
/// The bounds of the threshold, ms (draft section 5.4).
const BOUNDS: (f64, f64) = (6.0, 600.0);
/// How fast the threshold grows and shrinks, per ms (draft section 5.4).
const ADAPTS: (f64, f64) = (0.0087, 0.039);
/// A slope so far over the threshold is an exception that does not move it, ms.
const OUTLIER: f64 = 15.0;
/// How long it has to be over the threshold, ms (draft section 5.4).
const LASTING: f64 = 10.0;

/// What the delay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    /// A queue shrinks.
    Under,
    /// Nothing changes.
    Normal,
    /// A queue grows.
    Over,
}

/// The detector.
#[derive(Debug)]
pub(super) struct Trendline {
    points: VecDeque<(f64, f64)>,
    began: Option<i64>,
    accumulated: f64,
    smoothed: f64,
    groups: f64,
    threshold: f64,
    last: Option<i64>,
    over: f64,
    times: u32,
    previous: f64,
    usage: Usage,
}

impl Trendline {
    pub(super) fn new() -> Self {
        Self {
            points: VecDeque::with_capacity(WINDOW + 1),
            began: None,
            accumulated: 0.0,
            smoothed: 0.0,
            groups: 0.0,
            threshold: THRESHOLD,
            last: None,
            over: 0.0,
            times: 0,
            previous: 0.0,
            usage: Usage::Normal,
        }
    }

    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.points.capacity() * size_of::<(f64, f64)>()
    }

    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Takes in how a group differs from the one before it.
    pub(super) fn push(&mut self, step: Step) -> Usage {
        let began = *self.began.get_or_insert(step.at);
        self.accumulated += (step.arrived - step.sent) as f64 / 1e3;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        self.groups = (self.groups + 1.0).min(MOST_WEIGHT);
        self.points.push_back(((step.at - began) as f64 / 1e3, self.smoothed));
        if self.points.len() > WINDOW {
            self.points.pop_front();
        }
        let slope = if self.points.len() == WINDOW { self.slope().unwrap_or(self.previous) } else { 0.0 };
        self.detect(slope, step);
        self.usage
    }

    /// Least squares, counted from the first point so that the sums stay small.
    fn slope(&self) -> Option<f64> {
        let first = self.points.front()?;
        let (mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0);
        for point in &self.points {
            let (right, up) = (point.0 - first.0, point.1 - first.1);
            x += right;
            y += up;
            xx += right * right;
            xy += right * up;
        }
        let count = self.points.len() as f64;
        let spread = count * xx - x * x;
        (spread > 0.0).then(|| (count * xy - x * y) / spread)
    }

    fn detect(&mut self, slope: f64, step: Step) {
        let weighted = slope * self.groups * GAIN;
        if weighted > self.threshold {
            self.over += (step.sent as f64 / 1e3).max(0.0);
            self.times += 1;
            if self.over > LASTING && self.times > 1 && slope >= self.previous {
                (self.over, self.times) = (0.0, 0);
                self.usage = Usage::Over;
            }
        } else {
            (self.over, self.times) = (0.0, 0);
            self.usage = if weighted < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.previous = slope;
        self.adapt(weighted.abs(), step.at);
    }

    fn adapt(&mut self, weighted: f64, at: i64) {
        let passed = ((at - *self.last.get_or_insert(at)) as f64 / 1e3).clamp(0.0, 100.0);
        self.last = Some(at);
        if weighted > self.threshold + OUTLIER {
            return;
        }
        let speed = if weighted < self.threshold { ADAPTS.1 } else { ADAPTS.0 };
        self.threshold += speed * (weighted - self.threshold) * passed;
        self.threshold = self.threshold.clamp(BOUNDS.0, BOUNDS.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups 20 ms apart that arrive with these changes of delay, us. How many of them were found to be too much.
    fn found(changes: impl Iterator<Item = i64>) -> usize {
        let (mut line, mut at) = (Trendline::new(), 0);
        changes
            .filter(|change| {
                at += 20_000 + change;
                line.push(Step { sent: 20_000, arrived: 20_000 + change, at }) == Usage::Over
            })
            .count()
    }

    #[test]
    fn a_delay_that_grows_is_overuse() {
        assert!(found((0..60).map(|_| 4_000)) > 5);
    }

    #[test]
    fn a_delay_that_stays_is_not() {
        assert_eq!(found((0..500).map(|_| 0)), 0);
    }

    #[test]
    fn jitter_is_not_overuse() {
        let delay = |n: i64| (n * 7_919) % 11_000;
        assert_eq!(found((0..1_000).map(|n| delay(n + 1) - delay(n))), 0);
    }
}
