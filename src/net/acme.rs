//! Certificates from a certificate authority (ACME, RFC 8555), got and renewed while the server runs.
//!
//! [`schedule`] decides when, [`order`] asks, [`Challenges`] has what the authority is answered, and [`folder`] keeps
//! what must outlive a restart. A new certificate is a changed file, which [`Credentials`](super::tls::Credentials)
//! see as they see the files of a user.

mod folder;
mod order;
pub mod schedule;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use self::folder::Folder;
pub use self::folder::remembered;
use self::order::Failure;
use self::schedule::{Fault, Memory, Schedule, Step};
use crate::config::{Config, TlsConfig};
use crate::net::tls::{CertificateCounters, Challenges, inspect};

/// The longest that one attempt may take, over all that it asks.
const ATTEMPT: Duration = Duration::from_secs(300);

/// The server as a client of a certificate authority.
#[derive(Debug)]
pub struct Acme {
    config: TlsConfig,
    folder: Folder,
    schedule: Schedule,
    challenges: Challenges,
    counters: Arc<CertificateCounters>,
    random: fn() -> [u8; 1],
}

impl Acme {
    /// Makes the folder, and in it a certificate to start with where there is none. `None` when nothing is configured.
    ///
    /// # Errors
    /// The folder cannot be written to, with the sentence for people.
    pub fn begin(
        config: &Config,
        counters: Arc<CertificateCounters>,
        random: fn() -> [u8; 1],
    ) -> io::Result<Option<Self>> {
        if config.tls.acme.is_empty() {
            return Ok(None);
        }
        let folder = Folder::open(config.tls.acme_folder.as_path())?;
        folder.begin(&config.tls.acme)?;
        let memory = remembered(config.tls.acme_folder.as_path()).unwrap_or_default();
        let both = config.http.redirect.is_some();
        let schedule = Schedule::new(memory, both, config.tls.acme_directory.as_str());
        let held = folder::held(&folder.certificate(), &config.tls.acme, schedule.issued());
        if !held.is_some_and(|held| held.fits) {
            let names = listed(&config.tls);
            tracing::warn!(
                "there is no certificate for {names} yet: until there is, browsers will warn of this server"
            );
        }
        let challenges = Challenges::default();
        Ok(Some(Self { config: config.tls.clone(), folder, schedule, challenges, counters, random }))
    }

    /// What the certificate authority is to be answered.
    #[must_use]
    pub fn challenges(&self) -> Challenges {
        self.challenges.clone()
    }

    /// Gets and renews certificates, for ever.
    pub async fn run(mut self) {
        loop {
            let now = SystemTime::now();
            match self
                .schedule
                .step(folder::held(&self.path(), &self.config.acme, self.schedule.issued()), now)
            {
                Step::Wait(wait) => tokio::time::sleep(wait).await,
                Step::Order(way) => {
                    let attempt = order::obtain(&self.config, &self.folder, &self.challenges, way);
                    let outcome = tokio::time::timeout(ATTEMPT, attempt).await.unwrap_or_else(|_| {
                        let reason = "it took longer than 5 minutes".to_owned();
                        Err(Failure { fault: Fault::Other, reason })
                    });
                    self.challenges.clear();
                    match outcome.and_then(|pem| self.install(&pem)) {
                        Ok(()) => self.succeeded(way.name()),
                        Err(failure) => self.failed(failure),
                    }
                }
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.certificate()
    }

    fn install(&self, pem: &str) -> Result<(), Failure> {
        let failure = |error: io::Error| Failure {
            fault: Fault::Other,
            reason: format!("the certificate cannot be put into tls.acme_folder: {error}"),
        };
        self.folder.install(pem).map_err(failure)
    }

    fn succeeded(&mut self, way: &str) {
        self.schedule.succeeded();
        self.remember();
        self.counters.issued.add(1);
        let facts = inspect(&self.path(), &self.path()).ok().flatten();
        let valid_until = facts.map(|facts| facts.until);
        tracing::info!(names = listed(&self.config), valid_until, way, "certificate got");
    }

    fn failed(&mut self, failure: Failure) {
        let [chance] = (self.random)();
        let Failure { fault, reason } = failure;
        let wait = self.schedule.failed(fault, reason.clone(), SystemTime::now(), chance);
        self.remember();
        self.counters.failed.add(1);
        let names = listed(&self.config);
        let next_try_in = if wait.is_zero() { "now, the other way".to_owned() } else { spoken(wait) };
        tracing::warn!(names, reason, next_try_in, "no certificate was got; `sluice doctor` says what to do");
    }

    fn remember(&self) {
        let memory: &Memory = self.schedule.memory();
        if let Err(error) = self.folder.keep(memory) {
            tracing::warn!(%error, "tls.acme_folder cannot be written to, so a restart would ask again at once");
        }
    }
}

fn listed(config: &TlsConfig) -> String {
    config.acme.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A time for people: `90 s`, `27 min`, `6 h`.
fn spoken(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
