//! DTLS for all sessions of the process: one certificate, one checked configuration.
//!
//! str0m's own provider validates the whole crypto stack for every new session, which makes a join cost 0.6 ms.
//! This one does it once; the rest is the same `dimpl` underneath (about 10 us a session).

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};
use str0m::crypto::{self, CryptoError};

use super::sctp_guard::{Guard, Verdict};
use crate::sfu::egress::KeySlot;
use crate::sfu::egress::srtp::{Keys, Profile};

/// The certificate and crypto of this process. Cloning shares both.
#[derive(Debug, Clone)]
pub struct Identity {
    certificate: DtlsCert,
    crypto: Arc<CryptoProvider>,
}

/// The process cannot make its certificate.
#[derive(Debug, thiserror::Error)]
#[error("cannot generate a DTLS certificate with this machine's crypto library")]
pub struct IdentityError;

impl Identity {
    /// Makes a new self-signed P-256 certificate (RFC 8827 section 6.5: browsers trust it by its fingerprint).
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut provider = crypto::from_feature_flags();
        let certificate = provider.dtls_provider.generate_certificate().ok_or(IdentityError)?;
        provider.dtls_provider = &SHARED_CONFIG;
        Ok(Self { certificate, crypto: Arc::new(provider) })
    }

    pub(super) fn certificate(&self) -> DtlsCert {
        self.certificate.clone()
    }

    pub(super) fn crypto(&self) -> Arc<CryptoProvider> {
        self.crypto.clone()
    }
}

thread_local! {
    /// The slot of the connection that is made next on this thread: str0m does not say for which session it makes one.
    static NEXT_SLOT: RefCell<Option<KeySlot>> = const { RefCell::new(None) };
}

/// Runs `build`, which makes one connection. Returns where that will leave its keys.
pub(super) fn with_key_slot<T>(build: impl FnOnce() -> T) -> (T, KeySlot) {
    let slot = KeySlot::default();
    NEXT_SLOT.set(Some(slot.clone()));
    let built = build();
    NEXT_SLOT.take();
    (built, slot)
}

static SHARED_CONFIG: SharedConfig = SharedConfig(OnceLock::new());

/// A provider that builds `dimpl`'s configuration at the first session and keeps it.
#[derive(Debug)]
struct SharedConfig(OnceLock<Arc<dimpl::Config>>);

impl SharedConfig {
    fn config(&self) -> Result<Arc<dimpl::Config>, CryptoError> {
        if let Some(config) = self.0.get() {
            return Ok(config.clone());
        }
        // ICE has proved the peer's address before DTLS begins, so the cookie round trip proves nothing more.
        let config = dimpl::Config::builder()
            .use_server_cookie(false)
            .build()
            .map_err(|error| CryptoError::Other(format!("the DTLS configuration is refused: {error}")))?;
        Ok(self.0.get_or_init(|| Arc::new(config)).clone())
    }
}

impl DtlsProvider for SharedConfig {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        dimpl::certificate::generate_self_signed_certificate().ok()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        _mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        // DTLS 1.2 as server prefers the AEAD profiles; 1.3 would take the client's first, which is AES-CM.
        if version != DtlsVersion::Dtls12 {
            return Err(CryptoError::Other(format!("DTLS version {version} is not offered here")));
        }
        let dtls = dimpl::Dtls::new_12(self.config()?, certificate.clone(), now);
        let keys = NEXT_SLOT.take().unwrap_or_default();
        Ok(Box::new(Connection { dtls, keys, guard: Guard::default(), is_abused: false }))
    }
}

/// A connection, with a guard over the SCTP packets in it, and a copy of the keys for media.
struct Connection {
    dtls: dimpl::Dtls,
    keys: KeySlot,
    guard: Guard,
    is_abused: bool,
}

impl Connection {
    /// Whether a packet that came decrypted may go on to SCTP.
    fn admits(&mut self, packet: &[u8]) -> bool {
        if self.is_abused {
            return false;
        }
        let verdict = self.guard.judge(packet);
        if let Verdict::Abuse(what) = verdict {
            tracing::warn!("a client {what}; closing its session");
            self.is_abused = true;
        }
        verdict == Verdict::Pass
    }

    /// The only thing that str0m hears of abuse; it is enough to end the session.
    fn check(&self) -> Result<(), DtlsImplError> {
        if self.is_abused { Err(DtlsImplError::ConnectionClosed) } else { Ok(()) }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl DtlsInstance for Connection {
    fn set_active(&mut self, active: bool) {
        self.dtls.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.check()?;
        self.dtls.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        match self.dtls.poll_output(buffer) {
            // SCTP takes no notice of a packet without a header.
            DtlsOutput::ApplicationData(packet) if !self.admits(packet) => DtlsOutput::ApplicationData(&[]),
            DtlsOutput::KeyingMaterial(material, profile) => {
                let keys = Profile::from_str0m(profile)
                    .and_then(|profile| Keys::from_dtls(&material, profile, self.dtls.is_active()));
                if let Some(keys) = keys {
                    // DTLS 1.2 without renegotiation: it agrees on keys once.
                    let _ = self.keys.set(keys);
                }
                DtlsOutput::KeyingMaterial(material, profile)
            }
            output => output,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.check()?;
        self.dtls.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.guard.sent(data);
        self.dtls.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.dtls.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.dtls.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.dtls.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.dtls.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.dtls.close()
    }
}
