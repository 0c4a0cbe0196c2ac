//! Floor 2: the STUN and TURN servers, sans-IO. A datagram comes in, the bytes of the reply come out.
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

pub mod binding;
