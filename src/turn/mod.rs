//! Floor 2: the STUN and TURN servers, sans-IO. A message comes in, the bytes of the reply come out, or what was relayed.
//!
//! TURN lets clients through whose network passes nothing but TCP, or only to a few ports (RFC 8656). Here both ends of
//! the relay are one process: a relayed address is a mere name, whose peers are this server's own media and other
//! allocations. There is no socket behind it, so nothing else can be reached through it.
//!
//! In reading order: [`server`] with its requests, [`credentials`], and the tables below them.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

mod base64;
pub mod bucket;
mod nonce;
pub mod counters;
pub mod credentials;
pub mod relays;
mod peers;
pub mod strangers;
pub mod allocation;
mod table;
pub mod binding;
pub mod server;
pub mod client;
