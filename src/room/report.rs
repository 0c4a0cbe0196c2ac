//! What an operator is told of a room: who is in it, and how everybody's media does.

use serde::Serialize;

use super::room::Room;
use crate::ids::{ParticipantId, RoomName, SessionId, TrackId};
use crate::protocol::shared::{Peer, PeerKind, PeerState, Source};
use crate::sfu::session::stats::{LinkStats, SessionStats};

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
    /// The way to it, if anything is sent to it.
    pub link: Option<LinkReport>,
    /// What should be done otherwise with its encoder, in sentences.
    pub advice: Vec<String>,
    /// What it sends to the server.
    pub sends: Vec<SentReport>,
    /// What it receives from the server; empty slots are left out.
    pub receives: Vec<ReceivedReport>,
}

/// The way from the server to a client.
#[derive(Debug, Serialize)]
pub struct LinkReport {
    /// What it can carry, in bit/s, by the server's own estimate, if there is one.
    pub estimate: Option<u64>,
    /// How much of that was given to tracks, in bit/s.
    pub allotted: Option<u64>,
    /// What was sent, in bit/s, with what was sent again.
    pub sent: u64,
    /// The part of it that was lost, 0 to 1.
    pub lost: f32,
    /// How long media waited at the server, in milliseconds.
    pub queue_ms: f64,
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
    /// Which encoding of it, from 0, the smallest; where there are several.
    pub encoding: Option<u8>,
    /// The highest spatial layer, from 0.
    pub spatial: Option<u8>,
    /// The highest temporal layer, from 0.
    pub temporal: Option<u8>,
    /// The height of the picture in pixels; 0 while it is not known.
    pub height: u16,
    /// Nothing of it is sent, as the link does not carry it.
    pub paused: bool,
}

impl From<&LinkStats> for LinkReport {
    fn from(link: &LinkStats) -> Self {
        Self {
            estimate: link.estimate.map(|bitrate| bitrate.0),
            allotted: link.allotted.map(|bitrate| bitrate.0),
            sent: link.sent.0,
            lost: link.lost,
            queue_ms: link.queue.as_secs_f64() * 1_000.0,
        }
    }
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
            advice: Vec::new(),
            rtt_ms: stats.and_then(|stats| stats.rtt).map(|rtt| rtt.as_secs_f64() * 1_000.0),
            estimate: stats.and_then(|stats| stats.estimate).map(|bitrate| bitrate.0),
            link: stats.and_then(|stats| stats.link.as_ref()).map(LinkReport::from),
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
                        encoding: slot.selection.map(|selection| selection.encoding.0),
                        spatial: slot.selection.map(|selection| selection.spatial),
                        temporal: slot.selection.map(|selection| selection.temporal),
                        height: slot.height,
                        paused: slot.paused,
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
