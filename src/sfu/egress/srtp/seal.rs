//! The sending side: RTP and RTCP packets become SRTP and SRTCP.

use super::cipher::{Cipher, KeyError, Purpose};
use super::keys::Keys;
use crate::ids::Ssrc;

/// How much of an RTCP packet stays readable: the first packet's header and the sender's SSRC (RFC 3711 section 3.4).
pub(super) const RTCP_CLEAR: usize = 8;

/// The bit beside an SRTCP index that says that the packet is encrypted (RFC 3711 section 3.4).
pub(super) const ENCRYPTED: u32 = 1 << 31;

/// The SRTCP index of the first packet sent here.
///
/// str0m has an SRTCP sender of its own under the same keys, from another SSRC, and counts from 0. Counting from the
/// middle of the 31 bits, the two never use one IV twice, not even should their SSRCs ever be equal.
const FIRST_INDEX: u32 = 1 << 30;

/// The last SRTCP index: 31 bits.
const LAST_INDEX: u32 = ENCRYPTED - 1;

/// Why a packet was not sealed. Nothing of it is left in the arena, so that it cannot be sent in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The packet is shorter than its header.
    #[error("a packet to seal is shorter than its header")]
    TooShort,
    /// The keys have sealed all packets they may (2^48 RTP packets of a stream, 2^30 RTCP packets).
    #[error("the session's keys are used up; it has to connect again")]
    Exhausted,
    /// The crypto library failed.
    #[error("this machine's crypto library fails to seal a packet")]
    Crypto,
}

/// Seals RTP packets under the keys of this end, of any number of streams.
#[derive(Debug)]
pub struct RtpSealer(Cipher);

impl RtpSealer {
    /// Derives and expands the session keys.
    ///
    /// # Errors
    /// When the crypto library refuses them.
    pub fn new(keys: &Keys) -> Result<Self, KeyError> {
        Ok(Self(Cipher::new(keys.local(), Purpose::Rtp)?))
    }

    /// Seals the plain RTP packet that stands at `arena[start..]`, with its header in the first `header_len` bytes
    /// (CSRCs and extensions included). The payload is encrypted where it is, and the tag appended:
    /// [`Profile::rtp_overhead`](super::Profile::rtp_overhead) bytes.
    ///
    /// `sequence` is the sequence number of the header with the stream's rollover counter above it (RFC 3711 section
    /// 3.3.1). No pair of SSRC and `sequence` may be sealed twice with different contents: who has both packets can
    /// then forge others.
    ///
    /// # Errors
    /// See [`SealError`]; the arena then ends at `start`.
    pub fn seal(
        &self,
        arena: &mut Vec<u8>,
        start: usize,
        header_len: usize,
        ssrc: Ssrc,
        sequence: u64,
    ) -> Result<(), SealError> {
        let sealed = self.try_seal(arena, start, header_len, ssrc, sequence);
        if sealed.is_err() {
            arena.truncate(start);
        }
        sealed
    }

    fn try_seal(
        &self,
        arena: &mut Vec<u8>,
        start: usize,
        header_len: usize,
        ssrc: Ssrc,
        sequence: u64,
    ) -> Result<(), SealError> {
        let rollovers = u32::try_from(sequence >> 16).map_err(|_| SealError::Exhausted)?;
        let packet = arena.get_mut(start..).ok_or(SealError::TooShort)?;
        let (header, payload) = packet.split_at_mut_checked(header_len).ok_or(SealError::TooShort)?;
        match &self.0 {
            Cipher::Gcm(gcm) => {
                let tag = gcm.seal(ssrc, sequence, header, payload).map_err(|_| SealError::Crypto)?;
                arena.extend_from_slice(tag.as_ref());
            }
            Cipher::CounterMode(mode) => {
                mode.apply(ssrc, sequence, payload).map_err(|_| SealError::Crypto)?;
                let tag = mode.tag(packet, &rollovers.to_be_bytes());
                arena.extend_from_slice(&tag);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn with_cipher(cipher: Cipher) -> Self {
        Self(cipher)
    }
}

/// Seals RTCP packets under the keys of this end. One for the whole session, whatever SSRCs it speaks for.
#[derive(Debug)]
pub struct RtcpSealer {
    cipher: Cipher,
    next: u32,
}

impl RtcpSealer {
    /// Derives and expands the session keys.
    ///
    /// # Errors
    /// When the crypto library refuses them.
    pub fn new(keys: &Keys) -> Result<Self, KeyError> {
        Ok(Self { cipher: Cipher::new(keys.local(), Purpose::Rtcp)?, next: FIRST_INDEX })
    }

    /// Seals the plain RTCP packet, compound or of reduced size, that stands at `arena[start..]`. It is encrypted
    /// where it is, and the index and the tag appended:
    /// [`Profile::rtcp_overhead`](super::Profile::rtcp_overhead) bytes.
    ///
    /// # Errors
    /// See [`SealError`]; the arena then ends at `start`.
    pub fn seal(&mut self, arena: &mut Vec<u8>, start: usize) -> Result<(), SealError> {
        let sealed = self.try_seal(arena, start);
        if sealed.is_err() {
            arena.truncate(start);
        }
        sealed
    }

    fn try_seal(&mut self, arena: &mut Vec<u8>, start: usize) -> Result<(), SealError> {
        let index = self.next;
        if index > LAST_INDEX {
            return Err(SealError::Exhausted);
        }
        let packet = arena.get_mut(start..).ok_or(SealError::TooShort)?;
        let (clear, text) = packet.split_first_chunk_mut::<RTCP_CLEAR>().ok_or(SealError::TooShort)?;
        let ssrc = sender(*clear);
        // Used up even if sealing fails below: an index is never tried twice.
        self.next += 1;
        let word = (ENCRYPTED | index).to_be_bytes();
        match &self.cipher {
            Cipher::Gcm(gcm) => {
                let authenticated = with_word(*clear, word);
                let tag =
                    gcm.seal(ssrc, u64::from(index), &authenticated, text).map_err(|_| SealError::Crypto)?;
                arena.extend_from_slice(tag.as_ref());
                arena.extend_from_slice(&word);
            }
            Cipher::CounterMode(mode) => {
                mode.apply(ssrc, u64::from(index), text).map_err(|_| SealError::Crypto)?;
                let tag = mode.tag(packet, &word);
                arena.extend_from_slice(&word);
                arena.extend_from_slice(&tag);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn with_cipher(cipher: Cipher, next: u32) -> Self {
        Self { cipher, next }
    }
}

/// The SSRC in the clear part of an RTCP packet.
pub(super) fn sender(clear: [u8; RTCP_CLEAR]) -> Ssrc {
    let [_, _, _, _, ssrc @ ..] = clear;
    Ssrc(u32::from_be_bytes(ssrc))
}

/// What GCM authenticates of an encrypted RTCP packet (RFC 7714 section 9.2): the clear part and the index word.
pub(super) fn with_word(clear: [u8; RTCP_CLEAR], word: [u8; 4]) -> [u8; RTCP_CLEAR + 4] {
    let ([a, b, c, d, e, f, g, h], [i, j, k, l]) = (clear, word);
    [a, b, c, d, e, f, g, h, i, j, k, l]
}
