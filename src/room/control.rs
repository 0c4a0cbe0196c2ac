//! Carries out what rooms decide: the one place that speaks to workers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::directory::{Directory, Resource, ResourceId};
use super::room::{Action, WatchError};
use crate::ids::{SessionId, WorkerId};
use crate::sfu::CoreEvent;
use crate::sfu::session::Session;
use crate::sfu::session::negotiate::{AnsweredSlot, AnsweredTrack};
use crate::worker::message::{Command, Event};
use crate::worker::pool::Pool;

/// The rooms together with the workers that serve them.
pub struct Control {
    directory: Directory,
    pool: Pool,
    most_sessions: usize,
    /// Held while a decision is made and told to the workers, so that they hear decisions in the order in which they
    /// were made. Never held over an await; a session takes it a handful of times in its life.
    order: Mutex<()>,
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
}

impl Control {
    /// A control plane over running workers that takes at most `most_sessions` sessions.
    #[must_use]
    pub fn new(pool: Pool, most_sessions: usize) -> Self {
        Self { directory: Directory::default(), pool, most_sessions, order: Mutex::new(()) }
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

    /// The worker for the next session.
    #[must_use]
    pub fn place(&self) -> WorkerId {
        WorkerId(0)
    }

    /// Takes a publisher in.
    ///
    /// # Errors
    /// When the server is full, or its worker is gone.
    pub fn publish(
        &self,
        id: ResourceId,
        resource: Resource,
        session: Session,
        tracks: Vec<AnsweredTrack>,
    ) -> Result<(), JoinError> {
        let _order = self.in_order();
        // A full server still lets encoders come back whose old session it has not yet noticed to be dead.
        let replaces = self.directory.is_live(&resource.room);
        let reserve = if replaces { self.most_sessions / 8 + 1 } else { 0 };
        if self.directory.sessions() >= self.most_sessions + reserve {
            return Err(JoinError::Full(self.most_sessions));
        }
        self.directory.publish(id, resource, session.ufrag.worker(), tracks);
        self.hand_over(session)
    }

    /// Takes a viewer in.
    ///
    /// # Errors
    /// When the server is full, nobody publishes, the viewer cannot decode the stream, or the worker is gone.
    pub fn watch(
        &self,
        id: ResourceId,
        resource: Resource,
        session: Session,
        slots: Vec<AnsweredSlot>,
    ) -> Result<(), JoinError> {
        let _order = self.in_order();
        // Anybody may ask to watch. Those who never connect must not use up the places of those who would.
        let crowded = self.directory.connecting() >= (self.most_sessions / 4).max(1);
        if crowded || self.directory.sessions() >= self.most_sessions {
            return Err(JoinError::Full(self.most_sessions));
        }
        let actions = self.directory.watch(id, resource, session.ufrag.worker(), slots)?;
        self.hand_over(session)?;
        self.carry_out(actions);
        Ok(())
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
        self.carry_out(self.directory.ended(Instant::now(), id));
        Err(JoinError::WorkerGone)
    }

    /// Ends a session.
    pub fn leave(&self, session: SessionId) {
        if let Some(worker) = self.directory.worker(session) {
            // A worker that is gone has no sessions to end.
            let _ = self.pool.send(worker, Command::Leave(session));
        }
    }

    /// Takes the workers' events until there are no more.
    pub async fn run(self: Arc<Self>, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            self.handle(Instant::now(), &event);
        }
    }

    fn handle(&self, now: Instant, event: &Event) {
        let _order = self.in_order();
        match *event {
            CoreEvent::Connected(session) => {
                tracing::info!(%session, "connected");
                self.carry_out(self.directory.connected(session));
            }
            CoreEvent::TrackFormat(track, format) => {
                tracing::info!(%track, %format, "receiving");
                self.directory.format(track, format);
            }
            CoreEvent::AudioLevels(_)
            | CoreEvent::ChannelOpen { .. }
            | CoreEvent::Data { .. }
            | CoreEvent::DataRefused { .. }
            | CoreEvent::DataLost { .. }
            | CoreEvent::Stats(_) => {}
            CoreEvent::Ended(session, reason) => {
                tracing::info!(%session, reason = reason.name(), "ended");
                self.carry_out(self.directory.ended(now, session));
            }
        }
    }

    fn carry_out(&self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Bind { session, slot, track } => {
                    if let Some(worker) = self.directory.worker(session) {
                        let _ = self.pool.send(worker, Command::Bind { session, slot, track });
                    }
                }
                Action::Close(session) => self.leave(session),
            }
        }
    }

    /// Ends all sessions, waiting for the goodbyes at most `patience`.
    pub async fn stop(&self, patience: Duration) {
        self.pool.stop(patience).await;
    }
}
