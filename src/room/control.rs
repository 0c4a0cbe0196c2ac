//! Carries out what rooms decide: the one place that speaks to workers and to participants.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::directory::Directory;
use super::event::{Action, Entry, Event, Target};
use super::outbox::{Outbox, Seat};
use super::resource::{Resource, ResourceId, ResumeToken};
use super::viewers::WatchError;
use crate::ids::{ParticipantId, RequestId, RoomName, SessionId, TrackId, WorkerId};
use crate::net::demux::IceCredentials;
use crate::protocol::server::{Bye, ByeCode, Reply, ServerMessage};
use crate::sfu::CoreEvent;
use crate::sfu::relay::TrackHome;
use crate::sfu::session::Session;
use crate::sfu::session::negotiate::{AnsweredSlot, AnsweredTrack};
use crate::sfu::session::offer::OfferError;
use crate::sfu::session::renegotiate::Renegotiated;
use crate::sfu::session::restart::ClientCredentials;
use crate::units::AudioLevel;
use crate::worker::message::{Command, Event as WorkerEvent};
use crate::worker::placement::Placement;
use crate::worker::pool::Pool;

/// How often rooms look whose time has come. What they wait for is measured in seconds.
const TICK_EVERY: Duration = Duration::from_millis(500);

/// Stands for an offer that its client gave no number.
const NO_REQUEST: u64 = u64::MAX;

/// The rooms together with the workers that serve them.
pub struct Control {
    directory: Directory,
    pool: Pool,
    limits: Limits,
    placement: Mutex<Placement>,
    /// Held while a decision is made and told to the workers, so that they hear decisions in the order in which they
    /// were made. Never held over an await.
    order: Mutex<()>,
    stopping: AtomicBool,
}

/// How much this server takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Sessions at one time.
    pub sessions: usize,
    /// Participants in one room.
    pub participants: usize,
    /// Whether viewers are let in while there is nothing to see.
    pub viewers_wait: bool,
}

/// Why a session is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The room's reason.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The media thread has stopped.
    #[error("A media thread has stopped. Restart the server.")]
    WorkerGone,
    /// `limits.sessions` is reached.
    #[error("This server is full ({0} sessions). Try again later.")]
    Full(usize),
    /// `limits.participants` is reached.
    #[error("This room is full ({0} participants).")]
    RoomFull(usize),
    /// Whom the token resumed is gone.
    #[error("There is nothing to resume: the participant has left, or was gone for too long. Join anew.")]
    NothingToResume,
}

/// Somebody on the way into a room.
pub struct Joining {
    /// The room.
    pub room: RoomName,
    /// Who, and what the room is to know.
    pub entry: Entry,
    /// Whether somebody is resumed who must be there still.
    pub resumes: bool,
    /// The new peer connection, if there is one.
    pub session: Option<Session>,
    /// What resumes this participant later.
    pub token: ResumeToken,
    /// The WebSocket.
    pub outbox: Outbox,
}

impl Control {
    /// A control plane over running workers.
    #[must_use]
    pub fn new(pool: Pool, limits: Limits) -> Self {
        Self {
            directory: Directory::default(),
            pool,
            limits,
            placement: Mutex::default(),
            order: Mutex::new(()),
            stopping: AtomicBool::new(false),
        }
    }

    /// Who is where.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The workers.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The worker for the next session of a room. It stays there for life.
    #[must_use]
    pub fn place(&self, room: &RoomName) -> WorkerId {
        let (loads, spread) = (self.pool.loads(), self.directory.spread(room));
        self.placement.lock().unwrap_or_else(PoisonError::into_inner).choose(&loads, &spread)
    }

    /// Takes a WHIP publisher in, as a participant.
    ///
    /// # Errors
    /// When the server is full, or its worker is gone.
    pub fn publish(
        &self,
        id: ResourceId,
        resource: Resource,
        participant: ParticipantId,
        session: Session,
        tracks: Vec<AnsweredTrack>,
    ) -> Result<(), JoinError> {
        let _order = self.in_order();
        let room = resource.room.clone();
        // A full server still lets encoders come back whose old session it has not yet noticed to be dead, and those for whom
        // viewers wait: these may be who fills it.
        let is_expected = self.directory.visit(&room, |room| room.is_live() || room.has_viewers());
        let reserve = if is_expected.unwrap_or_default() { self.limits.sessions / 8 + 1 } else { 0 };
        self.check_room_for(reserve)?;
        let ids: Vec<_> = tracks.iter().map(|track| track.id).collect();
        self.directory.enter(session.id, room.clone(), session.ufrag.worker(), ids, Some((id, resource)));
        let event = Event::Publish { participant, session: session.id, tracks };
        let actions = self.directory.handle(Instant::now(), &room, event);
        self.hand_over(session)?;
        self.carry_out(actions);
        Ok(())
    }

    /// Takes a WHEP viewer in.
    ///
    /// # Errors
    /// When the server is full, nobody publishes, the viewer cannot decode the stream, or the worker is gone.
    pub fn watch(
        &self,
        id: ResourceId,
        resource: Resource,
        session: Session,
        slots: Vec<AnsweredSlot>,
        target: Target,
    ) -> Result<(), JoinError> {
        let _order = self.in_order();
        self.check_crowd()?;
        let room = resource.room.clone();
        match self.directory.check_watch(&room, &slots, target) {
            Err(WatchError::NotLive) if self.limits.viewers_wait => {}
            checked => checked?,
        }
        self.directory.enter(session.id, room.clone(), session.ufrag.worker(), [], Some((id, resource)));
        let event = Event::Watch { session: session.id, slots, target };
        let actions = self.directory.handle(Instant::now(), &room, event);
        self.hand_over(session)?;
        self.carry_out(actions);
        Ok(())
    }

    /// Takes a participant in, or back in.
    ///
    /// # Errors
    /// When the server or the room is full, there is nobody to resume, or the worker is gone.
    pub fn join(&self, joining: Joining) -> Result<(), JoinError> {
        let Joining { room, entry, resumes, session, token, outbox } = joining;
        let _order = self.in_order();
        let participant = entry.participant;
        let (members, is_there) = self
            .directory
            .visit(&room, |room| (room.members(), room.has_member(participant)))
            .unwrap_or_default();
        if resumes && !is_there {
            return Err(JoinError::NothingToResume);
        }
        if !resumes && members >= self.limits.participants {
            return Err(JoinError::RoomFull(self.limits.participants));
        }
        // Who resumes holds a place already.
        if !resumes {
            self.check_crowd()?;
        }
        if let Some(before) = self.directory.seat(outbox) {
            say_bye(&before, ByeCode::Resumed, "This participant was resumed by another connection.", None);
        }
        self.directory.grant(token, room.clone(), participant);
        if let Some((session, media)) = session.as_ref().zip(entry.media.as_ref()) {
            let ids: Vec<_> = media.tracks.iter().map(|track| track.id).collect();
            self.directory.enter(session.id, room.clone(), session.ufrag.worker(), ids, None);
        }
        let actions = self.directory.handle(Instant::now(), &room, Event::Join(entry));
        if let Some(session) = session {
            let taken = self.directory.visit(&room, |room| room.session_of(participant));
            if taken.flatten() == Some(session.id) {
                self.hand_over(session)?;
            } else {
                self.directory.ended(Instant::now(), session.id);
            }
        }
        self.carry_out(actions);
        Ok(())
    }

    /// Lets a participant's room hear what came through a WebSocket, unless that was replaced meanwhile.
    pub fn hear(&self, seat: &Seat, event: Event) {
        let _order = self.in_order();
        if self.directory.is_seated(seat) {
            self.carry_out(self.directory.handle(Instant::now(), &seat.room, event));
        }
    }

    /// Tells a participant something by way of its WebSocket, unless that was replaced meanwhile.
    pub fn say(&self, seat: &Seat, reply: &Reply) {
        let _order = self.in_order();
        if self.directory.is_seated(seat) {
            self.tell(&[seat.participant], reply);
        }
    }

    /// A participant's WebSocket broke, or was given up. It may come back.
    pub fn socket_lost(&self, seat: &Seat) {
        let _order = self.in_order();
        if self.directory.is_seated(seat) {
            self.unseat(seat.participant);
        }
    }

    /// Lets a room hear what somebody who runs the server wants. `false` when there is no such room.
    pub fn command(&self, room: &RoomName, event: Event) -> bool {
        let _order = self.in_order();
        let is_there = self.directory.visit(room, |_| ()).is_some();
        if is_there {
            self.carry_out(self.directory.handle(Instant::now(), room, event));
        }
        is_there
    }

    /// Anybody may ask to watch or to join. Those who never connect must not use up the places of those who would.
    fn check_crowd(&self) -> Result<(), JoinError> {
        if self.directory.connecting() >= (self.limits.sessions / 4).max(1) {
            return Err(JoinError::Full(self.limits.sessions));
        }
        self.check_room_for(0)
    }

    fn check_room_for(&self, reserve: usize) -> Result<(), JoinError> {
        let full = self.directory.sessions() >= self.limits.sessions + reserve;
        if full { Err(JoinError::Full(self.limits.sessions)) } else { Ok(()) }
    }

    fn in_order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a session that was entered to its worker.
    fn hand_over(&self, session: Session) -> Result<(), JoinError> {
        let (id, worker) = (session.id, session.ufrag.worker());
        if self.pool.send(worker, Command::Join(Box::new(session))) {
            return Ok(());
        }
        self.ended(Instant::now(), id);
        Err(JoinError::WorkerGone)
    }

    fn ended(&self, now: Instant, session: SessionId) {
        let actions = self.directory.handle_of(now, session, Event::Ended(session));
        self.directory.ended(now, session);
        self.carry_out(actions);
    }

    /// Restarts ICE on a session of WHIP or WHEP whose entity tag is still `before`, which is answered with `answer`.
    /// Returns whether it is.
    pub fn restart(
        &self,
        id: ResourceId,
        session: SessionId,
        before: &str,
        ice: IceCredentials,
        client: ClientCredentials,
        answer: &str,
    ) -> bool {
        let _order = self.in_order();
        let taken = self.directory.restarted(id, before, ice.ufrag.as_str(), &client, answer);
        if taken {
            self.send(session, Command::Restart { session, ice, client });
        }
        taken
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Ends a session.
    pub fn leave(&self, session: SessionId) {
        self.send(session, Command::Leave(session));
    }

    /// A worker that is gone has no sessions to command.
    fn send(&self, session: SessionId, command: Command) {
        if let Some(worker) = self.directory.worker(session) {
            let _ = self.pool.send(worker, command);
        }
    }

    /// Takes the workers' events until there are no more, and lets time pass in the rooms.
    pub async fn run(self: Arc<Self>, mut events: mpsc::UnboundedReceiver<WorkerEvent>) {
        let mut ticks = tokio::time::interval(TICK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.handle(Instant::now(), event),
                    None => return,
                },
                _ = ticks.tick() => {
                    let _order = self.in_order();
                    self.carry_out(self.directory.tick(Instant::now()));
                }
            }
        }
    }

    fn handle(&self, now: Instant, event: WorkerEvent) {
        let _order = self.in_order();
        let (session, event) = match event {
            CoreEvent::Connected(session) => {
                tracing::info!(%session, "connected");
                self.directory.connected(session);
                (session, Event::Connected(session))
            }
            CoreEvent::TrackFormat(track, format) => {
                tracing::info!(%track, %format, "receiving");
                if let Some(room) = self.directory.room_of_track(track) {
                    self.carry_out(self.directory.handle(now, &room, Event::Format(track, format)));
                }
                return;
            }
            CoreEvent::Advice(track, advice) => {
                if let Some(room) = self.directory.advise(track, advice) {
                    tracing::warn!(stream = %room, %track, "{advice}");
                }
                return;
            }
            CoreEvent::Answered { session, request, outcome } => {
                return self.answered(now, session, request, outcome);
            }
            CoreEvent::Unplayable { session, track, format, .. } => {
                (session, Event::Unplayable(session, track, format))
            }
            CoreEvent::Began { session, slot, track, timestamp } => {
                (session, Event::Began { session, slot, track, timestamp })
            }
            CoreEvent::Throttled { session, slot, track, paused } => {
                (session, Event::Throttled { session, slot, track, paused })
            }
            CoreEvent::Used { track, rids } => {
                if let Some(room) = self.directory.room_of_track(track) {
                    self.carry_out(self.directory.handle(now, &room, Event::Used(track, rids)));
                }
                return;
            }
            CoreEvent::ChannelOpen { session, channel } => (session, Event::ChannelOpen(session, channel)),
            CoreEvent::Data { session, channel, message } => {
                (session, Event::Data(session, channel, message))
            }
            CoreEvent::DataRefused { session } => (session, Event::DataRefused(session)),
            CoreEvent::DataLost { session } => (session, Event::DataLost(session)),
            CoreEvent::AudioLevels(levels) => return self.levels(now, levels),
            CoreEvent::Stats(stats) => {
                self.directory.know_stats(now, stats.clone());
                (stats.session, Event::Stats(stats))
            }
            CoreEvent::Ended(session, reason) => {
                tracing::info!(%session, reason = reason.name(), "ended");
                return self.ended(now, session);
            }
        };
        self.carry_out(self.directory.handle_of(now, session, event));
    }

    /// A worker answered a participant's later offer, or refused it.
    fn answered(
        &self,
        now: Instant,
        session: SessionId,
        request: RequestId,
        outcome: Result<Renegotiated, OfferError>,
    ) {
        let re = u32::try_from(request.0).ok();
        if let Ok(renegotiated) = &outcome {
            self.directory.know_tracks(session, renegotiated.tracks.iter().map(|track| track.id));
        }
        self.carry_out(self.directory.handle_of(now, session, Event::Answered { session, re, outcome }));
    }

    /// Tells each room how loud its own tracks are.
    fn levels(&self, now: Instant, levels: Vec<(TrackId, AudioLevel)>) {
        let mut rooms: BTreeMap<RoomName, Vec<(TrackId, AudioLevel)>> = BTreeMap::new();
        for (track, level) in levels {
            if let Some(room) = self.directory.room_of_track(track) {
                rooms.entry(room).or_default().push((track, level));
            }
        }
        for (room, levels) in rooms {
            self.carry_out(self.directory.handle(now, &room, Event::Levels(levels)));
        }
    }

    fn carry_out(&self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Bind { session, slot, track } => {
                    let home =
                        |track| Some(TrackHome { track, worker: self.directory.worker_of_track(track)? });
                    let track = track.and_then(home);
                    self.send(session, Command::Bind { session, slot, track });
                }
                Action::Wish { session, slot, wish } => {
                    self.send(session, Command::Wish { session, slot, wish });
                }
                Action::Mute { session, track, muted } => self.send(session, Command::Mute { track, muted }),
                Action::Offer { session, request, sdp } => {
                    let request = RequestId(request.map_or(NO_REQUEST, u64::from));
                    self.send(session, Command::Offer { session, request, offer: sdp });
                }
                Action::Data { to, channel, message } => {
                    let mut by_worker: BTreeMap<WorkerId, Vec<SessionId>> = BTreeMap::new();
                    for session in to {
                        if let Some(worker) = self.directory.worker(session) {
                            by_worker.entry(worker).or_default().push(session);
                        }
                    }
                    for (worker, to) in by_worker {
                        let _ =
                            self.pool.send(worker, Command::Send { to, channel, message: message.clone() });
                    }
                }
                Action::Tell { to, reply } => self.tell(&to, &reply),
                Action::HangUp(participant) => drop(self.directory.unseat(participant)),
                Action::Forget(participant) => self.directory.forget(participant),
                Action::Close(session) => self.leave(session),
            }
        }
    }

    /// Writes a message once for all who get it. Who does not read loses the connection, not the participant.
    fn tell(&self, to: &[ParticipantId], reply: &Reply) {
        let text = text(reply);
        for participant in to {
            if !self.directory.tell(*participant, text.clone()) {
                tracing::info!(%participant, "does not read its WebSocket; closing it");
                if let Some(outbox) = self.unseat(*participant) {
                    say_too_slow(outbox);
                }
            }
        }
    }

    /// Closes a WebSocket whose participant may come back.
    fn unseat(&self, participant: ParticipantId) -> Option<Outbox> {
        let outbox = self.directory.unseat(participant)?;
        let event = Event::SocketLost(participant);
        self.carry_out(self.directory.handle(Instant::now(), &outbox.seat.room, event));
        Some(outbox)
    }

    /// Ends all sessions, waiting for the goodbyes at most `patience`.
    pub async fn stop(&self, patience: Duration) {
        self.stopping.store(true, Ordering::Relaxed);
        for outbox in self.directory.unseat_all() {
            say_bye(&outbox, ByeCode::Restarting, "The server stops.", Some(1_000));
        }
        self.pool.stop(patience).await;
    }
}

fn say_bye(outbox: &Outbox, code: ByeCode, message: &str, retry_ms: Option<u32>) {
    let bye = ServerMessage::Bye(Bye { code, message: message.to_owned(), retry_ms });
    // A queue that is full belongs to a client that does not read: it sees the end of the connection.
    let _ = outbox.put(text(&Reply { re: None, message: bye }));
}

/// Tells a client that did not read why it was left behind, should it ever read again. Its queue is full, so that the
/// words wait for room in it; the WebSocket gives up by itself on a client that takes nothing.
fn say_too_slow(outbox: Outbox) {
    let message = "This client did not read what it was sent. Resume.".to_owned();
    let bye = ServerMessage::Bye(Bye { code: ByeCode::TooSlow, message, retry_ms: Some(0) });
    let text = text(&Reply { re: None, message: bye });
    tokio::spawn(outbox.put_last(text));
}

/// A message as it is sent. Whatever is made of these types can be written as JSON.
fn text(reply: &Reply) -> Arc<str> {
    serde_json::to_string(reply).map(Arc::from).unwrap_or_default()
}
