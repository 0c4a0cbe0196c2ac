//! What is counted of certificates.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::net::streams::counters::Count;

/// Counts of this process, and when the certificate in use ends.
#[derive(Debug, Default)]
pub struct CertificateCounters {
    /// Certificates got from a certificate authority.
    pub issued: Count,
    /// Attempts to get one that failed.
    pub failed: Count,
    ends: AtomicU64,
}

impl CertificateCounters {
    /// When the certificate in use ends, in seconds since 1970; `None` without one, or when it does not say so.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        Some(self.ends.load(Ordering::Relaxed)).filter(|end| *end > 0)
    }

    /// Another certificate is in use, until then.
    pub(in crate::net) fn ends(&self, at: Option<u64>) {
        self.ends.store(at.unwrap_or_default(), Ordering::Relaxed);
    }
}
