//! The histories of all sources of a worker.

use std::time::{Duration, Instant};

use super::history::{History, Limits};
use super::packet::{Packet, SourceId};
use crate::ids::{IdMap, TrackId};

/// How often what is too old leaves. Twice the age of a packet is the longest that memory is held for nothing.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The histories of all sources, by source: whatever a subscriber follows now, what it was sent before can be found.
#[derive(Debug, Default)]
pub struct Histories {
    sources: IdMap<SourceId, Kept>,
    next_sweep: Option<Instant>,
}

#[derive(Debug)]
struct Kept {
    track: TrackId,
    history: History,
}

impl Histories {
    /// Keeps a packet of a track.
    pub fn push(&mut self, now: Instant, track: TrackId, packet: &Packet) {
        self.next_sweep.get_or_insert(now + SWEEP_EVERY);
        let new = || Kept { track, history: History::new(Limits::default()) };
        self.sources.entry(packet.source).or_insert_with(new).history.push(now, packet);
    }

    /// The packet of a source with this extended sequence number, if it is still here, and the track that it is of.
    #[must_use]
    pub fn get(&self, source: SourceId, sequence: u64) -> Option<(TrackId, &Packet)> {
        let kept = self.sources.get(&source)?;
        Some((kept.track, kept.history.get(source, sequence)?))
    }

    /// When [`Self::sweep`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.next_sweep
    }

    /// Lets go of what is too old, when it is time.
    pub fn sweep(&mut self, now: Instant) {
        if self.next_sweep.is_none_or(|due| due > now) {
            return;
        }
        self.sources.retain(|_, kept| {
            kept.history.expire(now);
            kept.history.packets() > 0
        });
        self.next_sweep = (!self.sources.is_empty()).then(|| now + SWEEP_EVERY);
    }
}
