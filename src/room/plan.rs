//! Which track belongs into which slot, out of what is published, what was asked for, and who speaks.

use std::collections::BTreeMap;

use super::participant::{Link, Shown};
use super::speakers::Speakers;
use crate::ids::{ParticipantId, TrackId};
use crate::protocol::client::View;
use crate::protocol::server::PauseReason;
use crate::protocol::shared::Source;
use crate::sfu::egress::{PayloadType, best_fit};
use crate::sfu::session::negotiate::AnsweredSlot;
use crate::units::{Format, MediaKind};

/// A published track, as far as it matters who gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) owner: ParticipantId,
    pub(super) source: Source,
    pub(super) format: Format,
    pub(super) muted: bool,
    /// Whether its publisher's media can flow.
    pub(super) connected: bool,
}

/// All published tracks of a room.
pub(super) type Catalog = BTreeMap<TrackId, Known>;

/// What every slot of a participant shall carry.
pub(super) fn participant(
    me: ParticipantId,
    link: &Link,
    view: &View,
    catalog: &Catalog,
    speakers: &Speakers,
) -> Vec<Shown> {
    let slots = &link.media.slots;
    let mut shown: Vec<Shown> = slots
        .iter()
        .map(|slot| match slot.kind {
            MediaKind::Video => video(slot, view, catalog),
            MediaKind::Audio => Shown::EMPTY,
        })
        .collect();
    audio(me, link, view, catalog, speakers, &mut shown);
    shown
}

fn video(slot: &AnsweredSlot, view: &View, catalog: &Catalog) -> Shown {
    let wanted = view.slots.iter().find(|wanted| wanted.mid == slot.mid).and_then(|wanted| wanted.track);
    wanted.map_or(Shown::EMPTY, |track| judge(track, &slot.payload_types, catalog))
}

/// What a slot carries for which `track` was asked.
fn judge(track: TrackId, payload_types: &[PayloadType], catalog: &Catalog) -> Shown {
    let Some(known) = catalog.get(&track) else { return Shown::paused(track, PauseReason::Gone) };
    if known.muted {
        Shown::paused(track, PauseReason::Muted)
    } else if !known.connected {
        Shown::paused(track, PauseReason::Connecting)
    } else if best_fit(payload_types, known.format).is_none() {
        Shown::paused(track, PauseReason::Codec)
    } else {
        Shown::live(track)
    }
}

/// Fills the audio slots: with what was asked for by name, then with whoever is loudest, then with whoever might speak.
/// What is in a slot and stays, stays in that slot.
fn audio(
    me: ParticipantId,
    link: &Link,
    view: &View,
    catalog: &Catalog,
    speakers: &Speakers,
    shown: &mut [Shown],
) {
    let slots: Vec<&AnsweredSlot> =
        link.media.slots.iter().filter(|slot| slot.kind == MediaKind::Audio).collect();
    let Some(payload_types) = slots.first().map(|slot| slot.payload_types.as_slice()) else { return };
    let fits = |track: &TrackId| {
        let known = catalog.get(track).filter(|known| known.source.kind() == MediaKind::Audio);
        known.is_some_and(|known| known.owner != me)
            && judge(*track, payload_types, catalog).forwarded().is_some()
    };
    let loudest = speakers.order().iter().filter(|_| view.audio.auto);
    let others = catalog.keys().filter(|_| view.audio.auto);
    let mut chosen: Vec<TrackId> = Vec::with_capacity(slots.len());
    for track in view.audio.tracks.iter().chain(loudest).chain(others) {
        if chosen.len() == slots.len() {
            break;
        }
        if fits(track) && !chosen.contains(track) {
            chosen.push(*track);
        }
    }
    let mut free = Vec::new();
    for slot in slots {
        let before = link.shown.get(slot.index).and_then(|shown| shown.track);
        match chosen.iter().position(|track| Some(*track) == before) {
            Some(place) => set(shown, slot.index, chosen.remove(place)),
            None => free.push(slot.index),
        }
    }
    for (slot, track) in free.into_iter().zip(chosen) {
        set(shown, slot, track);
    }
}

fn set(shown: &mut [Shown], slot: usize, track: TrackId) {
    if let Some(place) = shown.get_mut(slot) {
        *place = Shown::live(track);
    }
}

/// What a viewer's slots carry of `tracks`: the first track of a kind goes to the first slot of that kind, and so on;
/// slots that are left stay empty.
pub(super) fn viewer(slots: &[AnsweredSlot], tracks: &[(TrackId, MediaKind)]) -> Vec<Option<TrackId>> {
    let mut bound = vec![None; slots.len()];
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let tracks = tracks.iter().filter(|(_, of)| *of == kind);
        for (slot, (track, _)) in slots.iter().filter(|slot| slot.kind == kind).zip(tracks) {
            if let Some(place) = bound.get_mut(slot.index) {
                *place = Some(*track);
            }
        }
    }
    bound
}
