//! Clients that offer one SRTP profile alone. `dimpl` offers all three and cannot be told otherwise, and the server then
//! always takes AES-256-GCM.
//!
//! The names of the profiles in the ClientHello are overwritten on its way to the server, and wherever the client reads
//! its own transcript: where it hashes it, and where it signs it. Then both ends agree on what was said. The server's
//! transcript has nothing to overwrite, so that it may share the crypto.

use std::cell::Cell;
use std::sync::Once;

use dimpl::crypto::{
    Buf, CryptoProvider, HashAlgorithm, HashContext, HashProvider, KeyProvider, SignatureAlgorithm,
    SigningKey, aws_lc_rs,
};

/// An SRTP protection profile, by its number (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Profile {
    Aes128CmSha1 = 1,
    Aes128Gcm = 7,
    Aes256Gcm = 8,
}

/// The use_srtp extension as `dimpl` writes it: type, length, and the three profiles in its order.
const EXTENSION: [u8; 13] = [0, 14, 0, 9, 0, 6, 0, 8, 0, 7, 0, 1, 0];
/// Where the profiles stand in it, one in two bytes each.
const PROFILES: [usize; 3] = [7, 9, 11];
/// First byte of a DTLS handshake record.
const HANDSHAKE: u8 = 22;

thread_local! {
    static ONLY: Cell<Option<Profile>> = const { Cell::new(None) };
}

/// From now on all clients of this thread that connect offer `profile` alone.
///
/// # Panics
/// When DTLS has been used in this process before: its crypto is chosen once.
pub fn offer_only(profile: Profile) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let ours = CryptoProvider {
            hash_provider: &Patching,
            key_provider: &Patching,
            ..aws_lc_rs::default_provider()
        };
        CryptoProvider::install_default(ours);
    });
    ONLY.set(Some(profile));
}

/// Overwrites the profiles of a datagram that a client sends.
pub fn patch_datagram(datagram: &mut [u8]) {
    if datagram.first() == Some(&HANDSHAKE) {
        patch(datagram);
    }
}

fn patch(bytes: &mut [u8]) {
    let Some(profile) = ONLY.get() else { return };
    let found = bytes.windows(EXTENSION.len()).position(|window| window == EXTENSION);
    if let Some(start) = found {
        PROFILES.iter().for_each(|at| bytes[start + at] = profile as u8);
    }
}

fn patched(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    patch(&mut bytes);
    bytes
}

#[derive(Debug)]
struct Patching;

impl HashProvider for Patching {
    fn create_hash(&self, algorithm: HashAlgorithm) -> Box<dyn HashContext> {
        Box::new(Patched(aws_lc_rs::default_provider().hash_provider.create_hash(algorithm)))
    }
}

impl KeyProvider for Patching {
    fn load_private_key(&self, der: &[u8]) -> Result<Box<dyn SigningKey>, dimpl::CryptoError> {
        Ok(Box::new(Patched(aws_lc_rs::default_provider().key_provider.load_private_key(der)?)))
    }
}

#[derive(Debug)]
struct Patched<T: ?Sized>(Box<T>);

impl HashContext for Patched<dyn HashContext> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(&patched(data));
    }

    fn clone_and_finalize(&self, out: &mut Buf) {
        self.0.clone_and_finalize(out);
    }
}

impl SigningKey for Patched<dyn SigningKey> {
    fn sign(&mut self, data: &[u8], hash: HashAlgorithm, out: &mut Buf) -> Result<(), dimpl::CryptoError> {
        self.0.sign(&patched(data), hash, out)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.0.hash_algorithm()
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        self.0.supported_hash_algorithms()
    }
}
