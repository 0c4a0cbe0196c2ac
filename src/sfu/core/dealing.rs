//! What came in, on its way to those who get it.

use super::Core;
use super::event::CoreEvent;
use crate::ids::{SessionId, TrackId};
use crate::sfu::forward::packet::Packet;
use crate::sfu::session::TurnMedia;
use crate::units::{AudioLevel, MediaKind};

impl Core {
    pub(super) fn media(&mut self, id: TrackId, mut packet: Packet) {
        let Some(track) = self.tracks.get_mut(&id) else { return };
        self.counters.media_packets_in += 1;
        self.counters.media_bytes_in += packet.payload.len() as u64;
        if track.is_muted() {
            return self.counters.muted += track.receivers();
        }
        let Some(received) = track.receive(packet.arrived, &mut packet) else {
            self.counters.unknown_media += 1;
            return;
        };
        if let Some(format) = received.format {
            self.events.push(CoreEvent::TrackFormat(id, format));
        }
        self.events.extend(received.advice.map(|advice| CoreEvent::Advice(id, advice)));
        if received.has_new_ladder {
            self.relay.tell_ladder(track);
        }
        if !track.passes(&mut packet) {
            return self.counters.silent += track.receivers();
        }
        if track.kind == MediaKind::Audio && track.level(packet.arrived) > AudioLevel::SILENT {
            self.levels.heard(packet.arrived, id);
        }
        let is_kept = track.keeps_group(packet.encoding);
        let entry = self.histories.keep_group(is_kept, id, &packet);
        let media = TurnMedia { track: id, target: received.target, packet, entry };
        if !track.relayed_to.is_empty() {
            self.relay.send(track, &media);
            self.counters.relayed_packets_out += track.relayed_to.len() as u64;
        }
        let subscribers = std::mem::take(&mut track.subscribers);
        self.deal(&subscribers, media);
        if let Some(track) = self.tracks.get_mut(&id) {
            track.subscribers = subscribers;
        }
    }

    /// Puts a packet on the lists of those who get it.
    pub(super) fn deal(&mut self, subscribers: &[(SessionId, usize)], media: TurnMedia) {
        if subscribers.is_empty() {
            return;
        }
        self.histories.push(media.packet.arrived, media.track, &media.packet);
        let place = self.media.len();
        for (id, slot) in subscribers {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            if session.work.is_empty() {
                self.touched.push(*id);
            }
            session.work.push((place, *slot));
        }
        self.media.push(media);
    }
}
