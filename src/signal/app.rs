//! What handlers share.

use std::sync::Arc;

use super::answering::Answering;
use super::ice_servers::IceServers;
use super::mint::Mint;
use super::open::Open;
use crate::config::{AuthConfig, PublicUrl};
use crate::metrics::exporter::Exporter;
use crate::metrics::http::HttpMetrics;
use crate::room::control::Control;
use crate::sfu::session::negotiate::Endpoint;

/// What every request can see.
pub struct App {
    /// Rooms and workers.
    pub control: Arc<Control>,
    /// Certificate and candidates.
    pub endpoint: Endpoint,
    /// Who may publish.
    pub auth: AuthConfig,
    /// The address under which clients know this server, where it is not the one they ask.
    pub public_url: Option<PublicUrl>,
    /// What clients are told of the relay.
    pub ice_servers: IceServers,
    /// New identities.
    pub mint: Mint,
    /// Offers that are being answered.
    pub answering: Answering,
    /// WebSockets that are open.
    pub websockets: Open,
    /// The metrics page.
    pub exporter: Exporter,
    /// Counts of HTTP requests.
    pub http_metrics: HttpMetrics,
}
