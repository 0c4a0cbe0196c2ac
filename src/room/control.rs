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
    /// When the server is full.
    pub fn publish(
        &self,
        id: ResourceId,
        resource: Resource,
        session: Session,
        tracks: Vec<AnsweredTrack>,
    ) -> Result<(), JoinError> {
        let _order = self.in_order();
        self.check_room_for_more(self.directory.is_live(&resource.room))?;
        let worker = session.ufrag.worker();
        self.directory.publish(id, resource, worker, tracks);
        self.pool.send(worker, Command::Join(Box::new(session)));
        Ok(())
    }

    /// Takes a viewer in.
    ///
    /// # Errors
    /// When the server is full, nobody publishes, or the viewer cannot decode the stream.
    pub fn watch(
        &self,
        id: ResourceId,
        resource: Resource,
        session: Session,
        slots: Vec<AnsweredSlot>,
    ) -> Result<(), JoinError> {
        let _order = self.in_order();
        self.check_room_for_more(false)?;
        let worker = session.ufrag.worker();
        let actions = self.directory.watch(id, resource, worker, slots)?;
        self.pool.send(worker, Command::Join(Box::new(session)));
        self.carry_out(actions);
        Ok(())
    }

    fn in_order(&self) -> MutexGuard<'_, ()> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server that is full still lets encoders come back whose old session it has not yet noticed to be dead.
    fn check_room_for_more(&self, replaces: bool) -> Result<(), JoinError> {
        let reserve = if replaces { self.most_sessions / 8 + 1 } else { 0 };
        if self.directory.sessions() >= self.most_sessions + reserve {
            return Err(JoinError::Full(self.most_sessions));
        }
        Ok(())
    }

    /// Ends a session.
    pub fn leave(&self, session: SessionId) {
        if let Some(worker) = self.directory.worker(session) {
            self.pool.send(worker, Command::Leave(session));
        }
    }

    /// Takes the workers' events until there are no more.
    pub async fn run(self: Arc<Self>, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            self.handle(Instant::now(), event);
        }
    }

    fn handle(&self, now: Instant, event: Event) {
        let _order = self.in_order();
        match event {
            CoreEvent::Connected(session) => {
                tracing::info!(%session, "connected");
                self.carry_out(self.directory.connected(session));
            }
            CoreEvent::TrackFormat(track, format) => {
                tracing::info!(%track, %format, "receiving");
                self.directory.format(track, format);
            }
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
                        self.pool.send(worker, Command::Bind { session, slot, track });
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
