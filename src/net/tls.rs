//! TLS for the HTTP listener: certificate files in, encrypted connections out.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Who has not said hello within this time is not a browser.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Handshakes at a time. More wait in the kernel's queue, so that half-open connections cost little memory.
const MOST_HANDSHAKES: usize = 256;
/// After an accept that failed for want of file descriptors: trying again at once would only burn a core.
const PAUSE: Duration = Duration::from_millis(200);

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
    #[error("the certificate and its key cannot be used: {0}")]
    Refused(rustls::Error),
}

/// Reads a certificate chain and its key, both PEM, for HTTP/1.1 over TLS 1.2 and 1.3.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn load(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let file = |what, path: &Path| {
        let path = path.to_owned();
        move |error| TlsError::File { what, path, error }
    };
    let chain = CertificateDer::pem_file_iter(certificate).map_err(file("tls.cert", certificate))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(file("tls.cert", certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(certificate.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(file("tls.key", key))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(TlsError::Refused)?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Refused)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A listener whose connections have a finished handshake behind them. A slow client delays nobody.
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    accepting: tokio::task::JoinHandle<()>,
}

impl TlsListener {
    /// Accepts connections of `listener` from now on. Needs to be called within a tokio runtime.
    ///
    /// # Errors
    /// When the listener does not know its own address.
    pub fn new(listener: TcpListener, config: Arc<ServerConfig>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (finished, ready) = mpsc::channel(16);
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(config), finished));
        Ok(Self { address, ready, accepting })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next connection.
    pub async fn accept(&mut self) -> (TlsStream<TcpStream>, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task ends only with this listener.
            None => std::future::pending().await,
        }
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    finished: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let places = Arc::new(Semaphore::new(MOST_HANDSHAKES));
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (acceptor, finished) = (acceptor.clone(), finished.clone());
        tokio::spawn(async move {
            let handshake = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await;
            drop(place);
            match handshake {
                Ok(Ok(stream)) => drop(finished.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;

    use super::*;

    fn files(name: &str) -> (PathBuf, PathBuf, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = std::env::temp_dir().join(format!("sluice-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (certificate, key, made.cert.der().clone())
    }

    fn connector(trusted: CertificateDer<'static>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(trusted).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }

    #[tokio::test]
    async fn a_silent_client_does_not_keep_others_out() {
        let (certificate, key, trusted) = files("accept");
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut listener = TlsListener::new(tcp, load(&certificate, &key).unwrap()).unwrap();
        let address = listener.local_addr();
        let _silent = TcpStream::connect(address).await.unwrap();
        let client = tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = connector(trusted).connect(name, stream).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream.flush().await.unwrap();
            stream
        });
        let (mut stream, _) = listener.accept().await;
        let mut text = [0; 5];
        stream.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"hello");
        drop(client.await.unwrap());
    }

    #[test]
    fn errors_name_the_file() {
        let (certificate, key, _) = files("errors");
        let missing = certificate.with_file_name("missing.pem");
        let text = |certificate: &Path, key: &Path| load(certificate, key).unwrap_err().to_string();
        assert!(
            text(&missing, &key).contains("tls.cert from ") && text(&missing, &key).contains("missing.pem")
        );
        assert!(text(&certificate, &missing).contains("tls.key from "));
        assert!(text(&key, &key).contains("contains no certificate"));
        let (_, other_key, _) = files("other");
        assert!(text(&certificate, &other_key).contains("cannot be used"));
    }
}
