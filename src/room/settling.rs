//! Who gets what: worked out anew whenever anything changed that it depends on.

use std::time::Instant;

use super::event::{Action, Target};
use super::participant::{Link, Shown};
use super::plan::{self, Catalog, Known};
use super::room::Room;
use super::viewers::Offered;
use crate::ids::{ParticipantId, SessionId, TrackId};
use crate::protocol::client::View;
use crate::protocol::server::{Binding, ServerMessage, Slots};
use crate::protocol::shared::Source;
use crate::sfu::session::negotiate::AnsweredSlot;
use crate::units::MediaKind;

impl Room {
    /// Works out what every slot carries, and tells the difference.
    pub(super) fn settle(&mut self, now: Instant) {
        self.unsettled = false;
        let catalog = self.catalog();
        let is_there = |track| catalog.contains_key(&track);
        let is_heard = |track| catalog.get(&track).is_some_and(Known::flows);
        self.speakers.retain(is_there, is_heard);
        let voices = plan::voices(&catalog, &self.speakers);
        let mut told = Vec::new();
        for (id, member) in &mut self.members {
            let Some(link) = &mut member.link else { continue };
            let shown = plan::participant(*id, link, &member.view, &catalog, &voices);
            tell_wishes(link, &member.view, &catalog, &mut self.out);
            let before = std::mem::replace(&mut link.shown, shown);
            let bind = differences(link.session(), &link.media.slots, &before, &link.shown, &mut self.out);
            let is_bound = |slot: &usize, track: &TrackId| {
                let shown = link.media.slots.iter().zip(&link.shown).find(|(known, _)| known.index == *slot);
                shown.is_some_and(|(_, shown)| shown.forwarded() == Some(*track))
            };
            // What is bound anew is not held back until it is said so.
            link.throttled.retain(|slot, track| is_bound(slot, track));
            if !bind.is_empty() && member.socket_lost.is_none() {
                told.push((*id, ServerMessage::Slots(Slots { bind })));
            }
        }
        for (id, message) in told {
            self.tell(vec![id], None, message);
        }
        let mut viewers = std::mem::take(&mut self.viewers);
        let mut out = std::mem::take(&mut self.out);
        viewers.settle(|target| self.shown(&catalog, target), &mut out);
        (self.viewers, self.out) = (viewers, out);
        self.tell_wanted(now);
        self.tell_speakers(&catalog);
    }

    /// A participant's link does not carry what a slot shows, or does again.
    pub(super) fn throttled(&mut self, session: SessionId, slot: usize, track: TrackId, paused: bool) {
        let Some((_, member)) = self.member_of(session) else { return };
        let Some(link) = &mut member.link else { return };
        let shown = link.place(slot).and_then(|place| link.shown.get(place));
        if shown.and_then(Shown::forwarded) != Some(track) {
            return;
        }
        if paused {
            link.throttled.insert(slot, track);
        } else {
            link.throttled.remove(&slot);
        }
        self.unsettled = true;
    }

    pub(super) fn catalog(&self) -> Catalog {
        let mut catalog = Catalog::new();
        for (owner, member) in &self.members {
            for published in &member.published {
                let link = member.link.as_ref();
                let answered =
                    link.and_then(|link| link.media.tracks.iter().find(|track| track.id == published.track));
                // Without a peer connection its format does not matter: it is not shown.
                let Some(format) = answered.map(|track| track.format) else { continue };
                let known = Known {
                    owner: *owner,
                    source: published.source,
                    format,
                    muted: published.muted,
                    connected: link.is_some_and(|link| link.connected),
                };
                catalog.insert(published.track, known);
            }
        }
        catalog.extend(self.stream.catalog());
        catalog
    }

    /// The tracks that a viewer with this target sees now.
    pub(super) fn shown(&self, catalog: &Catalog, target: Target) -> Vec<Offered> {
        match target {
            Target::Stream { .. } if self.is_live() => self.stream.offered(),
            Target::Stream { members: false } => Vec::new(),
            Target::Stream { members: true } | Target::Speaker => {
                self.floor(catalog).map(|id| offered_by(catalog, id)).unwrap_or_default()
            }
            Target::Participant(id) => offered_by(catalog, id),
            Target::Track(track) => {
                let known = catalog.get(&track).filter(|known| known.flows());
                known.map(|known| offered(track, known)).into_iter().collect()
            }
        }
    }

    /// Whoever has the floor; as long as nobody spoke, somebody who can be seen.
    fn floor(&self, catalog: &Catalog) -> Option<ParticipantId> {
        let speaker = self.speakers.floor().and_then(|track| catalog.get(&track)).map(|known| known.owner);
        let seen = || {
            let mut shown = catalog.values().filter(|known| known.flows());
            shown.clone().find(|known| known.source.kind() == MediaKind::Video).or_else(|| shown.next())
        };
        speaker.or_else(|| seen().map(|known| known.owner))
    }
}

/// What can be seen and heard of a participant: the screen before the camera, the voice before other sound.
fn offered_by(catalog: &Catalog, id: ParticipantId) -> Vec<Offered> {
    let mut tracks: Vec<_> = catalog.iter().filter(|(_, known)| known.owner == id && known.flows()).collect();
    tracks.sort_by_key(|(track, known)| {
        (known.source != Source::Screen, known.source == Source::ScreenAudio, **track)
    });
    tracks.into_iter().map(|(track, known)| offered(*track, known)).collect()
}

fn offered(track: TrackId, known: &Known) -> Offered {
    Offered { track, kind: known.source.kind(), format: known.format }
}

/// Tells the worker how slots are shown, where that changed.
fn tell_wishes(link: &mut Link, view: &View, catalog: &Catalog, out: &mut Vec<Action>) {
    let session = link.session();
    let slots = &link.media.slots;
    link.wishes.retain(|index, _| slots.iter().any(|slot| slot.index == *index));
    for slot in slots {
        let Some(wish) = plan::wish(slot, view, catalog) else { continue };
        if link.wishes.insert(slot.index, wish) != Some(wish) {
            out.push(Action::Wish { session, slot: slot.index, wish });
        }
    }
}

/// Binds the slots whose track changed, and returns what the client is to be told.
fn differences(
    session: SessionId,
    slots: &[AnsweredSlot],
    before: &[Shown],
    after: &[Shown],
    out: &mut Vec<Action>,
) -> Vec<Binding> {
    let mut bind = Vec::new();
    for (slot, (old, new)) in slots.iter().zip(before.iter().zip(after)) {
        if old.forwarded() != new.forwarded() {
            out.push(Action::Bind { session, slot: slot.index, track: new.forwarded() });
        }
        if old != new {
            bind.push(new.binding(&slot.mid));
        }
    }
    bind
}
