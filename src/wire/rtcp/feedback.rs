//! What a receiver asks of a sender (RFC 4585, RFC 5104), and how much it thinks it can receive.

use std::iter;

use super::fields::parties;
use crate::ids::Ssrc;
use crate::units::Bitrate;

/// NACK (RFC 4585 section 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nack<'a> {
    /// Who asks.
    pub sender: Ssrc,
    /// The stream whose packets are missing.
    pub media: Ssrc,
    /// 4 bytes for up to 17 packets.
    items: &'a [u8],
}

impl<'a> Nack<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let (sender, media, items) = parties(body)?;
        Some(Self { sender, media, items })
    }

    /// The sequence numbers that are missing, in the order in which they are listed; a hostile sender may repeat
    /// them. At most 17 for each 4 bytes of the packet.
    pub fn sequences(&self) -> impl Iterator<Item = u16> + use<'a> {
        let (items, _) = self.items.as_chunks::<4>();
        items.iter().flat_map(|[p0, p1, b0, b1]| {
            let first = u16::from_be_bytes([*p0, *p1]);
            let following = u16::from_be_bytes([*b0, *b1]);
            let others = (0..16).filter(move |place| following & (1 << place) != 0);
            iter::once(first).chain(others.map(move |place| first.wrapping_add(place + 1)))
        })
    }
}

/// PLI (RFC 4585 section 6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureLoss {
    /// Who asks.
    pub sender: Ssrc,
    /// The stream that cannot be decoded.
    pub media: Ssrc,
}

impl PictureLoss {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let (sender, media, _) = parties(body)?;
        Some(Self { sender, media })
    }
}

/// FIR (RFC 5104 section 4.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullIntra<'a> {
    /// Who asks.
    pub sender: Ssrc,
    /// 8 bytes each.
    items: &'a [u8],
}

impl<'a> FullIntra<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let (sender, _, items) = parties(body)?;
        Some(Self { sender, items })
    }

    /// The streams that are to send a key frame, each with the number of the request: one that came with the same
    /// number before is the same request again (RFC 5104 section 4.3.1.1).
    pub fn requests(&self) -> impl Iterator<Item = (Ssrc, u8)> + use<'a> {
        let (items, _) = self.items.as_chunks::<8>();
        items
            .iter()
            .map(|[a, b, c, d, number, _, _, _]| (Ssrc(u32::from_be_bytes([*a, *b, *c, *d])), *number))
    }
}

/// REMB (draft-alvestrand-rmcat-remb section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remb<'a> {
    /// Who tells.
    pub sender: Ssrc,
    /// What all the streams together may take.
    pub bitrate: Bitrate,
    count: u8,
    streams: &'a [u8],
}

impl<'a> Remb<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let (sender, _, rest) = parties(body)?;
        let ([b'R', b'E', b'M', b'B', count, b0, b1, b2], streams) = rest.split_first_chunk::<8>()? else {
            return None;
        };
        let mantissa = u64::from(u32::from_be_bytes([0, b0 & 0x03, *b1, *b2]));
        let exponent = u32::from(b0 >> 2);
        // 18 bits moved by up to 63: what does not fit is more than any link carries.
        let bits = if exponent <= mantissa.leading_zeros() { mantissa << exponent } else { u64::MAX };
        Some(Self { sender, bitrate: Bitrate(bits), count: *count, streams })
    }

    /// The streams that it is about.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        let (words, _) = self.streams.as_chunks::<4>();
        words.iter().take(usize::from(self.count)).map(|word| Ssrc(u32::from_be_bytes(*word)))
    }
}
