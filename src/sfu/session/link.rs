//! The way to the client: what it is taken to carry, what is tried on it, and what waits for it.

use std::time::{Duration, Instant};

use super::behind::CatchUp;
use crate::ids::TrackId;
use crate::sfu::egress::Departed;
use crate::sfu::egress::allocate::Allocator;
use crate::sfu::egress::bandwidth::{Estimator, Probe, Purpose};
use crate::sfu::egress::pacer::{FASTER, Pacer};
use crate::sfu::forward::packet::Packet;
use crate::sfu::forward::rewrite::Rewritten;
use crate::units::Bitrate;
use crate::wire::rtcp::twcc::TransportFeedback;

/// What a link is taken to carry before anything was heard of it: an ordinary one at home.
const START: Bitrate = Bitrate(1_000_000);
/// A client that negotiated feedback and gave none for so long will give none.
const HEARD_WITHIN: Duration = Duration::from_secs(3);
/// What is kept free for each voice: Opus as browsers send it, with headers.
const VOICE: u64 = 50_000;
/// Who was sent to a client within this time may be heard there. The silence of a voice is not sent.
const HEARD_LATELY: Duration = Duration::from_secs(5);
/// The percents of the estimate that are given to tracks: it counts headers, seals and resends, they do not.
const PAYLOAD_PERCENT: u64 = 92;
/// Of a link that carries less than this percents of what was dealt out, it is dealt out anew at once.
const HASTE_PERCENT: u64 = 85;
/// Packets that wait for longer on the way mean that more is sent than is carried.
const FULL: Duration = Duration::from_millis(80);
/// While a queue is as new as that, what arrives tells what the link carries. Later the estimate does: it knows by then whose
/// queue it is.
const NEW: Duration = Duration::from_millis(1_000);
/// The percents of what arrives that are given out then: the rest is for the key frames that this takes, and for the queue.
const FULL_PERCENT: u64 = 70;
/// The estimator is asked again after so long, while it has something to try.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(25);
/// And after so long when it had nothing.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(200);
/// While nothing flows that the client could tell of, the least that is waited for is sent after so long, whether or not it is
/// taken to fit:
const DARES_FIRST: Duration = Duration::from_millis(300);
/// where some of it has flowed before, after so long,
const DARES_AGAIN: Duration = Duration::from_secs(5);
/// and for so long, in which a client that reports at all has done so.
const DARES_FOR: Duration = Duration::from_secs(2);
/// How many times as much as all tracks take the link is tried for, while somebody has to catch up.
const BEHIND_TIMES: u64 = 4;
/// What left longer ago than this is told of no more.
const TOLD: Duration = Duration::from_secs(1);

/// The link of a session that receives.
pub(super) struct Link {
    pub(super) estimator: Estimator,
    pub(super) pacer: Pacer<Waiting>,
    pub(super) allocator: Allocator,
    pub(super) probing: Option<Probing>,
    /// When the first media left.
    began: Option<Instant>,
    /// When the last did.
    left: Option<Instant>,
    /// Since when nothing flows and nothing can be tried.
    starved: Option<Instant>,
    /// Until when the least is sent, whether or not it fits.
    dares: Option<Instant>,
    /// The client has told what arrived, what got lost, or what it can take.
    pub(super) is_heard: bool,
    /// Packets leave with numbers that feedback may tell of.
    is_numbered: bool,
    /// The client has told what arrived, or what it can take: it can tell of a probe.
    pub(super) is_measured: bool,
    /// The estimator is not asked for a probe before.
    pub(super) ask_from: Instant,
    /// What the tracks were given together.
    pub(super) allotted: Option<Bitrate>,
    /// What the link was taken to carry then.
    pub(super) allotted_of: Bitrate,
    /// So much less fits that it is to be dealt out anew at once.
    pub(super) is_short: bool,
    /// Slots that have to catch up, and when more is sent to them.
    pub(super) behind: Vec<CatchUp>,
    pub(super) catch_up_at: Option<Instant>,
    /// Since when packets wait on the way for long.
    queued: Option<Instant>,
    /// What arrives of late, smoothed while they do: what is sent then comes in key frames.
    arrives: Bitrate,
}

/// A packet that waits in the pacer, with the numbers that it was given.
pub(super) struct Waiting {
    pub(super) slot: usize,
    pub(super) track: TrackId,
    pub(super) packet: Packet,
    pub(super) numbers: Rewritten,
}

/// A probe that is being sent.
pub(super) struct Probing {
    pub(super) probe: Probe,
    pub(super) begun: Instant,
    pub(super) bytes: usize,
    pub(super) packets: usize,
}

impl Probing {
    /// Whether all of it has left. Padding comes in small packets, and a probe of too few of them is never judged.
    pub(super) fn is_sent(&self) -> bool {
        self.bytes >= self.probe.bytes && self.packets >= self.probe.packets
    }

    /// How much should have left by now.
    pub(super) fn due(&self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.begun).as_micros();
        usize::try_from(u128::from(self.probe.rate.0) * passed / 8_000_000).unwrap_or(usize::MAX)
    }

    fn deadline(&self) -> Instant {
        let micros = (self.bytes as u64).saturating_mul(8_000_000) / self.probe.rate.0.max(1);
        self.begun + Duration::from_micros(micros).max(Duration::from_millis(1))
    }
}

impl Link {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            estimator: Estimator::new(now, START),
            pacer: Pacer::new(now, START),
            allocator: Allocator::default(),
            probing: None,
            began: None,
            left: None,
            starved: None,
            dares: None,
            is_heard: false,
            is_numbered: false,
            is_measured: false,
            ask_from: now,
            allotted: None,
            allotted_of: START,
            is_short: false,
            behind: Vec::new(),
            catch_up_at: None,
            queued: None,
            arrives: Bitrate(0),
        }
    }

    /// What it carries. `None` while nothing is known of it.
    pub(super) fn estimate(&self) -> Option<Bitrate> {
        self.is_heard.then(|| self.estimator.estimate())
    }

    /// How long packets wait on the way.
    pub(super) fn queue(&self) -> Duration {
        self.estimator.queueing()
    }

    /// What may be given to tracks that are not sound, with so many voices.
    pub(super) fn budget(&self, now: Instant, voices: u64) -> Bitrate {
        let waits = self.waits_to_hear(now);
        let carries = self.is_heard.then(|| self.carries(now));
        let Some(estimate) = carries.or_else(|| waits.then_some(START)) else {
            return Bitrate(u64::MAX);
        };
        Bitrate(estimate.0.saturating_sub(voices * VOICE) / 100 * PAYLOAD_PERCENT)
    }

    /// Media takes another path. What was measured of the old one, its delay above all, says nothing of it.
    pub(super) fn moved(&mut self, now: Instant) {
        self.estimator = Estimator::new(now, self.estimator.estimate());
        self.probing = None;
        self.ask_from = now;
    }

    /// Tries for what all tracks want, with so many voices; for much more while there is something to catch up with.
    pub(super) fn want(&mut self, voices: u64) {
        let tracks = self.allocator.desired().0.saturating_mul(100) / PAYLOAD_PERCENT;
        let times = if self.behind.is_empty() { 1 } else { BEHIND_TIMES };
        self.estimator.want(Bitrate(tracks.saturating_mul(times) + voices * VOICE));
    }

    /// Whether it is too early to say that the client tells nothing.
    fn waits_to_hear(&self, now: Instant) -> bool {
        self.began.is_none_or(|began| now.saturating_duration_since(began) < HEARD_WITHIN)
    }

    /// Whether what is sent has to ask the pacer. Of the link of a client that tells nothing there is nothing to go by.
    pub(super) fn is_paced(&self, now: Instant) -> bool {
        self.is_heard || self.waits_to_hear(now) || !self.pacer.is_empty()
    }

    /// Whether to send the least that is waited for, though it is not taken to fit. `is_stuck` says that nothing fits and that
    /// nothing else can be tried either: then what is known of the link would stay as it is for good.
    pub(super) fn dares(&mut self, now: Instant, is_stuck: bool) -> bool {
        self.dares = self.dares.filter(|until| is_stuck && now < *until);
        if self.dares.is_some() {
            return true;
        }
        let flows = self.left.is_some_and(|left| now.saturating_duration_since(left) < TOLD);
        let waits = is_stuck && !flows;
        self.starved = self.starved.filter(|_| waits).or_else(|| waits.then_some(now));
        let patience = if self.began.is_none() { DARES_FIRST } else { DARES_AGAIN };
        if self.starved.is_some_and(|since| now.saturating_duration_since(since) >= patience) {
            (self.starved, self.dares) = (None, Some(now + DARES_FOR));
        }
        self.dares.is_some()
    }

    /// Takes note of what left.
    pub(super) fn departed(&mut self, now: Instant, departed: Departed, purpose: Purpose) {
        self.began.get_or_insert(now);
        self.left = Some(now);
        match departed.number {
            Some(number) => {
                self.is_numbered = true;
                self.estimator.sent(now, number, departed.bytes, purpose);
            }
            None => self.estimator.sent_unnumbered(now, departed.bytes),
        }
    }

    /// The client tells what arrived.
    pub(super) fn feedback(&mut self, now: Instant, feedback: &TransportFeedback<'_>) {
        (self.is_heard, self.is_measured) = (true, true);
        self.estimator.feedback(now, feedback);
        self.heard(now);
    }

    /// The client tells how much it takes (REMB).
    pub(super) fn remb(&mut self, now: Instant, limit: Bitrate) {
        (self.is_heard, self.is_measured) = (true, true);
        self.estimator.remb(now, limit);
        self.heard(now);
    }

    /// The client reports that of so many packets it lost this part, 0 to 1. Of one that negotiated feedback, that is waited for
    /// first.
    pub(super) fn reported(&mut self, now: Instant, lost: f64, of: u32) {
        let waits = self.is_numbered && self.waits_to_hear(now);
        if waits || self.estimator.hears(now) {
            return;
        }
        self.is_heard = true;
        self.estimator.reported(now, lost, of);
        self.heard(now);
    }

    /// What arrives, while packets wait on the way for long and have not done so for long: then it is what the link carries.
    /// The estimate may not know that yet; or it is far below, until the queue is gone, which is no reason to take pictures
    /// off the screen.
    fn arrives(&self, now: Instant) -> Option<Bitrate> {
        let is_new = |since: &Instant| now.saturating_duration_since(*since) < NEW;
        self.queued.filter(is_new).map(|_| self.arrives)
    }

    /// What can be given out now.
    pub(super) fn carries(&self, now: Instant) -> Bitrate {
        let part = self.arrives(now).map(|arrives| Bitrate(arrives.0 / 100 * FULL_PERCENT));
        part.unwrap_or_else(|| self.estimator.estimate())
    }

    /// What it carries beyond what is given to tracks, of so many percents of it. Nothing while nothing was heard of it.
    pub(super) fn spare(&self, now: Instant, percent: u64) -> Bitrate {
        let given = self.allotted.filter(|_| self.is_heard).map_or(u64::MAX, |allotted| allotted.0);
        Bitrate((self.carries(now).0 / 100 * percent).saturating_sub(given))
    }

    /// Whether packets wait for long on the way.
    pub(super) fn is_full(&self) -> bool {
        self.queued.is_some()
    }

    /// So much is dealt out anew.
    pub(super) fn dealt_out(&mut self, now: Instant, allotted: Option<Bitrate>) {
        self.allotted = allotted;
        self.allotted_of = self.carries(now);
        self.is_short = false;
        self.set_pace(now);
    }

    /// Takes note of what the client told.
    fn heard(&mut self, now: Instant) {
        let (queueing, lately) = (self.estimator.queueing(), self.estimator.lately());
        let is_full = queueing > FULL;
        let before = if self.queued.is_some() { self.arrives } else { lately };
        self.arrives = Bitrate(before.0.midpoint(lately.0));
        self.queued = self.queued.filter(|_| is_full).or_else(|| is_full.then_some(now));
        self.compare(now);
        self.set_pace(now);
    }

    /// Sees whether what was dealt out still fits.
    fn compare(&mut self, now: Instant) {
        self.is_short = self.carries(now).0 < self.allotted_of.0 / 100 * HASTE_PERCENT;
    }

    /// What to try now, if anything. As time passes without a word from the client, less is taken to fit.
    pub(super) fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        let probe = self.estimator.poll_probe(now);
        self.compare(now);
        probe
    }

    /// What was given out is never held up for good, whatever the estimate: too much shows on the way, not here. A queue that
    /// has begun to grow is not made longer: what leaves faster than it arrives there would get lost in the end.
    fn set_pace(&mut self, now: Instant) {
        let given = self.allotted.unwrap_or(Bitrate(0));
        let usual = self.estimator.estimate().max(given);
        let rate = self.arrives(now).map_or(usual, |arrives| Bitrate(arrives.0 * 10 / FASTER));
        self.pacer.rate(now, rate);
    }

    /// When something waits, or is to be tried.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let ask = self.estimator.deadline().filter(|_| self.is_measured && self.probing.is_none());
        let ask = ask.map(|at| at.max(self.ask_from));
        let probing = self.probing.as_ref().map(Probing::deadline);
        [ask, probing, self.pacer.deadline(), self.catch_up_at].into_iter().flatten().min()
    }
}

/// For how many voices room is kept, of slots for sound to which tracks are bound, each with when it last sent. One of those that
/// are silent may speak up at any moment; whoever does so after that is counted a fifth of a second later.
pub(super) fn voices(now: Instant, slots: impl Iterator<Item = Option<Instant>>) -> u64 {
    let (mut heard, mut silent) = (0, 0);
    for last in slots {
        let is_heard = last.is_some_and(|at| now.saturating_duration_since(at) < HEARD_LATELY);
        *(if is_heard { &mut heard } else { &mut silent }) += 1;
    }
    heard + u64::from(silent > 0)
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
