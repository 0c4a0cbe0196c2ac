//! What became of a session's media over the last minutes, so that an operator can say why a picture was blurred. It takes
//! a few kilobytes for each session, however long that one lasts.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::ids::{SessionId, TrackId};
use crate::sfu::forward::ladder::Selection;
use crate::sfu::session::stats::{SessionStats, SlotStats};
use crate::units::Bitrate;

/// How far back it reaches.
pub const SPAN: Duration = Duration::from_secs(300);
/// One report comes every two seconds.
const MOST_SAMPLES: usize = 150;
/// Pictures change seldom; where they do not, the oldest changes are forgotten.
const MOST_CHANGES: usize = 128;

/// The last minutes of one session.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// What the times below are counted from.
    began: Instant,
    samples: VecDeque<Sample>,
    changes: VecDeque<Change>,
    /// By the slot.
    now: HashMap<usize, Picture>,
}

/// What one report said, in few bytes: bit rates in kbit/s, times in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: u32,
    estimate: Option<u32>,
    allotted: Option<u32>,
    sent: u32,
    lost: f32,
    queue: u16,
    rtt: Option<u16>,
    received: u32,
    received_lost: f32,
}

/// What a slot shows from a moment on.
#[derive(Debug, Clone, Copy)]
struct Change {
    at: u32,
    slot: usize,
    picture: Picture,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Picture {
    track: Option<TrackId>,
    selection: Option<Selection>,
    height: u16,
    paused: bool,
}

impl History {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, samples: VecDeque::new(), changes: VecDeque::new(), now: HashMap::new() }
    }

    /// Takes a report.
    pub(super) fn add(&mut self, now: Instant, stats: &SessionStats) {
        let at = millis(now.saturating_duration_since(self.began));
        if self.samples.len() == MOST_SAMPLES {
            self.samples.pop_front();
        } else if self.samples.len() == self.samples.capacity() {
            // Not twice as much each time: there are many of these.
            self.samples.reserve_exact(self.samples.len().max(8).min(MOST_SAMPLES - self.samples.len()));
        }
        self.samples.push_back(Sample::new(at, stats));
        for slot in &stats.slots {
            let picture = Picture::new(slot);
            if self.now.get(&slot.slot).copied().unwrap_or_default() == picture {
                continue;
            }
            self.now.insert(slot.slot, picture);
            if self.changes.len() == MOST_CHANGES {
                self.changes.pop_front();
            }
            self.changes.push_back(Change { at, slot: slot.slot, picture });
        }
    }

    /// What it holds, for an operator.
    pub(super) fn report(&self, now: Instant, session: SessionId) -> HistoryReport {
        let ago = |at: u32| {
            let at = self.began + Duration::from_millis(u64::from(at));
            u64::from(millis(now.saturating_duration_since(at)))
        };
        HistoryReport {
            session: session.to_string(),
            span_ms: u64::from(millis(SPAN)),
            samples: self.samples.iter().map(|sample| sample.report(ago(sample.at))).collect(),
            pictures: self.changes.iter().map(|change| change.report(ago(change.at))).collect(),
        }
    }
}

impl Sample {
    fn new(at: u32, stats: &SessionStats) -> Self {
        let link = stats.link.unwrap_or_default();
        let received = stats.tracks.iter().map(|track| track.bitrate.0).sum();
        let received_lost = stats.tracks.iter().map(|track| track.lost).fold(0.0, f32::max);
        Self {
            at,
            estimate: link.estimate.map(kbits),
            allotted: link.allotted.map(kbits),
            sent: kbits(link.sent),
            lost: link.lost,
            queue: short(link.queue),
            rtt: stats.rtt.map(short),
            received: kbits(Bitrate(received)),
            received_lost,
        }
    }

    fn report(&self, ago_ms: u64) -> SampleReport {
        let bits = |kbits: u32| u64::from(kbits) * 1_000;
        SampleReport {
            ago_ms,
            estimate: self.estimate.map(bits),
            allotted: self.allotted.map(bits),
            sent: bits(self.sent),
            lost: self.lost,
            queue_ms: self.queue,
            rtt_ms: self.rtt,
            received: bits(self.received),
            received_lost: self.received_lost,
        }
    }
}

impl Picture {
    fn new(slot: &SlotStats) -> Self {
        let SlotStats { track, selection, height, paused, .. } = *slot;
        // A slot of which nothing is known but its track is one of sound.
        let track = track.filter(|_| selection.is_some() || height > 0 || paused);
        Self { track, selection, height, paused }
    }
}

impl Change {
    fn report(&self, ago_ms: u64) -> PictureReport {
        let Picture { track, selection, height, paused } = self.picture;
        PictureReport {
            ago_ms,
            slot: self.slot,
            track,
            encoding: selection.map(|selection| selection.encoding.0),
            spatial: selection.map(|selection| selection.spatial),
            temporal: selection.map(|selection| selection.temporal),
            height,
            paused,
        }
    }
}

/// The last minutes of one session, the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryReport {
    /// The session, as in the report of its room.
    pub session: String,
    /// How far back it reaches at most, in milliseconds.
    pub span_ms: u64,
    /// One for some two seconds.
    pub samples: Vec<SampleReport>,
    /// What each slot with video showed: from then on, until the next of the same slot.
    pub pictures: Vec<PictureReport>,
}

/// A session at one time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleReport {
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// What the way to the client can carry, in bit/s, by the server's own estimate, if there is one.
    pub estimate: Option<u64>,
    /// How much of it was given to tracks, in bit/s.
    pub allotted: Option<u64>,
    /// What was sent to the client, in bit/s, with what was sent again.
    pub sent: u64,
    /// The part of it that was lost, 0 to 1.
    pub lost: f32,
    /// How long media waited at the server, in milliseconds.
    pub queue_ms: u16,
    /// Round-trip time in milliseconds, by the client's reports.
    pub rtt_ms: Option<u16>,
    /// What came from the client, in bit/s.
    pub received: u64,
    /// The part of that which was lost, 0 to 1, of the track that lost most.
    pub received_lost: f32,
}

/// What a slot showed from a time on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PictureReport {
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// The index of the slot.
    pub slot: usize,
    /// The track. An empty slot has none.
    pub track: Option<TrackId>,
    /// Which of its encodings, from 0, the smallest; where it is known.
    pub encoding: Option<u8>,
    /// The highest spatial layer of that, from 0.
    pub spatial: Option<u8>,
    /// The highest temporal layer of that, from 0.
    pub temporal: Option<u8>,
    /// The height of the picture in pixels; 0 while it is not known.
    pub height: u16,
    /// Nothing was sent, as the link did not carry it.
    pub paused: bool,
}

fn kbits(bitrate: Bitrate) -> u32 {
    u32::try_from(bitrate.0 / 1_000).unwrap_or(u32::MAX)
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

fn short(time: Duration) -> u16 {
    u16::try_from(time.as_millis()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sfu::forward::packet::EncodingIndex;
    use crate::sfu::session::stats::LinkStats;

    fn stats(sent: u64, height: u16) -> SessionStats {
        let estimate = Some(Bitrate(2_000_000));
        let link = LinkStats { estimate, sent: Bitrate(sent), lost: 0.05, ..LinkStats::default() };
        let selection = Some(Selection { encoding: EncodingIndex(1), spatial: 0, temporal: 2 });
        let slot = |slot, selection, height| SlotStats {
            slot,
            track: Some(TrackId(7)),
            bitrate: Bitrate(sent),
            lost: 0.05,
            nacks: 0,
            selection,
            height,
            paused: false,
        };
        SessionStats {
            session: SessionId(1),
            rtt: None,
            estimate: None,
            link: Some(link),
            tracks: Vec::new(),
            slots: vec![slot(0, None, 0), slot(1, selection, height)],
            ladders: Vec::new(),
        }
    }

    #[test]
    fn it_tells_what_was_and_what_changed() {
        let start = Instant::now();
        let mut history = History::new(start);
        let later = |seconds| start + Duration::from_secs(seconds);
        for (seconds, height) in [(2, 180), (4, 180), (6, 360)] {
            history.add(later(seconds), &stats(1_234_567, height));
        }
        let told = history.report(later(7), SessionId(1));
        let ago: Vec<_> = told.samples.iter().map(|sample| sample.ago_ms).collect();
        assert_eq!((told.session.as_str(), ago), ("s1", vec![5_000, 3_000, 1_000]));
        let last = told.samples.last().expect("three");
        assert_eq!((last.estimate, last.allotted, last.sent), (Some(2_000_000), None, 1_234_000));
        assert!((last.lost - 0.05).abs() < 0.001);
        let pictures: Vec<_> = told.pictures.iter().map(|one| (one.ago_ms, one.slot, one.height)).collect();
        assert_eq!(
            pictures,
            [(5_000, 1, 180), (1_000, 1, 360)],
            "sound has no picture, and what stays is told once"
        );
        assert_eq!((told.pictures[0].encoding, told.pictures[0].temporal), (Some(1), Some(2)));
    }

    #[test]
    fn it_stays_as_small_as_it_is_however_long_a_session_lasts() {
        let start = Instant::now();
        let mut history = History::new(start);
        for report in 0_u16..1_000 {
            history.add(start + Duration::from_secs(2) * u32::from(report), &stats(1, 180 + report));
        }
        assert_eq!((history.samples.len(), history.samples.capacity()), (MOST_SAMPLES, MOST_SAMPLES));
        assert_eq!(history.changes.len(), MOST_CHANGES);
        let told = history.report(start + Duration::from_secs(1_998), SessionId(1));
        assert_eq!(told.samples.first().map(|sample| sample.ago_ms), Some(298_000));
        assert_eq!(told.samples.last().map(|sample| sample.ago_ms), Some(0));
    }
}
