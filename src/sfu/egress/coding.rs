//! Payload types: what they stand for, and which of a receiver's fits a stream.

use crate::units::Format;

/// A payload type that the other end understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadType {
    /// 0 to 127.
    pub number: u8,
    /// What it stands for.
    pub format: Format,
}

/// A payload type of a session, and how its packets are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coding {
    /// What it stands for.
    pub payload_type: PayloadType,
    /// The payload type that resends it (RFC 4588). `None` where it was not negotiated: the packet itself is repeated.
    pub resend: Option<u8>,
}

/// The payload type of a receiver that fits a stream best.
#[must_use]
pub fn best_fit(payload_types: &[PayloadType], stream: Format) -> Option<u8> {
    best(payload_types.iter().map(|pt| (*pt, pt.number)), stream)
}

/// What belongs to the payload type that fits a stream best. The receiver's order is its preference: among equals the first
/// wins.
pub(super) fn best<T>(payload_types: impl Iterator<Item = (PayloadType, T)>, stream: Format) -> Option<T> {
    let fits = payload_types.filter_map(|(pt, value)| Some((pt.format.fit(&stream)?, value)));
    fits.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, value)| value)
}
