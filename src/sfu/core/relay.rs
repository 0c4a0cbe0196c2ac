//! What the cores of several workers tell each other, so that a session gets the tracks of any of them.
//!
//! A track lives where its publisher's session does, its home. Another core whose sessions it is bound to is told of it
//! ([`Note::Subscribe`]) and then gets each packet once ([`Relayed`]), as the home forwards it: what is muted or silent
//! does not cross, and sources are judged at home. Everything here is a value. Notes must arrive, in order, and not before
//! a command that was given earlier; packets may get lost.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::ids::{SessionId, TrackId, WorkerId};
use crate::net::demux::Path;
use crate::sfu::forward::ladder::Ladder;
use crate::sfu::forward::packet::EncodingIndex;
use crate::sfu::forward::target::{MOST_ENCODINGS, Target};
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// To a track's home: send its packets.
    Subscribe(TrackId),
    /// To a track's home: send no more of them.
    Unsubscribe(TrackId),
    /// To a track's home: a key frame is needed.
    Keyframe {
        /// The track.
        track: TrackId,
        /// The encoding.
        encoding: EncodingIndex,
        /// Whether somebody has no picture at all.
        begins: bool,
        /// The key frames counted with the last packet of the encoding that came; one that is on its way needs not be asked for.
        seen: u64,
    },
    /// To a track's home: which encodings are used, one bit each, as [`Core::used_encodings`](super::Core::used_encodings)
    /// tells them. All of them are until the first of these notes.
    Uses {
        /// The track.
        track: TrackId,
        /// The encodings.
        encodings: u8,
    },
    /// From a track's home: all ways to receive it now.
    Ladder(TrackId, Ladder),
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
    /// The encodings of this core's tracks that other cores use, as far as they told.
    uses: HashMap<(TrackId, WorkerId), u8>,
}

/// More key frames than there are: who saw no packet of an encoding missed none that it asks for.
const UNSEEN: u64 = u64::MAX;

/// A track of another core.
#[derive(Debug)]
pub(super) struct Import {
    home: WorkerId,
    /// The slots that it is bound to.
    bound: BTreeSet<(SessionId, usize)>,
    /// Those of them that get it: their sessions are connected.
    pub(super) subscribers: Vec<(SessionId, usize)>,
    /// The encodings of which a key frame is wanted, and whether somebody has no picture at all.
    wanted: [Option<bool>; MOST_ENCODINGS],
    /// The epoch of the last packet.
    pub(super) epoch: Option<u32>,
    /// The key frames counted with the last packet of each encoding; [`UNSEEN`] before the first.
    seen: [u64; MOST_ENCODINGS],
    /// What could be followed with the last packet.
    target: Option<Target>,
    ladder: Ladder,
    /// The encodings that home was told are used.
    told: Option<u8>,
}

impl Import {
    /// Takes note of a packet that came.
    pub(super) fn arrived(&mut self, media: &TurnMedia, mark: RelayMark) {
        self.target = Some(media.target);
        if let Some(seen) = self.seen.get_mut(usize::from(media.packet.encoding.0)) {
            *seen = mark.keyframes;
        }
    }

    fn want_keyframe(&mut self, encoding: Option<EncodingIndex>, begins: bool) -> bool {
        let Some(encoding) = encoding.or_else(|| Some(self.target?.best)) else { return false };
        let Some(wanted) = self.wanted.get_mut(usize::from(encoding.0)) else { return false };
        *wanted = Some(wanted.unwrap_or(false) || begins);
        true
    }
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
            uses: HashMap::new(),
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
            let mark = track.mark(media.packet.encoding);
            let TurnMedia { track, target, entry, .. } = *media;
            let media = TurnMedia { track, target, packet: media.packet.clone(), entry };
            self.packets.entry(*worker).or_default().push(Relayed { media, mark });
        }
    }

    /// A slot is about to be bound to a track of another core. To be followed by [`Self::settle`].
    pub(super) fn expect(&mut self, TrackHome { track, worker }: TrackHome) {
        self.imports.entry(track).or_insert_with(|| Import {
            home: worker,
            bound: BTreeSet::new(),
            subscribers: Vec::new(),
            wanted: [None; MOST_ENCODINGS],
            epoch: None,
            seen: [UNSEEN; MOST_ENCODINGS],
            target: None,
            ladder: Ladder::default(),
            told: None,
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
            // Brings what it can be received as, or a key frame where that is not known.
            self.notes.push((import.home, Note::Subscribe(track)));
            import.epoch = None;
            import.target = None;
            import.told = None;
            import.seen = [UNSEEN; MOST_ENCODINGS];
        } else if import.ladder.rungs.is_empty() && import.want_keyframe(None, true) {
            self.wanting.insert(track);
        }
        import.subscribers.push(to);
        true
    }

    /// A slot has this track no more. Returns whether that was the last one that got it.
    pub(super) fn unbound(&mut self, track: TrackId, from: (SessionId, usize)) -> bool {
        let Some(import) = self.imports.get_mut(&track) else { return false };
        import.bound.remove(&from);
        let before = import.subscribers.len();
        import.subscribers.retain(|subscriber| *subscriber != from);
        let was_last = before > 0 && import.subscribers.is_empty();
        if was_last {
            self.notes.push((import.home, Note::Unsubscribe(track)));
        }
        if import.bound.is_empty() {
            self.imports.remove(&track);
        }
        was_last
    }

    /// A subscriber of another core's track needs a key frame, see [`Track::want_keyframe`].
    pub(super) fn want_keyframe(&mut self, track: TrackId, encoding: Option<EncodingIndex>, begins: bool) {
        if self.imports.get_mut(&track).is_some_and(|import| import.want_keyframe(encoding, begins)) {
            self.wanting.insert(track);
        }
    }

    /// Tells the homes of tracks which key frames are wanted: once for all subscribers here.
    pub(super) fn tell_keyframes(&mut self) {
        while let Some(track) = self.wanting.pop_first() {
            let Some(import) = self.imports.get_mut(&track) else { continue };
            for (encoding, (wanted, seen)) in (0..).zip(import.wanted.iter_mut().zip(&import.seen)) {
                if let Some(begins) = wanted.take() {
                    let encoding = EncodingIndex(encoding);
                    self.notes.push((import.home, Note::Keyframe { track, encoding, begins, seen: *seen }));
                }
            }
        }
    }

    /// Tells those who get a track of this core what it can be received as.
    pub(super) fn tell_ladder(&mut self, track: &Track) {
        for worker in &track.relayed_to {
            self.notes.push((*worker, Note::Ladder(track.id, track.ladder().clone())));
        }
    }

    /// What a track of another core can be received as.
    pub(super) fn ladder_of(&self, track: TrackId) -> Option<&Ladder> {
        self.imports.get(&track).map(|import| &import.ladder)
    }

    /// Who shows a track of another core.
    pub(super) fn showing(&self, track: TrackId) -> impl Iterator<Item = SessionId> + '_ {
        let import = self.imports.get(&track).into_iter();
        import.flat_map(|import| import.bound.iter().map(|(session, _)| *session))
    }

    /// Keeps the ladder of another core's track, and tells its home which encodings are used here, when that is news.
    pub(super) fn import_ladder(&mut self, track: TrackId, ladder: Ladder, used: u8) {
        let Some(import) = self.imports.get_mut(&track) else { return };
        import.ladder = ladder;
        // Before the first packet nobody knows what it will be.
        if import.target.is_some() && import.told != Some(used) && !import.subscribers.is_empty() {
            import.told = Some(used);
            self.notes.push((import.home, Note::Uses { track, encodings: used }));
        }
    }

    /// Another core uses these encodings of a track of this one.
    pub(super) fn uses(&mut self, track: TrackId, worker: WorkerId, encodings: u8) {
        self.uses.insert((track, worker), encodings);
    }

    /// Another core has a track of this one no more.
    pub(super) fn uses_nothing(&mut self, track: TrackId, worker: WorkerId) {
        self.uses.remove(&(track, worker));
    }

    /// The encodings that another core uses: all, until it told.
    pub(super) fn uses_of(&self, track: TrackId, worker: WorkerId) -> u8 {
        self.uses.get(&(track, worker)).copied().unwrap_or(u8::MAX)
    }
}
