//! ICE begins anew on a session that goes on (RFC 8445 section 9): its media flows on meanwhile, where it went.

use std::time::Instant;

use str0m::IceCreds;

use super::Session;
use super::negotiate::{host_candidates, local_credentials};
use super::turn::Turn;
use crate::net::demux::IceCredentials;

/// The user fragment and password of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub password: String,
}

impl Session {
    /// Restarts ICE without an offer, as WHIP and WHEP do (RFC 9725 section 4.3.3). Checks have to show `ice` from then on,
    /// and come from a client with other credentials.
    pub fn restart(
        &mut self,
        now: Instant,
        ice: &IceCredentials,
        client: ClientCredentials,
        turn: &mut Turn<'_>,
    ) {
        self.begin_anew(now, ice);
        let ClientCredentials { ufrag, password: pass } = client;
        self.rtc.direct_api().set_remote_ice_credentials(IceCreds { ufrag, pass });
        // What was nominated before says nothing any more: without this, what str0m itself sends would go on to an old
        // address until that has been silent for long.
        // They were candidates when the session began.
        for candidate in host_candidates(&self.candidates).unwrap_or_default() {
            self.rtc.direct_api().invalidate_candidate(&candidate);
            self.rtc.add_local_candidate(candidate);
        }
        self.drive(now, turn);
    }

    /// Puts our credentials in the place of those that str0m drew when a later offer asked for a restart. Returns the
    /// answer with them.
    pub(super) fn restart_with(&mut self, now: Instant, answer: &str, ice: &IceCredentials) -> String {
        let (drawn, ours) = (self.rtc.direct_api().local_ice_credentials(), local_credentials(ice));
        self.begin_anew(now, ice);
        answer
            .replace(&format!("a=ice-ufrag:{}", drawn.ufrag), &format!("a=ice-ufrag:{}", ours.ufrag))
            .replace(&format!("a=ice-pwd:{}", drawn.pass), &format!("a=ice-pwd:{}", ours.pass))
    }

    fn begin_anew(&mut self, now: Instant, ice: &IceCredentials) {
        self.rtc.direct_api().set_local_ice_credentials(local_credentials(ice));
        self.ufrag = ice.ufrag;
        self.paths.restart();
        // Who restarts again and again without a check is not there any more.
        self.unchecked.get_or_insert(now);
    }
}
