//! Counter-offers that wait for their answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::Problem;
use crate::ids::RoomName;
use crate::room::event::Target;
use crate::room::resource::ResourceId;
use crate::sfu::session::negotiate::NewSession;

/// How long a counter-offer is good, where nothing else is said.
const GOOD_FOR: Duration = Duration::from_secs(30);
/// How many may be open at one time.
const MOST_OPEN: usize = 1_024;

/// The counter-offers that wait for an answer.
#[derive(Debug, Default)]
pub struct CounterOffers(Mutex<HashMap<ResourceId, Open>>);

/// A counter-offer.
#[derive(Debug, Clone)]
pub(super) struct Open {
    /// The identity that it told.
    pub(super) new: NewSession,
    /// The room, and what is to be seen of it.
    pub(super) room: RoomName,
    pub(super) target: Target,
    /// Whether the player may see the participants of the room.
    pub(super) members: bool,
    pub(super) made: Instant,
}

impl CounterOffers {
    fn open(&self) -> MutexGuard<'_, HashMap<ResourceId, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, now: Instant, id: ResourceId, open: Open) -> Result<(), Problem> {
        let mut all = self.open();
        all.retain(|_, open| now.saturating_duration_since(open.made) < GOOD_FOR);
        if all.len() >= MOST_OPEN {
            return Err(Problem::busy());
        }
        all.insert(id, open);
        Ok(())
    }

    /// Takes out one that is still good.
    pub(super) fn take(&self, now: Instant, stream: &str, id: &str) -> Option<(ResourceId, Open)> {
        let id = id.parse().ok()?;
        let mut all = self.open();
        let is_meant =
            |open: &Open| open.room.as_str() == stream && now.saturating_duration_since(open.made) < GOOD_FOR;
        all.get(&id).filter(|open| is_meant(open))?;
        all.remove(&id).map(|open| (id, open))
    }

    /// Puts one back whose answer came too early. It is good for no longer than it was.
    pub(super) fn put_back(&self, id: ResourceId, open: Open) {
        self.open().insert(id, open);
    }

    /// Gives one up. Returns whether it was there.
    pub(super) fn remove(&self, stream: &str, id: &str) -> bool {
        self.take(Instant::now(), stream, id).is_some()
    }
}
