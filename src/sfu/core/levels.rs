//! Which tracks can be heard, and when the control plane is told of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::ids::TrackId;
use crate::units::AudioLevel;

/// How often levels are told: a ring around the speaker that follows five times a second looks immediate.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// The tracks that can be heard, or could when it was last told.
#[derive(Debug, Default)]
pub(super) struct Levels {
    audible: BTreeSet<TrackId>,
    /// When there is something to tell; `None` while all are silent.
    due: Option<Instant>,
    told: Option<Instant>,
}

impl Levels {
    /// When [`Self::tell`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// A track is audible now.
    pub(super) fn heard(&mut self, now: Instant, track: TrackId) {
        if self.audible.insert(track) && self.due.is_none() {
            self.due = Some(self.told.map_or(now, |told| now.max(told + TELL_EVERY)));
        }
    }

    /// A track is gone.
    pub(super) fn remove(&mut self, track: TrackId) {
        self.audible.remove(&track);
    }

    /// The levels of all tracks that can be heard, the loudest first, and of those that just fell silent. `None` when it is
    /// not the time.
    pub(super) fn tell(
        &mut self,
        now: Instant,
        level: impl Fn(TrackId) -> AudioLevel,
    ) -> Option<Vec<(TrackId, AudioLevel)>> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        let mut levels: Vec<_> = self.audible.iter().map(|track| (*track, level(*track))).collect();
        levels.sort_by_key(|(track, level)| (std::cmp::Reverse(*level), *track));
        for (track, _) in levels.iter().filter(|(_, level)| *level == AudioLevel::SILENT) {
            self.audible.remove(track);
        }
        self.told = Some(now);
        self.due = (!self.audible.is_empty()).then(|| now + TELL_EVERY);
        (!levels.is_empty()).then_some(levels)
    }
}
