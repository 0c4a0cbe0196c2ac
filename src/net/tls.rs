//! TLS for the HTTP listener: certificate files in, encrypted connections out.

mod challenges;
mod counters;
mod credentials;
mod files;
mod handshakes;
mod inspect;
mod renewal;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, SignatureScheme, StreamOwned,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use self::challenges::Challenges;
pub use self::counters::CertificateCounters;
pub use self::credentials::Credentials;
pub use self::files::TlsError;
use self::files::{provider, read_first};
pub(in crate::net) use self::handshakes::Handshakes;
pub use self::inspect::{Facts, inspect};
use crate::net::throttle::Throttle;

/// After an accept that failed for want of file descriptors: trying again at once would only burn a core.
const PAUSE: Duration = Duration::from_millis(200);

/// A client's connection to a server that must present the very certificate of this file, whatever its name.
///
/// # Errors
/// [`TlsError`] names the file. The handshake is made with the first byte that is sent.
pub fn pinned(
    server: IpAddr,
    certificate: &Path,
    stream: std::net::TcpStream,
) -> Result<StreamOwned<ClientConnection, std::net::TcpStream>, TlsError> {
    let expected = read_first(certificate)?;
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let pin = Arc::new(Pin { expected, provider });
    let config = builder.map_err(TlsError::Setup)?.dangerous().with_custom_certificate_verifier(pin);
    let config = Arc::new(config.with_no_client_auth());
    let connection = ClientConnection::new(config, server.into()).map_err(TlsError::Setup)?;
    Ok(StreamOwned::new(connection, stream))
}

/// Trusts one certificate and no name: who asks knows the file, and the address is this machine's own.
#[derive(Debug)]
struct Pin {
    expected: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        presented: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *presented == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General("the server presents another certificate than tls.cert".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A listener whose connections have a finished handshake behind them. A slow client delays nobody, and many silent
/// ones give way to those who speak.
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
        let acceptor = TlsAcceptor::from(config);
        let open = move |stream, peer| handshake(acceptor.accept(stream), peer, finished.clone());
        let accepting = tokio::spawn(accept(listener, Handshakes::default(), open));
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

/// Accepts connections for ever, and opens each in a task of its own, as many at a time as may be under way.
pub(in crate::net) async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    mut handshakes: Handshakes,
    open: impl Fn(TcpStream, SocketAddr) -> F,
) {
    let mut errors = Throttle::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = handshakes.ended() => continue,
        };
        match accepted {
            Ok((stream, peer)) => handshakes.start(peer.ip(), open(stream, peer)),
            Err(error) if is_about_one_connection(&error) => {
                tracing::debug!(%error, "a connection was over before it was accepted");
            }
            Err(error) => {
                if let Some(times) = errors.count(Instant::now()) {
                    tracing::warn!(%error, times, "cannot accept connections; the oldest that say nothing are given up");
                }
                handshakes.halve();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn handshake(
    accepting: tokio_rustls::Accept<TcpStream>,
    peer: SocketAddr,
    finished: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    match accepting.await {
        Ok(stream) => drop(finished.send((stream, peer)).await),
        Err(error) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
    }
}

/// Whether accepting failed because of the connection that was next: it was broken off, a firewall refused it, or
/// its network had failed (accept(2)). The one behind it can be accepted at once. What else can fail is the lack of
/// file descriptors or of memory, which lasts.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let protocol = error.raw_os_error() == Some(libc::EPROTO);
    protocol
        || matches!(
            error.kind(),
            Kind::ConnectionAborted
                | Kind::ConnectionReset
                | Kind::ConnectionRefused
                | Kind::PermissionDenied
                | Kind::TimedOut
                | Kind::NetworkDown
                | Kind::NetworkUnreachable
                | Kind::HostUnreachable
                | Kind::Interrupted
        )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::path::PathBuf;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn files(name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = std::env::temp_dir().join(format!("sluice-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (certificate, key)
    }

    fn config(certificate: &Path, key: &Path) -> Arc<ServerConfig> {
        Credentials::load(certificate, key).unwrap().config()
    }

    #[tokio::test]
    async fn a_silent_client_does_not_keep_others_out() {
        let (certificate, key) = files("accept");
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut listener = TlsListener::new(tcp, config(&certificate, &key)).unwrap();
        let address = listener.local_addr();
        let _silent = TcpStream::connect(address).await.unwrap();
        let client = tokio::task::spawn_blocking(move || {
            let stream = std::net::TcpStream::connect(address).unwrap();
            let mut stream = pinned(address.ip(), &certificate, stream).unwrap();
            stream.write_all(b"hello").unwrap();
            let mut text = [0; 5];
            stream.read_exact(&mut text).unwrap();
            text
        });
        let (mut stream, _) = listener.accept().await;
        let mut text = [0; 5];
        stream.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"hello");
        stream.write_all(b"world").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(&client.await.unwrap(), b"world");
    }

    /// More silent clients from one address than it has places for: the first give way, and who speaks is heard.
    #[tokio::test]
    async fn silent_clients_give_way() {
        let (certificate, key) = files("silent");
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut listener = TlsListener::new(tcp, config(&certificate, &key)).unwrap();
        let address = listener.local_addr();
        let mut silent = Vec::new();
        for _ in 0..40 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let client = tokio::task::spawn_blocking(move || {
            let stream = std::net::TcpStream::connect(address).unwrap();
            pinned(address.ip(), &certificate, stream).unwrap().write_all(b"hello")
        });
        listener.accept().await;
        client.await.unwrap().unwrap();
        let first = silent.first_mut().unwrap();
        // Half the time that a silent client has otherwise.
        let closed = tokio::time::timeout(Duration::from_secs(5), first.read(&mut [0])).await;
        assert_eq!(closed.expect("the first gave way").unwrap(), 0);
    }

    #[test]
    fn only_a_lack_of_means_is_worth_a_pause() {
        let about_one = |number| is_about_one_connection(&io::Error::from_raw_os_error(number));
        assert!(
            [libc::ECONNABORTED, libc::EPERM, libc::EPROTO, libc::ENETUNREACH].into_iter().all(about_one)
        );
        let lasting = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EBADF, libc::EINVAL];
        assert!(!lasting.into_iter().any(about_one));
    }

    #[tokio::test]
    async fn another_certificate_is_not_taken_for_ours() {
        let (certificate, key) = files("ours");
        let (other, _) = files("theirs");
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = TlsListener::new(tcp, config(&certificate, &key)).unwrap();
        let address = listener.local_addr();
        let asked = tokio::task::spawn_blocking(move || {
            let stream = std::net::TcpStream::connect(address).unwrap();
            pinned(address.ip(), &other, stream).unwrap().write_all(b"hello")
        });
        assert!(asked.await.unwrap().is_err());
    }

    #[test]
    fn errors_name_the_file() {
        let (certificate, key) = files("errors");
        let missing = certificate.with_file_name("missing.pem");
        let text =
            |certificate: &Path, key: &Path| Credentials::load(certificate, key).unwrap_err().to_string();
        assert!(
            text(&missing, &key).contains("tls.cert from ") && text(&missing, &key).contains("missing.pem")
        );
        assert!(text(&certificate, &missing).contains("tls.key from "));
        assert!(text(&key, &key).contains("contains no certificate"));
        let (_, other_key) = files("other");
        let unfit = text(&certificate, &other_key);
        for part in ["cert.pem", "key.pem", "cannot be used"] {
            assert!(unfit.contains(part), "{part}: {unfit}");
        }
    }
}
