//! All sessions and tracks of one worker, and the way of a packet between them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::counters::Counters;
use super::forward::packet::{Packet, SourceId};
use super::forward::subscription::Verdict;
use super::forward::track::Track;
use super::session::{EndReason, Session, SessionEvent, Turn};
use super::timers::Timers;
use crate::ids::{SessionId, TrackId};
use crate::net::addresses::AddressMap;
use crate::net::datagram::{Datagram, SendBatch};
use crate::net::demux::Demux;
use crate::units::{Format, MediaKind};

/// What the core tells the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreEvent {
    /// Media can flow.
    Connected(SessionId),
    /// A track is received for the first time, or in another format than before.
    TrackFormat(TrackId, Format),
    /// A session is gone, and its tracks with it.
    Ended(SessionId, EndReason),
}

/// A forwarding core. See [`crate::sfu`] for its turn.
pub struct Core {
    addresses: AddressMap,
    demux: Demux<SessionId>,
    sessions: HashMap<SessionId, Session>,
    tracks: HashMap<TrackId, Track>,
    timers: Timers,
    next_source: u64,
    /// The media of this turn, and for each packet the encoding that its track's subscribers follow.
    media: Vec<(TrackId, SourceId, Packet)>,
    /// Sessions that get something of it, each once, with the places in `media` and the slots.
    work: HashMap<SessionId, Vec<(usize, usize)>>,
    session_events: Vec<SessionEvent>,
    events: Vec<CoreEvent>,
    counters: Counters,
}

impl Core {
    /// A core without sessions.
    #[must_use]
    pub fn new(addresses: AddressMap) -> Self {
        Self {
            addresses,
            demux: Demux::new(),
            sessions: HashMap::new(),
            tracks: HashMap::new(),
            timers: Timers::default(),
            next_source: 0,
            media: Vec::new(),
            work: HashMap::new(),
            session_events: Vec::new(),
            events: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// The table that tells whose a datagram is.
    #[must_use]
    pub fn demux(&self) -> &Demux<SessionId> {
        &self.demux
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let subscriptions = self.tracks.values().map(|track| track.subscribers.len() as u64).sum();
        let (sessions, tracks) = (self.sessions.len() as u64, self.tracks.len() as u64);
        Counters { sessions, tracks, subscriptions, ..self.counters.clone() }
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
        self.timers.next()
    }

    /// Takes a negotiated session in.
    pub fn join(&mut self, now: Instant, session: Session) {
        let id = session.id;
        self.demux.insert_ufrag(session.ufrag, id);
        for track in &session.published {
            self.tracks.insert(track.id, Track::new(track.id, id, track.kind));
        }
        self.counters.sessions_started += 1;
        self.timers.set(id, now);
        self.sessions.insert(id, session);
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

    /// Puts a track behind a slot, or nothing. Unknown ones are left alone: they ended a moment ago.
    pub fn bind(&mut self, id: SessionId, slot: usize, track: Option<TrackId>) {
        let Some(state) = self.sessions.get_mut(&id).and_then(|session| session.slots.get_mut(slot)) else {
            return;
        };
        if state.track == track {
            return;
        }
        let before = std::mem::replace(&mut state.track, track);
        state.subscription.rebind();
        if let Some(before) = before.and_then(|track| self.tracks.get_mut(&track)) {
            before.subscribers.retain(|subscriber| *subscriber != (id, slot));
        }
        if let Some(track) = track.and_then(|track| self.tracks.get_mut(&track)) {
            track.subscribers.push((id, slot));
            if track.kind == MediaKind::Video {
                track.keyframes.want();
            }
        }
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
    }

    /// Serves the subscribers of what was received in this turn, one subscriber after the other, then asks
    /// publishers for the key frames that are missing.
    pub fn forward(&mut self, now: Instant, batch: &mut SendBatch) {
        let mut work = std::mem::take(&mut self.work);
        let media = std::mem::take(&mut self.media);
        for (id, packets) in work.iter_mut().filter(|(_, packets)| !packets.is_empty()) {
            self.serve(now, *id, packets, &media, batch);
            packets.clear();
        }
        self.media = media;
        self.media.clear();
        work.retain(|id, _| self.sessions.contains_key(id));
        self.work = work;
        self.request_keyframes(now, batch);
    }

    fn serve(
        &mut self,
        now: Instant,
        id: SessionId,
        packets: &[(usize, usize)],
        media: &[(TrackId, SourceId, Packet)],
        batch: &mut SendBatch,
    ) {
        let mut sent = 0;
        let mut refused = None;
        for (place, slot) in packets {
            let Some((track, target, packet)) = media.get(*place) else { continue };
            let Some(session) = self.sessions.get_mut(&id) else { return };
            let Some(state) = session.slots.get_mut(*slot).filter(|slot| slot.track == Some(*track)) else {
                continue;
            };
            match state.subscription.accept(packet, *target) {
                Verdict::Forward(numbers) => match session.send(*slot, packet, numbers) {
                    Ok(()) => {
                        sent += 1;
                        self.counters.media_bytes_out += packet.payload.len() as u64;
                    }
                    Err(format) => {
                        refused = Some(format);
                        self.counters.unplayable += 1;
                    }
                },
                Verdict::AwaitsEntry => {
                    self.counters.awaiting_keyframe += 1;
                    if let Some(track) = self.tracks.get_mut(track) {
                        track.keyframes.want();
                    }
                }
                Verdict::Unwanted => {}
            }
        }
        self.counters.media_packets_out += sent;
        if let Some(format) = refused {
            tracing::info!(session = %id, %format, "the viewer has no decoder for the stream; closing it");
            self.with_session(id, batch, |session, turn| session.close(now, turn));
            self.end(id, EndReason::Unplayable);
        } else if sent > 0 {
            self.with_session(id, batch, |session, turn| session.drive(now, turn));
        }
    }

    fn request_keyframes(&mut self, now: Instant, batch: &mut SendBatch) {
        let mut asked = Vec::new();
        for track in self.tracks.values_mut() {
            if track.subscribers.is_empty() {
                continue;
            }
            if let Some(source) = track.chosen()
                && track.keyframes.poll(now)
            {
                asked.push((track.publisher, source));
            }
        }
        for (publisher, source) in asked {
            self.counters.keyframe_requests_out += 1;
            self.with_session(publisher, batch, |session, turn| {
                session.request_keyframe(source);
                session.drive(now, turn);
            });
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
        let mut events = std::mem::take(&mut self.session_events);
        let mut turn = Turn {
            addresses: &self.addresses,
            batch,
            events: &mut events,
            next_source: &mut self.next_source,
            malformed: 0,
            unknown_media: 0,
        };
        // Whatever state the panic left behind is in the session, which is dropped, or in the turn, whose vectors
        // hold whole values only.
        let outcome = catch_unwind(AssertUnwindSafe(|| touch(session, &mut turn)));
        self.counters.malformed += turn.malformed;
        self.counters.unknown_media += turn.unknown_media;
        if outcome.is_ok() {
            self.timers.set(id, session.deadline());
        } else {
            self.counters.panics += 1;
            tracing::error!(session = %id, "a bug ended this session; the others go on");
            events.push(SessionEvent::Ended(EndReason::Broken));
        }
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
            }
            SessionEvent::Path { at, remote, local } => {
                // A path that another session holds stays there: this one goes on by others, or by a later check.
                self.demux.learn(at, remote, local, id);
            }
            SessionEvent::Media(track, packet) => self.media(track, packet),
            SessionEvent::KeyframeWanted(track) => {
                self.counters.keyframe_requests_in += 1;
                if let Some(track) = self.tracks.get_mut(&track) {
                    track.keyframes.want();
                }
            }
            SessionEvent::Nacks { received, sent } => {
                self.counters.nacks_in += received;
                self.counters.nacks_out += sent;
            }
            SessionEvent::Ended(reason) => self.end(id, reason),
        }
    }

    fn media(&mut self, id: TrackId, packet: Packet) {
        let Some(track) = self.tracks.get_mut(&id) else { return };
        self.counters.media_packets_in += 1;
        self.counters.media_bytes_in += packet.payload.len() as u64;
        let before = track.format;
        let target = track.receive(packet.arrived, &packet);
        if let Some(format) = track.format.filter(|format| Some(*format) != before) {
            self.events.push(CoreEvent::TrackFormat(id, format));
        }
        let place = self.media.len();
        for (session, slot) in &track.subscribers {
            self.work.entry(*session).or_default().push((place, *slot));
        }
        self.media.push((id, target, packet));
    }

    fn end(&mut self, id: SessionId, reason: EndReason) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.demux.remove(id);
        self.timers.remove(id);
        for track in &session.published {
            let Some(track) = self.tracks.remove(&track.id) else { continue };
            for (subscriber, slot) in track.subscribers {
                let slot = self.sessions.get_mut(&subscriber).and_then(|session| session.slots.get_mut(slot));
                if let Some(slot) = slot.filter(|slot| slot.track == Some(track.id)) {
                    slot.track = None;
                    slot.subscription.rebind();
                }
            }
        }
        for slot in session.slots {
            if let Some(track) = slot.track.and_then(|track| self.tracks.get_mut(&track)) {
                track.subscribers.retain(|(subscriber, _)| *subscriber != id);
            }
        }
        self.counters.ended(reason);
        self.events.push(CoreEvent::Ended(id, reason));
    }
}
