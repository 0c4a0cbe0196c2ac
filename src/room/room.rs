//! One room as a plain state machine: events in, actions out. No sockets, no clock, no locks.

use std::collections::BTreeMap;

use crate::ids::{SessionId, TrackId};
use crate::sfu::egress::best_fit;
use crate::sfu::session::negotiate::{AnsweredSlot, AnsweredTrack};
use crate::units::{Format, MediaKind};

/// A room: whoever publishes to it, and whoever watches.
///
/// The last publisher whose connection came up is on air. One that publishes the same stream again takes over at
/// that moment, so that a reconnecting encoder is never locked out, and one that never connects harms nobody.
#[derive(Debug, Default)]
pub struct Room {
    publishers: BTreeMap<SessionId, Vec<AnsweredTrack>>,
    on_air: Option<SessionId>,
    viewers: BTreeMap<SessionId, Vec<AnsweredSlot>>,
}

/// What the room wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Put a track behind a slot of a viewer, or nothing.
    Bind {
        /// The viewer.
        session: SessionId,
        /// The slot.
        slot: usize,
        /// The track.
        track: Option<TrackId>,
    },
    /// End a session.
    Close(SessionId),
}

/// Why a viewer is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Nobody publishes.
    #[error("Nobody is publishing this stream right now. Try again in a moment.")]
    NotLive,
    /// The viewer would see black or hear silence.
    #[error("The stream's {kind} is {stream}, and this player only takes {offered}.")]
    NoCommonCodec {
        /// What is not playable.
        kind: MediaKind,
        /// The stream's format.
        stream: Format,
        /// The player's formats.
        offered: String,
    },
}

impl Room {
    /// A publisher's offer was answered. It is on air once it connects.
    pub fn publish(&mut self, session: SessionId, tracks: Vec<AnsweredTrack>) {
        self.publishers.insert(session, tracks);
    }

    /// A viewer's offer was answered: binds the stream's tracks to its slots.
    ///
    /// # Errors
    /// When nobody is on air, or the viewer has no decoder for what is.
    pub fn watch(&mut self, session: SessionId, slots: Vec<AnsweredSlot>) -> Result<Vec<Action>, WatchError> {
        let Some(tracks) = self.live_tracks() else { return Err(WatchError::NotLive) };
        for track in tracks {
            check_codec(track, &slots)?;
        }
        let actions = bind(session, &slots, tracks);
        self.viewers.insert(session, slots);
        Ok(actions)
    }

    /// A session's media can flow now.
    pub fn connected(&mut self, session: SessionId) -> Vec<Action> {
        let Some(tracks) = self.publishers.get(&session) else { return Vec::new() };
        let mut actions: Vec<_> =
            self.viewers.iter().flat_map(|(viewer, slots)| bind(*viewer, slots, tracks)).collect();
        let before = self.on_air.replace(session);
        if let Some(before) = before.filter(|before| *before != session) {
            self.publishers.remove(&before);
            actions.push(Action::Close(before));
        }
        actions
    }

    /// A track turned out to have this format.
    pub fn format(&mut self, track: TrackId, format: Format) {
        let tracks = self.publishers.values_mut().flatten();
        tracks.filter(|known| known.id == track).for_each(|known| known.format = format);
    }

    /// A session is gone.
    pub fn ended(&mut self, session: SessionId) -> Vec<Action> {
        self.viewers.remove(&session);
        self.publishers.remove(&session);
        if self.on_air != Some(session) {
            return Vec::new();
        }
        self.on_air = None;
        // Viewers stay: the publisher may come back, and then they go on without doing anything.
        self.viewers.iter().flat_map(|(viewer, slots)| bind(*viewer, slots, &[])).collect()
    }

    /// Whether a publisher is on air.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.on_air.is_some()
    }

    /// Whether the room can be forgotten.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publishers.is_empty() && self.viewers.is_empty()
    }

    fn live_tracks(&self) -> Option<&[AnsweredTrack]> {
        self.on_air.and_then(|session| self.publishers.get(&session)).map(Vec::as_slice)
    }
}

/// The first track of a kind goes to the first slot of that kind, and so on; slots that are left stay empty.
fn bind(session: SessionId, slots: &[AnsweredSlot], tracks: &[AnsweredTrack]) -> Vec<Action> {
    let mut actions = Vec::with_capacity(slots.len());
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let mut tracks = tracks.iter().filter(|track| track.kind == kind);
        for slot in slots.iter().filter(|slot| slot.kind == kind) {
            let track = tracks.next().map(|track| track.id);
            actions.push(Action::Bind { session, slot: slot.index, track });
        }
    }
    actions
}

/// A player that asked for sound only is not owed a picture; one that asked for a picture must get one.
fn check_codec(track: &AnsweredTrack, slots: &[AnsweredSlot]) -> Result<(), WatchError> {
    let mut of_kind = slots.iter().filter(|slot| slot.kind == track.kind).peekable();
    if of_kind.peek().is_none() {
        return Ok(());
    }
    let mut offered: Vec<String> = Vec::new();
    for slot in of_kind {
        if best_fit(&slot.payload_types, track.format).is_some() {
            return Ok(());
        }
        for name in slot.payload_types.iter().map(|pt| pt.format.to_string()) {
            if !offered.contains(&name) {
                offered.push(name);
            }
        }
    }
    let offered = offered.join(", ");
    Err(WatchError::NoCommonCodec { kind: track.kind, stream: track.format, offered })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sfu::egress::PayloadType;
    use crate::units::Codec;

    fn track(id: u64, codec: Codec) -> AnsweredTrack {
        AnsweredTrack {
            id: TrackId(id),
            mid: id.to_string(),
            kind: codec.kind(),
            format: Format::new(codec, ""),
        }
    }

    fn slots(video: Codec) -> Vec<AnsweredSlot> {
        let slot = |(index, codec): (usize, Codec)| AnsweredSlot {
            index,
            mid: index.to_string(),
            kind: codec.kind(),
            payload_types: vec![PayloadType { number: 96, format: Format::new(codec, "") }],
        };
        [Codec::Opus, video].into_iter().enumerate().map(slot).collect()
    }

    fn bound(session: u64, audio: Option<u64>, video: Option<u64>) -> [Action; 2] {
        let bind = |slot, track: Option<u64>| Action::Bind {
            session: SessionId(session),
            slot,
            track: track.map(TrackId),
        };
        [bind(0, audio), bind(1, video)]
    }

    fn live_room() -> Room {
        let mut room = Room::default();
        room.publish(SessionId(1), vec![track(10, Codec::Opus), track(11, Codec::Vp8)]);
        room.connected(SessionId(1));
        room
    }

    #[test]
    fn a_stream_is_live_once_its_publisher_is_connected() {
        let mut room = Room::default();
        room.publish(SessionId(1), vec![track(10, Codec::Vp8)]);
        assert_eq!(room.watch(SessionId(2), slots(Codec::Vp8)), Err(WatchError::NotLive));
        room.connected(SessionId(1));
        assert!(room.watch(SessionId(2), slots(Codec::Vp8)).is_ok() && room.is_live());
    }

    #[test]
    fn a_second_publisher_takes_over_and_the_viewers_stay() {
        let mut room = live_room();
        assert_eq!(
            room.watch(SessionId(2), slots(Codec::Vp8)).as_deref(),
            Ok(&bound(2, Some(10), Some(11))[..])
        );
        room.publish(SessionId(3), vec![track(30, Codec::Opus), track(31, Codec::Vp8)]);
        assert!(room.is_live(), "the first stays on air until the second connects");
        let actions = room.connected(SessionId(3));
        assert_eq!(actions[..2], bound(2, Some(30), Some(31)));
        assert_eq!(actions[2..], [Action::Close(SessionId(1))]);
        assert_eq!(room.ended(SessionId(1)), [], "the end of the replaced one changes nothing");
        assert!(room.is_live());
    }

    #[test]
    fn viewers_wait_while_the_publisher_is_away() {
        let mut room = live_room();
        room.watch(SessionId(2), slots(Codec::Vp8)).expect("live");
        assert_eq!(room.ended(SessionId(1)), bound(2, None, None));
        assert!(!room.is_live() && !room.is_empty());
        room.publish(SessionId(4), vec![track(41, Codec::Vp8)]);
        assert_eq!(room.connected(SessionId(4)), bound(2, None, Some(41)));
        room.ended(SessionId(4));
        room.ended(SessionId(2));
        assert!(room.is_empty());
    }

    #[test]
    fn a_viewer_without_the_codec_is_told_so() {
        let mut room = live_room();
        room.format(TrackId(11), Format::new(Codec::H264, ""));
        let refused = room.watch(SessionId(2), slots(Codec::Vp8)).expect_err("no H.264");
        assert_eq!(
            refused.to_string(),
            "The stream's video is H.264 Constrained Baseline, and this player only takes VP8."
        );
        let audio_only = slots(Codec::Vp8).into_iter().take(1).collect();
        assert!(room.watch(SessionId(3), audio_only).is_ok(), "asked for sound only");
    }
}
