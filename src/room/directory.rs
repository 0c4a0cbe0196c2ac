//! Who is where: rooms by name, sessions by id, the unguessable resources by which HTTP clients name sessions, and the
//! WebSockets of participants.
//!
//! The maps are concurrent; every method takes what it needs in one short visit and gives values back, so that no
//! guard outlives it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;

use super::event::{Action, Event, Target};
use super::history::{History, HistoryReport};
use super::outbox::{Outbox, Seat};
use super::report::{RoomReport, RoomSummary, SessionReport};
use super::resource::{Events, Resource, ResourceId, ResumeToken};
use super::room::Room;
use super::viewers::WatchError;
use crate::ids::{ParticipantId, RoomName, SessionId, TrackId, WorkerId};
use crate::sfu::forward::habits::Advice;
use crate::sfu::session::negotiate::AnsweredSlot;
use crate::sfu::session::restart::ClientCredentials;
use crate::sfu::session::stats::{NamedRung, SessionStats};

/// How long an ended session still answers to DELETE: OBS closes DTLS first and deletes afterwards.
const TOMBSTONE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
struct Home {
    room: RoomName,
    worker: WorkerId,
    resource: Option<ResourceId>,
    connected: bool,
    /// What was last heard of its media.
    stats: Option<Box<SessionStats>>,
    /// The last minutes of it, from the first that was heard.
    history: Option<Box<History>>,
    /// What is wrong with its encoder.
    advice: Vec<Advice>,
    /// How much of its room it is, for [`Directory::spread`].
    weight: u64,
}

/// The weight of a session that publishes: what it sends is to be near those who watch, and they near it.
const PUBLISHER: u64 = 1_000;

/// The directory of this process.
#[derive(Debug, Default)]
pub struct Directory {
    rooms: DashMap<RoomName, Room>,
    sessions: DashMap<SessionId, Home>,
    tracks: DashMap<TrackId, SessionId>,
    spreads: DashMap<RoomName, BTreeMap<WorkerId, u64>>,
    resources: DashMap<ResourceId, Resource>,
    tokens: DashMap<ResumeToken, (RoomName, ParticipantId)>,
    granted: DashMap<ParticipantId, ResumeToken>,
    outboxes: DashMap<ParticipantId, Outbox>,
    connecting: AtomicUsize,
}

/// How many rooms there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Rooms with anybody in them.
    pub rooms: u64,
    /// Rooms with a WHIP publisher on air.
    pub streams: u64,
    /// Participants who joined rooms.
    pub participants: u64,
}

impl Directory {
    /// Lets a room, new or old, handle an event.
    #[must_use]
    pub fn handle(&self, now: Instant, name: &RoomName, event: Event) -> Vec<Action> {
        let mut room = self.rooms.entry(name.clone()).or_default();
        let actions = room.handle(now, event);
        drop(room);
        self.rooms.remove_if(name, |_, room| room.is_empty());
        actions
    }

    /// Lets the room of a session handle an event.
    #[must_use]
    pub fn handle_of(&self, now: Instant, session: SessionId, event: Event) -> Vec<Action> {
        let name = self.room_of(session);
        name.map(|name| self.handle(now, &name, event)).unwrap_or_default()
    }

    /// Lets time pass in all rooms.
    #[must_use]
    pub fn tick(&self, now: Instant) -> Vec<Action> {
        let actions = self.rooms.iter_mut().flat_map(|mut room| room.handle(now, Event::Tick)).collect();
        self.rooms.retain(|_, room| !room.is_empty());
        actions
    }

    /// What a room says of itself.
    pub fn visit<T>(&self, name: &RoomName, visit: impl FnOnce(&Room) -> T) -> Option<T> {
        self.rooms.get(name).map(|room| visit(&room))
    }

    /// All rooms, each in one line, by name.
    #[must_use]
    pub fn summaries(&self) -> Vec<RoomSummary> {
        let mut rooms: Vec<_> = self.rooms.iter().map(|room| room.summary(room.key().clone())).collect();
        rooms.sort_by(|one, other| one.name.cmp(&other.name));
        rooms
    }

    /// One room with all that is in it.
    #[must_use]
    pub fn report(&self, name: &RoomName) -> Option<RoomReport> {
        let session = |id: SessionId| match self.sessions.get(&id) {
            Some(home) => SessionReport {
                advice: home.advice.iter().map(Advice::to_string).collect(),
                ..SessionReport::new(id, home.connected, home.stats.as_deref())
            },
            None => SessionReport::new(id, false, None),
        };
        self.visit(name, |room| room.report(name.clone(), session))
    }

    /// Keeps what is known of a session's media.
    pub fn know_stats(&self, now: Instant, stats: Box<SessionStats>) {
        if let Some(mut home) = self.sessions.get_mut(&stats.session) {
            home.history.get_or_insert_with(|| Box::new(History::new(now))).add(now, &stats);
            home.stats = Some(stats);
        }
    }

    /// Keeps what whoever runs a track's encoder should know. Returns the track's room.
    pub fn advise(&self, track: TrackId, advice: Advice) -> Option<RoomName> {
        let session = *self.tracks.get(&track)?;
        let mut home = self.sessions.get_mut(&session)?;
        let is_same = |known: &Advice| std::mem::discriminant(known) == std::mem::discriminant(&advice);
        home.advice.retain(|known| !is_same(known));
        home.advice.push(advice);
        Some(home.room.clone())
    }

    /// The last minutes of a session, if it is in this room and anything was heard of it.
    #[must_use]
    pub fn history(&self, now: Instant, room: &RoomName, session: SessionId) -> Option<HistoryReport> {
        let home = self.sessions.get(&session).filter(|home| home.room == *room)?;
        Some(home.history.as_ref()?.report(now, session))
    }

    /// Enters a session. `resource` is how HTTP names it, if it came by WHIP or WHEP.
    pub fn enter(
        &self,
        session: SessionId,
        room: RoomName,
        worker: WorkerId,
        tracks: impl IntoIterator<Item = TrackId>,
        resource: Option<(ResourceId, Resource)>,
    ) {
        let mut tracks = tracks.into_iter().peekable();
        let weight = if tracks.peek().is_some() { PUBLISHER } else { 1 };
        self.know_tracks(session, tracks);
        *self.spreads.entry(room.clone()).or_default().entry(worker).or_default() += weight;
        let home = Home {
            room,
            weight,
            worker,
            resource: resource.as_ref().map(|(id, _)| *id),
            connected: false,
            stats: None,
            history: None,
            advice: Vec::new(),
        };
        self.connecting.fetch_add(1, Ordering::Relaxed);
        self.sessions.insert(session, home);
        if let Some((id, resource)) = resource {
            self.resources.insert(id, resource);
        }
    }

    /// Notes whose tracks these are.
    pub fn know_tracks(&self, session: SessionId, tracks: impl IntoIterator<Item = TrackId>) {
        for track in tracks {
            self.tracks.insert(track, session);
        }
    }

    /// Whether a viewer could be shown what it wants.
    ///
    /// # Errors
    /// As [`Room::check_watch`].
    pub fn check_watch(
        &self,
        room: &RoomName,
        slots: &[AnsweredSlot],
        target: Target,
    ) -> Result<(), WatchError> {
        self.visit(room, |room| room.check_watch(slots, target)).unwrap_or(Err(WatchError::NotLive))
    }

    /// The resource of a URL, live or a tombstone.
    #[must_use]
    pub fn resource(&self, id: ResourceId) -> Option<Resource> {
        self.resources.get(&id).map(|resource| resource.clone())
    }

    /// Whether a viewer may choose another picture or layer already. It counts as chosen.
    #[must_use]
    pub fn may_choose(&self, now: Instant, id: ResourceId) -> bool {
        self.resources.get_mut(&id).is_some_and(|mut resource| resource.may_choose(now))
    }

    /// Whether a client may restart ICE again already. It counts as restarted.
    #[must_use]
    pub fn may_restart(&self, now: Instant, id: ResourceId) -> bool {
        self.resources.get_mut(&id).is_some_and(|mut resource| resource.may_restart(now))
    }

    /// Gives a session's resource the credentials of an ICE restart: `etag` instead of `before`. Returns whether that was
    /// its tag: somebody else may have restarted it meanwhile, or it ended.
    #[must_use]
    pub fn restarted(
        &self,
        id: ResourceId,
        before: &str,
        etag: &str,
        client: &ClientCredentials,
        answer: &str,
    ) -> bool {
        let known = self.resources.get_mut(&id);
        let Some(mut resource) = known.filter(|known| known.is_live() && known.etag == before) else {
            return false;
        };
        etag.clone_into(&mut resource.etag);
        resource.restarted = Some(answer.to_owned());
        resource.remote_credentials = vec![(client.ufrag.clone(), client.password.clone())];
        true
    }

    /// Makes a stream of events of a session, and returns its number. `None` when it has too many.
    #[must_use]
    pub fn add_stream(&self, id: ResourceId, events: Events) -> Option<u32> {
        self.resources.get_mut(&id)?.add_stream(events)
    }

    /// Ends a stream of events. Returns whether it was there.
    #[must_use]
    pub fn remove_stream(&self, id: ResourceId, number: u32) -> bool {
        let Some(mut resource) = self.resources.get_mut(&id) else { return false };
        let before = resource.event_streams.len();
        resource.event_streams.retain(|(known, _)| *known != number);
        resource.event_streams.len() < before
    }

    /// How a video track can be received, the worst picture first, as of the last seconds.
    #[must_use]
    pub fn ladder(&self, track: TrackId) -> Vec<NamedRung> {
        let session = self.tracks.get(&track).map(|session| *session);
        let home = session.and_then(|session| self.sessions.get(&session));
        let ladders = home.as_ref().and_then(|home| home.stats.as_ref()).map(|stats| &stats.ladders);
        let known = ladders.and_then(|ladders| ladders.iter().find(|(known, _)| *known == track));
        known.map(|(_, rungs)| rungs.clone()).unwrap_or_default()
    }

    /// The worker that drives a session.
    #[must_use]
    pub fn worker(&self, session: SessionId) -> Option<WorkerId> {
        self.sessions.get(&session).map(|home| home.worker)
    }

    /// The worker that drives the session of a track's publisher.
    #[must_use]
    pub fn worker_of_track(&self, track: TrackId) -> Option<WorkerId> {
        let session = self.tracks.get(&track).map(|session| *session)?;
        self.worker(session)
    }

    /// The workers that a room is on, each with the weight of its sessions there.
    #[must_use]
    pub fn spread(&self, room: &RoomName) -> BTreeMap<WorkerId, u64> {
        self.spreads.get(room).map(|spread| spread.clone()).unwrap_or_default()
    }

    fn leaves(&self, home: &Home) {
        if let Some(mut spread) = self.spreads.get_mut(&home.room) {
            if let Some(weight) = spread.get_mut(&home.worker) {
                *weight = weight.saturating_sub(home.weight);
            }
            spread.retain(|_, weight| *weight > 0);
        }
        self.spreads.remove_if(&home.room, |_, spread| spread.is_empty());
    }

    /// The room of a session.
    #[must_use]
    pub fn room_of(&self, session: SessionId) -> Option<RoomName> {
        self.sessions.get(&session).map(|home| home.room.clone())
    }

    /// The room of a track.
    #[must_use]
    pub fn room_of_track(&self, track: TrackId) -> Option<RoomName> {
        let session = self.tracks.get(&track).map(|session| *session)?;
        self.room_of(session)
    }

    /// A session's media can flow.
    pub fn connected(&self, session: SessionId) {
        if let Some(mut home) = self.sessions.get_mut(&session).filter(|home| !home.connected) {
            home.connected = true;
            self.connecting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A session is gone, and its room knows. Its URL answers for a while longer.
    pub fn ended(&self, now: Instant, session: SessionId) {
        let Some((_, home)) = self.sessions.remove(&session) else { return };
        self.leaves(&home);
        if !home.connected {
            self.connecting.fetch_sub(1, Ordering::Relaxed);
        }
        self.tracks.retain(|_, publisher| *publisher != session);
        if let Some(mut resource) = home.resource.and_then(|resource| self.resources.get_mut(&resource)) {
            resource.end(now);
        }
        let fresh = |ended: Instant| now.saturating_duration_since(ended) < TOMBSTONE;
        self.resources.retain(|_, resource| resource.ended().is_none_or(fresh));
    }

    /// Gives a participant its WebSocket; returns the one that it had.
    pub fn seat(&self, outbox: Outbox) -> Option<Outbox> {
        self.outboxes.insert(outbox.seat.participant, outbox)
    }

    /// Whether this is the participant's WebSocket still.
    #[must_use]
    pub fn is_seated(&self, seat: &Seat) -> bool {
        self.outboxes.get(&seat.participant).is_some_and(|outbox| outbox.seat == *seat)
    }

    /// Takes a participant's WebSocket away.
    pub fn unseat(&self, participant: ParticipantId) -> Option<Outbox> {
        self.outboxes.remove(&participant).map(|(_, outbox)| outbox)
    }

    /// Takes all WebSockets away.
    #[must_use]
    pub fn unseat_all(&self) -> Vec<Outbox> {
        let all: Vec<_> = self.outboxes.iter().map(|outbox| *outbox.key()).collect();
        all.into_iter().filter_map(|participant| self.unseat(participant)).collect()
    }

    /// Queues a text for a participant. Returns whether it was taken: a full queue belongs to a client that does not
    /// read.
    #[must_use]
    pub fn tell(&self, participant: ParticipantId, text: Arc<str>) -> bool {
        self.outboxes.get(&participant).is_none_or(|outbox| outbox.put(text))
    }

    /// Lets a token resume a participant.
    pub fn grant(&self, token: ResumeToken, room: RoomName, participant: ParticipantId) {
        self.granted.insert(participant, token);
        self.tokens.insert(token, (room, participant));
    }

    /// Whom a token resumes.
    #[must_use]
    pub fn resumes(&self, token: ResumeToken) -> Option<(RoomName, ParticipantId)> {
        self.tokens.get(&token).map(|granted| granted.clone())
    }

    /// A participant is gone for good.
    pub fn forget(&self, participant: ParticipantId) {
        if let Some((_, token)) = self.granted.remove(&participant) {
            self.tokens.remove(&token);
        }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many of them have not got ICE and DTLS through yet.
    #[must_use]
    pub fn connecting(&self) -> usize {
        self.connecting.load(Ordering::Relaxed)
    }

    /// Counts the rooms and who is in them.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for room in &self.rooms {
            census.rooms += 1;
            census.streams += u64::from(room.is_live());
            census.participants += room.members() as u64;
        }
        census
    }
}

#[cfg(test)]
mod tests {
    use super::super::resource::Side;
    use super::*;
    use crate::sfu::session::negotiate::AnsweredTrack;
    use crate::units::{Codec, Format};

    fn publish(directory: &Directory, number: u64, id: ResourceId, room: &RoomName, now: Instant) {
        let session = SessionId(number);
        let resource = Resource::new(session, room.clone(), Side::Publish, "tag".into(), Vec::new());
        let format = Format::new(Codec::Vp8, "");
        let track = TrackId(number * 64);
        let tracks = vec![AnsweredTrack { id: track, mid: "0".into(), kind: Codec::Vp8.kind(), format }];
        directory.enter(session, room.clone(), WorkerId(0), [track], Some((id, resource)));
        let event = Event::Publish { participant: ParticipantId(number), session, tracks };
        assert_eq!(directory.handle(now, room, event), []);
    }

    #[test]
    fn an_ended_session_leaves_a_tombstone_and_no_room() {
        let directory = Directory::default();
        let (start, room) = (Instant::now(), "live".parse::<RoomName>().expect("a name"));
        let (id, session) = (ResourceId::new([7; 16]), SessionId(1));
        publish(&directory, 1, id, &room, start);
        assert_eq!(directory.connecting(), 1);
        directory.connected(session);
        assert_eq!(directory.handle_of(start, session, Event::Connected(session)), []);
        assert_eq!(directory.connecting(), 0);
        assert_eq!(directory.census(), Census { rooms: 1, streams: 1, participants: 0 });

        let _ = directory.handle_of(start, session, Event::Ended(session));
        directory.ended(start, session);
        assert_eq!(directory.census(), Census::default());
        assert!(directory.tracks.is_empty());
        assert!(directory.resource(id).is_some_and(|resource| !resource.is_live()));

        publish(&directory, 2, ResourceId::new([8; 16]), &room, start);
        directory.ended(start + TOMBSTONE, SessionId(2));
        assert_eq!(directory.connecting(), 0, "it ended without having connected");
        assert!(directory.resource(id).is_none(), "tombstones do not pile up");
    }

    #[test]
    fn a_room_is_where_its_sessions_are_and_publishers_weigh_most() {
        let directory = Directory::default();
        let (now, room) = (Instant::now(), "live".parse::<RoomName>().expect("a name"));
        publish(&directory, 1, ResourceId::new([7; 16]), &room, now);
        (2..5).for_each(|viewer| directory.enter(SessionId(viewer), room.clone(), WorkerId(1), [], None));
        assert_eq!(directory.worker_of_track(TrackId(64)), Some(WorkerId(0)));
        assert_eq!(directory.spread(&room), BTreeMap::from([(WorkerId(0), PUBLISHER), (WorkerId(1), 3)]));
        directory.ended(now, SessionId(1));
        directory.ended(now, SessionId(2));
        assert_eq!(directory.worker_of_track(TrackId(64)), None);
        assert_eq!(directory.spread(&room), BTreeMap::from([(WorkerId(1), 2)]));
        [3, 4].iter().for_each(|viewer| directory.ended(now, SessionId(*viewer)));
        assert!(directory.spreads.is_empty());
    }

    #[test]
    fn the_minutes_of_a_session_belong_to_its_room() {
        let directory = Directory::default();
        let (now, room) = (Instant::now(), "live".parse::<RoomName>().expect("a name"));
        publish(&directory, 1, ResourceId::new([7; 16]), &room, now);
        let session = SessionId(1);
        assert_eq!(directory.history(now, &room, session), None, "nothing was heard of it yet");
        let (tracks, slots) = (Vec::new(), Vec::new());
        let ladders = Vec::new();
        let stats = SessionStats { session, rtt: None, estimate: None, link: None, tracks, slots, ladders };
        directory.know_stats(now, Box::new(stats));
        let told = directory.history(now, &room, session).expect("it was heard of");
        assert_eq!(told.samples.len(), 1);
        let other = "other".parse::<RoomName>().expect("a name");
        assert_eq!(directory.history(now, &other, session), None);
        directory.ended(now, session);
        assert_eq!(directory.history(now, &room, session), None);
    }

    #[test]
    fn a_token_resumes_its_participant_until_that_one_is_gone() {
        let directory = Directory::default();
        let (room, token) = ("live".parse::<RoomName>().expect("a name"), ResumeToken::new([1; 16]));
        directory.grant(token, room.clone(), ParticipantId(1));
        assert_eq!(directory.resumes(token), Some((room, ParticipantId(1))));
        directory.forget(ParticipantId(1));
        assert_eq!(directory.resumes(token), None);
    }
}
