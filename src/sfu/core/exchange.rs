//! What a core gives to the cores of other workers and takes from them: notes and packets, as [`super::relay`] says.

use std::time::Instant;

use super::Core;
use super::relay::{Note, Relayed, TrackHome};
use crate::ids::{SessionId, TrackId, WorkerId};
use crate::net::datagram::{Datagram, SendBatch};
use crate::sfu::forward::ladder::Ladder;

impl Core {
    /// Takes what is to be told to other workers' cores.
    pub fn take_notes(&mut self) -> impl Iterator<Item = (WorkerId, Note)> + '_ {
        for (worker, path) in self.demux.take_released() {
            self.relay.tell(worker, Note::PathGone(path));
        }
        self.relay.take_notes()
    }

    /// The packets for other workers' cores, to be taken out. Vectors that were used once are kept for their memory.
    pub fn relays(&mut self) -> impl Iterator<Item = (WorkerId, &mut Vec<Relayed>)> {
        self.relay.packets()
    }

    /// Hears a note of another worker's core. To be called between turns.
    pub fn note(&mut self, now: Instant, from: WorkerId, note: Note) {
        match note {
            Note::Subscribe(track) => self.export(from, track),
            Note::Unsubscribe(track) => {
                if let Some(track) = self.tracks.get_mut(&track) {
                    track.relayed_to.retain(|worker| *worker != from);
                    self.relay.uses_nothing(track.id, from);
                }
            }
            Note::Keyframe { track, encoding, begins, seen } => {
                let is_news =
                    self.tracks.get(&track).is_some_and(|track| track.mark(encoding).keyframes <= seen);
                if is_news {
                    self.want_keyframe(track, Some(encoding), begins);
                }
            }
            Note::Ladder(track, ladder) => self.import_ladder(track, ladder),
            Note::Uses { track, encodings } => {
                // It may have ended while this was on its way.
                if self.tracks.contains_key(&track) {
                    self.relay.uses(track, from, encodings);
                }
            }
            Note::Ended(track) => self.import_ended(track),
            Note::PathProved(path) => {
                self.demux.learn_elsewhere(now, path, from);
            }
            Note::PathGone(path) => self.demux.forget_elsewhere(path, from),
        }
    }

    /// Takes a datagram for a session that `arrival`, another worker, received and handed over.
    pub fn receive_from(
        &mut self,
        now: Instant,
        arrival: WorkerId,
        id: SessionId,
        datagram: &Datagram<'_>,
        batch: &mut SendBatch,
    ) {
        self.relay.arrival = Some(arrival);
        self.receive(now, id, datagram, batch);
        self.relay.arrival = None;
    }

    /// Takes packets of other workers' tracks, as [`Self::receive`] takes datagrams: they leave with [`Self::forward`].
    /// What nobody here subscribes to any more is left out.
    pub fn relayed(&mut self, packets: impl IntoIterator<Item = Relayed>) {
        for Relayed { mut media, mark } in packets {
            let Some(import) = self.relay.imports.get_mut(&media.track) else { continue };
            if import.subscribers.is_empty() {
                continue;
            }
            self.counters.relayed_packets_in += 1;
            let before = import.epoch.replace(mark.epoch);
            import.arrived(&media, mark);
            let subscribers = std::mem::take(&mut import.subscribers);
            if before.is_some_and(|before| before != mark.epoch) {
                self.begin_anew(&subscribers);
                self.histories.drop_groups_of(media.track);
            }
            let track = media.track;
            media.entry = self.histories.keep_group(media.entry.is_some(), track, &media.packet);
            self.deal(&subscribers, media);
            if let Some(import) = self.relay.imports.get_mut(&track) {
                import.subscribers = subscribers;
            }
        }
    }

    /// Does what [`Self::bind`] does, for a track of any worker.
    pub fn bind_any(&mut self, id: SessionId, slot: usize, track: Option<TrackHome>) {
        let far = track.filter(|home| home.worker != self.relay.worker);
        if let Some(home) = far {
            self.relay.expect(home);
        }
        self.bind(id, slot, track.map(|home| home.track));
        if let Some(home) = far {
            self.relay.settle(home.track);
        }
    }

    fn export(&mut self, to: WorkerId, id: TrackId) {
        let Some(track) = self.tracks.get_mut(&id) else { return self.relay.tell(to, Note::Ended(id)) };
        if !track.relayed_to.contains(&to) {
            track.relayed_to.push(to);
        }
        let ladder = track.ladder().clone();
        // As when a subscriber of this core comes: the other core asks for what it deals out.
        if ladder.rungs.is_empty() {
            self.want_keyframe(id, None, true);
        }
        self.relay.tell(to, Note::Ladder(id, ladder));
    }

    /// The ladder of another worker's track. Tells in turn which of its encodings are used here.
    fn import_ladder(&mut self, id: TrackId, ladder: Ladder) {
        let used = self.used_encodings(id);
        if self.relay.ladder_of(id).is_some_and(|known| known.rungs.is_empty()) {
            self.allotting.short.extend(self.relay.showing(id));
        }
        self.relay.import_ladder(id, ladder, used);
    }

    fn import_ended(&mut self, id: TrackId) {
        self.histories.drop_groups_of(id);
        for (session, slot) in self.relay.ended(id) {
            let slot = self.sessions.get_mut(&session).and_then(|session| session.slots.get_mut(slot));
            if let Some(slot) = slot.filter(|slot| slot.track == Some(id)) {
                slot.bind(None);
            }
        }
    }
}
