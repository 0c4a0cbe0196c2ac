//! The histories of all sources of a worker.

use std::time::{Duration, Instant};

use super::group::Group;
use super::history::{History, Limits};
use super::packet::{Packet, SourceId};
use crate::ids::{IdMap, TrackId};

/// How often what is too old leaves. Twice the age of a packet is the longest that memory is held for nothing.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What the groups of pictures of a worker have together at most, bytes.
const MOST_BYTES: usize = 64 << 20;

/// The histories of all sources, by source: whatever a subscriber follows now, what it was sent before can be found.
#[derive(Debug, Default)]
pub struct Histories {
    sources: IdMap<SourceId, Kept>,
    groups: IdMap<SourceId, (TrackId, Group)>,
    /// The payload bytes of all groups.
    group_bytes: usize,
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

    /// Keeps a packet of a track in the group of pictures of its source, or lets go of that. Returns the number with which the
    /// group begins, if there is one.
    pub fn keep_group(&mut self, is_kept: bool, track: TrackId, packet: &Packet) -> Option<u64> {
        if !is_kept {
            if !self.groups.is_empty() {
                self.drop_group(packet.source);
            }
            return None;
        }
        self.next_sweep.get_or_insert(packet.arrived + SWEEP_EVERY);
        let (_, group) = self.groups.entry(packet.source).or_insert_with(|| (track, Group::default()));
        let others = self.group_bytes - group.bytes();
        group.push(packet, MOST_BYTES.saturating_sub(others));
        self.group_bytes = others + group.bytes();
        group.first().map(|first| first.sequence)
    }

    fn drop_group(&mut self, source: SourceId) {
        if let Some((_, group)) = self.groups.remove(&source) {
            self.group_bytes -= group.bytes();
        }
    }

    /// Lets go of the groups of a track: what comes does not follow what came.
    pub fn drop_groups_of(&mut self, track: TrackId) {
        self.retain_groups(|of, _| of != track);
    }

    /// The group of pictures that a source is in.
    #[must_use]
    pub fn group(&self, source: SourceId) -> Option<&Group> {
        self.groups.get(&source).map(|(_, group)| group)
    }

    /// How many payload bytes all groups have.
    #[must_use]
    pub fn group_bytes(&self) -> usize {
        self.group_bytes
    }

    fn retain_groups(&mut self, keeps: impl Fn(TrackId, &Group) -> bool) {
        let gone = self.groups.extract_if(|_, (track, group)| !keeps(*track, group));
        self.group_bytes -= gone.map(|(_, (_, group))| group.bytes()).sum::<usize>();
    }

    /// The packet of a source with this extended sequence number, if it is still here, and the track that it is of.
    #[must_use]
    pub fn get(&self, source: SourceId, sequence: u64) -> Option<(TrackId, &Packet)> {
        let kept = self.sources.get(&source);
        let recent = kept.and_then(|kept| Some((kept.track, kept.history.get(source, sequence)?)));
        recent.or_else(|| {
            let (track, group) = self.groups.get(&source)?;
            Some((*track, group.get(sequence)?))
        })
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
        self.retain_groups(|_, group| !group.is_stale(now));
        let is_empty = self.sources.is_empty() && self.groups.is_empty();
        self.next_sweep = (!is_empty).then(|| now + SWEEP_EVERY);
    }
}
