//! Who comes between two key frames of an encoder that makes none when it is asked begins with the last one, and is then sent
//! what came since, faster than it came.
//!
//! Nothing is shown late for long: the pictures until now get timestamps one millisecond apart, right before the newest, so
//! that a player shows each as soon as it has it. The key frame leaves at once, as any other does. The rest leaves only while
//! the link carries much more than the stream, and never more than is known that it carries: else that one picture stands
//! until the next key frame, with which all goes on as usual.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::behind::{CatchUp, Stamps};
use super::turn::{Served, SessionEvent, Turn, TurnMedia, Want};
use super::{Session, Slot};
use crate::sfu::forward::group::Group;
use crate::sfu::forward::packet::Packet;
use crate::units::MediaKind;

/// How often more is sent.
const EVERY: Duration = Duration::from_millis(5);
/// The percents of what the link carries that are used, all else that it is given included.
const PERCENT: u64 = 90;

impl Slot {
    /// The packet as it is sent through this slot. `None` for one that is not.
    pub(super) fn stamped<'a>(&self, packet: &'a Packet) -> Option<Cow<'a, Packet>> {
        self.stamps.as_ref().map_or(Some(Cow::Borrowed(packet)), |stamps| stamps.apply(packet))
    }
}

impl Session {
    /// Whether a packet waits for its turn, as its slot has to catch up first. With the next key frame nobody has.
    pub(super) fn is_behind(&mut self, index: usize, media: &TurnMedia) -> bool {
        let Some(link) = self.link.as_mut().filter(|link| !link.behind.is_empty()) else { return false };
        let is_of = |behind: &CatchUp| (behind.slot, behind.source) == (index, media.packet.source);
        let Some(place) = link.behind.iter().position(is_of) else { return false };
        let Some(behind) = link.behind.get_mut(place) else { return false };
        behind.target = media.target;
        if media.entry == Some(behind.entry) {
            return true;
        }
        let behind = link.behind.swap_remove(place);
        self.give_up(&behind);
        false
    }

    /// A slot has no picture yet. Lets it catch up from the key frame that is kept, if there is one with which it has not begun
    /// before.
    pub(super) fn begin_behind(
        &mut self,
        now: Instant,
        index: usize,
        media: &TurnMedia,
        served: &mut Served,
    ) {
        let (Some(link), Some(slot)) = (&mut self.link, self.slots.get(index)) else { return };
        let Some(entry) = media.entry.filter(|_| slot.kind == MediaKind::Video && !link.is_full()) else {
            return;
        };
        let has_begun = |stamps: &Stamps| (stamps.source, stamps.entry) == (media.packet.source, entry);
        if slot.stamps.as_deref().is_some_and(has_begun) {
            return;
        }
        link.behind.push(CatchUp::new(now, index, entry, media));
        link.catch_up_at = Some(now);
        self.hasten();
        served.deadline = Some(self.deadline);
    }

    /// Sends what slots that have to catch up may get by now.
    pub(super) fn catch_up(&mut self, now: Instant, turn: &mut Turn<'_>) {
        let Some(link) = self.link.as_mut().filter(|link| link.catch_up_at.is_some_and(|at| at <= now))
        else {
            return;
        };
        let mut served = Served::default();
        let mut still = Vec::new();
        for mut behind in std::mem::take(&mut link.behind) {
            if self.advance(now, &mut behind, &mut served, turn) {
                still.push(behind);
            }
        }
        served.count(turn.counters);
        if let Some(Want { track, encoding, begins }) = served.wants {
            turn.events.push(SessionEvent::Awaits { track, encoding, begins });
        }
        if let Some(link) = &mut self.link {
            link.catch_up_at = (!still.is_empty()).then_some(now + EVERY);
            link.behind = still;
        }
    }

    /// Sends what one slot may get by now. Returns whether it is still behind.
    fn advance(
        &mut self,
        now: Instant,
        behind: &mut CatchUp,
        served: &mut Served,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(path) = self.paths.outgoing() else { return false };
        let group = turn.histories.group(behind.source);
        let Some((group, first)) = group.and_then(|group| Some((group, group.first()?))) else {
            self.give_up(behind);
            return false;
        };
        if first.sequence != behind.entry {
            // The next key frame is here, and about to be served.
            return true;
        }
        if !self.is_on_its_way(behind) {
            return false;
        }
        if behind.next == behind.entry {
            self.begin_with(group, behind);
        }
        let stamp = self.egress.stamp(now);
        loop {
            let Some(packet) = group.from(behind.next).next() else {
                turn.counters.caught_up += 1;
                return false;
            };
            let is_key = packet.timestamp == first.timestamp;
            let Some(link) = self.link.as_ref() else { return false };
            let spare = link.spare(now, PERCENT);
            behind.earn(now, spare);
            let is_free = link.pacer.is_empty() && !link.is_full();
            let may_leave = is_key || is_free && behind.may_go_on(spare, group, packet);
            if !may_leave {
                return true;
            }
            behind.next = packet.sequence + 1;
            behind.spend(packet.payload.len());
            let Some(slot) = self.slots.get(behind.slot) else { return false };
            let Some(packet) = slot.stamped(packet).map(Cow::into_owned) else { continue };
            let media = TurnMedia { track: behind.track, target: behind.target, packet, entry: None };
            self.serve_packet(&stamp, path, behind.slot, &media, served, turn.batch, turn.events);
            if !self.is_on_its_way(behind) {
                return false;
            }
        }
    }

    /// Begins with the key frame of a group.
    fn begin_with(&mut self, group: &Group, behind: &CatchUp) {
        if let Some(slot) = self.slots.get_mut(behind.slot) {
            slot.stamps = Stamps::of(group).map(Box::new);
        }
    }

    /// Whether a slot still goes where it is to catch up: it begins, or has begun, with what is kept.
    fn is_on_its_way(&self, behind: &CatchUp) -> bool {
        let Some(slot) = self.slots.get(behind.slot).filter(|slot| slot.is_open) else { return false };
        let current = slot.subscription.current().map(|selection| selection.encoding);
        let is_right = if behind.next == behind.entry {
            current.is_none() && slot.subscription.follows(&behind.target) == Some(behind.encoding)
        } else {
            current == Some(behind.encoding)
        };
        is_right && slot.track == Some(behind.track)
    }

    /// What is missing cannot be had any more: the next key frame is waited for.
    fn give_up(&mut self, behind: &CatchUp) {
        if behind.next > behind.entry
            && self.is_on_its_way(behind)
            && let Some(slot) = self.slots.get_mut(behind.slot)
        {
            slot.subscription.rebind();
        }
    }
}
