//! What a client says.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::shared::{Body, Source};
use crate::ids::{ParticipantId, TrackId};

/// A client's message with its number.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Request {
    /// The client's number for it. What answers the request carries it as `re`.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub id: Option<u32>,
    /// The message.
    #[serde(flatten)]
    pub message: ClientMessage,
}

/// What a client can say.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum ClientMessage {
    /// The first message of every connection. Answered by `welcome`.
    Join(Join),
    /// A new offer of the same peer connection: more slots, other sections. Answered by `answer`.
    Offer(Offer),
    /// Candidates of the client. They are not needed: the server learns addresses from connectivity checks.
    Ice(Ice),
    /// All that the client publishes from now on. Answered by `ok`.
    Tracks(Tracks),
    /// Mutes or unmutes one track. Answered by `ok`.
    Mute(Mute),
    /// All that the client wants to see and hear from now on. Answered by `ok`.
    View(View),
    /// A message to other participants. Answered by `ok`.
    Send(Send),
    /// Changes the client's own name or metadata. Answered by `ok`.
    Update(Update),
    /// Answered by `pong`.
    Ping(Ping),
    /// The client leaves for good.
    Leave(Leave),
    /// A type that this version does not know.
    #[serde(other)]
    #[cfg_attr(test, schemars(skip), ts(skip))]
    Unknown,
}

/// Joins a room, or resumes a connection to it.
#[derive(Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Join {
    /// The version of the protocol: 1.
    pub v: u32,
    /// The room's name: 1 to 128 letters, digits and `- _ . ~`.
    pub room: String,
    /// The room's key, where it has one.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub key: Option<String>,
    /// The name that others see: up to 64 characters.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub name: Option<String>,
    /// What the application wants to keep with the participant: up to 2 KiB.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, type = "Record<string, unknown>"))]
    pub meta: Map<String, Value>,
    /// The offer. Without one the peer connection of the resumed participant goes on as it is.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub sdp: Option<String>,
    /// What the client publishes in which section of the offer.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<TrackIntent>>"))]
    pub tracks: Vec<TrackIntent>,
    /// The resume token of an earlier `welcome`.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub resume: Option<String>,
}

impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Key and token open doors, and an offer carries ICE credentials: none belongs in a log.
        f.debug_struct("Join").field("v", &self.v).field("room", &self.room).finish_non_exhaustive()
    }
}

/// One track that the client publishes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct TrackIntent {
    /// The section of the offer that carries it.
    pub mid: String,
    /// What it shows or carries.
    pub source: Source,
    /// What others shall see it called: up to 64 characters.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub label: Option<String>,
    /// Whether it begins muted.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub muted: bool,
}

/// A new offer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Offer {
    /// The offer.
    pub sdp: String,
}

/// Candidates.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Ice {
    /// In whatever form the client has them.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, type = "unknown[]"))]
    pub candidates: Vec<Value>,
}

/// The full list of what is published.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Tracks {
    /// All tracks; one that is missing is no longer published.
    pub tracks: Vec<TrackIntent>,
}

/// Mutes or unmutes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Mute {
    /// The section of the track.
    pub mid: String,
    /// Whether it is muted from now on.
    pub muted: bool,
}

/// What the client wants to see and hear. Each view replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct View {
    /// Video slots and what they shall show. A slot that is not named is empty.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<SlotView>>"))]
    pub slots: Vec<SlotView>,
    /// What the audio slots shall carry.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<AudioView>"))]
    pub audio: AudioView,
}

/// What one video slot shall show.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct SlotView {
    /// The slot's section.
    pub mid: String,
    /// The track; without one the slot is empty.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub track: Option<TrackId>,
    /// The width at which it is shown, in device pixels.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<u32>"))]
    pub w: u32,
    /// The height at which it is shown, in device pixels.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<u32>"))]
    pub h: u32,
    /// The most frames per second that are of use.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub fps: Option<u32>,
    /// How important it is: 0 least, 1 as the others, more is more.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub priority: Option<u32>,
}

/// What the audio slots shall carry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct AudioView {
    /// Tracks that are to be heard whoever else speaks.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<TrackId>>"))]
    pub tracks: Vec<TrackId>,
    /// Whether the slots that are left carry whoever speaks.
    #[serde(default = "yes")]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub auto: bool,
}

impl Default for AudioView {
    fn default() -> Self {
        Self { tracks: Vec::new(), auto: true }
    }
}

fn yes() -> bool {
    true
}

/// A message to other participants by way of the WebSocket; data channels are quicker, and take more of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Send {
    /// To whom; to everybody else in the room where it is missing.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub to: Option<Vec<ParticipantId>>,
    /// What it is about, for the application: up to 64 bytes.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<String>"))]
    pub topic: String,
    /// The content.
    #[cfg_attr(test, ts(type = "unknown"))]
    pub body: Body,
}

/// Changes what others see of the client.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Update {
    /// The new name.
    #[serde(default)]
    #[cfg_attr(test, ts(optional))]
    pub name: Option<String>,
    /// The new metadata, as a whole.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, type = "Record<string, unknown>"))]
    pub meta: Option<Map<String, Value>>,
}

/// A sign of life.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Ping {
    /// The client's time, given back as it is.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<f64>"))]
    pub ts: f64,
}

/// The client leaves.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Leave {}
