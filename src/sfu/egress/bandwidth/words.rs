//! The words that the parts of the estimator share.

use std::time::Duration;

use crate::units::Bitrate;

/// A group of packets that are sent faster than the estimate, to learn whether the link carries more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterId(pub u32);

/// Why a packet is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is media, sent for the first time.
    Media,
    /// It was lost and is sent again.
    Resend,
    /// It belongs to a probe.
    Probe(ClusterId),
}

/// A probe to be sent: padding or resent media, spread so that it flows at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// What to call its packets when they are sent.
    pub cluster: ClusterId,
    /// How fast, media that is sent meanwhile not counted.
    pub rate: Bitrate,
    /// How much in all, UDP payload.
    pub bytes: usize,
    /// The fewest packets that it may be cut into.
    pub packets: usize,
}

/// What keeps the estimate from being higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Packets take longer and longer.
    Delay,
    /// Packets get lost.
    Loss,
    /// Nothing is known, because less is sent than the link carries.
    Application,
    /// The receiver says so (REMB).
    Receiver,
}

/// What is known of a link, for statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkState {
    /// What may be sent.
    pub estimate: Bitrate,
    /// What arrived of late.
    pub delivered: Bitrate,
    /// The same over a fifth of a second: while a queue stands, what the link carries.
    pub lately: Bitrate,
    /// The part of the packets that got lost of late, 0 to 1.
    pub loss: f32,
    /// How long packets wait somewhere on the way.
    pub queueing: Duration,
    /// What keeps the estimate from being higher.
    pub limit: Limit,
}

/// A rate out of a calculation: never less than nothing, and whole.
#[expect(clippy::cast_sign_loss, reason = "what is less than nothing is cut off first")]
pub(super) fn bitrate(bits: f64) -> Bitrate {
    Bitrate(bits.clamp(0.0, 1e12) as u64)
}
