//! Floor 2: datagrams in and out, and whose they are.
//!
//! In reading order: [`datagram`] has the plain values, [`udp`] the sockets, [`demux`] tells a datagram's
//! session, [`ufrag`] is the name a session has in ICE, [`addresses`] decides what clients are told to
//! connect to, [`announcing`] keeps that fresh, [`discover`] asks others, [`surroundings`] doubts. [`tls`] and [`streams`]
//! are what comes over TCP, and [`acme`] gets the certificate for it.
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

pub mod addresses;
pub mod announcing;
pub mod discover;
pub mod surroundings;
pub mod datagram;
pub mod demux;
mod network;
pub mod report;
mod socket;
pub mod throttle;
pub mod udp;
#[cfg(target_os = "linux")]
mod udp_linux;
mod udp_portable;
pub mod ufrag;
pub mod acme;
pub mod tls;
pub mod streams;
