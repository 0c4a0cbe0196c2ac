//! What HTTPS needs beside its listener: the certificate, who gets it, and who sends people there.

use std::sync::Arc;

use axum::Router;
use rustls::ServerConfig;
use tokio::task::JoinSet;

use super::opening::{StartError, listen};
use crate::config::Config;
use crate::metrics::exporter::Exporter;
use crate::net::acme::Acme;
use crate::net::tls::Credentials;
use crate::signal::listener::Listener;
use crate::signal::redirect;
use crate::worker::random::random;

/// The certificate in use and its renewal. Without TLS it holds nothing.
pub(super) struct Secured {
    credentials: Option<Credentials>,
    acme: Option<Acme>,
    redirect: Option<(Listener, Router)>,
}

impl Secured {
    /// Reads the certificate, and opens the listener that sends people to HTTPS. `None` beside it without TLS.
    pub(super) async fn begin(
        config: &Config,
        exporter: &Exporter,
    ) -> Result<(Self, Option<Arc<ServerConfig>>), StartError> {
        let counters = exporter.certificates();
        let acme = Acme::begin(config, counters.clone(), random).map_err(|error| StartError::Acme {
            folder: config.tls.acme_folder.as_path().to_owned(),
            error,
        })?;
        let challenges = acme.as_ref().map(Acme::challenges);
        let credentials = match config.tls.files() {
            Some((certificate, key)) => {
                Some(Credentials::proving(&certificate, &key, challenges.clone(), counters)?)
            }
            None => None,
        };
        let redirect = match config.http.redirect {
            Some(address) => {
                let router = redirect::router(config, challenges.unwrap_or_default());
                Some((listen("http.redirect", address, None).await?, router))
            }
            None => None,
        };
        let tls = credentials.as_ref().map(Credentials::config);
        Ok((Self { credentials, acme, redirect }, tls))
    }

    /// The listener that sends people to HTTPS, once.
    pub(super) fn redirect(&mut self) -> Option<(Listener, Router)> {
        self.redirect.take()
    }

    /// Keeps the certificate fresh from now on.
    pub(super) fn start(self, tasks: &mut JoinSet<()>) {
        if let Some(credentials) = self.credentials {
            tasks.spawn(credentials.watch());
        }
        if let Some(acme) = self.acme {
            tasks.spawn(acme.run());
        }
    }
}
