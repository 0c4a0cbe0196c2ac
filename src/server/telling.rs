//! What clients are told of this server, made of the addresses that are announced at that time.

use crate::config::{Config, PublicUrl};
use crate::net::addresses::Announced;
use crate::sfu::session::dtls::Identity;
use crate::sfu::session::negotiate::Endpoint;
use crate::signal::app::Told;
use crate::signal::ice_servers::IceServers;
use crate::wire::ntp::Epoch;

/// What does not change while the server runs.
pub(super) struct Telling {
    /// The DTLS certificate.
    pub(super) identity: Identity,
    /// One moment on both clocks.
    pub(super) epoch: Epoch,
    /// Whether media is taken over TCP.
    pub(super) ice_over_tcp: bool,
    /// The relay, where there is one.
    pub(super) relay: Option<Relay>,
}

/// How the relay is told of.
pub(super) struct Relay {
    /// What credentials are made with.
    pub(super) secret: String,
    /// Whether it is there over TLS.
    pub(super) tls: bool,
    /// The name that the certificate is for, if that is known.
    pub(super) name: Option<String>,
}

impl Relay {
    pub(super) fn new(config: &Config, secret: String, tls: bool) -> Self {
        let name = config.public_url();
        let name = name.as_ref().and_then(PublicUrl::secure_host);
        Self { secret, tls, name: name.map(str::to_owned) }
    }

    fn servers(&self, announced: &Announced) -> IceServers {
        let servers = IceServers::new(&announced.udp, self.secret.clone()).and_tcp(&announced.tcp);
        if self.tls { servers.and_tls(&announced.tcp, self.name.as_deref()) } else { servers }
    }
}

impl Telling {
    pub(super) fn told(&self, announced: Announced) -> Told {
        let ice_servers = self.relay.as_ref().map(|relay| relay.servers(&announced)).unwrap_or_default();
        let tcp = if self.ice_over_tcp { announced.tcp } else { Vec::new() };
        let candidates = Announced { udp: announced.udp, tcp };
        let endpoint = Endpoint { identity: self.identity.clone(), candidates, epoch: self.epoch };
        Told { endpoint, ice_servers }
    }
}
