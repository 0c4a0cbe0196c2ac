//! Probes: when to try whether the link carries more, and what came of it.
//!
//! As in libwebrtc, a connection begins with three and six times what it starts with, and a probe that got through is
//! followed by one of twice the rate (design described in draft-ietf-rmcat-gcc-02 section 5.5 and its references).

use super::sent::{Fate, History};
use super::words::{ClusterId, Probe, Purpose, bitrate};

/// How long a probe lasts, s: long enough to measure in steps of 250 us, short enough for queues.
const LASTS: f64 = 0.02;
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
}

impl Cluster {
    fn is_sent(&self) -> bool {
        self.sent >= self.packets && self.sent_bytes >= self.bytes
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
}

impl Prober {
    pub(super) fn new() -> Self {
        Self { next: 0, wanted: [None; 2], open: None, ended: None, started: false }
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
        }
        if self.open.is_some() || most <= estimate {
            return None;
        }
        if !self.started {
            self.started = true;
            self.wanted = [Some(6.0 * estimate), Some(3.0 * estimate)];
        } else if self.is_due(now, decreased) && self.wanted == [None; 2] {
            self.wanted = [None, Some(2.0 * estimate)];
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
        let target = rate * LASTS / 8.0;
        let cut = bitrate((target / LARGEST).ceil()).0;
        let packets = usize::try_from(cut).unwrap_or(PACKETS).max(PACKETS);
        let bytes = usize::try_from(bitrate(target).0).unwrap_or(0).max(PACKETS * 100);
        let id = ClusterId(self.next);
        self.next = self.next.wrapping_add(1);
        self.open =
            Some(Cluster { id, rate, bytes, packets, asked: now, sent: 0, sent_bytes: 0, first: 0, last: 0 });
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

    fn end(&mut self, now: i64) {
        self.open = None;
        self.ended = Some(now);
    }

    /// The queue grows, or the link broke down: no further rates for now.
    pub(super) fn abandon(&mut self) {
        self.wanted = [None; 2];
    }

    /// Looks whether the open probe is answered: feedback reached packet `highest`. Returns what it showed, bit/s.
    pub(super) fn judge(&mut self, now: i64, highest: u16, history: &History, inherent: f64) -> Option<f64> {
        let open = self.open.filter(|open| open.is_sent())?;
        if highest.wrapping_sub(open.last) >= 1 << 15 {
            return None;
        }
        self.end(now);
        let shown = measure(&open, history, inherent)?;
        if shown > open.rate * GO_ON && self.wanted == [None; 2] {
            self.wanted = [None, Some(2.0 * shown)];
        } else if shown < open.rate * GO_ON {
            self.wanted = [None; 2];
        }
        Some(shown)
    }
}

/// The smaller of the rates at which the packets from the first to the last of a probe were sent and arrived.
fn measure(open: &Cluster, history: &History, inherent: f64) -> Option<f64> {
    let span = open.last.wrapping_sub(open.first).min(500);
    let packets = (0..=span).filter_map(|place| history.get(open.first.wrapping_add(place)));
    let (mut probes, mut answered) = (0_u32, 0_u32);
    let mut bounds: Option<[i64; 4]> = None;
    let (mut bytes, mut first, mut last) = (0.0, 0.0, 0.0);
    for packet in packets {
        let is_probe = matches!(packet.purpose, Purpose::Probe(_));
        probes += u32::from(is_probe);
        let Fate::Arrived(arrived) = packet.fate else { continue };
        answered += u32::from(is_probe);
        let size = f64::from(packet.bytes);
        bytes += size;
        let [sent_first, sent_last, come_first, come_last] =
            bounds.get_or_insert([packet.at, packet.at, i64::MAX, i64::MIN]);
        *sent_first = packet.at.min(*sent_first);
        if packet.at >= *sent_last {
            (*sent_last, last) = (packet.at, size);
        }
        if arrived < *come_first {
            (*come_first, first) = (arrived, size);
        }
        *come_last = arrived.max(*come_last);
    }
    let [sent_first, sent_last, come_first, come_last] = bounds?;
    if f64::from(answered) < f64::from(probes) * ENOUGH * (1.0 - inherent) || answered < 4 {
        return None;
    }
    let rate = |bytes: f64, span: i64| (span > 1_000).then(|| bytes * 8e6 / span as f64);
    let sent = rate(bytes - last, sent_last - sent_first)?;
    let come = rate(bytes - first, come_last - come_first)?;
    if come > sent * BUNCHED {
        return None;
    }
    Some(if come < sent * FILLED { come * USE } else { sent.min(come) })
}
