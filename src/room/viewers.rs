//! WHEP viewers of a room, and what they see.

use std::collections::BTreeMap;

use super::event::{Action, Target};
use super::plan;
use crate::ids::{SessionId, TrackId};
use crate::sfu::egress::best_fit;
use crate::sfu::session::negotiate::AnsweredSlot;
use crate::units::{Format, MediaKind};

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

/// A track that a viewer can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) track: TrackId,
    pub(super) kind: MediaKind,
    pub(super) format: Format,
}

impl Offered {
    fn sent(&self) -> (TrackId, Format) {
        (self.track, self.format)
    }
}

/// The viewers.
#[derive(Debug, Default)]
pub(super) struct Viewers(BTreeMap<SessionId, Viewer>);

/// A viewer.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) slots: Vec<AnsweredSlot>,
    target: Target,
    bound: Vec<Option<TrackId>>,
}

impl Viewer {
    /// Its slots, each with the track that it carries.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&AnsweredSlot, Option<TrackId>)> {
        self.slots.iter().zip(self.bound.iter().copied())
    }
}

impl Viewers {
    pub(super) fn add(&mut self, session: SessionId, slots: Vec<AnsweredSlot>, target: Target) {
        let bound = vec![None; slots.len()];
        self.0.insert(session, Viewer { slots, target, bound });
    }

    pub(super) fn remove(&mut self, session: SessionId) -> bool {
        self.0.remove(&session).is_some()
    }

    pub(super) fn get(&self, session: SessionId) -> Option<&Viewer> {
        self.0.get(&session)
    }

    /// Lets a viewer see something else. Returns whether it is here.
    pub(super) fn aim(&mut self, session: SessionId, target: Target) -> bool {
        self.0.get_mut(&session).map(|viewer| viewer.target = target).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.0.keys().copied()
    }

    /// Tracks that are bound, once for each slot.
    pub(super) fn bound(&self) -> impl Iterator<Item = TrackId> + '_ {
        self.0.values().flat_map(|viewer| viewer.bound.iter().flatten().copied())
    }

    /// Binds what each shall see now.
    pub(super) fn settle(&mut self, shown: impl Fn(Target) -> Vec<Offered>, out: &mut Vec<Action>) {
        // Most viewers of a room want to see the same.
        let mut same: Option<(Target, Vec<(TrackId, Format)>)> = None;
        for (session, viewer) in &mut self.0 {
            let (_, tracks) = match same.take().filter(|(target, _)| *target == viewer.target) {
                Some(same) => same,
                None => (viewer.target, shown(viewer.target).iter().map(Offered::sent).collect()),
            };
            let bound = plan::viewer(&viewer.slots, &tracks);
            same = Some((viewer.target, tracks));
            for (slot, (track, before)) in viewer.slots.iter().zip(bound.iter().zip(&viewer.bound)) {
                if track != before {
                    out.push(Action::Bind { session: *session, slot: slot.index, track: *track });
                }
            }
            viewer.bound = bound;
        }
    }
}

/// Whether a viewer with these slots can be shown these tracks.
///
/// # Errors
/// When there are none, or it has slots for sound or pictures and no decoder for any of them.
pub(super) fn check(slots: &[AnsweredSlot], tracks: &[Offered]) -> Result<(), WatchError> {
    if tracks.is_empty() {
        return Err(WatchError::NotLive);
    }
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let mut unfit =
            tracks.iter().filter(|track| track.kind == kind).map(|track| check_codec(track, slots));
        if let Some(Err(first)) = unfit.next()
            && unfit.all(|outcome| outcome.is_err())
        {
            return Err(first);
        }
    }
    Ok(())
}

/// A player that asked for sound only is not owed a picture; one that asked for a picture must get one.
fn check_codec(track: &Offered, slots: &[AnsweredSlot]) -> Result<(), WatchError> {
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
