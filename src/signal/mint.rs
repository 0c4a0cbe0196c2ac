//! Where identities are born: counters for what is only told apart, random numbers for what must not be guessed.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::{ParticipantId, SessionId, SocketId, TrackId, WorkerId};
use crate::net::demux::IceCredentials;
use crate::room::resource::{ResourceId, ResumeToken};
use crate::sfu::session::negotiate::NewSession;
use crate::worker::random::random;

/// How many track ids a session may use: as many as an offer may have sections.
const TRACKS_PER_SESSION: u64 = crate::wire::sdp::MAX_SECTIONS as u64;

/// Gives out identities.
#[derive(Debug, Default)]
pub struct Mint {
    sessions: AtomicU64,
    participants: AtomicU64,
    sockets: AtomicU64,
}

impl Mint {
    /// The identity of a new session on a worker.
    ///
    /// # Panics
    /// When the system has no randomness: then no session would be safe.
    #[must_use]
    pub fn session(&self, worker: WorkerId) -> NewSession {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        NewSession {
            id: SessionId(number),
            ice: self.ice(worker),
            first_track: TrackId(number * TRACKS_PER_SESSION),
            seed: u64::from_be_bytes(random()),
        }
    }

    /// What the checks of a session on a worker have to show.
    ///
    /// # Panics
    /// As [`Self::session`].
    #[must_use]
    pub fn ice(&self, worker: WorkerId) -> IceCredentials {
        IceCredentials::mint(worker, random(), random())
    }

    /// The id of a new participant.
    #[must_use]
    pub fn participant(&self) -> ParticipantId {
        ParticipantId(self.participants.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The id of a new WebSocket.
    #[must_use]
    pub fn socket(&self) -> SocketId {
        SocketId(self.sockets.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// What resumes a participant.
    #[must_use]
    pub fn resume(&self) -> ResumeToken {
        ResumeToken::new(random())
    }

    /// The name of a session in a URL.
    #[must_use]
    pub fn resource(&self) -> ResourceId {
        ResourceId::new(random())
    }
}
