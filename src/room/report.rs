//! What an operator is told of a room: who is in it, and how everybody's media does.

use serde::Serialize;

use super::room::Room;
use crate::ids::{ParticipantId, RoomName, SessionId, TrackId};
use crate::protocol::shared::{Peer, PeerKind, PeerState, Source};
use crate::sfu::session::stats::SessionStats;

/// A room in one line.
#[derive(Debug, Serialize)]
pub struct RoomSummary {
    /// Its name.
    pub name: RoomName,
    /// How many joined it.
    pub participants: usize,
    /// How many watch by WHEP.
    pub viewers: usize,
    /// Whether a WHIP publisher is on air.
    pub live: bool,
}

/// A room with all that is in it.
#[derive(Debug, Serialize)]
pub struct RoomReport {
    /// Its name.
    pub name: RoomName,
    /// Who takes part: those who joined, and the WHIP stream.
    pub participants: Vec<ParticipantReport>,
    /// Who watches by WHEP.
    pub viewers: Vec<SessionReport>,
}

/// A participant.
#[derive(Debug, Serialize)]
pub struct ParticipantReport {
    /// Its id.
    pub id: ParticipantId,
    /// Its name.
    pub name: String,
    /// A member or a stream.
    pub kind: PeerKind,
    /// Whether its connection is alive.
    pub state: PeerState,
    /// What it publishes.
    pub tracks: Vec<PublishedReport>,
    /// Its peer connection, if it has one.
    pub session: Option<SessionReport>,
}

/// A published track.
#[derive(Debug, Serialize)]
pub struct PublishedReport {
    /// Its id.
    pub id: TrackId,
    /// What it shows or carries.
    pub source: Source,
    /// Whether it is muted.
    pub muted: bool,
}

/// A peer connection, as of the last two seconds.
#[derive(Debug, Serialize)]
pub struct SessionReport {
    /// Its id, as in the log.
    pub id: String,
    /// Whether media can flow.
    pub connected: bool,
    /// Round-trip time in milliseconds, by the client's reports.
    pub rtt_ms: Option<f64>,
    /// How much it believes that it can receive, in bit/s, if it says so (REMB).
    pub estimate: Option<u64>,
    /// What it sends to the server.
    pub sends: Vec<SentReport>,
    /// What it receives from the server; empty slots are left out.
    pub receives: Vec<ReceivedReport>,
}

/// A track on its way to the server.
#[derive(Debug, Serialize)]
pub struct SentReport {
    /// The track.
    pub track: TrackId,
    /// Its format, once anything of it came.
    pub format: Option<String>,
    /// How many encodings were received (simulcast).
    pub encodings: u8,
    /// Bit/s.
    pub bitrate: u64,
    /// The part of its packets that was lost, 0 to 1.
    pub lost: f32,
}

/// A track on its way to the client.
#[derive(Debug, Serialize)]
pub struct ReceivedReport {
    /// The index of the slot.
    pub slot: usize,
    /// The track.
    pub track: TrackId,
    /// Bit/s.
    pub bitrate: u64,
    /// The part of its packets that was lost, 0 to 1.
    pub lost: f32,
    /// Packets asked for again.
    pub nacks: u64,
}

impl SessionReport {
    /// A session, and what was last heard of it.
    #[must_use]
    pub fn new(id: SessionId, connected: bool, stats: Option<&SessionStats>) -> Self {
        let sent = stats.map(|stats| stats.tracks.as_slice()).unwrap_or_default();
        let received = stats.map(|stats| stats.slots.as_slice()).unwrap_or_default();
        Self {
            id: id.to_string(),
            connected,
            rtt_ms: stats.and_then(|stats| stats.rtt).map(|rtt| rtt.as_secs_f64() * 1_000.0),
            estimate: stats.and_then(|stats| stats.estimate).map(|bitrate| bitrate.0),
            sends: sent
                .iter()
                .map(|track| SentReport {
                    track: track.track,
                    format: track.format.map(|format| format.to_string()),
                    encodings: track.encodings,
                    bitrate: track.bitrate.0,
                    lost: track.lost,
                })
                .collect(),
            receives: received
                .iter()
                .filter_map(|slot| {
                    Some(ReceivedReport {
                        slot: slot.slot,
                        track: slot.track?,
                        bitrate: slot.bitrate.0,
                        lost: slot.lost,
                        nacks: slot.nacks,
                    })
                })
                .collect(),
        }
    }
}

impl Room {
    /// The room in one line.
    #[must_use]
    pub fn summary(&self, name: RoomName) -> RoomSummary {
        let viewers = self.viewers.sessions().count();
        RoomSummary { name, participants: self.members(), viewers, live: self.is_live() }
    }

    /// The room with all that is in it. `session` tells of one session.
    pub fn report(&self, name: RoomName, session: impl Fn(SessionId) -> SessionReport) -> RoomReport {
        let participant = |peer: Peer| ParticipantReport {
            id: peer.id,
            name: peer.name,
            kind: peer.kind,
            state: peer.state,
            tracks: peer
                .tracks
                .into_iter()
                .map(|track| PublishedReport { id: track.id, source: track.source, muted: track.muted })
                .collect(),
            session: self.session_of(peer.id).map(&session),
        };
        RoomReport {
            name,
            participants: self.peers().into_iter().map(participant).collect(),
            viewers: self.viewers.sessions().map(&session).collect(),
        }
    }
}
