//! How subscribers show what they get.

use super::Core;
use crate::ids::SessionId;
use crate::sfu::egress::allocate::Wish;

impl Core {
    /// Takes note of how a subscriber shows a slot from now on. Sessions and slots that ended a moment ago are left alone.
    pub fn wish(&mut self, id: SessionId, slot: usize, wish: Wish) {
        let slot = self.sessions.get_mut(&id).and_then(|session| session.slots.get_mut(slot));
        if let Some(slot) = slot {
            slot.wish = wish;
        }
    }
}
