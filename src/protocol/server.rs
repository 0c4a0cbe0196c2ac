//! What the server says.

use serde::Serialize;

use super::shared::{Body, Peer};
use crate::ids::{ParticipantId, TrackId};
use crate::units::MediaKind;

/// A server's message, and the request that it answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Reply {
    /// The `id` of the request that this answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub re: Option<u32>,
    /// The message.
    #[serde(flatten)]
    pub message: ServerMessage,
}

/// What the server can say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The client is in the room.
    Welcome(Box<Welcome>),
    /// The answer to a new offer.
    Answer(Answer),
    /// The request was carried out.
    Ok(Done),
    /// Participants came, changed or left.
    Peers(Peers),
    /// What slots carry from now on. Slots that are not named are as before.
    Slots(Slots),
    /// Who is speaking, the loudest first. Nobody, where the list is empty.
    Speakers(Speakers),
    /// Which of the client's own video tracks anybody watches. What nobody watches need not be sent.
    Want(Want),
    /// How well connections do.
    Quality(Quality),
    /// ICE servers with newer credentials, for the next time that the client gathers candidates.
    IceServers(IceServers),
    /// A message of another participant.
    Msg(Msg),
    /// A request was not carried out, or something is to be known that went wrong.
    Error(Error),
    /// The reply to `ping`.
    Pong(Pong),
    /// The last message: the server ends the connection.
    Bye(Bye),
}

/// The client is in the room.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Welcome {
    /// The version that is spoken.
    pub v: u32,
    /// The room.
    pub room: String,
    /// The client's own id.
    pub you: ParticipantId,
    /// The client's own name, as others see it.
    pub name: String,
    /// What resumes this participant after a broken connection. Keep it secret.
    pub resume_token: String,
    /// Whether an earlier connection was resumed.
    pub resumed: bool,
    /// The answer, where there was an offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub sdp: Option<String>,
    /// The client's own tracks.
    pub tracks: Vec<OwnTrack>,
    /// The client's slots.
    pub slots: Vec<Slot>,
    /// Everybody else.
    pub peers: Vec<Peer>,
    /// For the `iceServers` of the peer connection.
    pub ice_servers: Vec<IceServer>,
    /// What the server takes.
    pub limits: Limits,
}

/// A section in which the client can publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct OwnTrack {
    /// The section.
    pub mid: String,
    /// The id of the track in it.
    pub track: TrackId,
    /// Audio or video.
    #[cfg_attr(test, ts(type = "\"audio\" | \"video\""))]
    pub kind: MediaKind,
}

/// A section in which the client can receive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Slot {
    /// The section.
    pub mid: String,
    /// Audio or video.
    #[cfg_attr(test, ts(type = "\"audio\" | \"video\""))]
    pub kind: MediaKind,
}

/// An ICE server, as `RTCPeerConnection` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct IceServer {
    /// Its addresses.
    pub urls: Vec<String>,
    /// The name to use there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub username: Option<String>,
    /// The password to use there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub credential: Option<String>,
}

/// ICE servers with credentials that are good for longer than those told before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct IceServers {
    /// All of them, in place of those told before.
    pub list: Vec<IceServer>,
}

/// What the server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Limits {
    /// The longest message over the WebSocket, in bytes.
    pub message_bytes: u32,
    /// Messages per second over the WebSocket.
    pub messages_per_second: u32,
    /// The longest message over a data channel, in bytes.
    pub data_bytes: u32,
    /// How long a broken connection can be resumed, in milliseconds.
    pub resume_ms: u32,
    /// How often the server pings, in milliseconds.
    pub ping_ms: u32,
}

/// The answer to a new offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Answer {
    /// The answer.
    pub sdp: String,
    /// All of the client's own tracks.
    pub tracks: Vec<OwnTrack>,
    /// All of the client's slots.
    pub slots: Vec<Slot>,
}

/// The request was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Done {}

/// Participants came, changed or left.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Peers {
    /// Those who came or changed, each as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<Peer>>"))]
    pub set: Vec<Peer>,
    /// Those who left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<ParticipantId>>"))]
    pub gone: Vec<ParticipantId>,
}

/// What slots carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Slots {
    /// The slots that changed.
    pub bind: Vec<Binding>,
}

/// What one slot carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Binding {
    /// The slot's section.
    pub mid: String,
    /// The track; an empty slot has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub track: Option<TrackId>,
    /// Whether media comes.
    pub state: SlotState,
    /// Why none comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub why: Option<PauseReason>,
    /// The RTP timestamp of the track's first frame in this video slot. Told a second time with it, once media comes:
    /// frames before it, as `requestVideoFrameCallback` tells them apart, are still of the track before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub from: Option<u32>,
}

/// Whether a slot carries anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// The track's media comes, from its next key frame on.
    Live,
    /// It is held back for a reason; it comes by itself once the reason is gone.
    Paused,
    /// Nothing is bound to the slot.
    Empty,
}

/// Why a slot is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The publisher muted the track.
    Muted,
    /// The client has no decoder for the track's codec.
    Codec,
    /// There is no such track, or not any more.
    Gone,
    /// The publisher's media connection is not up.
    Connecting,
    /// The client's link does not carry it now. It comes back by itself.
    Bandwidth,
}

/// Who is speaking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Speakers {
    /// The loudest first.
    pub list: Vec<Speaker>,
}

/// Somebody who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Speaker {
    /// Who.
    pub peer: ParticipantId,
    /// How loud: 0 (silent) to 127 (as loud as it gets), in dB.
    pub level: u8,
}

/// Which of the client's own video tracks anybody watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Want {
    /// The tracks that changed.
    pub tracks: Vec<Wanted>,
}

/// Whether anybody watches a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Wanted {
    /// The track's section.
    pub mid: String,
    /// Whether anybody watches it.
    pub wanted: bool,
    /// The encodings that anybody gets, by their `rid`. Without it all are wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub rids: Option<Vec<String>>,
}

/// How well connections do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Quality {
    /// Those whose quality changed. The client itself is among them under its own id.
    pub peers: Vec<PeerQuality>,
}

/// How well one connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct PeerQuality {
    /// Whose.
    pub peer: ParticipantId,
    /// How well.
    pub level: QualityLevel,
}

/// How well a connection does, by the share of its packets that are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum QualityLevel {
    /// Pictures freeze and words are missing.
    Poor,
    /// Some of it shows.
    Fair,
    /// Nothing to be noticed.
    Good,
}

/// A message of another participant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Msg {
    /// Whose.
    pub from: ParticipantId,
    /// What it is about, for the application.
    pub topic: String,
    /// The content.
    #[cfg_attr(test, ts(type = "unknown"))]
    pub body: Body,
}

/// The longest sentence of an error, in characters.
const MAX_SENTENCE: usize = 500;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Error {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what happened, and what to do.
    pub message: String,
}

impl Error {
    /// What went wrong. The sentence is cut where it goes on and on: it may quote what the client sent, and answers are not to be
    /// as long as what they refuse.
    #[must_use]
    pub fn new(code: ErrorCode, message: &str) -> Self {
        Self { code, message: message.chars().take(MAX_SENTENCE).collect() }
    }
}

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON, or not of the form that its type asks for.
    BadMessage,
    /// No message of this version has that type.
    UnknownType,
    /// Only a `join` can come first, and only once.
    Order,
    /// The version is not spoken here.
    Version,
    /// The room's name is none.
    RoomName,
    /// The room's key is missing or wrong.
    RoomKey,
    /// The room or the server is full.
    Full,
    /// The resume token is unknown, or its participant is gone: join anew.
    Resume,
    /// The offer cannot be answered.
    Offer,
    /// There is no such section, track or participant.
    NotFound,
    /// Too long a topic, message or metadata, or too many tracks.
    TooLarge,
    /// Too many messages.
    Rate,
    /// The peer connection did not come up or broke: resume with a new one.
    Media,
    /// Messages for this client were lost, as it does not take them fast enough.
    DataLost,
    /// The server cannot do it now: try again in a moment.
    Busy,
}

/// The reply to `ping`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Pong {
    /// The client's time, as it was given.
    pub ts: f64,
}

/// The server ends the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Bye {
    /// For programs.
    pub code: ByeCode,
    /// For people.
    pub message: String,
    /// After how many milliseconds it makes sense to come back; not at all, where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub retry_ms: Option<u32>,
}

/// Why the server ends a connection, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ByeCode {
    /// The client was not let in; an `error` before says why.
    Refused,
    /// The client left.
    Left,
    /// Somebody who runs the server removed the participant.
    Removed,
    /// Somebody who runs the server closed the room.
    RoomClosed,
    /// The same participant was resumed by another connection.
    Resumed,
    /// The client broke a limit for too long.
    Rate,
    /// The client does not read what it is sent.
    TooSlow,
    /// The participant's media was gone for too long.
    Timeout,
    /// The server stops.
    Restarting,
}
