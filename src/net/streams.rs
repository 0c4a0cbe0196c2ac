//! Media over TCP and TLS, for networks that let no UDP through: TURN (RFC 8656) and ICE-TCP (RFC 6544) on the port of
//! the HTTP server.
//!
//! ```text
//! accept -> TLS? -> the first bytes -> HTTP
//!                                   -> TURN, ICE-TCP: frames to a worker (bounded, waits)
//!                                                     frames from it     (bounded, lossy)
//! ```
//!
//! In reading order: [`opening`] tells the protocols apart, [`port`] accepts, [`connection`] carries one stream,
//! [`outgoing`] is what waits for a slow reader, [`mark`] is how a stream is named where addresses are expected.

pub mod begun;
mod connection;
pub mod counters;
mod kind;
pub mod mark;
mod message;
pub mod opening;
pub mod outgoing;
mod places;
pub mod port;

pub use self::kind::{Carries, LONGEST};
pub use self::message::{Choose, Ends, StreamIn, What};
