//! What a certificate authority is answered when it looks whether a name leads here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use super::files::provider;

/// The protocol that a certificate authority names in its handshake (RFC 8737 section 6.2).
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";

/// The answers that are good now. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Challenges(Arc<Mutex<Answers>>);

#[derive(Debug, Default)]
struct Answers {
    /// Certificates by name.
    tls: HashMap<String, Arc<CertifiedKey>>,
    /// Texts by token.
    http: HashMap<String, String>,
}

impl Challenges {
    /// The text for a token of HTTP-01, if this one is expected.
    #[must_use]
    pub fn text(&self, token: &str) -> Option<String> {
        self.answers().http.get(token).cloned()
    }

    /// Whether a handshake is one of TLS-ALPN-01.
    pub(super) fn asks(hello: &ClientHello<'_>) -> bool {
        hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == PROTOCOL))
    }

    /// The certificate for a name of TLS-ALPN-01, if this one is expected.
    pub(super) fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.answers().tls.get(&name.to_ascii_lowercase()).cloned()
    }

    /// Answers requests for `token` with `text` from now on.
    pub(in crate::net) fn expect_http(&self, token: &str, text: &str) {
        self.answers().http.insert(token.to_owned(), text.to_owned());
    }

    /// Answers handshakes for `name` with a certificate that holds `digest`, the SHA-256 of the key authorization.
    ///
    /// # Errors
    /// A sentence, when there can be no such certificate.
    pub(in crate::net) fn expect_tls(&self, name: &str, digest: &[u8]) -> Result<(), String> {
        let certificate = proof(name, digest).map_err(|error| format!("no proof for {name}: {error}"))?;
        self.answers().tls.insert(name.to_owned(), Arc::new(certificate));
        Ok(())
    }

    /// Answers nothing any more.
    pub(in crate::net) fn clear(&self) {
        *self.answers() = Answers::default();
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A certificate that signed itself, for `name` only, with the digest in a critical extension (RFC 8737 section 3).
fn proof(name: &str, digest: &[u8]) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Not `from_der`, which looks into the certificate and takes no critical extension that it does not know.
    let key = provider().key_provider.load_private_key(key)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_expected_is_answered() {
        let challenges = Challenges::default();
        challenges.expect_http("token", "token.thumbprint");
        challenges.expect_tls("live.example.org", &[7; 32]).unwrap();
        let shared = challenges.clone();
        assert_eq!(shared.text("token").as_deref(), Some("token.thumbprint"));
        assert_eq!(shared.text("other"), None);
        let proof = shared.certificate("Live.Example.org").unwrap();
        let der = &proof.cert[0];
        assert!(der.windows(32).any(|part| part == [7; 32]), "the digest stands in the certificate");
        assert!(shared.certificate("other.example.org").is_none());
        challenges.clear();
        assert!(shared.text("token").is_none() && shared.certificate("live.example.org").is_none());
    }
}
