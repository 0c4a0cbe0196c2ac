//! The WHIP stream of a room's name.

use std::collections::BTreeMap;

use super::plan::Known;
use super::viewers::Offered;
use crate::ids::{ParticipantId, SessionId, TrackId};
use crate::protocol::shared::{Peer, PeerKind, PeerState, Source, TrackInfo};
use crate::sfu::session::negotiate::AnsweredTrack;
use crate::units::MediaKind;

/// The publishers of a room's stream. The last one whose connection came up is on air. One that publishes the same
/// stream again takes over at that moment, so that a reconnecting encoder is never locked out, and one that never
/// connects harms nobody.
#[derive(Debug, Default)]
pub(super) struct Stream {
    publishers: BTreeMap<SessionId, (ParticipantId, Vec<AnsweredTrack>)>,
    on_air: Option<OnAir>,
}

/// Who is on air. An encoder that takes over does so under the name of the one before: for others it is one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OnAir {
    pub(super) participant: ParticipantId,
    pub(super) session: SessionId,
}

impl Stream {
    pub(super) fn publish(
        &mut self,
        participant: ParticipantId,
        session: SessionId,
        tracks: Vec<AnsweredTrack>,
    ) {
        self.publishers.insert(session, (participant, tracks));
    }

    /// A publisher's connection came up: it is on air. `None` for somebody else's session, else whom it replaces.
    pub(super) fn connected(&mut self, session: SessionId) -> Option<Option<SessionId>> {
        let (participant, _) = self.publishers.get(&session)?;
        let participant = self.on_air.map_or(*participant, |before| before.participant);
        let before = self.on_air.replace(OnAir { participant, session });
        let before = before.map(|before| before.session).filter(|before| *before != session);
        if let Some(before) = before {
            self.publishers.remove(&before);
        }
        Some(before)
    }

    /// A session ended. Returns the participant who is no longer on air.
    pub(super) fn ended(&mut self, session: SessionId) -> Option<ParticipantId> {
        self.publishers.remove(&session);
        self.on_air.take_if(|air| air.session == session).map(|air| air.participant)
    }

    pub(super) fn on_air(&self) -> Option<OnAir> {
        self.on_air
    }

    pub(super) fn is_empty(&self) -> bool {
        self.publishers.is_empty()
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.publishers.keys().copied()
    }

    pub(super) fn tracks_mut(&mut self) -> impl Iterator<Item = &mut AnsweredTrack> {
        self.publishers.values_mut().flat_map(|(_, tracks)| tracks)
    }

    fn tracks(&self) -> &[AnsweredTrack] {
        let publisher = self.on_air.and_then(|air| self.publishers.get(&air.session));
        publisher.map(|(_, tracks)| tracks.as_slice()).unwrap_or_default()
    }

    pub(super) fn offered(&self) -> Vec<Offered> {
        let offered =
            |track: &AnsweredTrack| Offered { track: track.id, kind: track.kind, format: track.format };
        self.tracks().iter().map(offered).collect()
    }

    pub(super) fn catalog(&self) -> Vec<(TrackId, Known)> {
        let Some(air) = self.on_air else { return Vec::new() };
        let known = |track: &AnsweredTrack| Known {
            owner: air.participant,
            source: source(track.kind),
            format: track.format,
            muted: false,
            connected: true,
        };
        self.tracks().iter().map(|track| (track.id, known(track))).collect()
    }

    /// The stream as a participant.
    pub(super) fn peer(&self) -> Option<Peer> {
        let info = |track: &AnsweredTrack| TrackInfo {
            id: track.id,
            source: source(track.kind),
            label: None,
            muted: false,
            csrc: track.id.csrc(),
        };
        Some(Peer {
            id: self.on_air?.participant,
            name: "Stream".to_owned(),
            kind: PeerKind::Stream,
            state: PeerState::Here,
            tracks: self.tracks().iter().map(info).collect(),
            meta: serde_json::Map::new(),
        })
    }
}

fn source(kind: MediaKind) -> Source {
    match kind {
        MediaKind::Audio => Source::StreamAudio,
        MediaKind::Video => Source::Stream,
    }
}
