//! What a WHEP viewer is told while it watches, and what it may choose.

use super::event::{Action, Target};
use super::room::Room;
use super::viewers::{self, WatchError};
use crate::ids::{SessionId, TrackId};
use crate::sfu::egress::allocate::Wish;
use crate::sfu::session::negotiate::AnsweredSlot;
use crate::units::MediaKind;

/// How things are for a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Whether anything is there to be seen or heard.
    pub active: bool,
    /// How many watch by WHEP, this viewer included.
    pub viewers: usize,
    /// Its sections for pictures.
    pub pictures: Vec<Picture>,
}

/// A section of a viewer that takes pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The index of its slot.
    pub slot: usize,
    /// Its name in the viewer's offer.
    pub mid: String,
    /// What is shown in it.
    pub track: Option<TrackId>,
}

impl Room {
    /// How things are for a viewer. `None` when it is not here.
    #[must_use]
    pub fn watched(&self, session: SessionId) -> Option<Watched> {
        let viewer = self.viewers.get(session)?;
        let of_pictures = viewer.shown().filter(|(slot, _)| slot.kind == MediaKind::Video);
        let picture = |(slot, track): (&AnsweredSlot, Option<TrackId>)| Picture {
            slot: slot.index,
            mid: slot.mid.clone(),
            track,
        };
        Some(Watched {
            active: viewer.shown().any(|(_, track)| track.is_some()),
            viewers: self.viewers.len(),
            pictures: of_pictures.map(picture).collect(),
        })
    }

    /// Whether a viewer who is here could be shown something else.
    ///
    /// # Errors
    /// As [`Self::check_watch`].
    pub fn check_choice(&self, session: SessionId, target: Target) -> Result<(), WatchError> {
        let viewer = self.viewers.get(session).ok_or(WatchError::NotLive)?;
        viewers::check(&viewer.slots, &self.shown(&self.catalog(), target))
    }

    pub(super) fn choose(&mut self, session: SessionId, target: Option<Target>, wish: Option<(usize, Wish)>) {
        if let Some(target) = target {
            self.unsettled |= self.viewers.aim(session, target);
        }
        if let Some((slot, wish)) = wish.filter(|_| self.viewers.get(session).is_some()) {
            self.out.push(Action::Wish { session, slot, wish });
        }
    }
}
