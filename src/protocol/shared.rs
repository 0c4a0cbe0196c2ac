//! What messages of both directions are made of.

use serde::{Deserialize, Serialize};

use crate::ids::{ParticipantId, TrackId};
use crate::units::MediaKind;

/// What a track shows or carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A microphone.
    Mic,
    /// A camera.
    Camera,
    /// A screen, a window or a tab.
    Screen,
    /// The sound of a screen.
    ScreenAudio,
    /// The picture of a WHIP stream.
    Stream,
    /// The sound of a WHIP stream.
    StreamAudio,
}

impl Source {
    /// Whether it is sound or pictures.
    #[must_use]
    pub fn kind(self) -> MediaKind {
        match self {
            Self::Mic | Self::ScreenAudio | Self::StreamAudio => MediaKind::Audio,
            Self::Camera | Self::Screen | Self::Stream => MediaKind::Video,
        }
    }
}

/// A track as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct TrackInfo {
    /// Its id.
    pub id: TrackId,
    /// What it shows or carries.
    pub source: Source,
    /// What its publisher calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub label: Option<String>,
    /// Whether it is muted. Nothing of a muted track is forwarded.
    pub muted: bool,
    /// The contributing source that packets of this track name (RFC 3550 section 5.1): `getContributingSources()` of a
    /// slot's receiver tells by it which track is playing at this moment.
    pub csrc: u32,
}

/// What kind of participant somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PeerKind {
    /// Somebody who joined the room.
    Member,
    /// A WHIP publisher.
    Stream,
}

/// Whether somebody's connection is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// It is.
    Here,
    /// It broke, and may be resumed within 30 s.
    Reconnecting,
}

/// A participant as others see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
pub struct Peer {
    /// Its id.
    pub id: ParticipantId,
    /// Its name, as it gave it.
    pub name: String,
    /// What kind of participant it is.
    pub kind: PeerKind,
    /// Whether its connection is alive.
    pub state: PeerState,
    /// What it publishes.
    pub tracks: Vec<TrackInfo>,
    /// What the application keeps with it.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[cfg_attr(test, ts(optional, type = "Record<string, unknown>"))]
    pub meta: serde_json::Map<String, serde_json::Value>,
}

/// What a message between participants carries: any JSON value.
pub type Body = serde_json::Value;
