//! What goes out to the client through the slots: media, and reports of it.

use std::collections::HashMap;
use std::time::Instant;

use str0m::media::Mid;

use super::ending::EndReason;
use super::turn::{Served, SessionEvent, Turn, TurnMedia, Want};
use super::{Session, Slot};
use crate::net::datagram::SendBatch;
use crate::sfu::egress::bandwidth::Purpose;
use crate::sfu::egress::header::HeaderTemplate;
use crate::sfu::egress::sender::{Outgoing, Sources, Unsent};
use crate::sfu::egress::{Path, Stamp};
use crate::sfu::forward::packet::Packet;
use crate::sfu::forward::subscription::Verdict;
use crate::units::{Codec, Format, MediaKind};

impl Session {
    /// Sends what this session's slots get of a turn's media, of which [`Self::work`] tells the places and the slots. The
    /// deadline may be earlier after this.
    pub fn serve(
        &mut self,
        now: Instant,
        media: &[TurnMedia],
        batch: &mut SendBatch,
        events: &mut Vec<SessionEvent>,
    ) -> Served {
        let mut served = Served::default();
        let mut work = std::mem::take(&mut self.work);
        match self.paths.outgoing() {
            Some(path) => {
                let stamp = self.egress.stamp(now);
                for (place, index) in work.drain(..) {
                    let media = media.get(place);
                    if let Some(media) = media.filter(|media| !self.is_behind(index, media)) {
                        self.serve_packet(&stamp, path, index, media, &mut served, batch, events);
                    }
                }
            }
            None => served.unsent += work.drain(..).count() as u64,
        }
        self.work = work;
        served
    }

    #[expect(clippy::too_many_arguments, reason = "the inside of a loop")]
    pub(super) fn serve_packet(
        &mut self,
        stamp: &Stamp,
        path: Path,
        index: usize,
        media: &TurnMedia,
        served: &mut Served,
        batch: &mut SendBatch,
        events: &mut Vec<SessionEvent>,
    ) {
        let TurnMedia { track, target, packet, .. } = media;
        let takes_part = self.agreement.is_some();
        let is_behind = |slot: &&mut Slot| slot.is_open && slot.track == Some(*track);
        let Some(slot) = self.slots.get_mut(index).filter(is_behind) else { return };
        if slot.subscription.follows(target) == Some(packet.encoding) && !slot.sender.plays(packet.format) {
            return self.cannot_play(stamp.now, index, media, served, events);
        }
        slot.subscription.limit(most_spatial(packet, slot.sender.headers()));
        let begins = slot.kind == MediaKind::Video && takes_part && slot.subscription.awaits_entry();
        let numbers = match slot.subscription.accept(packet, target) {
            Verdict::Forward(numbers) => numbers,
            Verdict::AwaitsEntry => {
                served.awaiting += 1;
                served.wants = Some(Want { track: *track, encoding: packet.encoding, begins: true });
                return self.begin_behind(stamp.now, index, media, served);
            }
            Verdict::AwaitsSwitch => {
                served.wants = Some(Want { track: *track, encoding: packet.encoding, begins: false });
                return;
            }
            Verdict::Unwanted => return,
        };
        if self.hold(stamp.now, index, media, numbers, served) {
            self.hasten();
            served.deadline = Some(self.deadline);
        } else {
            let Some(slot) = self.slots.get_mut(index) else { return };
            let outgoing = Outgoing { packet, numbers, csrc: takes_part.then(|| track.csrc()) };
            match self.egress.send(stamp, path, &mut slot.sender, &outgoing, batch) {
                Ok(departed) => {
                    slot.sent = Some(stamp.now);
                    if let Some(link) = &mut self.link {
                        link.departed(stamp.now, departed, Purpose::Media);
                    }
                }
                Err(Unsent::NoPayloadType(_)) => {
                    return self.cannot_play(stamp.now, index, media, served, events);
                }
                Err(_) => return served.unsent += 1,
            }
        }
        let Some(slot) = self.slots.get_mut(index) else { return };
        served.packets += 1;
        served.bytes += packet.payload.len() as u64;
        slot.told = slot.told.map(|(_, at)| (packet.format, at));
        if begins {
            events.push(SessionEvent::Began { slot: index, track: *track, timestamp: numbers.timestamp });
        }
        self.expect(stamp.now, index, served);
    }

    /// Brings the deadline forward for the next report of a slot.
    fn expect(&mut self, now: Instant, index: usize, served: &mut Served) {
        let report = self.slots.get(index).and_then(|slot| slot.sender.reports.deadline());
        if let Some(report) = report.filter(|report| self.next_report.is_none_or(|next| *report < next)) {
            self.next_report = Some(report);
            self.deadline = self.deadline.min(self.at_leisure(now, report));
            served.deadline = Some(self.deadline);
        }
    }

    /// The receiver has no decoder for what a slot's track is now. A viewer of one stream is closed, a participant told.
    fn cannot_play(
        &mut self,
        now: Instant,
        index: usize,
        media: &TurnMedia,
        served: &mut Served,
        events: &mut Vec<SessionEvent>,
    ) {
        let format = media.packet.format;
        served.unplayable += 1;
        if self.agreement.is_none() {
            served.refused = Some(format);
        } else if let Some(slot) = self.slots.get_mut(index)
            && slot.cannot_play(now, format)
        {
            events.push(SessionEvent::Unplayable { slot: index, track: media.track, format });
        }
    }

    /// Closes the session of a viewer that has no decoder for the stream.
    pub fn refuse(&mut self, now: Instant, format: Format, turn: &mut Turn<'_>) {
        tracing::info!(session = %self.id, %format, "the viewer has no decoder for the stream; closing it");
        self.close(now, turn);
        turn.events.push(SessionEvent::Ended(EndReason::Unplayable));
    }

    /// Sends the reports that are due, in one datagram.
    pub(super) fn report(&mut self, now: Instant, turn: &mut Turn<'_>) {
        if self.next_report.is_none_or(|next| next > now) {
            return;
        }
        if let Some(path) = self.paths.outgoing() {
            let senders = self.slots.iter_mut().map(|slot| &mut slot.sender);
            if self.egress.report(now, path, senders, turn.batch).is_err() {
                turn.counters.unsent += 1;
            }
        }
        self.next_report = self.slots.iter().filter_map(|slot| slot.sender.reports.deadline()).min();
    }

    /// Says that all its slots' streams are over.
    pub(super) fn say_goodbye(&mut self, turn: &mut Turn<'_>) {
        let sources: Vec<_> = self.slots.iter().map(|slot| slot.sender.source()).collect();
        if let Some(path) = self.paths.outgoing().filter(|_| !sources.is_empty() && self.is_connected())
            && self.egress.goodbye(path, &sources, turn.batch).is_err()
        {
            turn.counters.unsent += 1;
        }
    }

    /// The sources of each section towards the client, for an answer.
    pub(super) fn sources_by_mid(&self) -> HashMap<Mid, Sources> {
        let open = self.slots.iter().filter(|slot| slot.is_open);
        open.map(|slot| (slot.sender.mid(), slot.sender.sources())).collect()
    }
}

/// The highest spatial layer of a packet's stream that a receiver with such headers can decode. Receivers of AV1 take each
/// layer's frame for a picture of its own, unless a dependency descriptor tells them what belongs together.
fn most_spatial(packet: &Packet, headers: &HeaderTemplate) -> u8 {
    if packet.format.codec == Codec::Av1
        && packet.layer.top > 0
        && headers.ids().dependency_descriptor.is_none()
    {
        0
    } else {
        u8::MAX
    }
}
