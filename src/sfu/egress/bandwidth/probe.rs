//! Probes: when to try whether the link carries more, and what came of it.
//!
//! As in libwebrtc, a connection begins with three and six times what it starts with, and a probe that got through is
//! followed by one of twice the rate (design described in draft-ietf-rmcat-gcc-02 section 5.5 and its references).

use super::words::{ClusterId, Probe, bitrate};

/// How long a probe lasts, s: long enough to measure in steps of 250 us, short enough for queues. Where packets arrive in
/// bunches, it takes longer to see how fast they flow.
const LASTS: (f64, f64) = (0.02, 0.08);
/// The fewest packets of a probe.
const PACKETS: usize = 5;
/// The largest packet, bytes, so that fast probes are cut into more of them.
const LARGEST: f64 = 1_200.0;
/// How long the answer to a probe is waited for, us.
const PATIENCE: i64 = 1_000_000;
/// The time between two probes of a link that might carry more, us.
const EVERY: i64 = 2_500_000;
/// No probe so soon after a queue grew, us.
const CALM: i64 = 1_500_000;
/// The part of a probe's packets that has to arrive.
const ENOUGH: f64 = 0.75;
/// Received so much faster than sent, a probe was held up and let go at once: it says nothing.
const BUNCHED: f64 = 1.6;
/// Received slower than this, a probe has filled the link.
const FILLED: f64 = 0.9;
/// What may be used of a link that was filled.
const USE: f64 = 0.93;
/// A probe that shows this part of its rate is followed by a faster one.
const GO_ON: f64 = 0.75;

/// The packets of a stretch of time: how many bytes, from when to when.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    bytes: f64,
    first: Option<(i64, f64)>,
    last: Option<(i64, f64)>,
}

impl Span {
    fn push(&mut self, at: i64, bytes: f64) {
        self.bytes += bytes;
        if self.first.is_none_or(|(first, _)| at < first) {
            self.first = Some((at, bytes));
        }
        if self.last.is_none_or(|(last, _)| at >= last) {
            self.last = Some((at, bytes));
        }
    }

    /// Bit/s. Of the packets at both ends only one counts: `without` is the size of the other.
    fn rate(&self, without: f64) -> Option<f64> {
        let passed = self.last?.0 - self.first?.0;
        (passed > 1_000).then(|| (self.bytes - without) * 8e6 / passed as f64)
    }
}

#[derive(Debug, Clone, Copy)]
struct Cluster {
    id: ClusterId,
    rate: f64,
    bytes: usize,
    packets: usize,
    asked: i64,
    sent: usize,
    sent_bytes: usize,
    first: u16,
    last: u16,
    /// The probe's packets that arrived.
    answered: u32,
    /// What arrived, media sent meanwhile included: when it was sent, and when it arrived.
    leaving: Span,
    coming: Span,
}

impl Cluster {
    fn new(id: ClusterId, rate: f64, bytes: usize, packets: usize, now: i64) -> Self {
        Self {
            id,
            rate,
            bytes,
            packets,
            asked: now,
            sent: 0,
            sent_bytes: 0,
            first: 0,
            last: 0,
            answered: 0,
            leaving: Span::default(),
            coming: Span::default(),
        }
    }

    fn is_sent(&self) -> bool {
        self.sent >= self.packets && self.sent_bytes >= self.bytes
    }

    fn holds(&self, number: u16) -> bool {
        self.sent > 0 && number.wrapping_sub(self.first) <= self.last.wrapping_sub(self.first)
    }

    /// How long its packets left and arrived, us.
    fn spans(&self) -> Option<(i64, i64)> {
        let passed = |span: &Span| Some(span.last?.0 - span.first?.0);
        passed(&self.leaving).zip(passed(&self.coming))
    }

    /// Whether its packets came too close together to say anything.
    fn is_bunched(&self) -> bool {
        self.spans().is_some_and(|(leaving, coming)| leaving as f64 > coming.max(1_000) as f64 * BUNCHED)
    }

    /// Whether its packets spread no further than packets do by chance, us.
    fn is_blurred(&self, noise: i64) -> bool {
        self.spans()
            .is_some_and(|(leaving, coming)| noise > leaving && (0..noise).contains(&(coming - leaving)))
    }

    /// The smaller of the rates at which its packets were sent and arrived.
    fn measure(&self, inherent: f64) -> Option<f64> {
        if f64::from(self.answered) < self.sent as f64 * ENOUGH * (1.0 - inherent) || self.answered < 4 {
            return None;
        }
        let sent = self.leaving.rate(self.leaving.last?.1)?;
        let come = self.coming.rate(self.coming.first?.1)?;
        Some(if come < sent * FILLED { come * USE } else { sent.min(come) })
    }
}

/// The probes of a link; one at a time.
#[derive(Debug)]
pub(super) struct Prober {
    next: u32,
    /// Rates to be tried, the next one last.
    wanted: [Option<f64>; 2],
    open: Option<Cluster>,
    /// When the last one ended, us.
    ended: Option<i64>,
    started: bool,
    /// What a probe showed that another has to confirm, bit/s.
    doubted: Option<f64>,
    /// How long probes last, s.
    lasts: f64,
}

impl Prober {
    pub(super) fn new() -> Self {
        Self {
            next: 0,
            wanted: [None; 2],
            open: None,
            ended: None,
            started: false,
            doubted: None,
            lasts: LASTS.0,
        }
    }

    /// The next probe, if it is time for one. `most` is what could be used at all.
    pub(super) fn poll(
        &mut self,
        now: i64,
        estimate: f64,
        most: f64,
        decreased: Option<i64>,
    ) -> Option<Probe> {
        if self.open.is_some_and(|open| now - open.asked > PATIENCE) {
            self.end(now);
            self.wanted = [None; 2];
            self.doubted = None;
        }
        if self.open.is_some() || most <= estimate {
            return None;
        }
        if !self.started {
            self.started = true;
            self.wanted = [Some(6.0 * estimate), Some(3.0 * estimate)];
        } else if self.is_due(now, decreased) && self.wanted == [None; 2] {
            let times = if decreased.is_some() { 1.5 } else { 2.0 };
            self.wanted = [None, Some(times * estimate)];
        }
        let rate = match &mut self.wanted {
            [_, next @ Some(_)] | [next, None] => next.take()?,
        };
        // A little more than could be used, so that the answer does not end just below it.
        let rate = rate.min(most * 1.25);
        if rate <= estimate * 1.05 {
            return None;
        }
        Some(self.begin(now, rate))
    }

    fn begin(&mut self, now: i64, rate: f64) -> Probe {
        let target = rate * self.lasts / 8.0;
        let cut = bitrate((target / LARGEST).ceil()).0;
        let packets = usize::try_from(cut).unwrap_or(PACKETS).max(PACKETS);
        let bytes = usize::try_from(bitrate(target).0).unwrap_or(0).max(PACKETS * 100);
        let id = ClusterId(self.next);
        self.next = self.next.wrapping_add(1);
        self.open = Some(Cluster::new(id, rate, bytes, packets, now));
        Probe { cluster: id, rate: bitrate(rate), bytes, packets }
    }

    fn is_due(&self, now: i64, decreased: Option<i64>) -> bool {
        self.due(decreased).is_none_or(|at| now >= at)
    }

    fn due(&self, decreased: Option<i64>) -> Option<i64> {
        let calm = decreased.map(|at| at + CALM);
        self.ended.map(|at| at + EVERY).max(calm)
    }

    /// When [`Self::poll`] is worth a call, us.
    pub(super) fn deadline(&self, decreased: Option<i64>) -> Option<i64> {
        match self.open {
            Some(open) => Some(open.asked + PATIENCE),
            None if self.wanted != [None; 2] || !self.started => Some(0),
            None => self.due(decreased),
        }
    }

    /// A packet of a probe was sent.
    pub(super) fn sent(&mut self, number: u16, bytes: usize, cluster: ClusterId) {
        if let Some(open) = self.open.as_mut().filter(|open| open.id == cluster && !open.is_sent()) {
            if open.sent == 0 {
                open.first = number;
            }
            open.last = number;
            open.sent += 1;
            open.sent_bytes += bytes;
        }
    }

    /// A packet arrived that was perhaps sent during a probe.
    pub(super) fn arrived(&mut self, number: u16, sent: i64, arrived: i64, bytes: f64, is_probe: bool) {
        if let Some(open) = self.open.as_mut().filter(|open| open.holds(number)) {
            open.answered += u32::from(is_probe);
            open.leaving.push(sent, bytes);
            open.coming.push(arrived, bytes);
        }
    }

    fn end(&mut self, now: i64) {
        self.open = None;
        self.ended = Some(now);
    }

    /// The queue grows, or the link broke down: no further rates for now.
    pub(super) fn abandon(&mut self) {
        self.doubted = None;
        self.wanted = [None; 2];
    }

    /// Looks whether the open probe is answered: feedback reached packet `highest`. Returns what it showed, bit/s; what is above
    /// `doubtful` only when a second probe shows it too.
    pub(super) fn judge(
        &mut self,
        now: i64,
        highest: u16,
        inherent: f64,
        noise: i64,
        doubtful: Option<f64>,
    ) -> Option<f64> {
        let open = self.open.filter(|open| open.is_sent())?;
        if highest.wrapping_sub(open.last) >= 1 << 15 {
            return None;
        }
        self.end(now);
        let doubted = self.doubted.take();
        let is_bunched = open.is_bunched();
        if (is_bunched || open.is_blurred(noise)) && self.lasts < LASTS.1 {
            self.lasts = (2.0 * self.lasts).min(LASTS.1);
            self.wanted = [self.wanted[0], Some(open.rate)];
            return None;
        }
        if is_bunched {
            return None;
        }
        self.lasts = (0.9 * self.lasts).max(LASTS.0);
        let shown = open.measure(inherent)?;
        let shown = match doubted {
            Some(first) => shown.min(first),
            None if doubtful.is_some_and(|least| shown > least) => {
                self.doubted = Some(shown);
                self.wanted = [None, Some(open.rate)];
                return None;
            }
            None => shown,
        };
        if shown > open.rate * GO_ON && self.wanted == [None; 2] {
            self.wanted = [None, Some(2.0 * shown)];
        } else if shown < open.rate * GO_ON {
            self.wanted = [None; 2];
        }
        Some(shown)
    }
}
