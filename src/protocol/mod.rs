//! The room protocol, version 1: JSON over a WebSocket, and what passes through data channels beside it.
//!
//! These types are the protocol's only definition. `docs/protocol.md` explains them message by message with examples
//! that a test parses; `docs/protocol.schema.json` and `web-demo/protocol.d.ts` are generated from them.
//!
//! Rules for both directions: one object in each text frame, `t` tells its type. Fields and types that a receiver does
//! not know are ignored. A request may carry an `id`; whatever answers it carries the same number as `re`.

pub mod client;
pub mod server;
pub mod shared;
pub mod data;

use std::time::Duration;

/// The version that this server speaks.
pub const VERSION: u32 = 1;

/// The longest text frame that the server takes, in bytes. Offers are by far the longest.
pub const MAX_MESSAGE: usize = 160 * 1024;
/// Messages per second that a client may send for long.
pub const MESSAGES_PER_SECOND: u32 = 20;
/// Messages that a client may send at once after it was quiet.
pub const MESSAGE_BURST: u32 = 60;
/// How long a client may take to send its join.
pub const JOIN_WITHIN: Duration = Duration::from_secs(5);
/// How long a participant whose connection broke is kept.
pub const RESUME_WITHIN: Duration = Duration::from_secs(30);
/// How often the server pings an idle WebSocket.
pub const PING_EVERY: Duration = Duration::from_secs(15);
/// The longest name of a participant, in characters.
pub const MAX_NAME: usize = 64;
/// The longest JSON text of a participant's metadata, in bytes.
pub const MAX_META: usize = 2048;
/// The longest label of a track, in characters.
pub const MAX_LABEL: usize = 64;
/// The most tracks that a participant publishes. Others are told of all of them whenever one changes.
pub const MAX_TRACKS: usize = 16;
/// The most slots that a view names, and the most voices. An offer has fewer sections.
pub const MAX_VIEW: usize = 128;
/// The longest topic of a message between participants, in bytes.
pub const MAX_TOPIC: usize = 64;
/// The longest message between participants, in bytes as it is sent.
pub const MAX_DATA: usize = 64 * 1024;

#[cfg(test)]
mod tests;
