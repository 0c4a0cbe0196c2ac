//! All sessions and tracks of one worker, and the way of a packet between them.

mod allotting;
mod dealing;
mod event;
mod exchange;
mod keyframes;
mod ladders;
mod levels;
mod mute;
pub mod relay;
mod restart;
mod shares;
mod wishes;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use self::allotting::Allotting;
pub use self::event::CoreEvent;
use self::levels::Levels;
use self::relay::{Note, Relay};
use super::counters::{Counters, Links};
use super::forward::histories::Histories;
use super::forward::track::Track;
use super::session::channels::{ChannelKind, DataMessage};
use super::session::{EndReason, Session, SessionEvent, Turn, TurnMedia};
use super::timers::Timers;
use crate::ids::{IdMap, RequestId, SessionId, TrackId, WorkerId};
use crate::net::addresses::AddressMap;
use crate::net::datagram::{Datagram, SendBatch};
use crate::net::demux::{Demux, IceCredentials};

/// A forwarding core. See [`crate::sfu`] for its turn.
pub struct Core {
    addresses: AddressMap,
    demux: Demux<SessionId>,
    /// Boxed: they are large, and a table has room to spare.
    sessions: IdMap<SessionId, Box<Session>>,
    tracks: IdMap<TrackId, Track>,
    histories: Histories,
    timers: Timers,
    levels: Levels,
    allotting: Allotting,
    relay: Relay,
    next_source: u64,
    /// The media of this turn.
    media: Vec<TurnMedia>,
    /// The sessions that get something of it.
    touched: Vec<SessionId>,
    /// Whether a turn's forwarding has begun and is not through.
    forwarding: bool,
    /// Which of the touched sessions comes first in the next turn.
    first: usize,
    /// Tracks for which a key frame is wanted.
    wanting: BTreeSet<TrackId>,
    session_events: Vec<SessionEvent>,
    scratch: Vec<u8>,
    events: Vec<CoreEvent>,
    counters: Counters,
}

impl Core {
    /// The core of the first worker, or of the only one, without sessions.
    #[must_use]
    pub fn new(addresses: AddressMap) -> Self {
        Self::on(WorkerId(0), addresses)
    }

    /// The core of one of several workers.
    #[must_use]
    pub fn on(worker: WorkerId, addresses: AddressMap) -> Self {
        Self {
            addresses,
            demux: Demux::on(worker),
            sessions: IdMap::default(),
            tracks: IdMap::default(),
            histories: Histories::default(),
            timers: Timers::default(),
            levels: Levels::default(),
            allotting: Allotting::default(),
            relay: Relay::new(worker),
            // Sources of all workers are told apart.
            next_source: u64::from(worker.0) << 56,
            media: Vec::new(),
            touched: Vec::new(),
            forwarding: false,
            first: 0,
            wanting: BTreeSet::new(),
            session_events: Vec::new(),
            scratch: Vec::new(),
            events: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// The addresses of this machine, and those that clients are told.
    #[must_use]
    pub fn addresses(&self) -> &AddressMap {
        &self.addresses
    }

    /// The table that tells whose a datagram is.
    #[must_use]
    pub fn demux(&self) -> &Demux<SessionId> {
        &self.demux
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let own: u64 = self.tracks.values().map(|track| track.subscribers.len() as u64).sum();
        let subscriptions = own + self.relay.subscriptions();
        let (sessions, tracks) = (self.sessions.len() as u64, self.tracks.len() as u64);
        let mut links = Links::default();
        self.sessions.values().for_each(|session| session.count_link(&mut links));
        let group_bytes = self.histories.group_bytes() as u64;
        Counters { sessions, tracks, subscriptions, links, group_bytes, ..self.counters.clone() }
    }

    /// For what is counted outside of sessions.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// Takes the events since the last call.
    pub fn take_events(&mut self) -> impl Iterator<Item = CoreEvent> + '_ {
        self.events.drain(..)
    }

    /// When [`Self::drive`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let own = [self.levels.deadline(), self.histories.deadline(), self.next_allotting()];
        own.into_iter().chain([self.timers.next()]).flatten().min()
    }

    /// Takes a negotiated session in.
    pub fn join(&mut self, now: Instant, session: Session) {
        let id = session.id;
        self.demux.insert_ufrag(session.ufrag, id);
        for track in &session.published {
            self.tracks.insert(track.id, Track::new(track.id, id, track.kind, !session.takes_part()));
        }
        self.counters.sessions_started += 1;
        self.timers.set(id, now);
        self.sessions.insert(id, Box::new(session));
    }

    /// Ends a session from this side, with a goodbye to its peer.
    pub fn leave(&mut self, now: Instant, id: SessionId, batch: &mut SendBatch) {
        self.with_session(id, batch, |session, turn| session.close(now, turn));
        self.end(id, EndReason::Requested);
    }

    /// Ends all sessions, as [`Self::leave`] does.
    pub fn leave_all(&mut self, now: Instant, batch: &mut SendBatch) {
        let all: Vec<_> = self.sessions.keys().copied().collect();
        for id in all {
            self.leave(now, id, batch);
        }
    }

    /// Puts a track behind a slot, or nothing. Sessions and slots that ended a moment ago are left alone; a track that
    /// ended is as good as none.
    pub fn bind(&mut self, id: SessionId, slot: usize, track: Option<TrackId>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let connected = session.is_connected();
        let Some(state) = session.slots.get_mut(slot) else { return };
        let is_known = |track: &TrackId| self.tracks.contains_key(track) || self.relay.knows(*track);
        let track = track.filter(|track| state.is_open && is_known(track));
        if state.track == track {
            return;
        }
        let before = state.bind(track);
        if let Some(before) = before {
            self.unbound(id, slot, before);
        }
        if let Some(track) = track {
            self.relay.bound(track, (id, slot));
        }
        if let Some(track) = track.filter(|_| connected) {
            self.subscribe(id, slot, track);
        }
    }

    /// Answers a later offer of a participant with [`CoreEvent::Answered`]; a session that is gone answers nothing. Tracks
    /// and slots that are not in the answer end. `ice` is for the case that it restarts ICE.
    pub fn offer(
        &mut self,
        now: Instant,
        id: SessionId,
        request: RequestId,
        offer: &str,
        ice: &IceCredentials,
        batch: &mut SendBatch,
    ) {
        let Some(session) = self.sessions.get(&id) else { return };
        let (before, ufrag) = (session.published.clone(), session.ufrag);
        let mut outcome = None;
        self.with_session(id, batch, |session, turn| {
            outcome = Some(session.renegotiate(now, offer, ice, turn));
        });
        self.rename(id, ufrag);
        let (Some(session), Some(outcome)) = (self.sessions.get(&id), outcome) else { return };
        let after = session.published.clone();
        let closed = session.slots.iter().enumerate().filter(|(_, slot)| !slot.is_open);
        let closed: Vec<_> = closed.map(|(index, _)| index).collect();
        for slot in closed {
            self.bind(id, slot, None);
        }
        for track in before.iter().filter(|track| !after.contains(track)) {
            self.end_track(track.id);
        }
        for track in after.iter().filter(|track| !before.contains(track)) {
            self.tracks.insert(track.id, Track::new(track.id, id, track.kind, false));
        }
        self.events.push(CoreEvent::Answered { session: id, request, outcome });
    }

    /// Lets a track flow to a slot. Only to sessions that are connected: what is sent before that would pile up, and
    /// fall on the subscriber all at once.
    fn subscribe(&mut self, id: SessionId, slot: usize, track: TrackId) {
        if let Some(state) = self.tracks.get_mut(&track) {
            state.subscribers.push((id, slot));
            // Until its link is dealt out it would be sent the largest encoding. Of several, the one that it gets is asked
            // for a key frame then.
            self.allotting.short.push(id);
            if state.ladder().rungs.is_empty() {
                self.want_keyframe(track, None, true);
            }
        } else if self.relay.subscribe(track, (id, slot)) {
            // Its packets come from another worker.
            self.allotting.short.push(id);
        } else if let Some(session) = self.sessions.get_mut(&id)
            && let Some(slot) = session.slots.get_mut(slot)
        {
            // It ended while the subscriber was still connecting.
            slot.bind(None);
        }
    }

    /// A slot has this track no more.
    fn unbound(&mut self, id: SessionId, slot: usize, track: TrackId) {
        match self.tracks.get_mut(&track) {
            Some(track) => track.subscribers.retain(|subscriber| *subscriber != (id, slot)),
            None => {
                if self.relay.unbound(track, (id, slot)) {
                    // From here on nothing of it comes.
                    self.histories.drop_groups_of(track);
                }
            }
        }
    }

    /// Sends a message to a session through one of its data channels, if it has opened it. A session that ended a moment
    /// ago is left alone.
    pub fn send(
        &mut self,
        now: Instant,
        to: SessionId,
        channel: ChannelKind,
        message: &DataMessage,
        batch: &mut SendBatch,
    ) {
        self.with_session(to, batch, |session, turn| session.send(now, channel, message, turn));
    }

    /// Takes a datagram for a session. What it brought leaves with [`Self::forward`].
    pub fn receive(&mut self, now: Instant, id: SessionId, datagram: &Datagram<'_>, batch: &mut SendBatch) {
        self.with_session(id, batch, |session, turn| session.receive(now, datagram, turn));
    }

    /// Drives everything whose time has come.
    pub fn drive(&mut self, now: Instant, batch: &mut SendBatch) {
        // A session that asks for an immediate timeout again and again gets one per turn.
        let mut due = Vec::new();
        while let Some(id) = self.timers.pop_due(now) {
            due.push(id);
        }
        for id in due {
            self.with_session(id, batch, |session, turn| session.drive(now, turn));
        }
        self.tell_levels(now);
        self.histories.sweep(now);
        self.allot(now);
    }

    /// Serves the subscribers of what was received in this turn, one subscriber after the other, then asks
    /// publishers for the key frames that are missing. Returns whether there is more: the batch is full then, and is to be
    /// sent before the next call.
    #[must_use = "what is left is lost unless forward is called again"]
    pub fn forward(&mut self, now: Instant, batch: &mut SendBatch) -> bool {
        if !self.forwarding {
            self.forwarding = true;
            self.rotate();
        }
        while let Some(id) = self.touched.pop() {
            self.serve(now, id, batch);
            if batch.is_full() {
                return true;
            }
        }
        self.forwarding = false;
        self.media.clear();
        self.request_keyframes(now, batch);
        self.relay.tell_keyframes();
        false
    }

    /// Lets another subscriber be the first in each turn. When the kernel's buffer is full the last ones lose their
    /// packets: steps of the golden ratio spread that evenly, so that nobody suffers turn after turn.
    fn rotate(&mut self) {
        let count = self.touched.len();
        if count > 1 {
            self.touched.rotate_left(self.first % count);
            self.first = self.first.wrapping_add(count * 618 / 1_000 + 1);
        }
    }

    /// Sends a session its part of the turn's media. A panic ends that session and nothing else.
    fn serve(&mut self, now: Instant, id: SessionId, batch: &mut SendBatch) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let events = &mut self.session_events;
        // As in `with_session`: what a panic leaves behind is dropped with the session, or holds whole values only.
        let outcome = catch_unwind(AssertUnwindSafe(|| session.serve(now, &self.media, batch, events)));
        let Ok(served) = outcome else {
            self.broke(id);
            return self.tell(id);
        };
        served.count(&mut self.counters);
        if let Some(deadline) = served.deadline {
            self.timers.set(id, deadline);
        }
        if let Some(want) = served.wants {
            self.want_keyframe(want.track, Some(want.encoding), want.begins);
        }
        if let Some(format) = served.refused {
            self.with_session(id, batch, |session, turn| session.refuse(now, format, turn));
        } else if !self.session_events.is_empty() {
            self.tell(id);
        }
    }

    /// Runs `touch` on a session, then handles what it told. A panic ends that session and nothing else.
    fn with_session(
        &mut self,
        id: SessionId,
        batch: &mut SendBatch,
        touch: impl FnOnce(&mut Session, &mut Turn<'_>),
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let mut turn = Turn {
            addresses: &self.addresses,
            batch,
            events: &mut self.session_events,
            histories: &self.histories,
            scratch: &mut self.scratch,
            next_source: &mut self.next_source,
            counters: &mut self.counters,
        };
        // Whatever state the panic left behind is in the session, which is dropped, or in the turn, whose vectors
        // hold whole values only.
        let outcome = catch_unwind(AssertUnwindSafe(|| touch(session, &mut turn)));
        match outcome {
            Ok(()) => {
                self.timers.set(id, session.deadline());
                if session.is_short() {
                    self.allotting.short.push(id);
                }
            }
            Err(_) => self.broke(id),
        }
        self.tell(id);
    }

    /// A bug ends the session in which it showed.
    fn broke(&mut self, id: SessionId) {
        self.counters.panics += 1;
        tracing::error!(session = %id, "a bug ended this session; the others go on");
        self.session_events.push(SessionEvent::Ended(EndReason::Broken));
    }

    /// Handles what a session told.
    fn tell(&mut self, id: SessionId) {
        let mut events = std::mem::take(&mut self.session_events);
        for event in events.drain(..) {
            self.session_event(id, event);
        }
        self.session_events = events;
    }

    fn session_event(&mut self, id: SessionId, event: SessionEvent) {
        match event {
            SessionEvent::Connected(took) => {
                self.counters.sessions_connected += 1;
                self.counters.join_time.observe(took);
                self.events.push(CoreEvent::Connected(id));
                for slot in 0..self.sessions.get(&id).map_or(0, |session| session.slots.len()) {
                    let bound = self.sessions.get(&id).and_then(|session| session.slots.get(slot)?.track);
                    if let Some(track) = bound {
                        self.subscribe(id, slot, track);
                    }
                }
            }
            SessionEvent::Path { at, remote, local } => {
                // A path that another session holds stays there: this one goes on by others, or by a later check.
                let (path, arrival) = ((remote, local), self.relay.arrival);
                if self.demux.learn_from(at, path, id, arrival)
                    && let Some(arrival) = arrival
                {
                    self.relay.tell(arrival, Note::PathProved(path));
                }
            }
            SessionEvent::Media(track, packet) => self.media(track, packet),
            SessionEvent::Unplayable { slot, track, format } => {
                self.events.push(CoreEvent::Unplayable { session: id, slot, track, format });
            }
            SessionEvent::Began { slot, track, timestamp } => {
                self.events.push(CoreEvent::Began { session: id, slot, track, timestamp });
            }
            SessionEvent::KeyframeWanted(track, encoding) => {
                self.counters.keyframe_requests_in += 1;
                self.want_keyframe(track, encoding, false);
            }
            SessionEvent::Awaits { track, encoding, begins } => {
                self.want_keyframe(track, Some(encoding), begins);
            }
            SessionEvent::Nacks(sent) => self.counters.nacks_out += sent,
            SessionEvent::ChannelOpen(channel) => {
                self.events.push(CoreEvent::ChannelOpen { session: id, channel });
            }
            SessionEvent::Data(channel, message) => {
                self.events.push(CoreEvent::Data { session: id, channel, message });
            }
            SessionEvent::Throttled { slot, track, paused } => {
                self.events.push(CoreEvent::Throttled { session: id, slot, track, paused });
            }
            SessionEvent::Stats(mut stats) => {
                self.add_ladders(&mut stats);
                self.events.push(CoreEvent::Stats(stats));
            }
            SessionEvent::DataRefused => self.events.push(CoreEvent::DataRefused { session: id }),
            SessionEvent::DataLost => self.events.push(CoreEvent::DataLost { session: id }),
            SessionEvent::Ended(reason) => self.end(id, reason),
        }
    }

    fn end(&mut self, id: SessionId, reason: EndReason) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.demux.remove(id);
        self.timers.remove(id);
        for track in &session.published {
            self.end_track(track.id);
        }
        for (index, slot) in session.slots.iter().enumerate() {
            if let Some(track) = slot.track {
                self.unbound(id, index, track);
            }
        }
        self.counters.ended(reason);
        self.events.push(CoreEvent::Ended(id, reason));
    }

    /// Takes a track from everybody who has it.
    fn end_track(&mut self, id: TrackId) {
        self.levels.remove(id);
        self.histories.drop_groups_of(id);
        let Some(track) = self.tracks.remove(&id) else { return };
        for worker in track.relayed_to {
            self.relay.uses_nothing(id, worker);
            self.relay.tell(worker, Note::Ended(id));
        }
        for (subscriber, slot) in track.subscribers {
            let slot = self.sessions.get_mut(&subscriber).and_then(|session| session.slots.get_mut(slot));
            if let Some(slot) = slot.filter(|slot| slot.track == Some(id)) {
                slot.bind(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::ids::WorkerId;
    use crate::net::demux::Ufrag;
    use crate::sfu::session::dtls::Identity;
    use crate::sfu::session::negotiate::{Endpoint, NewSession, answer};
    use crate::sfu::session::offer::Role;
    use crate::wire::ntp::{Epoch, NtpTime};

    fn session(number: u64, now: Instant) -> Session {
        let offer = include_str!("../../tests/fixtures/offers/play/chromium.sdp");
        let new = NewSession {
            id: SessionId(number),
            ice: IceCredentials {
                ufrag: Ufrag::mint(WorkerId(0), [u8::try_from(number).unwrap(); 10]),
                password: "p".repeat(24),
            },
            first_track: TrackId(64),
            seed: number,
        };
        let candidates = vec![SocketAddr::from(([192, 0, 2, 1], 3478))].into();
        let epoch = Epoch { instant: now, ntp: NtpTime::default() };
        let endpoint = Endpoint { identity: Identity::generate().unwrap(), candidates, epoch };
        answer(offer, Role::Watch, &new, &endpoint, now).unwrap().session
    }

    #[test]
    fn a_bug_in_one_session_ends_that_session_alone() {
        let (now, mut batch) = (Instant::now(), SendBatch::new());
        let mut core = Core::new(AddressMap::new(Vec::new(), &[]));
        core.join(now, session(1, now));
        core.join(now, session(2, now));
        core.with_session(SessionId(1), &mut batch, |_, _| panic!("a bug, on purpose"));
        let events: Vec<_> = core.take_events().collect();
        assert_eq!(events, [CoreEvent::Ended(SessionId(1), EndReason::Broken)]);
        let counters = core.counters();
        assert_eq!((counters.panics, counters.sessions), (1, 1));
        core.drive(now, &mut batch);
        assert!(!core.forward(now, &mut batch));
        core.leave_all(now, &mut batch);
        assert_eq!(core.take_events().last(), Some(CoreEvent::Ended(SessionId(2), EndReason::Requested)));
    }

    #[test]
    fn a_track_that_is_gone_is_bound_as_none() {
        let now = Instant::now();
        let mut core = Core::new(AddressMap::new(Vec::new(), &[]));
        core.join(now, session(1, now));
        core.bind(SessionId(1), 0, Some(TrackId(9)));
        assert_eq!(core.sessions[&SessionId(1)].slots[0].track, None);
    }
}
