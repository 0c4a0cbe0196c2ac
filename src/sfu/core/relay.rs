//! What the cores of several workers tell each other, so that a session gets the tracks of any of them.
//!
//! A track lives where its publisher's session does, its home. Another core whose sessions it is bound to is told of it
//! ([`Note::Subscribe`]) and then gets each packet once ([`Relayed`]), as the home forwards it: what is muted or silent
//! does not cross, and sources are judged at home. Everything here is a value. Notes must arrive, in order, and not before
//! a command that was given earlier; packets may get lost.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use super::Core;
use crate::ids::{SessionId, TrackId, WorkerId};
use crate::net::demux::Path;
use crate::sfu::forward::keyframe::KeyframeRequests;
use crate::sfu::forward::track::{RelayMark, Track};
use crate::sfu::session::TurnMedia;

/// A track, and the worker that holds the session of its publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackHome {
    /// The track.
    pub track: TrackId,
    /// The worker.
    pub worker: WorkerId,
}

/// From one core to another. Must arrive, and in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// To a track's home: send its packets.
    Subscribe(TrackId),
    /// To a track's home: send no more of them.
    Unsubscribe(TrackId),
    /// To a track's home: a key frame is needed.
    Keyframe {
        /// The track.
        track: TrackId,
        /// Whether somebody has no picture at all.
        begins: bool,
        /// The key frames counted with the last packet that came; one that is on its way needs not be asked for.
        seen: u64,
    },
    /// From a track's home: it is gone.
    Ended(TrackId),
    /// To where the datagrams of this path arrive: a session here proved itself on it.
    PathProved(Path),
    /// To where the datagrams of this path arrive: no session here has it any more.
    PathGone(Path),
}

/// A packet on its way to another core. May get lost.
#[derive(Debug)]
pub struct Relayed {
    /// The packet.
    pub media: TurnMedia,
    /// Where it stands in its track.
    pub mark: RelayMark,
}

/// Tracks of other cores, and what is to be told to them.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) worker: WorkerId,
    /// The worker that received the datagram which is just handled, if it was another.
    pub(super) arrival: Option<WorkerId>,
    imports: HashMap<TrackId, Import>,
    /// The imported tracks for which a key frame is wanted.
    wanting: BTreeSet<TrackId>,
    notes: Vec<(WorkerId, Note)>,
    packets: BTreeMap<WorkerId, Vec<Relayed>>,
}

/// A track of another core.
#[derive(Debug)]
struct Import {
    home: WorkerId,
    /// The slots that it is bound to.
    bound: BTreeSet<(SessionId, usize)>,
    /// Those of them that get it: their sessions are connected.
    subscribers: Vec<(SessionId, usize)>,
    keyframes: KeyframeRequests,
    /// Where the last packet stood.
    mark: Option<RelayMark>,
}

impl Relay {
    pub(super) fn new(worker: WorkerId) -> Self {
        Self {
            worker,
            arrival: None,
            imports: HashMap::new(),
            wanting: BTreeSet::new(),
            notes: Vec::new(),
            packets: BTreeMap::new(),
        }
    }

    /// Whether the track is one of another core's that is known here.
    pub(super) fn knows(&self, track: TrackId) -> bool {
        self.imports.contains_key(&track)
    }

    /// How many slots get tracks of other cores.
    pub(super) fn subscriptions(&self) -> u64 {
        self.imports.values().map(|import| import.subscribers.len() as u64).sum()
    }

    pub(super) fn tell(&mut self, to: WorkerId, note: Note) {
        self.notes.push((to, note));
    }

    /// Sends a packet of a track of this core to those who asked for it.
    pub(super) fn send(&mut self, track: &Track, media: &TurnMedia) {
        for worker in &track.relayed_to {
            let media =
                TurnMedia { track: media.track, target: media.target, packet: media.packet.clone() };
            self.packets.entry(*worker).or_default().push(Relayed { media, mark: track.mark() });
        }
    }

    /// A slot has this track now. Returns whether it is another core's.
    pub(super) fn bound(&mut self, track: TrackId, to: (SessionId, usize)) -> bool {
        self.imports.get_mut(&track).map(|import| import.bound.insert(to)).is_some()
    }

    /// Lets a track flow to a slot that it is bound to. Returns whether it is another core's.
    pub(super) fn subscribe(&mut self, track: TrackId, to: (SessionId, usize)) -> bool {
        let Some(import) = self.imports.get_mut(&track) else { return false };
        if import.subscribers.is_empty() {
            // Brings a key frame by itself.
            self.notes.push((import.home, Note::Subscribe(track)));
            import.mark = None;
        } else {
            import.keyframes.want_to_begin();
            self.wanting.insert(track);
        }
        import.subscribers.push(to);
        true
    }

    /// A slot has this track no more.
    pub(super) fn unbound(&mut self, track: TrackId, from: (SessionId, usize)) {
        let Some(import) = self.imports.get_mut(&track) else { return };
        import.bound.remove(&from);
        let before = import.subscribers.len();
        import.subscribers.retain(|subscriber| *subscriber != from);
        if before > 0 && import.subscribers.is_empty() {
            self.notes.push((import.home, Note::Unsubscribe(track)));
        }
        if import.bound.is_empty() {
            self.imports.remove(&track);
        }
    }

    /// A subscriber of another core's track needs a key frame.
    pub(super) fn want_keyframe(&mut self, track: TrackId, want: fn(&mut KeyframeRequests)) {
        if let Some(import) = self.imports.get_mut(&track) {
            want(&mut import.keyframes);
            self.wanting.insert(track);
        }
    }

    /// Tells the homes of tracks which key frames are wanted: once for all subscribers here.
    pub(super) fn tell_keyframes(&mut self) {
        while let Some(track) = self.wanting.pop_first() {
            let Some(import) = self.imports.get_mut(&track) else { continue };
            let seen = import.mark.map_or(0, |mark| mark.keyframes);
            if let Some(begins) = import.keyframes.take() {
                self.notes.push((import.home, Note::Keyframe { track, begins, seen }));
            }
        }
    }
}

impl Core {
    /// Takes what is to be told to other workers' cores.
    pub fn take_notes(&mut self) -> impl Iterator<Item = (WorkerId, Note)> + '_ {
        let released = self.demux.take_released();
        self.relay.notes.extend(released.map(|(worker, path)| (worker, Note::PathGone(path))));
        self.relay.notes.drain(..)
    }

    /// The packets for other workers' cores, to be taken out. Vectors that were used once are kept for their memory.
    pub fn relays(&mut self) -> impl Iterator<Item = (WorkerId, &mut Vec<Relayed>)> {
        let filled = self.relay.packets.iter_mut().filter(|(_, packets)| !packets.is_empty());
        filled.map(|(worker, packets)| (*worker, packets))
    }

    /// Hears a note of another worker's core. To be called between turns.
    pub fn note(&mut self, now: Instant, from: WorkerId, note: Note) {
        match note {
            Note::Subscribe(track) => self.export(from, track),
            Note::Unsubscribe(track) => {
                if let Some(track) = self.tracks.get_mut(&track) {
                    track.relayed_to.retain(|worker| *worker != from);
                }
            }
            Note::Keyframe { track, begins, seen } => {
                let is_news = self.tracks.get(&track).is_some_and(|track| track.mark().keyframes <= seen);
                if is_news {
                    let want =
                        if begins { KeyframeRequests::want_to_begin } else { KeyframeRequests::want };
                    self.want_keyframe(track, want);
                }
            }
            Note::Ended(track) => self.import_ended(from, track),
            Note::PathProved(path) => {
                self.demux.learn_elsewhere(now, path, from);
            }
            Note::PathGone(path) => self.demux.forget_elsewhere(path, from),
        }
    }

    /// Takes packets of other workers' tracks, as [`Self::receive`] takes datagrams: they leave with [`Self::forward`].
    /// `packets` is empty afterwards. What nobody here subscribes to any more is left out.
    pub fn relayed(&mut self, packets: &mut Vec<Relayed>) {
        for Relayed { media, mark } in packets.drain(..) {
            let Some(import) = self.relay.imports.get_mut(&media.track) else { continue };
            if import.subscribers.is_empty() {
                continue;
            }
            self.counters.relayed_packets_in += 1;
            let before = import.mark.replace(mark);
            let subscribers = std::mem::take(&mut import.subscribers);
            if before.is_some_and(|before| before.epoch != mark.epoch) {
                self.begin_anew(&subscribers);
            }
            let track = media.track;
            self.deal(&subscribers, media);
            if let Some(import) = self.relay.imports.get_mut(&track) {
                import.subscribers = subscribers;
            }
        }
    }

    /// Does what [`Self::bind`] does, for a track of any worker.
    pub fn bind_any(&mut self, id: SessionId, slot: usize, track: Option<TrackHome>) {
        let far = track.filter(|home| home.worker != self.relay.worker);
        if let Some(TrackHome { track, worker }) = far {
            self.relay.imports.entry(track).or_insert_with(|| Import {
                home: worker,
                bound: BTreeSet::new(),
                subscribers: Vec::new(),
                keyframes: KeyframeRequests::default(),
                mark: None,
            });
        }
        self.bind(id, slot, track.map(|home| home.track));
        // The session, or the slot, may have ended a moment ago.
        if let Some(TrackHome { track, .. }) = far
            && self.relay.imports.get(&track).is_some_and(|import| import.bound.is_empty())
        {
            self.relay.imports.remove(&track);
        }
    }

    fn export(&mut self, to: WorkerId, id: TrackId) {
        let Some(track) = self.tracks.get_mut(&id) else { return self.relay.tell(to, Note::Ended(id)) };
        if !track.relayed_to.contains(&to) {
            track.relayed_to.push(to);
        }
        self.want_keyframe(id, KeyframeRequests::want_to_begin);
    }

    fn import_ended(&mut self, home: WorkerId, id: TrackId) {
        let Some(import) = self.relay.imports.remove(&id).filter(|import| import.home == home) else { return };
        for (session, slot) in import.bound {
            let slot = self.sessions.get_mut(&session).and_then(|session| session.slots.get_mut(slot));
            if let Some(slot) = slot.filter(|slot| slot.track == Some(id)) {
                slot.bind(None);
            }
        }
    }
}
