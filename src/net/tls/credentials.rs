//! The certificate that is in use, and how another takes its place while the server runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::challenges::{Challenges, PROTOCOL};
use super::counters::CertificateCounters;
use super::files::{Contents, Files, TlsError, provider};
use super::renewal::{Renewal, Verdict};

/// How often the files are looked at. They are small, and a renewed certificate is not urgent.
const EVERY: Duration = Duration::from_secs(2);

/// A certificate with its key, read from two files and read again when these change.
///
/// What counts is the content behind the two paths, so that it does not matter how they are changed: written in
/// place, replaced by renaming, or by turning a symbolic link somewhere on the way.
#[derive(Debug)]
pub struct Credentials {
    files: Files,
    renewal: Renewal,
    current: watch::Sender<Arc<CertifiedKey>>,
    config: Arc<ServerConfig>,
    counters: Arc<CertificateCounters>,
}

/// Hands out what is in use. A handshake keeps what it got, whatever comes after.
#[derive(Debug)]
struct Current {
    pair: watch::Receiver<Arc<CertifiedKey>>,
    challenges: Option<Challenges>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match &self.challenges {
            // Who asks for the proof of a name gets that, or nothing.
            Some(challenges) if Challenges::asks(&hello) => challenges.certificate(hello.server_name()?),
            _ => Some(self.pair.borrow().clone()),
        }
    }
}

impl Credentials {
    /// Reads a certificate chain and its key, both PEM.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Self::proving(certificate, key, None, Arc::default())
    }

    /// As [`Self::load`], and also answers a certificate authority with `challenges`. Tells the end of what is in use
    /// to `counters`.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn proving(
        certificate: &Path,
        key: &Path,
        challenges: Option<Challenges>,
        counters: Arc<CertificateCounters>,
    ) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let contents = files.read()?;
        let pair = files.pair(&contents)?;
        counters.ends(end(&pair));
        let (current, receiver) = watch::channel(Arc::new(pair));
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(TlsError::Setup)?.with_no_client_auth();
        let proving = challenges.is_some();
        let mut config = builder.with_cert_resolver(Arc::new(Current { pair: receiver, challenges }));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if proving {
            config.alpn_protocols.push(PROTOCOL.to_vec());
        }
        let renewal = Renewal::new(contents.digest());
        Ok(Self { files, renewal, current, config: Arc::new(config), counters })
    }

    /// HTTP/1.1 over TLS 1.2 and 1.3, each new connection with the certificate that is then in use.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Reads the files, and uses what they hold from now on if it is new and fits together. Otherwise all stays as
    /// it is, and a fault that lasts for two looks is told in the log. Returns whether there is a new certificate.
    /// Blocks.
    pub fn look(&mut self) -> bool {
        let contents = self.files.read().map_err(|error| error.to_string());
        let digest = contents.as_ref().map(Contents::digest).map_err(Clone::clone);
        let files = &self.files;
        let verdict = self.renewal.judge(digest, || {
            contents.and_then(|contents| files.pair(&contents).map_err(|error| error.to_string()))
        });
        let certificate = files.certificate.display();
        match verdict {
            Verdict::Keep => return false,
            Verdict::Refuse(reason) => {
                tracing::warn!(%reason, "the certificate was not reloaded, and the one before stays in use");
                return false;
            }
            Verdict::Renew(pair) => {
                let valid_until = expiry(&pair);
                tracing::info!(%certificate, valid_until, "certificate reloaded");
                self.counters.ends(end(&pair));
                self.current.send_replace(Arc::new(pair));
            }
        }
        true
    }

    /// Looks every 2 s, for ever.
    pub async fn watch(self) {
        let mut credentials = self;
        loop {
            tokio::time::sleep(EVERY).await;
            let look = move || {
                credentials.look();
                credentials
            };
            match tokio::task::spawn_blocking(look).await {
                Ok(looked) => credentials = looked,
                Err(error) => {
                    tracing::error!(%error, "the certificate is not reloaded any more: a bug in this server");
                    return;
                }
            }
        }
    }
}

/// Until when a certificate is valid, as it says itself; `None` when it is written in an unusual way.
fn expiry(pair: &CertifiedKey) -> Option<String> {
    let certificate = Certificate::from_der(pair.end_entity_cert().ok()?).ok()?;
    Some(certificate.tbs_certificate().validity().not_after.to_string())
}

/// The same in seconds since 1970.
fn end(pair: &CertifiedKey) -> Option<u64> {
    let certificate = Certificate::from_der(pair.end_entity_cert().ok()?).ok()?;
    Some(certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_says_until_when_a_certificate_is_valid() {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let pair = CertifiedKey::from_der(vec![made.der().clone()], key, &provider()).unwrap();
        assert_eq!(expiry(&pair).as_deref(), Some("2031-02-03T00:00:00Z"));
    }
}
