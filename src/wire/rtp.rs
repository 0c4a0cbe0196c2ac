//! RTP headers (RFC 3550 section 5.1) with their extensions (RFC 8285).

use std::ops::Range;

use crate::ids::Ssrc;

/// The length in bytes of a header without contributing sources and extensions.
pub const FIXED_LEN: usize = 12;

/// The profile of an extension block with one-byte elements (RFC 8285 section 4.2).
pub const ONE_BYTE: u16 = 0xBEDE;

/// The profile of an extension block with two-byte elements, but for its lowest 4 bits, which belong to the
/// application (RFC 8285 section 4.3).
pub const TWO_BYTE: u16 = 0x1000;

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// It ends within its header.
    #[error("the RTP packet ends within its header")]
    Truncated,
    /// The version is not 2.
    #[error("the version of the RTP packet is not 2")]
    Version,
    /// It claims more padding than it has payload, or none at all.
    #[error("the padding of the RTP packet has an impossible length")]
    Padding,
}

/// The header of a packet, which may still be encrypted: the header never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Marks an event of the stream: mostly the last packet of a frame, the first after silence.
    pub marker: bool,
    /// Stands for a format: 0 to 127.
    pub payload_type: u8,
    /// One more for each packet.
    pub sequence: u16,
    /// When the content was sampled, on the clock of the format.
    pub timestamp: u32,
    /// The stream.
    pub ssrc: Ssrc,
    /// Whether the payload ends with padding, which only the decrypted packet shows.
    pub has_padding: bool,
    /// The length of the header in bytes, contributing sources and extensions included.
    pub len: usize,
    /// 4 bytes for each.
    csrcs: &'a [u8],
    extensions: Extensions<'a>,
}

impl<'a> Header<'a> {
    /// Reads the header of a packet. What stands behind it is not looked at.
    ///
    /// # Errors
    /// When it is no header of RTP version 2, or not whole.
    pub fn parse(packet: &'a [u8]) -> Result<Self, ParseError> {
        let (fixed, rest) = packet.split_first_chunk::<FIXED_LEN>().ok_or(ParseError::Truncated)?;
        let [first, second, s0, s1, t0, t1, t2, t3, ssrc @ ..] = *fixed;
        if first >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let count = usize::from(first & 0x0F);
        let (csrcs, rest) = rest.split_at_checked(4 * count).ok_or(ParseError::Truncated)?;
        let mut len = FIXED_LEN + csrcs.len();
        let mut extensions = Extensions { form: None, rest: &[] };
        if first & 0x10 != 0 {
            let ([p0, p1, w0, w1], rest) = rest.split_first_chunk::<4>().ok_or(ParseError::Truncated)?;
            let length = 4 * usize::from(u16::from_be_bytes([*w0, *w1]));
            let rest = rest.get(..length).ok_or(ParseError::Truncated)?;
            extensions = Extensions { form: Form::of(u16::from_be_bytes([*p0, *p1])), rest };
            len += 4 + length;
        }
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7F,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes(ssrc)),
            has_padding: first & 0x20 != 0,
            len,
            csrcs,
            extensions,
        })
    }

    /// The contributing sources: those whose media went into this packet. At most 15.
    pub fn csrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        let (words, _) = self.csrcs.as_chunks::<4>();
        words.iter().map(|word| Ssrc(u32::from_be_bytes(*word)))
    }

    /// The elements of the extension block. None for a block of a form that RFC 8285 does not know.
    #[must_use]
    pub fn extensions(&self) -> Extensions<'a> {
        self.extensions
    }

    /// Where in the decrypted `packet`, whose header this is, the payload stands, padding excluded.
    ///
    /// # Errors
    /// When the padding cannot be as long as it says.
    pub fn payload(&self, packet: &[u8]) -> Result<Range<usize>, ParseError> {
        let padding = match packet.last() {
            Some(&length) if self.has_padding => usize::from(length),
            _ => 0,
        };
        let end = packet.len().checked_sub(padding).ok_or(ParseError::Padding)?;
        if end < self.len || (self.has_padding && padding == 0) {
            return Err(ParseError::Padding);
        }
        Ok(self.len..end)
    }
}

/// One element of an extension block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What it is, as negotiated (`a=extmap`): 1 to 14 with one-byte elements, 1 to 255 with two-byte ones.
    pub id: u8,
    /// The value. Empty only with two-byte elements.
    pub value: &'a [u8],
}

/// How elements are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

impl Form {
    fn of(profile: u16) -> Option<Self> {
        match profile {
            ONE_BYTE => Some(Self::OneByte),
            _ if profile & 0xFFF0 == TWO_BYTE => Some(Self::TwoByte),
            _ => None,
        }
    }
}

/// The elements of an extension block, in the order in which they stand there. Ends at the first that is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions<'a> {
    form: Option<Form>,
    rest: &'a [u8],
}

impl<'a> Extensions<'a> {
    fn element(&mut self) -> Option<Extension<'a>> {
        loop {
            let (&first, rest) = self.rest.split_first()?;
            if first == 0 {
                // Padding, of any length and at any place.
                self.rest = rest;
                continue;
            }
            let (id, length, rest) = match self.form? {
                // 15 ends the block, and so does 0 with a length (RFC 8285 section 4.2).
                Form::OneByte if matches!(first >> 4, 0 | 15) => return None,
                Form::OneByte => (first >> 4, usize::from(first & 0x0F) + 1, rest),
                Form::TwoByte => {
                    let (&length, rest) = rest.split_first()?;
                    (first, usize::from(length), rest)
                }
            };
            let (value, rest) = rest.split_at_checked(length)?;
            self.rest = rest;
            return Some(Extension { id, value });
        }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        let element = self.element();
        if element.is_none() {
            self.rest = &[];
        }
        element
    }
}

#[cfg(test)]
mod tests;
