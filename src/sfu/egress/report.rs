//! What is told of one outbound source, and what its receiver tells of it: sender and receiver reports (RFC 3550 section 6.4).
//!
//! A sender report says at which moment of the wall clock an RTP timestamp was captured. A receiver that has that of sound
//! and picture plays them in step. So what counts is that the reports of both speak of one clock, that of the capture, and
//! not when they were sent or how long the packets took.
//!
//! Once a publisher's own reports are known, its capture times lie on a straight line over its timestamps. Until then they
//! are arrival times, which are late by whatever the network did to each packet. Of all packets since the last report the
//! one that was late the least tells the most, and where there is a straight line, all tell the same. So that one is taken:
//! an earlier one is believed at once, and since each report begins anew, clocks that drift apart or
//! were set anew are followed within two seconds.

use std::time::{Duration, Instant};

use crate::ids::Ssrc;
use crate::wire::ntp::Epoch;
use crate::wire::rtcp::{ReportBlock, SenderInfo};

/// The reports of one outbound source.
#[derive(Debug)]
pub struct Reports {
    packets: u64,
    bytes: u64,
    /// RTP timestamp units per second; 0 before the first packet.
    clock_rate: u32,
    /// `None` before the first packet, and before the first after a switch of sources.
    line: Option<Line>,
    /// What `packets` was at the last report.
    reported: u64,
    /// What `packets` was when the receiver last reported.
    judged: u64,
    /// When the last report was made.
    last: Option<Instant>,
    /// When the next report is due, if anything is sent. `None` for at once.
    next: Option<Instant>,
    /// From that report to the one after.
    interval: Duration,
    longest_interval: Duration,
    made: Made,
    rtt: Option<Duration>,
    /// The part of the packets that was lost, 0 to 1, between the receiver's last two reports.
    lost: f32,
}

/// From one report to the next: often enough for a receiver that follows clocks by them. RFC 3550 section 6.2 allows 5 % of
/// the media, which is more than that even for a voice.
const INTERVAL: Duration = Duration::from_secs(1);

/// However wild a publisher's clock and sources are, there is no more than one report in this time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);

/// The first interval is this part of the later ones, and each one doubles. A browser needs two reports before it can
/// compare clocks, and should not have to wait a second for that.
const FIRST_INTERVAL: u32 = 10;

impl Reports {
    /// Of a source that nothing was sent of yet.
    #[must_use]
    pub fn new(ssrc: Ssrc) -> Self {
        let longest_interval = spread(ssrc);
        Self {
            packets: 0,
            bytes: 0,
            clock_rate: 0,
            line: None,
            reported: 0,
            judged: 0,
            last: None,
            next: None,
            interval: longest_interval / FIRST_INTERVAL,
            longest_interval,
            made: Made::default(),
            rtt: None,
            lost: 0.0,
        }
    }

    /// The RTP timestamp of the newest frame that was sent; 0 before the first.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        self.line.map_or(0, |line| line.newest.timestamp)
    }

    /// A packet was sent: when it was captured, its RTP timestamp towards the receiver, the units of that per second, and
    /// the size of its payload.
    #[inline]
    pub fn sent(&mut self, captured: Instant, timestamp: u32, clock_rate: u32, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
        // The later packets of a frame say nothing new.
        if self.line.is_none_or(|line| line.newest.timestamp != timestamp) {
            self.begin_frame(Point { captured, timestamp }, clock_rate);
        }
    }

    fn begin_frame(&mut self, point: Point, clock_rate: u32) {
        match &mut self.line {
            Some(line) if self.clock_rate == clock_rate && line.continues_with(point, clock_rate) => {
                if line.add(point, clock_rate) {
                    // Not at once: a publisher whose clock runs wild would have a report for each frame.
                    let soon = point.captured + INTERVAL / FIRST_INTERVAL;
                    self.next = self.next.map(|next| next.min(soon));
                }
            }
            _ => {
                self.switched();
                self.clock_rate = clock_rate;
                self.line = Some(Line { newest: point, earliest: point, told: point });
            }
        }
    }

    /// Another source stands behind this one from the next packet on. Its first packet is reported at once.
    pub fn switched(&mut self) {
        self.line = None;
        self.next = None;
        self.interval = self.longest_interval / FIRST_INTERVAL;
    }

    /// When the next report is due; a moment in the past for at once. `None` while there is nothing to report: a source that
    /// sent nothing since its last report does not repeat it. Each packet may bring it closer, so ask after each turn.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let line = self.line.filter(|_| self.packets != self.reported)?;
        let at = self.next.unwrap_or(line.newest.captured);
        Some(self.last.map_or(at, |last| at.max(last + SHORTEST_INTERVAL)))
    }

    /// Whether a report is due.
    #[must_use]
    pub fn due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// What a report that is sent now says, due or not; it counts as sent. `None` if nothing was sent of the source, or
    /// nothing since it was switched. `epoch` must be the same for all sources of a session.
    pub fn sender_info(&mut self, now: Instant, epoch: &Epoch) -> Option<SenderInfo> {
        let line = self.line.as_mut()?;
        let at = now.max(line.earliest.captured);
        let passed = ticks(at.duration_since(line.earliest.captured), self.clock_rate);
        let info = SenderInfo {
            ntp: epoch.ntp(at),
            // Counters and timestamps of RTCP wrap: their low halves are meant.
            rtp: line.earliest.timestamp.wrapping_add(passed as u32),
            packets: self.packets as u32,
            octets: self.bytes as u32,
        };
        line.told = line.earliest;
        // The first intervals are too short to show how late packets are; they belong to one.
        if self.interval == self.longest_interval {
            line.earliest = line.newest;
        }
        self.made.push(info.ntp.middle(), now);
        self.reported = self.packets;
        self.last = Some(now);
        self.next = Some(now + self.interval);
        self.interval = (self.interval * 2).min(self.longest_interval);
        Some(info)
    }

    /// The receiver reports on the source. Returns how many packets were sent since it last did: about so many it speaks of.
    pub fn received(&mut self, now: Instant, block: &ReportBlock) -> u32 {
        self.lost = f32::from(block.fraction_lost) / 256.0;
        let of = self.packets - std::mem::replace(&mut self.judged, self.packets);
        self.round_trip(now, block);
        u32::try_from(of).unwrap_or(u32::MAX)
    }

    fn round_trip(&mut self, now: Instant, block: &ReportBlock) {
        let Some(made) = self.made.find(block.last_report) else { return };
        // RFC 3550 section 6.4.1, but by our own clock, which does not wrap. The two clocks may differ by more than a short
        // round trip: then it is none, not a negative one.
        let newest = now.saturating_duration_since(made).saturating_sub(duration(block.delay, 1 << 16));
        self.rtt = Some(self.rtt.map_or(newest, |rtt| (rtt * 7 + newest) / 8));
    }

    /// The round-trip time to the receiver, smoothed over its last eight reports. `None` before the first that tells.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// The part of the packets that was lost, 0 to 1, between the receiver's last two reports. 0 before it reports.
    #[must_use]
    pub fn lost(&self) -> f32 {
        self.lost
    }

    /// How many packets were sent.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// How many payload bytes were sent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// An RTP timestamp, and when it was captured.
#[derive(Debug, Clone, Copy)]
struct Point {
    captured: Instant,
    timestamp: u32,
}

/// How timestamps and capture times go together.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// The first packet of the newest frame.
    newest: Point,
    /// The packet that was late the least since a report was made.
    earliest: Point,
    /// The one of the last report.
    told: Point,
}

/// A report that is wrong by more than that is mended at once. A viewer begins to notice at about twice as much.
const WRONG: Duration = Duration::from_millis(20);

/// A packet that is that much later than its timestamp says was not on its way for so long: timestamps began anew.
const LATEST: Duration = Duration::from_secs(5);

impl Line {
    /// Whether the packet belongs to this line: a new frame, or one of an older frame that comes late.
    fn continues_with(&self, point: Point, clock_rate: u32) -> bool {
        let behind = self.newest.timestamp.wrapping_sub(point.timestamp).cast_signed();
        behind <= 0
            || point.captured + duration(behind.unsigned_abs(), clock_rate) <= self.newest.captured + LATEST
    }

    /// Takes note of a packet that continues the line. Returns whether the last report has turned out to be wrong.
    fn add(&mut self, point: Point, clock_rate: u32) -> bool {
        if point.timestamp.wrapping_sub(self.newest.timestamp).cast_signed() < 0 {
            return false;
        }
        self.newest = point;
        if !point.is_early(self.earliest, clock_rate, Duration::ZERO) {
            return false;
        }
        self.earliest = point;
        point.is_early(self.told, clock_rate, WRONG)
    }
}

impl Point {
    /// Whether it was captured earlier, by more than so much, than an earlier packet's distance in timestamps lets expect.
    fn is_early(self, earlier: Self, clock_rate: u32, by: Duration) -> bool {
        let expected = u64::from(self.timestamp.wrapping_sub(earlier.timestamp));
        let passed = (self.captured + by).checked_duration_since(earlier.captured);
        passed.is_none_or(|passed| ticks(passed, clock_rate) < expected)
    }
}

/// A receiver speaks of the last report that arrived: one of the last few, even far away.
const REMEMBERED: usize = 8;

/// The last sender reports.
#[derive(Debug, Default)]
struct Made {
    /// What a receiver calls each of them (LSR), and when it was made.
    reports: [Option<(u32, Instant)>; REMEMBERED],
    /// The place of the next one.
    next: usize,
}

impl Made {
    fn push(&mut self, name: u32, now: Instant) {
        self.reports[self.next % REMEMBERED] = Some((name, now));
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// When the report was made. 0 is no name: the receiver has none yet.
    fn find(&self, name: u32) -> Option<Instant> {
        let known = self.reports.iter().flatten().find(|(known, _)| *known == name && name != 0);
        known.map(|(_, made)| *made)
    }
}

/// Rounded down.
fn ticks(time: Duration, clock_rate: u32) -> u64 {
    let rate = u64::from(clock_rate);
    time.as_secs().wrapping_mul(rate).wrapping_add(u64::from(time.subsec_nanos()) * rate / 1_000_000_000)
}

fn duration(ticks: u32, clock_rate: u32) -> Duration {
    let nanoseconds = (u64::from(ticks) * 1_000_000_000).checked_div(u64::from(clock_rate));
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// The interval of a source: an eighth more or less than [`INTERVAL`], so that the reports of a thousand sources that began
/// together soon come one by one.
fn spread(ssrc: Ssrc) -> Duration {
    // Neighbours come out far apart (Knuth's multiplicative method).
    let hash = ssrc.0.wrapping_mul(0x9e37_79b9);
    INTERVAL * 7 / 8 + INTERVAL / 4 * (hash >> 20) / (1 << 12)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
