//! A certificate and its key as two PEM files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read, or is not PEM.
    #[error("cannot read {what} from {path}: {error}")]
    File {
        /// The configuration key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        error: pem::Error,
    },
    /// A certificate file without a certificate.
    #[error("{0} contains no certificate")]
    Empty(PathBuf),
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("the certificate {certificate} and its key {key} cannot be used: {error}")]
    Refused {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The reason.
        error: rustls::Error,
    },
    /// No TLS whatever the certificate: a broken build.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// Where a certificate with its chain and its key stand, both PEM.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// What the two files held when they were read, one after the other. While somebody renews them, that may be the
/// one half of the old pair and the other of the new one.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Tells contents apart, without keeping a copy of a key.
pub(super) type Digest = [u8; digest::SHA256_OUTPUT_LEN];

impl Files {
    /// Reads both.
    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        Ok(Contents { certificate: read("tls.cert", &self.certificate)?, key: read("tls.key", &self.key)? })
    }

    /// The pair that `contents`, read from these files, make, if they fit together.
    pub(super) fn pair(&self, contents: &Contents) -> Result<CertifiedKey, TlsError> {
        let chain = parse_chain(&self.certificate, &contents.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| unreadable("tls.key", &self.key, error))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|error| TlsError::Refused {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            error,
        })
    }
}

impl Contents {
    pub(super) fn digest(&self) -> Digest {
        let part = |bytes: &[u8]| digest::digest(&digest::SHA256, bytes);
        let both = [part(&self.certificate).as_ref(), part(&self.key).as_ref()].concat();
        let mut digest = Digest::default();
        digest.copy_from_slice(part(&both).as_ref());
        digest
    }
}

/// The first certificate of a file, which is the server's own.
pub(super) fn read_first(path: &Path) -> Result<CertificateDer<'static>, TlsError> {
    let chain = parse_chain(path, &read("tls.cert", path)?)?;
    chain.into_iter().next().ok_or_else(|| TlsError::Empty(path.to_owned()))
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| unreadable(what, path, pem::Error::Io(error)))
}

fn parse_chain(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| unreadable("tls.cert", path, error))?;
    if chain.is_empty() { Err(TlsError::Empty(path.to_owned())) } else { Ok(chain) }
}

fn unreadable(what: &'static str, path: &Path, error: pem::Error) -> TlsError {
    TlsError::File { what, path: path.to_owned(), error }
}
