//! What is not heard, and what is: muting tracks, and telling how loud they are.

use std::time::Instant;

use super::{Core, CoreEvent};
use crate::ids::{SessionId, TrackId};
use crate::sfu::forward::track::Track;
use crate::units::AudioLevel;

impl Core {
    /// Mutes or unmutes a track: from now on, nobody gets a packet of a muted one, whatever its publisher sends. To be
    /// called between turns. A track that ended a moment ago is left alone.
    pub fn mute(&mut self, id: TrackId, muted: bool) {
        let Some(track) = self.tracks.get_mut(&id).filter(|track| track.is_muted() != muted) else { return };
        track.mute(muted);
        // What comes after a mute does not follow what came before it: decoders are to begin anew, and numbers go on.
        let wants = track.wants_keyframes();
        let subscribers = std::mem::take(&mut track.subscribers);
        self.begin_anew(&subscribers);
        self.histories.drop_groups_of(id);
        if let Some(track) = self.tracks.get_mut(&id) {
            track.subscribers = subscribers;
        }
        if wants {
            self.want_keyframe(id, None, true);
        }
    }

    /// What comes for these slots from now on does not follow what came before.
    pub(super) fn begin_anew(&mut self, subscribers: &[(SessionId, usize)]) {
        for (session, slot) in subscribers {
            let slot = self.sessions.get_mut(session).and_then(|session| session.slots.get_mut(*slot));
            if let Some(slot) = slot {
                slot.subscription.rebind();
            }
        }
    }

    /// Tells how loud the tracks are, when it is time.
    pub(super) fn tell_levels(&mut self, now: Instant) {
        let level = |id| self.tracks.get(&id).map_or(AudioLevel::SILENT, |track: &Track| track.level(now));
        if let Some(levels) = self.levels.tell(now, level) {
            self.events.push(CoreEvent::AudioLevels(levels));
        }
    }
}
