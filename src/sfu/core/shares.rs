//! Dealing out, some times a second, what links carry, and telling publishers which of their encodings anybody uses.

use std::time::Instant;

use super::Core;
use super::allotting::EVERY;
use super::event::CoreEvent;
use crate::ids::{SessionId, TrackId};
use crate::sfu::forward::track::Track;
use crate::sfu::session::stats::Link;
use crate::units::MediaKind;

impl Core {
    /// What is known of the way to a session's client. `None` for a session that is gone.
    #[must_use]
    pub fn link_of(&self, id: SessionId) -> Option<Link> {
        self.sessions.get(&id).map(|session| session.link())
    }

    /// When [`Self::allot`] has something to do.
    pub(super) fn next_allotting(&self) -> Option<Instant> {
        let is_needed = !self.tracks.is_empty() || !self.relay.imports.is_empty();
        self.allotting.at.filter(|_| is_needed).map(|at| at + EVERY)
    }

    /// Deals out what links carry, if it is time.
    pub(super) fn allot(&mut self, now: Instant) {
        let mut short = std::mem::take(&mut self.allotting.short);
        short.sort_unstable();
        short.dedup();
        if self.allotting.at.is_some_and(|at| now.saturating_duration_since(at) < EVERY) {
            return short.into_iter().for_each(|id| self.allot_to(now, id));
        }
        self.allotting.at = Some(now);
        for track in self.tracks.values_mut() {
            if track.refresh(now) {
                self.relay.tell_ladder(track);
            }
        }
        let all: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in all {
            self.allot_to(now, id);
        }
        self.tell_used(now);
    }

    fn allot_to(&mut self, now: Instant, id: SessionId) {
        let (tracks, relay) = (&self.tracks, &self.relay);
        let ladder_of = |id| tracks.get(&id).map(Track::ladder).or_else(|| relay.ladder_of(id));
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.allot(now, ladder_of, &mut self.counters, &mut self.session_events);
        if !self.session_events.is_empty() {
            self.tell(id);
        }
    }

    fn tell_used(&mut self, now: Instant) {
        let published = self.tracks.values().filter(|track| track.kind == MediaKind::Video);
        let published: Vec<(TrackId, SessionId)> =
            published.map(|track| (track.id, track.publisher)).collect();
        self.allotting.used.retain(|id, _| self.tracks.contains_key(id));
        for (id, publisher) in published {
            // Of a track that nobody shows no encoding counts; one that is paused for all who show it may come back soon.
            if self.tracks.get(&id).is_none_or(|track| track.receivers() == 0) {
                self.allotting.used.remove(&id);
                continue;
            }
            let used = self.used_encodings(id);
            let Some(session) = self.sessions.get(&publisher) else { continue };
            let known = session.rids_of(id);
            if known.len() < 2 {
                continue;
            }
            let all = known.iter().fold(0, |all, (encoding, _)| all | encoding.bit());
            // The smallest is what everybody falls back to when a link breaks down: it must be there at once.
            let lowest = self.ladder_of(id).and_then(|ladder| ladder.rungs.first());
            let used = used | lowest.map_or(0, |rung| rung.selection.encoding.bit());
            if let Some(track) = self.tracks.get_mut(&id) {
                track.use_only(now, used);
            }
            if self.allotting.used.insert(id, used & all) == Some(used & all) {
                continue;
            }
            let mut rids: Vec<_> = known
                .into_iter()
                .filter(|(encoding, _)| used & encoding.bit() != 0)
                .map(|(_, rid)| rid)
                .collect();
            rids.sort();
            let rids = (used & all != all).then_some(rids);
            self.events.push(CoreEvent::Used { track: id, rids });
        }
    }
}
