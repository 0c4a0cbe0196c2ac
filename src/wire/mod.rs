//! Floor 1: pure knowledge of packets. Bytes in, meaning out; no sockets, no clocks, no state of a session.
//!
//! Every function here reads what strangers send, so nothing may panic: lengths are checked, slices are
//! taken with `get`, numbers are converted with `try_from`.
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

pub mod stun;
pub mod channel;
pub mod framing;
pub mod sdp;
pub mod fragment;
pub mod sctp;
pub mod ntp;
pub mod rtp;
pub mod rtcp;
pub mod vp8;
pub mod vp9;
pub mod h26x;
pub mod sps;
pub mod av1;
pub mod dependency;
pub mod templates;
pub mod layers;
