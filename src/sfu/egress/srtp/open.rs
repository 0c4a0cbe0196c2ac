//! The receiving side: SRTCP packets of the other end become RTCP.

use super::cipher::{Cipher, KeyError, Purpose, SHA1_80_LEN};
use super::keys::Keys;
use super::replay::Replays;
use super::seal::{ENCRYPTED, RTCP_CLEAR, sender, with_word};
use crate::ids::Ssrc;

/// The length of a GCM tag in bytes.
const GCM_TAG_LEN: usize = 16;

/// Why a datagram is not taken for RTCP of the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OpenError {
    /// Shorter than the shortest SRTCP packet.
    #[error("too short for an SRTCP packet")]
    TooShort,
    /// It came before, or is so old that nobody can say.
    #[error("an SRTCP packet came twice")]
    Replayed,
    /// Its tag is wrong: not from the other end, or changed on the way.
    #[error("the tag of an SRTCP packet is wrong")]
    Forged,
}

/// Opens the RTCP packets of the other end.
#[derive(Debug)]
pub struct RtcpOpener {
    cipher: Cipher,
    replays: Replays,
}

/// An SRTCP packet taken apart.
struct Parts<'a> {
    clear: [u8; RTCP_CLEAR],
    /// The packet without index and tag, as it came.
    packet: &'a [u8],
    /// The E flag and the index.
    word: [u8; 4],
    tag: &'a [u8],
}

impl<'a> Parts<'a> {
    /// In GCM the tag stands before the index (RFC 7714 section 9.2), in counter mode behind it.
    fn of(cipher: &Cipher, datagram: &'a [u8]) -> Option<Self> {
        let (packet, word, tag) = match cipher {
            Cipher::Gcm(_) => {
                let (rest, word) = datagram.split_last_chunk::<4>()?;
                let (packet, tag) = rest.split_last_chunk::<GCM_TAG_LEN>()?;
                (packet, word, tag.as_slice())
            }
            Cipher::CounterMode(_) => {
                let (rest, tag) = datagram.split_last_chunk::<SHA1_80_LEN>()?;
                let (packet, word) = rest.split_last_chunk::<4>()?;
                (packet, word, tag.as_slice())
            }
        };
        Some(Self { clear: *packet.first_chunk()?, packet, word: *word, tag })
    }
}

impl RtcpOpener {
    /// Derives and expands the session keys.
    ///
    /// # Errors
    /// When the crypto library refuses them.
    pub fn new(keys: &Keys) -> Result<Self, KeyError> {
        Ok(Self::with_cipher(Cipher::new(keys.remote(), Purpose::Rtcp)?))
    }

    pub(super) fn with_cipher(cipher: Cipher) -> Self {
        Self { cipher, replays: Replays::default() }
    }

    /// Authenticates and decrypts a datagram into `out`, whose former content is dropped. What is returned is the
    /// whole of it: a compound RTCP packet, or one of reduced size.
    ///
    /// A packet that is only authenticated (E flag 0, RFC 3711 section 3.4) is accepted like any other: its tag
    /// proves as much.
    ///
    /// # Errors
    /// See [`OpenError`]; `out` is then empty.
    pub fn open<'a>(&mut self, datagram: &[u8], out: &'a mut Vec<u8>) -> Result<&'a [u8], OpenError> {
        out.clear();
        let parts = Parts::of(&self.cipher, datagram).ok_or(OpenError::TooShort)?;
        let ssrc = sender(parts.clear);
        let word = u32::from_be_bytes(parts.word);
        let index = word & !ENCRYPTED;
        if !self.replays.admits(ssrc, index) {
            return Err(OpenError::Replayed);
        }
        let opened = self.decrypt(&parts, ssrc, index, word & ENCRYPTED != 0, out);
        if opened.is_none() {
            out.clear();
            return Err(OpenError::Forged);
        }
        // Only now: a forged packet must not push the window over those that are yet to come.
        self.replays.note(ssrc, index);
        Ok(out)
    }

    fn decrypt(
        &self,
        parts: &Parts<'_>,
        ssrc: Ssrc,
        index: u32,
        encrypted: bool,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        out.extend_from_slice(parts.packet);
        let index = u64::from(index);
        match &self.cipher {
            Cipher::Gcm(gcm) if encrypted => {
                let authenticated = with_word(parts.clear, parts.word);
                let text = out.get_mut(RTCP_CLEAR..)?;
                gcm.open(ssrc, index, &authenticated, text, parts.tag).ok()
            }
            Cipher::Gcm(gcm) => {
                out.extend_from_slice(&parts.word);
                gcm.open(ssrc, index, out, &mut [], parts.tag).ok()?;
                out.truncate(parts.packet.len());
                Some(())
            }
            Cipher::CounterMode(mode) => {
                if !mode.verifies(parts.packet, &parts.word, parts.tag) {
                    return None;
                }
                if encrypted {
                    mode.apply(ssrc, index, out.get_mut(RTCP_CLEAR..)?).ok()?;
                }
                Some(())
            }
        }
    }
}
