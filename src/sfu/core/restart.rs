//! Sessions that are known by another name after an ICE restart.

use std::time::Instant;

use super::Core;
use crate::ids::SessionId;
use crate::net::datagram::SendBatch;
use crate::net::demux::{IceCredentials, Ufrag};
use crate::sfu::session::restart::ClientCredentials;

impl Core {
    /// Restarts ICE on a session. One that is gone is left alone.
    pub fn restart(
        &mut self,
        now: Instant,
        id: SessionId,
        ice: &IceCredentials,
        client: ClientCredentials,
        batch: &mut SendBatch,
    ) {
        let Some(before) = self.sessions.get(&id).map(|session| session.ufrag) else { return };
        self.with_session(id, batch, |session, turn| session.restart(now, ice, client, turn));
        self.rename(id, before);
    }

    /// Takes note of the name that a session's checks have from now on, if that is another.
    pub(super) fn rename(&mut self, id: SessionId, before: Ufrag) {
        let Some(session) = self.sessions.get(&id) else { return };
        if session.ufrag != before {
            // No check with the old one would be answered, as the password went with it.
            self.demux.insert_ufrag(session.ufrag, id);
            self.demux.remove_ufrag(before);
        }
    }
}
