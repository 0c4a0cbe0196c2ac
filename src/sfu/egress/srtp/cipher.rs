//! Session keys (RFC 3711 section 4.3) and the ciphers that they feed.

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;

use super::keys::{Master, Profile};
use crate::ids::Ssrc;

/// The length of a session key of HMAC-SHA1 in bytes (RFC 3711 section 8.2).
const AUTHENTICATION_KEY_LEN: usize = 20;

/// The length of an authentication tag of HMAC-SHA1-80 in bytes.
pub(super) const SHA1_80_LEN: usize = 10;

/// The crypto library refused a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this machine's crypto library refuses an SRTP key; the session cannot send")]
pub struct KeyError;

impl From<Unspecified> for KeyError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// What a key is for: the label of its derivation (RFC 3711 section 4.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// RTP packets: labels 0 to 2.
    Rtp,
    /// RTCP packets: labels 3 to 5.
    Rtcp,
}

impl Purpose {
    fn first_label(self) -> u8 {
        match self {
            Self::Rtp => 0,
            Self::Rtcp => 3,
        }
    }
}

/// Fills `out` with key material for a label (RFC 3711 section 4.3.3; for AES-256 RFC 6188 section 3).
///
/// The key derivation rate is 0, as DTLS-SRTP has it: session keys are derived once.
pub(super) fn derive(master: &Master, label: u8, out: &mut [u8]) -> Result<(), KeyError> {
    let algorithm = if master.key().len() == 32 { &AES_256 } else { &AES_128 };
    let key = EncryptingKey::ctr(UnboundCipherKey::new(algorithm, master.key())?)?;
    let start = (master.salt() ^ (u128::from(label) << 48)) << 16;
    out.fill(0);
    key.less_safe_encrypt(out, EncryptionContext::Iv128(start.to_be_bytes().into()))?;
    Ok(())
}

/// The cipher of one direction and purpose, with its expanded session keys.
pub(super) enum Cipher {
    /// Both GCM profiles.
    Gcm(Gcm),
    /// AES_CM_128_HMAC_SHA1_80. Boxed: the state of its HMAC is many times larger than the other.
    CounterMode(Box<CounterMode>),
}

impl Cipher {
    pub(super) fn new(master: &Master, purpose: Purpose) -> Result<Self, KeyError> {
        let label = purpose.first_label();
        match master.profile() {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => Ok(Self::Gcm(Gcm::derive(master, label)?)),
            Profile::Aes128CmSha1_80 => Ok(Self::CounterMode(Box::new(CounterMode::derive(master, label)?))),
        }
    }
}

/// Says which cipher it is and nothing of its keys.
impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gcm(_) => "Gcm",
            Self::CounterMode(_) => "CounterMode",
        })
    }
}

/// AES-GCM (RFC 7714).
pub(super) struct Gcm {
    key: LessSafeKey,
    /// 96 bits in the lower part.
    salt: u128,
}

impl Gcm {
    fn derive(master: &Master, label: u8) -> Result<Self, KeyError> {
        let mut key = [0; 32];
        let key = key.get_mut(..master.key().len()).ok_or(KeyError)?;
        derive(master, label, key)?;
        let mut salt = [0; 12];
        derive(master, label + 2, &mut salt)?;
        Self::new(key, salt)
    }

    /// From session keys.
    pub(super) fn new(key: &[u8], salt: [u8; 12]) -> Result<Self, KeyError> {
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key)?);
        let salt = salt.iter().fold(0, |number, &byte| (number << 8) | u128::from(byte));
        Ok(Self { key, salt })
    }

    /// The IV of a packet (RFC 7714 sections 8.1 and 9.1): 16 zeros, the SSRC, and the packet's index in 48 bits.
    /// An RTP packet's index is its rollover counter and its sequence number; an RTCP packet's has 31 bits.
    fn nonce(&self, ssrc: Ssrc, index: u64) -> Nonce {
        let number = self.salt ^ (u128::from(ssrc.0) << 48) ^ u128::from(index);
        let [_, _, _, _, nonce @ ..] = number.to_be_bytes();
        Nonce::assume_unique_for_key(nonce)
    }

    pub(super) fn seal(
        &self,
        ssrc: Ssrc,
        index: u64,
        authenticated: &[u8],
        text: &mut [u8],
    ) -> Result<Tag, Unspecified> {
        self.key.seal_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(authenticated), text)
    }

    /// What is in `text` afterwards means something only on success.
    pub(super) fn open(
        &self,
        ssrc: Ssrc,
        index: u64,
        authenticated: &[u8],
        text: &mut [u8],
        tag: &[u8],
    ) -> Result<(), Unspecified> {
        let nonce = self.nonce(ssrc, index);
        self.key.open_in_place_separate_tag(nonce, Aad::from(authenticated), tag, text)?;
        Ok(())
    }
}

/// AES in counter mode with HMAC-SHA1-80 (RFC 3711).
pub(super) struct CounterMode {
    key: EncryptingKey,
    /// 112 bits in the lower part.
    salt: u128,
    authentication: hmac::Key,
}

impl CounterMode {
    fn derive(master: &Master, label: u8) -> Result<Self, KeyError> {
        let mut key = [0; 16];
        derive(master, label, &mut key)?;
        let mut authentication = [0; AUTHENTICATION_KEY_LEN];
        derive(master, label + 1, &mut authentication)?;
        let mut salt = [0; 14];
        derive(master, label + 2, &mut salt)?;
        Self::new(&key, &authentication, salt)
    }

    /// From session keys.
    pub(super) fn new(key: &[u8; 16], authentication: &[u8], salt: [u8; 14]) -> Result<Self, KeyError> {
        let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_128, key)?)?;
        let authentication = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, authentication);
        let salt = salt.iter().fold(0, |number, &byte| (number << 8) | u128::from(byte));
        Ok(Self { key, salt, authentication })
    }

    /// Encrypts, or decrypts, which is the same (RFC 3711 section 4.1.1). The index is that of [`Gcm::nonce`].
    pub(super) fn apply(&self, ssrc: Ssrc, index: u64, text: &mut [u8]) -> Result<(), Unspecified> {
        let counter = (self.salt << 16) ^ (u128::from(ssrc.0) << 64) ^ (u128::from(index) << 16);
        self.key.less_safe_encrypt(text, EncryptionContext::Iv128(counter.to_be_bytes().into()))?;
        Ok(())
    }

    /// The tag over both parts, of which the first [`SHA1_80_LEN`] bytes are sent.
    pub(super) fn tag(&self, packet: &[u8], end: &[u8]) -> [u8; SHA1_80_LEN] {
        let mut context = hmac::Context::with_key(&self.authentication);
        context.update(packet);
        context.update(end);
        context.sign().as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// Whether a tag is right. Takes as long wherever it differs, so that nobody finds one byte by byte.
    pub(super) fn verifies(&self, packet: &[u8], end: &[u8], tag: &[u8]) -> bool {
        verify_slices_are_equal(&self.tag(packet, end), tag).is_ok()
    }
}
