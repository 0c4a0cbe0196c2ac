//! One encoding of a track: where it is, what each of its layers costs, and whether somebody waits for its key frame.

use std::time::{Duration, Instant};

use super::habits::Habits;
use super::keyframe::KeyframeRequests;
use super::ladder::{Rung, Selection};
use super::packet::{EncodingIndex, Packet, SourceId};
use super::reader::LayerReader;
use crate::units::Bitrate;

/// How many layers of a kind are measured apart; those above count as the highest of these.
const LAYERS: usize = 4;
/// An encoding of which nothing came for so long does not flow.
const FLOWS_FOR: Duration = Duration::from_millis(1_500);
/// While an encoding begins again, and while it stops, what is measured is too little: so long what was known is better.
const SETTLES_WITHIN: Duration = Duration::from_secs(3);
/// Of what begins again, so much is a key frame and what is made up for it.
const BEGINS_WITHIN: Duration = Duration::from_millis(1_500);
/// An encoding that is to begin again has so long for it.
const WAKES_WITHIN: Duration = Duration::from_secs(4);
/// One that did not, as its publisher has no room for it, is not offered for so long, and for twice as long each time.
const ABSENT_FOR: Duration = Duration::from_secs(5);
const MOST_DOUBLINGS: u32 = 4;
/// Measurements over less than that say nothing.
const SHORTEST: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Encoding {
    pub(super) index: EncodingIndex,
    /// The SSRC that carries it now.
    pub(super) source: SourceId,
    /// Highest sequence number of that source.
    pub(super) highest: u64,
    /// Bytes since the last comparison, and the most that there were between two.
    pub(super) bytes: u64,
    pub(super) peak: u64,
    pub(super) silent: u32,
    pub(super) reader: LayerReader,
    pub(super) keyframes: KeyframeRequests,
    pub(super) habits: Habits,
    /// How many key frames have begun.
    pub(super) begun: u64,
    /// When the last packet came.
    last: Instant,
    /// Whether it flowed until the whole track fell silent, so that it is expected back with the others.
    pub(super) returns: bool,
    /// Whether it flowed when the track's ladder was made.
    flowed: bool,
    /// What came since the last turn, and between that and the one before it.
    now: Measured,
    before: Option<Measured>,
    /// The timestamp of the newest picture.
    picture: Option<u32>,
    /// The ways to receive it while it flowed.
    known: Vec<Rung>,
    rest: Rest,
    /// How often it was wanted and did not come.
    absences: u32,
}

/// Whether an encoding that does not flow will, once somebody wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It is wanted, and should flow by itself: from the beginning, or again from that moment on.
    Wanted(Option<Instant>),
    /// Nobody uses it from that moment on, and its publisher was told so.
    Asleep(Instant),
    /// It was wanted and did not flow: until that moment nobody is to count on it.
    Absent(Instant),
}

/// What came since a moment.
#[derive(Debug, Clone, Copy)]
struct Measured {
    since: Instant,
    /// Bytes by spatial, then temporal layer.
    bytes: [[u32; LAYERS]; LAYERS],
    /// Pictures by temporal layer.
    pictures: [u16; LAYERS],
}

impl Measured {
    fn new(since: Instant) -> Self {
        Self { since, bytes: [[0; LAYERS]; LAYERS], pictures: [0; LAYERS] }
    }

    fn plus(mut self, later: &Self) -> Self {
        for (own, later) in self.bytes.iter_mut().flatten().zip(later.bytes.iter().flatten()) {
            *own = own.saturating_add(*later);
        }
        for (own, later) in self.pictures.iter_mut().zip(&later.pictures) {
            *own = own.saturating_add(*later);
        }
        self
    }

    /// The bytes of all layers up to these.
    fn bytes(&self, spatial: usize, temporal: usize) -> u64 {
        let up_to = |bytes: &[u32; LAYERS]| {
            bytes.iter().take(temporal + 1).map(|bytes| u64::from(*bytes)).sum::<u64>()
        };
        self.bytes.iter().take(spatial + 1).map(up_to).sum()
    }

    /// The pictures of all temporal layers up to this one.
    fn pictures(&self, temporal: usize) -> u64 {
        self.pictures.iter().take(temporal + 1).map(|pictures| u64::from(*pictures)).sum()
    }

    /// The highest spatial and temporal layer of which there is anything.
    fn highest(&self) -> (usize, usize) {
        let spatial = self.bytes.iter().rposition(|layer| layer.iter().any(|bytes| *bytes > 0));
        let has = |temporal: &usize| self.bytes.iter().any(|layer| layer[*temporal] > 0);
        (spatial.unwrap_or(0), (0..LAYERS).rev().find(has).unwrap_or(0))
    }
}

impl Encoding {
    pub(super) fn new(now: Instant, packet: &Packet) -> Self {
        Self {
            index: packet.encoding,
            source: packet.source,
            highest: packet.sequence,
            bytes: 0,
            peak: packet.payload.len() as u64,
            silent: 0,
            reader: LayerReader::default(),
            keyframes: KeyframeRequests::default(),
            habits: Habits::default(),
            begun: 0,
            last: now,
            returns: false,
            flowed: true,
            now: Measured::new(now),
            before: None,
            picture: None,
            known: Vec::new(),
            rest: Rest::Wanted(None),
            absences: 0,
        }
    }

    /// Whether anybody uses it from now on. A publisher need not send what nobody uses.
    pub(super) fn use_it(&mut self, now: Instant, used: bool) {
        self.rest = match (used, self.rest) {
            (false, Rest::Wanted(_)) if self.can_be_had(now) => Rest::Asleep(now),
            (false, Rest::Wanted(_)) => {
                let wait = ABSENT_FOR * 2_u32.pow(self.absences.min(MOST_DOUBLINGS));
                self.absences = self.absences.saturating_add(1);
                Rest::Absent(now + wait)
            }
            (false, Rest::Absent(until)) if self.flows(now) || until <= now => Rest::Asleep(now),
            (true, Rest::Asleep(_)) => Rest::Wanted(Some(now)),
            (true, Rest::Absent(_)) => Rest::Wanted(None),
            (_, as_before) => as_before,
        };
    }

    /// Whether it can be had: it flows, or does not because nobody wanted it, or was asked to begin a moment ago.
    pub(super) fn can_be_had(&self, now: Instant) -> bool {
        self.flows(now)
            || match self.rest {
                Rest::Asleep(_) => true,
                Rest::Absent(_) => false,
                Rest::Wanted(since) => {
                    since.is_some_and(|since| now.saturating_duration_since(since) <= WAKES_WITHIN)
                }
            }
    }

    /// Whether what is measured now is what it costs.
    fn is_settled(&self, now: Instant) -> bool {
        let since = match self.rest {
            Rest::Asleep(since) => Some(since),
            Rest::Wanted(since) => since,
            Rest::Absent(_) => None,
        };
        let changes = since.is_some_and(|since| now.saturating_duration_since(since) < SETTLES_WITHIN);
        self.flows(now) && (!changes || self.known.is_empty())
    }

    /// Another SSRC carries it from this packet on. What was known of layers goes with the old one.
    pub(super) fn restart(&mut self, packet: &Packet) {
        self.source = packet.source;
        self.highest = packet.sequence;
        self.reader = LayerReader::default();
        self.habits = Habits::default();
        self.picture = None;
    }

    /// When its last packet came.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// Whether it has sent anything of late.
    pub(super) fn flows(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) <= FLOWS_FOR
    }

    /// Whether it has fallen silent since the last ladder was made.
    pub(super) fn has_stopped(&self, now: Instant) -> bool {
        self.flowed && !self.flows(now)
    }

    /// A ladder is made.
    pub(super) fn laddered(&mut self, now: Instant) {
        self.flowed = self.flows(now);
    }

    /// The picture's height in pixels; 0 while it is not known.
    pub(super) fn height(&self) -> u16 {
        self.reader.heights.iter().copied().max().unwrap_or(0)
    }

    /// Counts a packet whose layer was read. Returns whether it flows again after it did not.
    pub(super) fn count(&mut self, now: Instant, packet: &Packet) -> bool {
        let flowed = self.flows(now);
        if !flowed {
            self.now = Measured::new(now);
            self.before = None;
        }
        self.last = now;
        self.absences = 0;
        let size = packet.payload.len();
        self.bytes += size as u64;
        let [spatial, temporal] =
            [packet.layer.spatial, packet.layer.temporal].map(|layer| usize::from(layer).min(LAYERS - 1));
        if let Some(bytes) = self.now.bytes.get_mut(spatial).and_then(|layer| layer.get_mut(temporal)) {
            *bytes = bytes.saturating_add(u32::try_from(size).unwrap_or(u32::MAX));
        }
        if self.picture != Some(packet.timestamp) && size > 0 {
            self.picture = Some(packet.timestamp);
            if let Some(pictures) = self.now.pictures.get_mut(temporal) {
                *pictures = pictures.saturating_add(1);
            }
        }
        !flowed
    }

    /// Lets another turn of measuring begin.
    pub(super) fn turn(&mut self, now: Instant) {
        self.before = Some(std::mem::replace(&mut self.now, Measured::new(now)));
    }

    /// The ways to receive it, the worst picture first: all temporal layers of the lowest picture, and at least half of the
    /// frames of larger ones, as few frames of a large picture are no better than all of a small one. None while too little
    /// is known.
    pub(super) fn rungs(&mut self, now: Instant, is_lowest: bool, into: &mut Vec<Rung>) {
        let from = into.len();
        if !self.is_settled(now) {
            into.extend(&self.known);
            return self.raise(now, is_lowest, into.get_mut(from..).unwrap_or_default());
        }
        self.measure(now, is_lowest, into);
        match into.get_mut(from..) {
            Some(rungs) if !rungs.is_empty() => {
                self.smooth(rungs);
                self.known = rungs.to_vec();
            }
            // It has just begun again.
            _ => into.extend(&self.known),
        }
    }

    /// An encoding that began again may cost more than it did before; behind its first key frame that is measured.
    fn raise(&self, now: Instant, is_lowest: bool, rungs: &mut [Rung]) {
        let Rest::Wanted(Some(since)) = self.rest else { return };
        if !self.flows(now) || now.saturating_duration_since(since) < BEGINS_WITHIN {
            return;
        }
        let mut measured = Vec::new();
        self.measure(now, is_lowest, &mut measured);
        for rung in rungs {
            let own = measured.iter().find(|own| own.selection == rung.selection);
            rung.bitrate = rung.bitrate.max(own.map_or(Bitrate(0), |own| own.bitrate));
        }
    }

    /// What it costs wavers with every key frame, and must not change a picture by that. Growth counts for more, as it may
    /// be more than a link carries.
    fn smooth(&self, rungs: &mut [Rung]) {
        for rung in rungs {
            let before = self.known.iter().find(|known| known.selection == rung.selection);
            let Some(Bitrate(before)) = before.map(|before| before.bitrate).filter(|rate| rate.0 > 0) else {
                continue;
            };
            let new = rung.bitrate.0;
            rung.bitrate = Bitrate(if new > before { (before + new) / 2 } else { (before * 3 + new) / 4 });
        }
    }

    fn measure(&self, now: Instant, is_lowest: bool, into: &mut Vec<Rung>) {
        let measured = self.before.map_or(self.now, |before| before.plus(&self.now));
        let time = now.saturating_duration_since(measured.since);
        // Nothing at all is what one costs that has just stopped, or pauses.
        if time < SHORTEST || measured.bytes(LAYERS, LAYERS) == 0 {
            return;
        }
        let (top, fastest) = measured.highest();
        for spatial in 0..=top {
            let slowest = if is_lowest && spatial == 0 { 0 } else { fastest.saturating_sub(1) };
            for temporal in slowest..=fastest {
                let frames = measured.pictures(temporal) * 1_000;
                let fps =
                    frames.checked_div(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).unwrap_or(0);
                // Both are below four.
                let selection =
                    Selection { encoding: self.index, spatial: spatial as u8, temporal: temporal as u8 };
                into.push(Rung {
                    selection,
                    bitrate: Bitrate::over(measured.bytes(spatial, temporal), time),
                    height: self.reader.heights.get(spatial).copied().unwrap_or(0),
                    fps: u8::try_from(fps).unwrap_or(u8::MAX),
                });
            }
        }
    }
}
