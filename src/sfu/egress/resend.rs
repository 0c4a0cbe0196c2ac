//! Which packets that a subscriber asks for again it gets again (RFC 4585 section 6.2.1).
//!
//! Two things stand against answering every NACK. A receiver that does not know the round-trip time asks again before the
//! answer can have arrived. And whoever asks for everything all the time must not cost more than its share.

use std::time::{Duration, Instant};

/// What becomes of a packet that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it again.
    Send,
    /// It was sent again less than a round trip ago: the receiver could not know yet when it asked.
    JustSent,
    /// The subscriber had its share.
    OverBudget,
}

/// The resends of one slot of a subscriber.
///
/// The budget is a bucket of bytes that begins full. What it takes to repair a loss of the part `p`, resends included, is
/// `p / (1 - p)` of what is sent: 5.3 % for 5 % of loss, 33 % for 25 %. It fills with a third of what is sent, so that up to
/// a quarter may be lost for ever, and of 30 % still three quarters are repaired; who asks for everything costs a third more
/// than a quiet subscriber, and no more.
#[derive(Debug, Default)]
pub struct Resends {
    /// Bytes sent since the bucket was last filled.
    sent: u64,
    /// What only a slot has that was ever asked for something.
    asked: Option<Box<Asked>>,
}

#[derive(Debug)]
struct Asked {
    /// When the times of `recent` begin.
    begun: Instant,
    /// Until when the bucket was filled.
    filled: Instant,
    /// Bytes that may be sent again.
    budget: u64,
    /// At the place of a sequence number modulo the length: the number of the last one resent there, and when.
    recent: [Option<Resent>; RECENT],
}

/// A packet that was sent again.
#[derive(Debug, Clone, Copy)]
struct Resent {
    /// The low half of the extended sequence number. Another one with the same half is hours away.
    sequence: u32,
    /// Milliseconds since `begun`, modulo 2^32.
    at: u32,
}

/// How many resends are remembered: a full bucket of packets of 1,200 bytes, with margin. What is forgotten may be sent
/// again too early, which costs budget and nothing else.
const RECENT: usize = 256;

/// One part in so many of what is sent may be sent again.
const SHARE: u64 = 3;

/// The most that the bucket holds, in bytes: 109 packets of 1,200 bytes. That is once all of 0.7 s of a stream of
/// 1.5 Mbit/s; and no more than one large key frame, so that it does no harm to a line which carries key frames.
const DEPTH: u64 = 1 << 17;

/// What the bucket gets in any case, in bytes a second: it is full again 16 s later, so that a slide that is sent once in a
/// while, or a voice, can be repaired again and again.
const TRICKLE: u64 = 1 << 13;

/// The round-trip time of a receiver of which none is known: what browsers assume then.
const UNKNOWN_RTT: Duration = Duration::from_millis(100);

/// What comes within that was asked for twice in one breath.
const SHORTEST: Duration = Duration::from_millis(10);

/// A receiver that claims to be further away gets its packets too late in any case.
const LONGEST: Duration = Duration::from_secs(1);

impl Resends {
    /// Of a slot that nobody asked for anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Something was sent for the first time. What is sent again does not count.
    #[inline]
    pub fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.wrapping_add(bytes as u64);
    }

    /// Judges whether a packet is sent again; with [`Verdict::Send`] it counts as sent. `sequence` is any number that stays
    /// the packet's own, such as the extended sequence number towards the subscriber; `bytes` is its size; `rtt` is the
    /// round-trip time to the subscriber, if it is known.
    pub fn admit(&mut self, now: Instant, sequence: u64, bytes: usize, rtt: Option<Duration>) -> Verdict {
        let asked = self.asked.get_or_insert_with(|| Box::new(Asked::new(now)));
        asked.fill(now, std::mem::take(&mut self.sent));
        asked.admit(now, sequence, bytes as u64, rtt)
    }
}

impl Asked {
    fn new(now: Instant) -> Self {
        Self { begun: now, filled: now, budget: DEPTH, recent: [None; RECENT] }
    }

    fn fill(&mut self, now: Instant, sent: u64) {
        // In whole milliseconds; what is left of one counts the next time.
        let passed = milliseconds(self.filled, now);
        self.filled += Duration::from_millis(passed);
        let trickle = passed.saturating_mul(TRICKLE) / 1_000;
        self.budget = self.budget.saturating_add(sent / SHARE).saturating_add(trickle).min(DEPTH);
    }

    fn admit(&mut self, now: Instant, sequence: u64, bytes: u64, rtt: Option<Duration>) -> Verdict {
        let rtt = rtt.unwrap_or(UNKNOWN_RTT);
        // The way varies: who asks again just after its round trip may be heard just before.
        let pause = (rtt - rtt / 8).clamp(SHORTEST, LONGEST).as_millis();
        // Low halves on purpose: see `Resent`.
        let (sequence, at) = (sequence as u32, milliseconds(self.begun, now) as u32);
        let place = &mut self.recent[sequence as usize % RECENT];
        if place.is_some_and(|last| last.sequence == sequence && u128::from(at.wrapping_sub(last.at)) < pause)
        {
            return Verdict::JustSent;
        }
        let Some(left) = self.budget.checked_sub(bytes) else { return Verdict::OverBudget };
        self.budget = left;
        *place = Some(Resent { sequence, at });
        Verdict::Send
    }
}

fn milliseconds(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "resend_tests.rs"]
mod tests;
