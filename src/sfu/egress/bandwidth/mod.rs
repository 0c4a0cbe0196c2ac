//! What the link of one subscriber carries, estimated by the sender.
//!
//! The receiver says when each packet arrived (draft-holmer-rmcat-transport-wide-cc-extensions-01). Out of that comes
//! whether a queue grows on the way ([`arrival`], [`trendline`]), which moves the estimate ([`aimd`]); what gets lost sets a
//! bound ([`loss`]); and probes find out what nobody sends yet ([`probe`]). The method is Google Congestion Control:
//! draft-ietf-rmcat-gcc-02, and Carlucci, De Cicco, Holmer, Mascolo: "Analysis and Design of the Google Congestion Control
//! for Web Real-Time Communication", MMSys 2016. Where a queue already stands, less is sent than fits until it is gone.
//!
//! Without such feedback, receiver reports and REMB (draft-alvestrand-rmcat-remb-03) have to do.

mod aimd;
mod arrival;
mod loss;
mod probe;
mod queue;
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
use self::sent::{Fate, History, Sent};
use self::trendline::{Trendline, Usage};
use self::words::bitrate;
pub use self::words::{ClusterId, Limit, LinkState, Probe, Purpose};
use crate::units::Bitrate;
use crate::wire::rtcp::twcc::TransportFeedback;

/// Below this nothing useful can be sent, bit/s.
const LEAST: f64 = 40_000.0;
/// No link of one subscriber is believed to carry more, bit/s.
const MOST: f64 = 100e6;
/// The most packets of one feedback that are looked at: as many as can be remembered.
const LONGEST_FEEDBACK: usize = 4_096;
/// What was said by other means counts again when no transport-wide feedback came for so long, us.
const SILENCE: i64 = 2_000_000;
/// While packets are sent and nothing is heard, the estimate falls after so long, us, and again after each `FADES`.
const DEAF: i64 = 1_000_000;
/// See [`DEAF`], us.
const FADES: i64 = 500_000;
/// REMB is repeated at least every few seconds; what was not repeated for so long holds no more, us.
const REMB_HOLDS: i64 = 5_000_000;
/// Sending less than this part of the estimate says little of the link (libwebrtc takes 0.65).
const USED: f64 = 0.65;
/// A queue shorter than this is none, whatever the slope says: then it is jitter, us.
const NO_QUEUE: i64 = 6_000;
/// A standing queue longer than this is drained, us.
const STANDING: i64 = 40_000;

/// The estimator of one link. All times are arguments.
#[derive(Debug)]
pub struct Estimator {
    began: Instant,
    history: History,
    clock: Clock,
    groups: Groups,
    trendline: Trendline,
    aimd: Aimd,
    losses: Losses,
    prober: Prober,
    queue: Queue,
    /// What is sent, by our clock.
    sending: Meter,
    /// What of it arrived, by the receiver's clock.
    delivering: Meter,
    want: f64,
    rtt: i64,
    remb: Option<(f64, i64)>,
    last_sent: Option<i64>,
    heard: Option<i64>,
    faded: Option<i64>,
    reported: Option<i64>,
    /// The newest packet that feedback told of.
    highest: Option<u16>,
    is_draining: bool,
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
            history: History::default(),
            clock: Clock::default(),
            groups: Groups::default(),
            trendline: Trendline::new(),
            aimd: Aimd::new(rate, 0),
            losses: Losses::new(0),
            prober: Prober::new(),
            queue: Queue::default(),
            sending: Meter::default(),
            delivering: Meter::default(),
            want: 0.0,
            rtt: 100_000,
            remb: None,
            last_sent: None,
            heard: None,
            faded: None,
            reported: None,
            highest: None,
            is_draining: false,
            estimate: rate,
            limit: Limit::Application,
        }
    }

    fn micros(&self, now: Instant) -> i64 {
        i64::try_from(now.saturating_duration_since(self.began).as_micros()).unwrap_or(i64::MAX)
    }

    /// A packet with this transport-wide number left; `bytes` of UDP payload.
    pub fn sent(&mut self, now: Instant, number: u16, bytes: usize, purpose: Purpose) {
        let at = self.micros(now);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
        self.history.push(number, Sent { at, bytes, purpose, fate: Fate::Unknown });
        self.sending.add(at, bytes);
        self.last_sent = Some(at);
        if let Purpose::Probe(cluster) = purpose {
            self.prober.sent(number, usize::try_from(bytes).unwrap_or(usize::MAX), cluster);
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
            self.trendline = Trendline::new();
        }
        let (mut lost, mut arrived, mut late) = (0, 0, 0);
        let mut is_over = false;
        let mut nearest = None;
        for (number, delta) in feedback.arrivals().take(LONGEST_FEEDBACK) {
            at += delta.map_or(0, |delta| i64::from(delta) * DELTA);
            let Some(packet) = self.history.get_mut(number) else { continue };
            match (delta, packet.fate) {
                (None, Fate::Unknown) => {
                    packet.fate = Fate::Lost;
                    lost += 1;
                }
                (Some(_), before @ (Fate::Unknown | Fate::Lost)) => {
                    packet.fate = Fate::Arrived(at);
                    let (sent, bytes) = (packet.at, packet.bytes);
                    arrived += 1;
                    late += u32::from(before == Fate::Lost);
                    self.delivering.add(at, bytes);
                    self.queue.push(at, at - sent);
                    nearest = nearest.max(Some(sent));
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
        // One that tells of nothing that was sent is no sign of life.
        let Some(nearest) = nearest else {
            self.losses.count(lost, 0, 0);
            return;
        };
        (self.heard, self.faded) = (Some(now), None);
        self.rtt += (((now - nearest).clamp(1_000, 2_000_000)) - self.rtt) / 8;
        self.losses.count(lost, arrived, late);
        self.move_rate(now, is_over);
    }

    /// What arrives of late, never more than was sent.
    fn delivered(&self, slots: i64) -> f64 {
        let sent = self.sending.rate(39).unwrap_or(0.0);
        self.delivering.rate(slots).unwrap_or(sent.min(self.aimd.rate)).min(sent * 1.2)
    }

    fn is_application_limited(&self) -> bool {
        self.sending.rate(20).is_none_or(|rate| rate < USED * self.estimate)
    }

    fn move_rate(&mut self, now: i64, is_over: bool) {
        let waiting = self.queue.waiting();
        let delivered = self.delivered(20);
        let is_limited = self.is_application_limited();
        let is_over = is_over || self.trendline.usage() == Usage::Over;
        if is_over && waiting > NO_QUEUE {
            let recent = self.delivered(8).min(delivered);
            let was = self.aimd.rate;
            if self.aimd.decrease(now, recent, is_limited, self.rtt) && self.aimd.rate < was {
                self.prober.abandon();
            }
            self.is_draining |= waiting > STANDING;
            self.limit = Limit::Delay;
        } else if waiting > STANDING || self.trendline.usage() == Usage::Under || is_limited {
            self.aimd.hold(now);
            if is_limited {
                self.limit = Limit::Application;
            }
        } else {
            self.aimd.increase(now, delivered, self.rtt);
        }
        self.is_draining &= waiting > STANDING / 2;
        self.losses.update(now, self.aimd.rate, delivered, self.rtt);
        if let Some(highest) = self.highest
            && let Some(shown) = self.prober.judge(now, highest, &self.history, self.losses.inherent)
            && waiting < STANDING
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
            let over = (self.queue.waiting() - STANDING / 2) as f64 / 1e6;
            estimate *= (1.0 - over / 0.6).clamp(0.4, 1.0);
        }
        if let Some((limit, _)) = self.remb.filter(|(limit, until)| now < *until && *limit < estimate) {
            estimate = limit;
            self.limit = Limit::Receiver;
        }
        self.estimate = estimate.clamp(LEAST, MOST);
    }

    fn is_silent(&self, now: i64) -> bool {
        self.heard.is_none_or(|at| now - at > SILENCE)
    }

    /// A receiver report said that this part of the packets got lost, 0 to 1. Counts only where no transport-wide feedback
    /// comes (draft-ietf-rmcat-gcc-02 section 6).
    pub fn reported(&mut self, now: Instant, lost: f32) {
        let now = self.micros(now);
        if !self.is_silent(now) || self.reported.is_some_and(|at| now - at < 300_000) || !lost.is_finite() {
            return;
        }
        self.reported = Some(now);
        let lost = f64::from(lost).clamp(0.0, 1.0);
        self.losses.recent = lost;
        let sent = self.sending.rate(39).unwrap_or(0.0);
        if lost > 0.1 {
            self.aimd.rate *= 1.0 - 0.5 * lost;
            self.limit = Limit::Loss;
        } else if lost < 0.02 {
            let most = (1.5 * sent).max(self.aimd.rate);
            self.aimd.rate = (self.aimd.rate * 1.05).min(most);
        }
        self.settle(now);
    }

    /// The receiver says what it thinks it can receive. Holds for some seconds.
    pub fn remb(&mut self, now: Instant, limit: Bitrate) {
        let now = self.micros(now);
        let limit = (limit.0 as f64).clamp(LEAST, MOST);
        self.remb = Some((limit, now + REMB_HOLDS));
        if self.is_silent(now) {
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
        let most =
            self.remb.filter(|(_, until)| now < *until).map_or(self.want, |(cap, _)| self.want.min(cap));
        self.prober.poll(now, self.estimate, most, self.aimd.decreased())
    }

    /// Packets leave and nothing is heard: the link may be gone.
    fn fade(&mut self, now: i64) {
        let (Some(heard), Some(last_sent)) = (self.heard, self.last_sent) else { return };
        let since = self.faded.unwrap_or(heard + DEAF - FADES);
        if last_sent - heard > DEAF && now - since >= FADES && now - heard > DEAF {
            self.faded = Some(now);
            if self.reported.is_none_or(|at| now - at > SILENCE) {
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

    /// What is known, for statistics.
    #[must_use]
    pub fn state(&self) -> LinkState {
        LinkState {
            estimate: self.estimate(),
            delivered: bitrate(self.delivered(39)),
            loss: self.losses.recent as f32,
            queueing: Duration::from_micros(u64::try_from(self.queue.waiting()).unwrap_or(0)),
            limit: self.limit,
        }
    }
}
