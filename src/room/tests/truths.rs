//! What is true of a room at any time, whatever happened.

use std::collections::BTreeSet;

use super::picture::{Picture, Seen};
use super::world::{Peering, World};
use crate::ids::{ParticipantId, SessionId, TrackId};
use crate::protocol::server::{PauseReason, QualityLevel};
use crate::protocol::shared::Source;
use crate::sfu::egress::best_fit;
use crate::sfu::session::negotiate::AnsweredSlot;
use crate::units::MediaKind;

impl World {
    pub(super) fn check(&self) {
        for (id, client) in &self.clients {
            self.check_peers(*id, client);
            if let Some(session) = self.room.session_of(*id) {
                self.check_slots(*id, client, session);
                self.check_wanted(client, session);
            } else {
                assert!(client.slots.values().all(|slot| slot.why.is_some() || slot.track.is_some()));
            }
        }
        for (session, peering) in &self.sessions {
            self.check_bindings(*session, peering);
        }
    }

    /// The picture that a client put together from differences is that of the room.
    fn check_peers(&self, id: ParticipantId, client: &Picture) {
        let peers: Vec<_> = self.room.peers().into_iter().filter(|peer| peer.id != id).collect();
        let mut known: Vec<_> = client.peers.values().cloned().collect();
        known.sort_by_key(|peer| peers.iter().position(|other| other.id == peer.id));
        assert_eq!(known, peers, "{id} sees others than there are");
        let speaking = self.room.speaking(&self.room.catalog());
        let speaking: Vec<_> = speaking.into_iter().map(|(peer, _)| peer).collect();
        assert_eq!(client.speakers, speaking, "{id} hears others than speak");
        let members = self.room.members.iter();
        let weak = members.map(|(peer, member)| (*peer, member.quality.level()));
        assert!(weak.filter(|(_, level)| *level != QualityLevel::Good).eq(client.weak.clone()));
    }

    /// What a client is told of its slots is what its worker does, and what it asked for.
    fn check_slots(&self, id: ParticipantId, client: &Picture, session: SessionId) {
        let Some(peering) = self.sessions.get(&session) else { return };
        let view = &self.room.members.get(&id).expect("a member").view;
        let mids: BTreeSet<_> = peering.slots.iter().map(|slot| slot.mid.clone()).collect();
        assert_eq!(mids, client.own_slots.iter().map(|slot| slot.mid.clone()).collect());
        for slot in &peering.slots {
            let seen = client.slot(&slot.mid);
            let bound = peering.bound.get(&slot.index).copied();
            let carried = match seen {
                Seen::Live(track) | Seen::Paused(track, PauseReason::Bandwidth) => Some(track),
                _ => None,
            };
            assert_eq!(bound, carried, "{}", slot.mid);
            if slot.kind == MediaKind::Video {
                let wanted = view.slots.iter().find(|wanted| wanted.mid == slot.mid);
                let expected =
                    wanted.and_then(|wanted| wanted.track).map(|track| match self.due(track, slot) {
                        Seen::Live(track) if peering.throttled.contains(&slot.index) => {
                            Seen::Paused(track, PauseReason::Bandwidth)
                        }
                        due => due,
                    });
                assert_eq!(seen, expected.unwrap_or(Seen::Empty), "slot {} of {id}", slot.mid);
            }
        }
        let audio = peering.slots.iter().filter(|slot| slot.kind == MediaKind::Audio);
        let voices = audio.clone().filter_map(|slot| peering.bound.get(&slot.index)).copied();
        let voices: Vec<_> = voices.collect();
        let once: BTreeSet<_> = voices.iter().collect();
        assert_eq!(once.len(), voices.len(), "{id} gets a voice twice");
        assert!(voices.iter().all(|voice| !peering.tracks.contains_key(voice)), "{id} hears itself");
        if view.audio.auto {
            let others = self.flowing().into_iter().filter(|(track, source)| {
                source.kind() == MediaKind::Audio && !peering.tracks.contains_key(track)
            });
            assert_eq!(voices.len(), audio.count().min(others.count()), "{id} could hear more");
        }
    }

    /// Tracks that are published, not muted, and of a connected session.
    fn flowing(&self) -> Vec<(TrackId, Source)> {
        let peers = self.room.peers();
        let shown = peers.iter().flat_map(|peer| &peer.tracks).filter(|track| !track.muted);
        let flows = |id: TrackId| self.publisher(id).is_some_and(|publisher| publisher.connected);
        shown.filter(|track| flows(track.id)).map(|track| (track.id, track.source)).collect()
    }

    fn publisher(&self, track: TrackId) -> Option<&Peering> {
        self.sessions.values().find(|peering| peering.tracks.contains_key(&track))
    }

    /// What a slot for which a track was asked has to say.
    fn due(&self, track: TrackId, slot: &AnsweredSlot) -> Seen {
        let peers = self.room.peers();
        let info = peers.iter().flat_map(|peer| &peer.tracks).find(|info| info.id == track);
        let Some((info, publisher)) = info.zip(self.publisher(track)) else {
            return Seen::Paused(track, PauseReason::Gone);
        };
        if info.muted {
            Seen::Paused(track, PauseReason::Muted)
        } else if !publisher.connected {
            Seen::Paused(track, PauseReason::Connecting)
        } else if publisher.tracks.get(&track).is_none_or(|f| best_fit(&slot.payload_types, *f).is_none()) {
            Seen::Paused(track, PauseReason::Codec)
        } else {
            Seen::Live(track)
        }
    }

    /// Whatever is watched is wanted.
    fn check_wanted(&self, client: &Picture, session: SessionId) {
        let watched: BTreeSet<_> = self
            .sessions
            .iter()
            .filter(|(id, _)| !self.ending.contains(id))
            .flat_map(|(_, other)| other.bound.values())
            .collect();
        for own in client.own_tracks.iter().filter(|_| self.sessions.contains_key(&session)) {
            let is_unwanted = client.unwanted.contains(&own.mid);
            assert!(!(is_unwanted && watched.contains(&own.track)), "{} is watched and not sent", own.mid);
        }
    }

    /// Only what flows is bound, to slots whose receiver can decode it.
    fn check_bindings(&self, session: SessionId, peering: &Peering) {
        if self.ending.contains(&session) {
            return;
        }
        let flowing: BTreeSet<_> = self.flowing().into_iter().map(|(track, _)| track).collect();
        for (index, track) in &peering.bound {
            let slot = peering.slots.iter().find(|slot| slot.index == *index).expect("a slot that is open");
            assert!(flowing.contains(track), "{track} does not flow, and is bound for {session}");
            assert!(!self.muted.contains(track), "the worker holds {track} back");
            let format = self.publisher(*track).and_then(|publisher| publisher.tracks.get(track));
            let fits = format.is_some_and(|format| best_fit(&slot.payload_types, *format).is_some());
            assert!(fits, "{session} cannot decode {track}");
        }
    }
}
