//! Pure packet knowledge: reading and writing bytes, no state, no I/O.
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
pub mod sdp;
pub mod vp8;
pub mod vp9;
pub mod h26x;
pub mod av1;
