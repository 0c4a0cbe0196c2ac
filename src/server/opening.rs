//! Opening ports, and why a server does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::net::tls::TlsError;
use crate::sfu::session::dtls::IdentityError;
use crate::signal::listener::Listener;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that cannot be had.
    #[error("cannot listen on {what} {address}: {error}. Is another program using it?")]
    Listen {
        /// The configuration key.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: io::Error,
    },
    /// Nothing of what is to be announced has an address.
    #[error("{0}: correct media.announce, or see why names cannot be resolved here")]
    Announce(String),
    /// The media port cannot be had.
    #[error("cannot open the media port (media.listen): {0}")]
    Media(io::Error),
    /// No certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The folder of the certificate cannot be used.
    #[error(
        "cannot write to tls.acme_folder {folder}: {error}. Give this user the right to, or name another folder"
    )]
    Acme {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The certificate of the HTTP server.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No runtime, no metrics: a broken machine.
    #[error("cannot start: {0}")]
    System(String),
}

pub(super) async fn listen(
    what: &'static str,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
) -> Result<Listener, StartError> {
    let (socket, _) = bind(what, address).await?;
    Listener::new(socket, tls).map_err(|error| StartError::Listen { what, address, error })
}

/// A bound socket, and its address with the port that port 0 became.
pub(super) async fn bind(
    what: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = TcpListener::bind(address).await.and_then(|socket| Ok((socket.local_addr()?, socket)));
    let (at, socket) = bound.map_err(|error| StartError::Listen { what, address, error })?;
    Ok((socket, at))
}
