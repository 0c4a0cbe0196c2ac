//! What handlers share.

use std::sync::Arc;

use tokio::sync::watch;

use super::answering::Answering;
use super::guesses::Guesses;
use super::ice_servers::IceServers;
use super::mint::Mint;
use super::offered::CounterOffers;
use super::open::Open;
use crate::config::{AuthConfig, Config, PublicUrl};
use crate::metrics::exporter::Exporter;
use crate::metrics::http::HttpMetrics;
use crate::room::control::Control;
use crate::sfu::session::negotiate::Endpoint;

/// What every request can see.
pub struct App {
    /// Rooms and workers.
    pub control: Arc<Control>,
    /// What new sessions are told. It may change; sessions keep what they began with.
    pub told: watch::Receiver<Told>,
    /// Who may publish.
    pub auth: AuthConfig,
    /// The address under which clients know this server, where it is not the one they ask.
    pub public_url: Option<PublicUrl>,
    /// The whole configuration, with the ports that port 0 became: for the doctor.
    pub config: Arc<Config>,
    /// New identities.
    pub mint: Mint,
    /// Offers that are being answered.
    pub answering: Answering,
    /// Counter-offers that are not answered.
    pub counter_offers: CounterOffers,
    /// Who tried wrong keys.
    pub guesses: Guesses,
    /// WebSockets that are open.
    pub websockets: Open,
    /// The metrics page.
    pub exporter: Exporter,
    /// Counts of HTTP requests.
    pub http_metrics: HttpMetrics,
}

/// What clients are told of this server's addresses.
#[derive(Clone)]
pub struct Told {
    /// Certificate and candidates.
    pub endpoint: Endpoint,
    /// The relay.
    pub ice_servers: IceServers,
}

impl App {
    /// What a new session begins with.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.told.borrow().endpoint.clone()
    }

    /// What clients are told of the relay.
    #[must_use]
    pub fn ice_servers(&self) -> IceServers {
        self.told.borrow().ice_servers.clone()
    }
}
