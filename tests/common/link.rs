//! A link in virtual time: delay, jitter, loss, a rate with a queue before it, reordering, duplicates. The same seed gives
//! the same run.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Random numbers (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least 0 and less than 1.
    pub fn part(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Gilbert-Elliott: how likely a packet is lost in a good and in a bad time, and how likely the times change with a packet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Loss {
    pub good: f64,
    pub bad: f64,
    pub to_bad: f64,
    pub to_good: f64,
}

/// What a link is like.
#[derive(Debug, Clone)]
pub struct Profile {
    pub delay: Duration,
    /// Up to so much is added to each packet's delay. Order is kept.
    pub jitter: Duration,
    pub loss: Loss,
    /// From when on it carries how many bit/s; sorted. Without limit when empty.
    pub rate: Vec<(Duration, u64)>,
    /// How much the token bucket lets through at once, bytes.
    pub burst: u64,
    /// How many bytes may wait.
    pub queue: usize,
    /// The part of packets that are held back, so that others overtake them.
    pub reordered: f64,
    /// For how long.
    pub held: Duration,
    /// The part of packets that arrive twice.
    pub duplicated: f64,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(25),
            jitter: Duration::ZERO,
            loss: Loss::default(),
            rate: Vec::new(),
            burst: 1_500,
            queue: usize::MAX,
            reordered: 0.0,
            held: Duration::from_millis(10),
            duplicated: 0.0,
        }
    }
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits so long before it leaves.
    Waits(Duration),
    /// No room in the queue.
    Overflowed,
    /// Lost on the way, though the link carried it.
    Lost,
}

/// The link.
#[derive(Debug)]
pub struct Link<T> {
    profile: Profile,
    random: Random,
    began: Instant,
    is_bad: bool,
    /// When the link has carried all that it was given.
    busy: Duration,
    queued: VecDeque<(Duration, usize)>,
    waiting: usize,
    latest: Duration,
    number: u64,
    flying: BTreeMap<(Duration, u64), T>,
}

impl<T: Clone> Link<T> {
    pub fn new(began: Instant, profile: Profile, seed: u64) -> Self {
        Self {
            profile,
            random: Random(seed),
            began,
            is_bad: false,
            busy: Duration::ZERO,
            queued: VecDeque::new(),
            waiting: 0,
            latest: Duration::ZERO,
            number: 0,
            flying: BTreeMap::new(),
        }
    }

    /// How many bits it carries in a second at a time.
    pub fn rate_at(&self, at: Duration) -> Option<u64> {
        let of = self.profile.rate.iter().rev().find(|(from, _)| *from <= at);
        of.or(self.profile.rate.first()).map(|(_, rate)| *rate)
    }

    /// When so many bytes are through that begin at a time.
    fn carried(&self, from: Duration, bytes: usize) -> Duration {
        let (mut at, mut bits) = (from, bytes as f64 * 8.0);
        loop {
            let Some(rate) = self.rate_at(at) else { return at };
            let end = at + Duration::from_secs_f64(bits / rate as f64);
            match self.profile.rate.iter().find(|(change, _)| *change > at) {
                Some((change, _)) if *change < end => {
                    bits -= (*change - at).as_secs_f64() * rate as f64;
                    at = *change;
                }
                _ => return end,
            }
        }
    }

    /// Sends a packet.
    pub fn send(&mut self, now: Instant, bytes: usize, item: T) -> Fate {
        let at = now - self.began;
        while let Some((_, size)) = self.queued.front().filter(|(leaves, _)| *leaves <= at) {
            self.waiting -= size;
            self.queued.pop_front();
        }
        if self.waiting.saturating_add(bytes) > self.profile.queue {
            return Fate::Overflowed;
        }
        let mut leaves = at;
        if let Some(rate) = self.rate_at(at) {
            // Tokens that were saved up let a packet leave before the time that its own bits take.
            self.busy = self.carried(self.busy.max(at), bytes);
            let saved = Duration::from_secs_f64(self.profile.burst as f64 * 8.0 / rate as f64);
            leaves = self.busy.saturating_sub(saved).max(at);
            self.queued.push_back((leaves, bytes));
            self.waiting += bytes;
        }
        if self.is_lost() {
            return Fate::Lost;
        }
        let jitter = self.profile.jitter.mul_f64(self.random.part());
        let mut arrives = (leaves + self.profile.delay + jitter).max(self.latest);
        if self.random.part() < self.profile.reordered {
            arrives += self.profile.held;
        } else {
            self.latest = arrives;
        }
        self.fly(arrives, item.clone());
        if self.random.part() < self.profile.duplicated {
            self.fly(arrives, item);
        }
        Fate::Waits(leaves - at)
    }

    fn fly(&mut self, arrives: Duration, item: T) {
        self.number += 1;
        self.flying.insert((arrives, self.number), item);
    }

    fn is_lost(&mut self) -> bool {
        let loss = self.profile.loss;
        let change = if self.is_bad { loss.to_good } else { loss.to_bad };
        self.is_bad ^= self.random.part() < change;
        self.random.part() < if self.is_bad { loss.bad } else { loss.good }
    }

    /// When the next packet arrives. `None` while none is on its way.
    pub fn next(&self) -> Option<Instant> {
        self.flying.first_key_value().map(|((at, _), _)| self.began + *at)
    }

    /// The next packet that arrived by now, and when.
    pub fn receive(&mut self, now: Instant) -> Option<(Instant, T)> {
        let first = self.flying.first_entry().filter(|entry| self.began + entry.key().0 <= now)?;
        let ((at, _), item) = first.remove_entry();
        Some((self.began + at, item))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Fate, Instant, Link, Loss, Profile};

    fn all(link: &mut Link<u32>, began: Instant) -> Vec<(Duration, u32)> {
        let end = began + Duration::from_secs(1_000);
        std::iter::from_fn(|| link.receive(end)).map(|(at, item)| (at - began, item)).collect()
    }

    #[test]
    fn a_link_carries_its_rate_even_when_that_changes() {
        let began = Instant::now();
        let rate = vec![(Duration::ZERO, 800_000), (Duration::from_millis(100), 400_000)];
        let mut link = Link::new(began, Profile { rate, burst: 0, ..Profile::default() }, 1);
        (0..20).for_each(|n| assert!(matches!(link.send(began, 1_000, n), Fate::Waits(_))));
        let arrivals = all(&mut link, began);
        assert_eq!(arrivals[9].0.as_millis(), 125);
        assert_eq!(arrivals[19].0.as_millis(), 325);
    }

    #[test]
    fn what_does_not_fit_the_queue_is_dropped() {
        let began = Instant::now();
        let profile = Profile { rate: vec![(Duration::ZERO, 800_000)], queue: 5_000, ..Profile::default() };
        let mut link = Link::new(began, profile, 1);
        let dropped = (0..20).filter(|n| link.send(began, 1_000, *n) == Fate::Overflowed).count();
        assert!((13..=15).contains(&dropped), "{dropped}");
    }

    #[test]
    fn losses_come_in_bursts_and_the_same_seed_loses_the_same() {
        let loss = Loss { good: 0.0, bad: 1.0, to_bad: 0.01, to_good: 0.2 };
        let run = |seed| {
            let began = Instant::now();
            let mut link = Link::new(began, Profile { loss, ..Profile::default() }, seed);
            (0..10_000).map(|n| link.send(began, 100, n) == Fate::Lost).collect::<Vec<_>>()
        };
        let lost = run(7);
        let count = lost.iter().filter(|lost| **lost).count();
        let bursts = lost.windows(2).filter(|pair| pair[0] != pair[1]).count() / 2;
        assert!((300..700).contains(&count) && count > 3 * bursts, "{count} in {bursts}");
        assert_eq!(lost, run(7));
        assert_ne!(lost, run(8));
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let sorted = |profile: Profile| {
            let began = Instant::now();
            let mut link = Link::new(began, profile, 3);
            for n in 0..200 {
                link.send(began + Duration::from_millis(n), 100, u32::try_from(n).expect("small"));
            }
            let items: Vec<u32> = all(&mut link, began).into_iter().map(|(_, item)| item).collect();
            (items.is_sorted(), items.len())
        };
        let jitter = Duration::from_millis(50);
        assert_eq!(sorted(Profile { jitter, ..Profile::default() }), (true, 200));
        assert!(!sorted(Profile { reordered: 0.1, ..Profile::default() }).0);
        assert!(sorted(Profile { duplicated: 0.1, ..Profile::default() }).1 > 205);
    }
}
