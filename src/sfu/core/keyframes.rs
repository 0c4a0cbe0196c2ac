//! Which encodings of a track are used, and asking publishers for the key frames that are missing.

use std::time::Instant;

use super::Core;
use crate::ids::{SessionId, TrackId};
use crate::net::datagram::SendBatch;
use crate::sfu::forward::ladder::Ladder;
use crate::sfu::forward::packet::EncodingIndex;
use crate::sfu::forward::subscription::Subscription;
use crate::sfu::forward::track::Track;
use crate::units::MediaKind;

impl Core {
    /// All ways to receive a track now, of this worker or another. `None` for a track that is not known here.
    #[must_use]
    pub fn ladder_of(&self, track: TrackId) -> Option<&Ladder> {
        self.tracks.get(&track).map(Track::ladder).or_else(|| self.relay.ladder_of(track))
    }

    /// The encodings of a track that any subscriber gets, selected or waits for: one bit each, the first in the lowest. All
    /// bits are set while somebody selected nothing and so gets the best that there is, which may be any of them.
    #[must_use]
    pub fn used_encodings(&self, track: TrackId) -> u8 {
        match self.tracks.get(&track) {
            Some(state) => {
                let elsewhere = state.relayed_to.iter().map(|worker| self.relay.uses_of(track, *worker));
                elsewhere.fold(self.used_by(&state.subscribers), |used, others| used | others)
            }
            None => self.relay.imports.get(&track).map_or(0, |import| self.used_by(&import.subscribers)),
        }
    }

    pub(super) fn used_by(&self, subscribers: &[(SessionId, usize)]) -> u8 {
        let used = subscribers.iter().filter_map(|(session, slot)| {
            Some(used(&self.sessions.get(session)?.slots.get(*slot)?.subscription))
        });
        used.fold(0, |all, used| all | used)
    }

    /// A subscriber needs a key frame of an encoding; of the best one, if none is named. `begins` says that it has no
    /// picture at all.
    pub(super) fn want_keyframe(&mut self, id: TrackId, encoding: Option<EncodingIndex>, begins: bool) {
        self.relay.want_keyframe(id, encoding, begins);
        if let Some(track) = self.tracks.get_mut(&id).filter(|track| track.kind == MediaKind::Video) {
            track.want_keyframe(encoding, begins);
            self.wanting.insert(id);
        }
    }

    /// Asks publishers for the key frames that somebody waits for.
    pub(super) fn request_keyframes(&mut self, now: Instant, batch: &mut SendBatch) {
        let mut asked = Vec::new();
        self.wanting.retain(|id| {
            let Some(track) = self.tracks.get_mut(id).filter(|track| track.wants_keyframes()) else {
                return false;
            };
            let publisher = track.publisher;
            asked.extend(track.poll_keyframes(now).map(|source| (publisher, source)));
            track.awaits_keyframes()
        });
        for (publisher, source) in asked {
            self.counters.keyframe_requests_out += 1;
            self.with_session(publisher, batch, |session, turn| {
                session.request_keyframe(source);
                session.drive(now, turn);
            });
        }
    }
}

/// The encodings that a subscription gets, selected or waits for. The best that there is may be any of them.
fn used(subscription: &Subscription) -> u8 {
    if subscription.selected().is_none() {
        return if subscription.is_paused() { 0 } else { u8::MAX };
    }
    let current = subscription.current().map(|selection| selection.encoding);
    let selected = subscription.selected().map(|selection| selection.encoding);
    let all = [current, selected, subscription.wants_keyframe_of()];
    all.into_iter().flatten().fold(0, |used, encoding| used | encoding.bit())
}
