//! How long packets wait on the way: what they took, less the least that any took.
//!
//! The clocks of both ends differ by an unknown amount, which the difference takes out. The least is forgotten after a
//! while, because clocks drift and routes change.

/// How long the least is kept, us: twice this at most.
const KEPT: i64 = 60_000_000;
/// How long "now" lasts, us. The least of what packets took in this time is free of jitter.
const RECENT: i64 = 150_000;

/// The most packets that the mean of the jitter is about: some seconds of a usual flow.
const JITTER_PACKETS: f64 = 512.0;

/// The least of a time and of the one before it.
#[derive(Debug, Clone, Copy)]
struct Least {
    since: i64,
    before: i64,
    now: i64,
}

impl Least {
    fn push(least: Option<Self>, at: i64, took: i64, span: i64) -> Self {
        match least {
            None => Self { since: at, before: took, now: took },
            Some(old) if at - old.since >= 2 * span => Self { since: at, before: took, now: took },
            Some(old) if at - old.since >= span => Self { since: at, before: old.now, now: took },
            Some(old) => Self { now: old.now.min(took), ..old },
        }
    }

    fn value(self) -> i64 {
        self.before.min(self.now)
    }
}

/// The queue of a link.
#[derive(Debug, Default)]
pub(super) struct Queue {
    ever: Option<Least>,
    recent: Option<Least>,
    /// How much longer than the least of late packets take in the mean, us.
    jitter: f64,
    /// How many packets that is the mean of.
    packets: f64,
}

impl Queue {
    /// A packet arrived that took so long by two different clocks, us.
    pub(super) fn push(&mut self, at: i64, took: i64) {
        self.ever = Some(Least::push(self.ever, at, took, KEPT));
        let recent = Least::push(self.recent, at, took, RECENT / 2);
        self.recent = Some(recent);
        // At first the mean of all, so that it is known soon.
        self.packets = (self.packets + 1.0).min(JITTER_PACKETS);
        self.jitter += ((took - recent.value()) as f64 - self.jitter) / self.packets;
    }

    /// How long packets wait, us.
    pub(super) fn waiting(&self) -> i64 {
        let both = self.recent.zip(self.ever);
        both.map_or(0, |(recent, ever)| (recent.value() - ever.value()).max(0))
    }

    /// How much the times vary that packets take, us.
    pub(super) fn jitter(&self) -> i64 {
        self.jitter as i64
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_no_queue_and_a_queue_is_one() {
        let mut queue = Queue::default();
        (0..200).for_each(|n| queue.push(n * 10_000, -7_000_000 + (n * 7_919) % 50_000));
        assert!(queue.waiting() < 15_000, "{}", queue.waiting());
        (200..240).for_each(|n| queue.push(n * 10_000, -7_000_000 + 200_000 + (n * 7_919) % 50_000));
        assert!((180_000..230_000).contains(&queue.waiting()), "{}", queue.waiting());
    }
}
