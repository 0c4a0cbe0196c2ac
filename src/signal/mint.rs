//! Where identities are born: counters for what is only told apart, random numbers for what must not be guessed.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::{ParticipantId, SessionId, SocketId, TrackId, WorkerId};
use crate::net::demux::Ufrag;
use crate::room::resource::{ResourceId, ResumeToken};
use crate::sfu::session::negotiate::NewSession;

/// ICE characters (RFC 8839 section 5.4). 64 of them, so that a random byte picks one without bias.
const ICE_CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

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
        let password = random::<24>().map(|byte| char::from(ICE_CHARACTERS[usize::from(byte % 64)]));
        NewSession {
            id: SessionId(number),
            ufrag: Ufrag::mint(worker, random()),
            password: password.iter().collect(),
            first_track: TrackId(number * TRACKS_PER_SESSION),
            seed: u64::from_be_bytes(random()),
        }
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

#[expect(clippy::expect_used, reason = "a server without randomness must not run")]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}
