//! Spreads what would come at once: key frames.
//!
//! What flows steadily passes: a bucket fills with what is sent and empties at a multiple of what the link carries, and
//! only while it is full do packets wait. The bucket of a link that carries its estimate never fills. The multiple is that
//! of libwebrtc, 2.5: a key frame leaves faster than the mean, and not so fast that it fills a router's queue.
//!
//! Sound and what is sent again never wait here. Who sends it says so with [`Pacer::spent`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::units::Bitrate;

/// How much faster than the estimate a queue empties, in tenths.
pub const FASTER: u64 = 25;
/// How much passes at once however slow the link, bytes: a few packets.
const BURST: u64 = 6_000;
/// How much time's worth of the estimate passes at once, ms: a usual frame, at 25 a second. It would gain nothing from
/// waiting, as publishers send frames whole. libwebrtc lets even more pass, 40 ms of the faster rate.
const BURST_TIME: u64 = 40;
/// How much may wait: what the link carries in this time, ms. What is older is of no use in a conversation.
const LONGEST: u64 = 1_000;
/// At least so many bytes may wait, so that a slow link gets whole key frames.
const SMALLEST: u64 = 60_000;
/// Of a single frame so many times as much may wait: one that never ends does not fill the memory.
const ENDLESS: u64 = 4;
/// Whether a packet may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// At once.
    Now,
    /// It has to be [pushed](Pacer::push).
    Queue,
}

/// A frame of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The stream: whatever number its sender gave it.
    pub stream: u32,
    /// Its RTP timestamp.
    pub timestamp: u32,
    /// How important its stream is; more is more.
    pub rank: u8,
}

#[derive(Debug)]
struct Waiting<T> {
    since: Instant,
    frame: Frame,
    bytes: usize,
    item: T,
}

/// The pacer of one link. All times are arguments.
#[derive(Debug)]
pub struct Pacer<T> {
    /// Bytes sent that the link has not carried yet, as far as is known.
    debt: u64,
    /// When `debt` was true.
    at: Instant,
    rate: Bitrate,
    video: VecDeque<Waiting<T>>,
    waiting: u64,
}

impl<T> Pacer<T> {
    /// A pacer of a link that carries `estimate`.
    #[must_use]
    pub fn new(now: Instant, estimate: Bitrate) -> Self {
        Self { debt: 0, at: now, rate: estimate, video: VecDeque::new(), waiting: 0 }
    }

    /// The link carries this from now on.
    pub fn rate(&mut self, now: Instant, estimate: Bitrate) {
        self.settle(now);
        self.rate = Bitrate(estimate.0.max(1_000));
    }

    fn bytes_in(&self, millis: u64) -> u64 {
        self.rate.0.saturating_mul(millis) / 8_000
    }

    fn burst(&self) -> u64 {
        BURST.max(self.bytes_in(BURST_TIME))
    }

    fn settle(&mut self, now: Instant) {
        if now == self.at {
            return;
        }
        let passed = now.saturating_duration_since(self.at);
        let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        let carried = self.rate.0.saturating_mul(FASTER).saturating_mul(micros) / 80_000_000;
        // Less than a byte stays for the next time.
        if carried > 0 || self.debt == 0 {
            self.debt = self.debt.saturating_sub(carried);
            self.at = self.at.max(now);
        }
    }

    /// Whether a packet of so many bytes may leave. One that may counts as sent.
    pub fn admit(&mut self, now: Instant, bytes: usize) -> Admit {
        self.settle(now);
        if self.debt >= self.burst() || self.waiting > 0 {
            return Admit::Queue;
        }
        self.debt = self.debt.saturating_add(bytes as u64);
        Admit::Now
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many bytes wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Something left that did not ask: sound, a probe, what is sent again.
    pub fn spent(&mut self, now: Instant, bytes: usize) {
        self.settle(now);
        // Whoever sends much past the pacer delays others by no more than a whole burst.
        self.debt = self.debt.saturating_add(bytes as u64).min(2 * self.burst());
    }

    /// A packet has to wait. Returns what is given up because too much waits or waits for too long: all that waits of the
    /// least important stream, as later frames are worth nothing without the earlier ones. A single frame is not given up, as
    /// long as it ends.
    pub fn push(&mut self, now: Instant, frame: Frame, bytes: usize, item: T) -> Vec<T> {
        self.video.push_back(Waiting { since: now, frame, bytes, item });
        self.waiting += bytes as u64;
        let mut dropped = Vec::new();
        let most = self.bytes_in(LONGEST).max(SMALLEST);
        while self.waiting > most && self.give_up(&mut dropped) {}
        if self.waiting > ENDLESS * most {
            self.take_out(frame.stream, &mut dropped);
        }
        while self.is_late(now) && self.give_up(&mut dropped) {}
        dropped
    }

    /// Takes out what waits of a stream.
    pub fn remove(&mut self, stream: u32) -> Vec<T> {
        let mut removed = Vec::new();
        if self.video.iter().any(|packet| packet.frame.stream == stream) {
            self.take_out(stream, &mut removed);
        }
        removed
    }

    fn take_out(&mut self, stream: u32, removed: &mut Vec<T>) {
        for packet in std::mem::take(&mut self.video) {
            if packet.frame.stream == stream {
                self.waiting -= packet.bytes as u64;
                removed.push(packet.item);
            } else {
                self.video.push_back(packet);
            }
        }
    }

    fn is_late(&self, now: Instant) -> bool {
        let longest = Duration::from_millis(LONGEST);
        self.video.front().is_some_and(|first| now.saturating_duration_since(first.since) > longest)
    }

    /// Gives up what waits of the stream with the lowest rank; of equal ones the one that waits for the longest.
    fn give_up(&mut self, dropped: &mut Vec<T>) -> bool {
        let frames = || self.video.iter().map(|packet| packet.frame);
        let worst = frames().reduce(|worst, frame| if frame.rank < worst.rank { frame } else { worst });
        let Some(worst) = worst.filter(|worst| frames().any(|frame| frame != *worst)) else { return false };
        self.take_out(worst.stream, dropped);
        true
    }

    /// The next packet that may leave by now. It counts as sent.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
        if self.waiting == 0 {
            return None;
        }
        self.settle(now);
        if self.debt >= self.burst() {
            return None;
        }
        let packet = self.video.pop_front()?;
        self.waiting -= packet.bytes as u64;
        self.debt = self.debt.saturating_add(packet.bytes as u64);
        Some(packet.item)
    }

    /// When [`Self::pop`] has something. Nothing waits when there is none.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.waiting == 0 {
            return None;
        }
        let over = (self.debt + 1).saturating_sub(self.burst());
        let micros = over.saturating_mul(80_000_000).div_ceil((self.rate.0 * FASTER).max(1));
        Some(self.at + Duration::from_micros(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABIT: Bitrate = Bitrate(1_000_000);

    fn video(rank: u8, timestamp: u32) -> Frame {
        Frame { stream: u32::from(rank), timestamp, rank }
    }

    #[test]
    fn a_steady_flow_never_waits() {
        let mut now = Instant::now();
        let mut pacer = Pacer::<()>::new(now, MEGABIT);
        for _ in 0..1_000 {
            now += Duration::from_micros(33_333);
            (0..4).for_each(|_| assert_eq!(pacer.admit(now, 1_041), Admit::Now));
        }
    }

    #[test]
    fn a_key_frame_is_spread_at_two_and_a_half_times_the_estimate() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, MEGABIT);
        let (mut at_once, mut last) = (0, now);
        for n in 0..40 {
            match pacer.admit(now, 1_000) {
                Admit::Now => at_once += 1,
                Admit::Queue => assert!(pacer.push(now, video(0, 1), 1_000, n).is_empty()),
            }
        }
        assert_eq!(at_once, 6);
        let mut next = at_once;
        while let Some(at) = pacer.deadline() {
            last = at;
            assert_eq!(pacer.pop(at), Some(next), "in order");
            next += 1;
        }
        let took = (last - now).as_millis();
        assert!((100..=112).contains(&took), "{took} ms");
    }

    #[test]
    fn the_least_important_stream_is_given_up_and_a_single_frame_is_not() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, MEGABIT);
        while pacer.admit(now, 1_000) == Admit::Now {}
        let mut dropped = Vec::new();
        for n in 0..126_u32 {
            let (rank, frame) = (u8::from(n % 2 == 0), n / 10);
            dropped.extend(pacer.push(now, video(rank, frame), 1_000, rank));
        }
        assert_eq!(dropped, vec![0; 63], "125,000 bytes may wait");
        let mut alone = Pacer::new(now, Bitrate(50_000));
        while alone.admit(now, 1_000) == Admit::Now {}
        assert!((0..200).all(|n| alone.push(now, video(1, 7), 1_000, n).is_empty()), "a large key frame");
    }

    #[test]
    fn a_frame_without_end_is_given_up() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, MEGABIT);
        while pacer.admit(now, 1_000) == Admit::Now {}
        let dropped: usize = (0..2_000).map(|n| pacer.push(now, video(0, 1), 1_000, n).len()).sum();
        assert_eq!(dropped, 3 * 501, "500,000 bytes may wait");
        assert!(pacer.waiting <= 500_000);
    }

    #[test]
    fn a_stream_that_goes_on_elsewhere_leaves_its_place_to_others() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, MEGABIT);
        while pacer.admit(now, 1_000) == Admit::Now {}
        for n in 0..6_u8 {
            assert!(pacer.push(now, video(n % 2, 1), 1_000, n).is_empty());
        }
        assert_eq!(pacer.remove(1), [1, 3, 5]);
        assert!(pacer.remove(7).is_empty());
        let later = now + Duration::from_secs(1);
        let left: Vec<_> = std::iter::from_fn(|| pacer.pop(later)).collect();
        assert_eq!((left, pacer.is_empty()), (vec![0, 2, 4], true));
    }

    #[test]
    fn what_waits_too_long_is_given_up() {
        let now = Instant::now();
        let mut pacer = Pacer::new(now, MEGABIT);
        while pacer.admit(now, 1_000) == Admit::Now {}
        assert!(pacer.push(now, video(0, 1), 1_000, 1).is_empty());
        let later = now + Duration::from_millis(1_200);
        assert_eq!(pacer.push(later, video(0, 2), 1_000, 2), vec![1, 2], "the later one depends on it");
    }
}
