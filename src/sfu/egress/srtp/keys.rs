//! Master keys, and how DTLS hands them over (RFC 5764).

use std::fmt;

use str0m::crypto::dtls::SrtpProfile;

/// The longest master key in bytes: AES-256.
const MAX_KEY: usize = 32;

/// The longest master salt in bytes (RFC 3711 section 8.2).
const MAX_SALT: usize = 14;

/// How packets are encrypted and authenticated: an SRTP protection profile (RFC 5764 section 4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// AEAD_AES_128_GCM (RFC 7714).
    AeadAes128Gcm,
    /// AEAD_AES_256_GCM (RFC 7714).
    AeadAes256Gcm,
    /// AES_CM_128_HMAC_SHA1_80 (RFC 3711), which every WebRTC endpoint has.
    Aes128CmSha1_80,
}

impl Profile {
    /// The profile that str0m negotiated; `None` for one that is unknown here.
    #[must_use]
    pub fn from_str0m(profile: SrtpProfile) -> Option<Self> {
        match profile {
            SrtpProfile::AEAD_AES_128_GCM => Some(Self::AeadAes128Gcm),
            SrtpProfile::AEAD_AES_256_GCM => Some(Self::AeadAes256Gcm),
            SrtpProfile::AES128_CM_SHA1_80 => Some(Self::Aes128CmSha1_80),
            _ => None,
        }
    }

    /// The length of a master key in bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// The length of a master salt in bytes.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmSha1_80 => 14,
        }
    }

    /// The length of an authentication tag in bytes.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmSha1_80 => 10,
        }
    }

    /// How many bytes longer an RTP packet becomes: the tag.
    #[must_use]
    pub const fn rtp_overhead(self) -> usize {
        self.tag_len()
    }

    /// How many bytes longer an RTCP packet becomes: the tag, and the word with the packet's index.
    #[must_use]
    pub const fn rtcp_overhead(self) -> usize {
        self.tag_len() + 4
    }
}

/// The master key and master salt of one direction.
#[derive(Clone)]
pub(super) struct Master {
    key: [u8; MAX_KEY],
    /// Behind a salt of 12 bytes stand zeros, as key derivation wants it (RFC 7714 section 11).
    salt: [u8; MAX_SALT],
    profile: Profile,
}

impl Master {
    /// `None` if a length is not the profile's.
    pub(super) fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Option<Self> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return None;
        }
        let mut master = Self { key: [0; MAX_KEY], salt: [0; MAX_SALT], profile };
        master.key.get_mut(..key.len())?.copy_from_slice(key);
        master.salt.get_mut(..salt.len())?.copy_from_slice(salt);
        Some(master)
    }

    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    pub(super) fn key(&self) -> &[u8] {
        self.key.get(..self.profile.key_len()).unwrap_or_default()
    }

    /// 112 bits in the lower part of the number.
    pub(super) fn salt(&self) -> u128 {
        let mut wide = [0; 16];
        for (to, from) in wide.iter_mut().skip(2).zip(self.salt) {
            *to = from;
        }
        u128::from_be_bytes(wide)
    }
}

/// The master keys of a session, both directions.
#[derive(Clone)]
pub struct Keys {
    local: Master,
    remote: Master,
}

impl Keys {
    /// Takes apart what DTLS exported (RFC 5764 section 4.2): the client's key, the server's key, the client's salt,
    /// the server's salt. `is_client` says who this end was in the handshake. `None` if the length is not what the
    /// profile needs.
    #[must_use]
    pub fn from_dtls(material: &[u8], profile: Profile, is_client: bool) -> Option<Self> {
        let (keys, salts) = material.split_at_checked(2 * profile.key_len())?;
        let (client_key, server_key) = keys.split_at_checked(profile.key_len())?;
        let (client_salt, server_salt) = salts.split_at_checked(profile.salt_len())?;
        let client = Master::new(profile, client_key, client_salt)?;
        let server = Master::new(profile, server_key, server_salt)?;
        let (local, remote) = if is_client { (client, server) } else { (server, client) };
        Some(Self { local, remote })
    }

    /// What both directions are sealed with.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.local.profile
    }

    /// What this end seals with.
    pub(super) fn local(&self) -> &Master {
        &self.local
    }

    /// What the other end seals with.
    pub(super) fn remote(&self) -> &Master {
        &self.remote
    }
}

/// Says the profile and nothing of the keys: what is printed may end up in a log.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("profile", &self.profile()).finish_non_exhaustive()
    }
}
