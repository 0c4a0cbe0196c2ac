//! What the link of one subscriber carries, estimated by the sender.
//!
//! The receiver says when each packet arrived (draft-holmer-rmcat-transport-wide-cc-extensions-01). Out of that comes
//! whether a queue grows on the way ([`arrival`], [`trendline`]), which moves the estimate ([`aimd`]); what gets lost sets a
//! bound ([`loss`]); and probes find out what nobody sends yet ([`probe`]). The method is Google Congestion Control:
//! draft-ietf-rmcat-gcc-02, and Carlucci, De Cicco, Holmer, Mascolo: "Analysis and Design of the Google Congestion Control
//! for Web Real-Time Communication", MMSys 2016. Where a queue already stands, less is sent than fits until it is gone, unless
//! it is the queue of others ([`rivals`]).
//!
//! Without such feedback, receiver reports and REMB have to do ([`reports`]).

mod aimd;
mod arrival;
mod loss;
mod probe;
mod queue;
mod reports;
mod rivals;
mod sent;
mod trendline;
mod words;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use self::aimd::Aimd;
use self::arrival::{Clock, DELTA, Groups, Meter};
use self::loss::Losses;
use self::probe::Prober;
use self::queue::Queue;
use self::reports::{Reports, SILENCE};
use self::rivals::Rivals;
use self::sent::{Fate, History, MOST as LONGEST_FEEDBACK, Sent};
use self::trendline::{Trendline, Usage};
use self::words::bitrate;
pub use self::words::{ClusterId, Limit, LinkState, Probe, Purpose};
use crate::units::Bitrate;
use crate::wire::rtcp::twcc::TransportFeedback;

/// Below this nothing useful can be sent, bit/s.
const LEAST: f64 = 40_000.0;
/// No link of one subscriber is believed to carry more, bit/s.
const MOST: f64 = 100e6;
/// While packets are sent and nothing is heard, the estimate falls after so long, us, and again after each `FADES`.
const DEAF: i64 = 1_000_000;
/// See [`DEAF`], us.
const FADES: i64 = 500_000;
/// Sending less than this part of the estimate says little of the link (libwebrtc takes 0.65).
const USED: f64 = 0.65;
/// A queue shorter than this is none, whatever the slope says: then it is jitter, us.
const NO_QUEUE: i64 = 6_000;
/// Frames are sent as bursts, so that even without any jitter their packets take longer by so much than the fastest, us.
const USUAL_JITTER: i64 = 10_000;
/// A standing queue longer than this is drained, us.
const STANDING: i64 = 30_000;
/// A queue that stands for so long is not that of a key frame, us.
const STANDS: i64 = 1_000_000;
/// On a link that loses this part of the packets whatever is sent, a loss does not mean that the queue is full.
const KNOWN_LOSS: f64 = 0.02;
/// However long others fill a queue, it is not filled further than this, us.
const LONGEST_RIVALRY: i64 = 400_000;

/// The estimator of one link. All times are arguments.
#[derive(Debug)]
pub struct Estimator {
    began: Instant,
    /// A moment, and how long it is after the beginning, us: many packets share one.
    moment: (Instant, i64),
    history: History,
    clock: Clock,
    groups: Groups,
    trendline: Trendline,
    aimd: Aimd,
    losses: Losses,
    prober: Prober,
    queue: Queue,
    rivals: Rivals,
    /// What is sent, by our clock.
    sending: Meter,
    /// What of it arrived, by the receiver's clock.
    delivering: Meter,
    want: f64,
    rtt: i64,
    reports: Reports,
    last_sent: Option<i64>,
    heard: Option<i64>,
    faded: Option<i64>,
    /// The newest packet that feedback told of.
    highest: Option<u16>,
    /// When the newest one that arrived was sent, and when it arrived.
    newest: Option<(i64, i64)>,
    is_draining: bool,
    /// Since when a queue stands.
    standing: Option<i64>,
    estimate: f64,
    limit: Limit,
}

impl Estimator {
    /// A link of which nothing is known: `start` is what one begins with.
    #[must_use]
    pub fn new(now: Instant, start: Bitrate) -> Self {
        let rate = (start.0 as f64).clamp(LEAST, MOST);
        Self {
            began: now,
            moment: (now, 0),
            history: History::default(),
            clock: Clock::default(),
            groups: Groups::default(),
            trendline: Trendline::new(),
            aimd: Aimd::new(rate, 0),
            losses: Losses::new(0),
            prober: Prober::new(),
            queue: Queue::default(),
            rivals: Rivals::default(),
            sending: Meter::default(),
            delivering: Meter::default(),
            want: 0.0,
            rtt: 100_000,
            reports: Reports::default(),
            last_sent: None,
            heard: None,
            faded: None,
            highest: None,
            newest: None,
            is_draining: false,
            standing: None,
            estimate: rate,
            limit: Limit::Application,
        }
    }

    fn micros(&mut self, now: Instant) -> i64 {
        if self.moment.0 != now {
            let passed = now.saturating_duration_since(self.began).as_micros();
            self.moment = (now, i64::try_from(passed).unwrap_or(i64::MAX));
        }
        self.moment.1
    }

    /// A packet with this transport-wide number left; `bytes` of UDP payload.
    pub fn sent(&mut self, now: Instant, number: u16, bytes: usize, purpose: Purpose) {
        let at = self.micros(now);
        let size = u16::try_from(bytes).unwrap_or(u16::MAX);
        let is_probe = matches!(purpose, Purpose::Probe(_));
        self.history.push(at, number, Sent::new(at, size, is_probe));
        self.sending.add(at, u32::from(size));
        self.last_sent = Some(at);
        if let Purpose::Probe(cluster) = purpose {
            self.prober.sent(number, bytes, cluster);
        }
    }

    /// The receiver says which packets arrived, and when.
    pub fn feedback(&mut self, now: Instant, feedback: &TransportFeedback<'_>) {
        let now = self.micros(now);
        let (mut at, is_new) = self.clock.place(feedback.reference, now);
        if is_new {
            self.groups.clear();
            self.delivering.clear();
            self.queue.clear();
            self.rivals = Rivals::default();
            self.newest = None;
            self.trendline = Trendline::new();
        }
        let (mut lost, mut arrived, mut late) = (0, 0, 0);
        let mut is_over = false;
        let mut nearest = None;
        for (number, delta) in feedback.arrivals().take(LONGEST_FEEDBACK) {
            at += delta.map_or(0, |delta| i64::from(delta) * DELTA);
            let Some(packet) = self.history.get_mut(number) else { continue };
            match (delta, packet.fate) {
                (None, Fate::Unknown | Fate::Assumed) => {
                    packet.fate = Fate::Lost;
                    lost += 1;
                }
                (Some(_), before @ (Fate::Unknown | Fate::Assumed | Fate::Lost)) => {
                    packet.fate = Fate::Arrived;
                    let (sent, bytes, is_probe) = (packet.at(now), packet.bytes, packet.is_probe);
                    arrived += 1;
                    late += u32::from(before == Fate::Lost);
                    if nearest.is_none() {
                        self.assume(now, feedback.base, (sent, at));
                    }
                    if before != Fate::Assumed {
                        self.delivering.add(at, u32::from(bytes));
                    }
                    self.queue.push(at, at - sent);
                    self.prober.arrived(number, sent, at, f64::from(bytes), is_probe);
                    nearest = nearest.max(Some((sent, at)));
                    if let Some(step) = self.groups.push(sent, at) {
                        is_over |= self.trendline.push(step) == Usage::Over;
                    }
                }
                _ => continue,
            }
            if self.highest.is_none_or(|highest| number.wrapping_sub(highest) < 1 << 15) {
                self.highest = Some(number);
            }
        }
        if let Some(highest) = self.highest {
            self.history.settle(highest);
        }
        // One that tells of nothing that was sent is no sign of life.
        let Some((nearest, _)) = nearest.inspect(|nearest| self.newest = self.newest.max(Some(*nearest)))
        else {
            self.losses.count(lost, 0, 0);
            return;
        };
        (self.heard, self.faded) = (Some(now), None);
        self.rtt += (((now - nearest).clamp(1_000, 2_000_000)) - self.rtt) / 8;
        self.losses.count(lost, arrived, late);
        self.move_rate(now, is_over, lost);
    }

    /// Feedback itself gets lost. What nobody told of before packet `base` counts as arrived, evenly between the packets
    /// around it, or else less would seem to arrive than does.
    fn assume(&mut self, now: i64, base: u16, (sent, arrived): (i64, i64)) {
        let Some((sent_before, arrived_before)) = self.newest.filter(|(before, _)| *before < sent) else {
            return;
        };
        for packet in self.history.untold(base) {
            packet.fate = Fate::Assumed;
            let part = (packet.at(now) - sent_before) as f64 / (sent - sent_before) as f64;
            let at = arrived_before + ((arrived - arrived_before) as f64 * part.clamp(0.0, 1.0)) as i64;
            self.delivering.add(at, u32::from(packet.bytes));
        }
    }

    /// What arrives of late, never more than was sent.
    fn delivered(&self, slots: i64) -> f64 {
        let sent = self.sending.rate(39).unwrap_or(0.0);
        self.delivering.rate(slots).unwrap_or(sent.min(self.aimd.rate)).min(sent * 1.2)
    }

    fn is_application_limited(&self) -> bool {
        self.sending.rate(20).is_none_or(|rate| rate < USED * self.estimate)
    }

    /// How much longer packets may take without a queue, us: their times vary.
    fn noise(&self) -> i64 {
        2 * (self.queue.jitter() - USUAL_JITTER).max(0)
    }

    fn move_rate(&mut self, now: i64, is_over: bool, lost: u32) {
        let waiting = self.queue.waiting();
        let delivered = self.delivered(20);
        let is_limited = self.is_application_limited();
        let noise = self.noise();
        let standing = STANDING + noise;
        let is_over = is_over || self.trendline.usage() == Usage::Over;
        self.rivals.update(now, waiting, waiting < STANDING / 2 + noise * 2);
        if self.rivals.are_here() && waiting < LONGEST_RIVALRY {
            self.is_draining = false;
            let loss = (lost > 0 && self.losses.inherent < KNOWN_LOSS).then_some(self.losses.recent);
            if is_limited && loss.is_none() {
                self.aimd.hold(now);
            } else {
                self.aimd.compete(now, loss, delivered, self.rtt);
            }
            self.limit = Limit::Delay;
        } else if is_over && waiting > NO_QUEUE + noise {
            // What the link loses anyway was carried as far as the queue goes.
            let carried = 1.0 - self.losses.inherent.min(self.losses.recent);
            let recent =
                if noise > USUAL_JITTER { delivered } else { self.delivered(8).min(delivered) } / carried;
            let was = self.aimd.rate;
            if self.aimd.decrease(now, recent, is_limited, self.rtt) && self.aimd.rate < was {
                self.prober.abandon();
            }
            self.is_draining |= waiting > standing;
            self.limit = Limit::Delay;
        } else if waiting > standing || self.trendline.usage() == Usage::Under {
            self.aimd.hold(now);
            self.is_draining |= waiting > standing;
        } else if is_limited {
            self.aimd.idle(now);
            self.limit = Limit::Application;
        } else {
            self.aimd.increase(now, delivered, self.rtt);
        }
        self.standing = self.standing.filter(|_| waiting > standing).or((waiting > standing).then_some(now));
        let stands = self.standing.is_some_and(|since| now - since > STANDS);
        if stands && is_limited && !self.rivals.are_here() {
            // However little is sent, no more arrives: that is what the link carries.
            self.aimd.rate = self.aimd.rate.min(delivered.max(LEAST));
        }
        // A full queue does not grow any more: then losses alone tell of it.
        let is_queued = waiting > standing;
        let overflows = self.losses.update(now, self.aimd.rate, delivered, self.rtt, is_queued);
        self.is_draining |= overflows && is_queued;
        self.is_draining &= waiting > standing - STANDING / 2;
        if let Some(highest) = self.highest
            && let Some(shown) =
                self.prober.judge(now, highest, self.losses.inherent, noise, self.aimd.doubtful(now))
            && waiting < standing
        {
            self.aimd.probed(now, shown);
        }
        self.settle(now);
    }

    /// Puts the bounds together.
    fn settle(&mut self, now: i64) {
        self.aimd.rate = self.aimd.rate.clamp(LEAST, MOST);
        let mut estimate = self.aimd.rate;
        if let Some(bound) = self.losses.bound.filter(|bound| *bound < estimate) {
            estimate = bound;
            self.limit = Limit::Loss;
            // What comes after the bound is lifted begins where it was.
            self.aimd.rate = self.aimd.rate.min(1.5 * bound);
        }
        if self.is_draining {
            let over = (self.queue.waiting() - self.noise() - STANDING / 2).max(0) as f64 / 1e6;
            estimate *= (1.0 - over / 0.6).clamp(0.4, 1.0);
        }
        if let Some(limit) = self.reports.cap(now).filter(|limit| *limit < estimate) {
            estimate = limit;
            self.limit = Limit::Receiver;
        }
        self.estimate = estimate.clamp(LEAST, MOST);
    }

    fn is_silent(&self, now: i64) -> bool {
        self.heard.is_none_or(|at| now - at > SILENCE)
    }

    /// A packet left of which no transport-wide feedback will tell; `bytes` of UDP payload.
    pub fn sent_unnumbered(&mut self, now: Instant, bytes: usize) {
        let now = self.micros(now);
        if self.is_silent(now) {
            self.sending.add(now, u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    /// Receiver reports said that of so many packets this part got lost, 0 to 1. Counts only where no transport-wide feedback
    /// comes.
    pub fn reported(&mut self, now: Instant, part: f64, of: u32) {
        let now = self.micros(now);
        if !self.is_silent(now) || !part.is_finite() {
            return;
        }
        let Some((lost, arrived)) = self.reports.take(now, part.clamp(0.0, 1.0), of) else { return };
        let sent = self.sending.rate(39).unwrap_or(0.0);
        let delivered = sent * f64::from(arrived) / f64::from(of);
        let (is_tried, judged, inherent) =
            (self.losses.is_tried(), self.losses.judged(), self.losses.inherent);
        self.losses.count(lost, arrived, 0);
        if self.losses.update(now, self.aimd.rate, delivered, self.rtt, false) {
            self.reports.exceeded(now, delivered);
            self.limit = Limit::Loss;
        } else if self.losses.judged() != judged {
            if is_tried && self.losses.inherent > inherent {
                self.reports.acquit();
            }
            let passed = now - judged;
            if self.losses.is_little() {
                self.aimd.rate = self.reports.grown(now, self.aimd.rate, passed, sent, self.want);
            }
        }
        self.settle(now);
    }

    /// Whether transport-wide feedback comes.
    #[must_use]
    pub fn hears(&self, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.began).as_micros();
        !self.is_silent(i64::try_from(now).unwrap_or(i64::MAX))
    }

    /// The receiver says what it thinks it can receive. Holds for some seconds.
    pub fn remb(&mut self, now: Instant, limit: Bitrate) {
        let now = self.micros(now);
        let limit = (limit.0 as f64).clamp(LEAST, MOST);
        self.reports.remb(now, limit);
        // Where reports come, they tell what it may grow to.
        if self.is_silent(now) && !self.reports.are_recent(now) {
            // Nobody else measures: what the receiver says is all that is known, but no more than twice what it saw.
            let sent = self.sending.rate(39).unwrap_or(0.0);
            self.aimd.rate = limit.min((2.0 * sent).max(self.aimd.rate));
        }
        self.settle(now);
    }

    /// What could be used if the link carried it: no probe goes much above it, and none is made that nobody wants.
    pub fn want(&mut self, desired: Bitrate) {
        self.want = (desired.0 as f64).min(MOST);
    }

    /// What may be sent.
    #[must_use]
    pub fn estimate(&self) -> Bitrate {
        bitrate(self.estimate)
    }

    /// Call when [`Self::deadline`] is reached: lets time pass, and says what to probe.
    pub fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        let now = self.micros(now);
        self.fade(now);
        if self.is_draining || self.want <= self.estimate || self.losses.bound.is_some() {
            return None;
        }
        let most = self.reports.cap(now).map_or(self.want, |cap| self.want.min(cap));
        self.prober.poll(now, self.estimate, most, self.aimd.decreased())
    }

    /// Packets leave and nothing is heard: the link may be gone.
    fn fade(&mut self, now: i64) {
        let (Some(heard), Some(last_sent)) = (self.heard, self.last_sent) else { return };
        let since = self.faded.unwrap_or(heard + DEAF - FADES);
        if last_sent - heard > DEAF && now - since >= FADES && now - heard > DEAF {
            self.faded = Some(now);
            if !self.reports.are_recent(now) {
                self.aimd.rate *= 0.7;
                self.prober.abandon();
            }
        }
        self.settle(now);
    }

    /// When to call [`Self::poll_probe`]. It may lie in the past: call it at once, and not more than once at a time.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let probe = self.prober.deadline(self.aimd.decreased()).filter(|_| self.want > self.estimate);
        let silence = self.heard.map(|heard| self.faded.unwrap_or(heard + DEAF - FADES) + FADES);
        let silence = silence.filter(|_| self.last_sent > self.heard);
        let next = [probe, silence].into_iter().flatten().min()?;
        Some(self.began + Duration::from_micros(u64::try_from(next).unwrap_or(0)))
    }

    /// What all of it takes, bytes.
    #[cfg(test)]
    fn footprint(&self) -> usize {
        size_of::<Self>() + self.history.heap() + self.trendline.heap()
    }

    /// What arrived over the last fifth of a second: while a queue stands, what the link carries.
    #[must_use]
    pub fn lately(&self) -> Bitrate {
        bitrate(self.delivered(8))
    }

    /// How long packets wait somewhere on the way.
    #[must_use]
    pub fn queueing(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.queue.waiting()).unwrap_or(0))
    }

    /// What is known, for statistics.
    #[must_use]
    pub fn state(&self) -> LinkState {
        LinkState {
            estimate: self.estimate(),
            delivered: bitrate(self.delivered(39)),
            lately: self.lately(),
            loss: self.losses.recent as f32,
            queueing: self.queueing(),
            limit: self.limit,
        }
    }
}
