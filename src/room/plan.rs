//! Which track belongs into which slot, out of what is published, what was asked for, and who speaks.

use std::collections::{BTreeMap, BTreeSet};

use super::participant::{Link, Shown};
use super::speakers::Speakers;
use crate::ids::{ParticipantId, TrackId};
use crate::protocol::client::View;
use crate::protocol::server::PauseReason;
use crate::protocol::shared::Source;
use crate::sfu::egress::allocate::Wish;
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

impl Known {
    /// Whether media comes from it.
    pub(super) fn flows(&self) -> bool {
        self.connected && !self.muted
    }
}

/// All published tracks of a room.
pub(super) type Catalog = BTreeMap<TrackId, Known>;

/// What every slot of a participant shall carry.
pub(super) fn participant(
    me: ParticipantId,
    link: &Link,
    view: &View,
    catalog: &Catalog,
    voices: &[TrackId],
) -> Vec<Shown> {
    let slots = &link.media.slots;
    let mut shown: Vec<Shown> = slots
        .iter()
        .map(|slot| match slot.kind {
            MediaKind::Video => video(slot, link, view, catalog),
            MediaKind::Audio => Shown::EMPTY,
        })
        .collect();
    audio(me, link, view, catalog, voices, &mut shown);
    shown
}

fn video(slot: &AnsweredSlot, link: &Link, view: &View, catalog: &Catalog) -> Shown {
    let wanted = view.slots.iter().find(|wanted| wanted.mid == slot.mid).and_then(|wanted| wanted.track);
    let Some(track) = wanted else { return Shown::EMPTY };
    let shown = judge(track, &slot.payload_types, catalog);
    let is_throttled = link.throttled.get(&slot.index) == Some(&track);
    if is_throttled && shown == Shown::live(track) {
        Shown::paused(track, PauseReason::Bandwidth)
    } else {
        shown
    }
}

/// How a participant shows what is in a video slot, if there is to be anything.
pub(super) fn wish(slot: &AnsweredSlot, view: &View, catalog: &Catalog) -> Option<Wish> {
    let wanted = view.slots.iter().find(|wanted| wanted.mid == slot.mid && slot.kind == MediaKind::Video)?;
    let source = catalog.get(&wanted.track?)?.source;
    let small = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    Some(Wish {
        height: u16::try_from(wanted.h).unwrap_or(u16::MAX),
        fps: wanted.fps.map_or(0, small),
        priority: wanted.priority.map_or(1, small),
        screen: source == Source::Screen,
    })
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

/// The audio tracks from which anything comes: whoever is loudest first, then whoever might speak.
pub(super) fn voices(catalog: &Catalog, speakers: &Speakers) -> Vec<TrackId> {
    let flows = |track: &TrackId| catalog.get(track).is_some_and(Known::flows);
    let mut voices: Vec<TrackId> = speakers.order().iter().filter(|track| flows(track)).copied().collect();
    let heard: BTreeSet<TrackId> = voices.iter().copied().collect();
    let others = catalog.iter().filter(|(track, known)| {
        known.source.kind() == MediaKind::Audio && known.flows() && !heard.contains(track)
    });
    voices.extend(others.map(|(track, _)| *track));
    voices
}

/// Fills the audio slots: with what was asked for by name, then with `voices`. What is in a slot and stays, stays in that
/// slot.
fn audio(
    me: ParticipantId,
    link: &Link,
    view: &View,
    catalog: &Catalog,
    voices: &[TrackId],
    shown: &mut [Shown],
) {
    let slots = link.media.slots.iter().zip(&link.shown).enumerate();
    let slots: Vec<(usize, (&AnsweredSlot, &Shown))> =
        slots.filter(|(_, (slot, _))| slot.kind == MediaKind::Audio).collect();
    let Some(payload_types) = slots.first().map(|(_, (slot, _))| slot.payload_types.as_slice()) else {
        return;
    };
    let fits = |track: &TrackId| {
        let known = catalog.get(track).filter(|known| known.source.kind() == MediaKind::Audio);
        known.is_some_and(|known| known.owner != me)
            && judge(*track, payload_types, catalog).forwarded().is_some()
    };
    let auto = voices.iter().filter(|_| view.audio.auto);
    let mut chosen: Vec<TrackId> = Vec::with_capacity(slots.len());
    for track in view.audio.tracks.iter().chain(auto) {
        if chosen.len() == slots.len() {
            break;
        }
        if fits(track) && !chosen.contains(track) {
            chosen.push(*track);
        }
    }
    let mut free = Vec::new();
    for (place, (_, before)) in slots {
        match chosen.iter().position(|track| Some(*track) == before.track) {
            Some(found) => set(shown, place, chosen.remove(found)),
            None => free.push(place),
        }
    }
    for (place, track) in free.into_iter().zip(chosen) {
        set(shown, place, track);
    }
}

fn set(shown: &mut [Shown], place: usize, track: TrackId) {
    if let Some(place) = shown.get_mut(place) {
        *place = Shown::live(track);
    }
}

/// What a viewer's slots carry: each the first of `tracks` that it can play and no slot before it carries.
pub(super) fn viewer(slots: &[AnsweredSlot], tracks: &[(TrackId, Format)]) -> Vec<Option<TrackId>> {
    let mut left = tracks.to_vec();
    let take = |slot: &AnsweredSlot| {
        let place = left.iter().position(|(_, format)| best_fit(&slot.payload_types, *format).is_some());
        place.map(|place| left.remove(place).0)
    };
    slots.iter().map(take).collect()
}
