//! Numbers that several packets have.

use crate::ids::Ssrc;

/// Takes a number off the front.
pub(super) fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*word), rest))
}

/// A number of 24 bits with sign.
pub(super) fn signed([a, b, c]: [u8; 3]) -> i32 {
    i32::from_be_bytes([a, b, c, 0]) >> 8
}

/// Who sends feedback, which stream it is about, and the rest (RFC 4585 section 6.1).
pub(super) fn parties(body: &[u8]) -> Option<(Ssrc, Ssrc, &[u8])> {
    let (sender, rest) = word(body)?;
    let (media, rest) = word(rest)?;
    Some((Ssrc(sender), Ssrc(media), rest))
}
