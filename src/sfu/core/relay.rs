//! What the cores of several workers tell each other, so that a session gets the tracks of any of them.
//!
//! A track lives where its publisher's session does, its home. Another core whose sessions it is bound to is told of it
//! ([`Note::Subscribe`]) and then gets each packet once ([`Relayed`]), as the home forwards it: what is muted or silent
//! does not cross, and sources are judged at home. Everything here is a value. Notes must arrive, in order, and not before
//! a command that was given earlier; packets may get lost.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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
    pub(super) imports: HashMap<TrackId, Import>,
    /// The imported tracks for which a key frame is wanted.
    wanting: BTreeSet<TrackId>,
    notes: Vec<(WorkerId, Note)>,
    packets: BTreeMap<WorkerId, Vec<Relayed>>,
}

/// A track of another core.
#[derive(Debug)]
pub(super) struct Import {
    home: WorkerId,
    /// The slots that it is bound to.
    bound: BTreeSet<(SessionId, usize)>,
    /// Those of them that get it: their sessions are connected.
    pub(super) subscribers: Vec<(SessionId, usize)>,
    keyframes: KeyframeRequests,
    /// Where the last packet stood.
    pub(super) mark: Option<RelayMark>,
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
            let media = TurnMedia { track: media.track, target: media.target, packet: media.packet.clone() };
            self.packets.entry(*worker).or_default().push(Relayed { media, mark: track.mark() });
        }
    }

    /// A slot is about to be bound to a track of another core. To be followed by [`Self::settle`].
    pub(super) fn expect(&mut self, TrackHome { track, worker }: TrackHome) {
        self.imports.entry(track).or_insert_with(|| Import {
            home: worker,
            bound: BTreeSet::new(),
            subscribers: Vec::new(),
            keyframes: KeyframeRequests::default(),
            mark: None,
        });
    }

    /// Forgets a track that was bound to nothing after all: the session, or the slot, ended a moment ago.
    pub(super) fn settle(&mut self, track: TrackId) {
        if self.imports.get(&track).is_some_and(|import| import.bound.is_empty()) {
            self.imports.remove(&track);
        }
    }

    /// A track is gone. Returns the slots that it was bound to.
    pub(super) fn ended(&mut self, track: TrackId) -> BTreeSet<(SessionId, usize)> {
        self.imports.remove(&track).map(|import| import.bound).unwrap_or_default()
    }

    /// Takes out what is to be told.
    pub(super) fn take_notes(&mut self) -> impl Iterator<Item = (WorkerId, Note)> + '_ {
        self.notes.drain(..)
    }

    /// The packets to be sent, by worker.
    pub(super) fn packets(&mut self) -> impl Iterator<Item = (WorkerId, &mut Vec<Relayed>)> {
        let filled = self.packets.iter_mut().filter(|(_, packets)| !packets.is_empty());
        filled.map(|(worker, packets)| (*worker, packets))
    }

    /// A slot has this track now.
    pub(super) fn bound(&mut self, track: TrackId, to: (SessionId, usize)) {
        if let Some(import) = self.imports.get_mut(&track) {
            import.bound.insert(to);
        }
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
