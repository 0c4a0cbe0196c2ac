//! The listening socket of the HTTP server, with or without TLS, with or without media beside it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use crate::net::streams::port::{Http, Port, Streams};
use crate::net::tls::TlsListener;

/// A listener for `axum::serve`.
pub enum Listener {
    /// HTTP.
    Plain(TcpListener),
    /// HTTPS.
    Tls(TlsListener),
    /// HTTP or HTTPS on the port that carries media too.
    Shared(Port, &'static str),
}

/// A client that sends nothing for so long is cut off: an idle keep-alive, or one that stalls in a request.
const IDLE: Duration = Duration::from_secs(30);

/// A connection of a [`Listener`].
pub struct Connection {
    stream: Stream,
    idle: Pin<Box<Sleep>>,
    listens: Listens,
}

/// Whether the client of a connection only listens, to events that go on: it says nothing for long, and is there as long as it
/// takes what it is sent.
#[derive(Debug, Clone, Default)]
pub struct Listens(Arc<AtomicBool>);

impl Listens {
    /// From now on it does.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn holds(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

enum Stream {
    Plain(TcpStream),
    /// Boxed, as it is ten times as large.
    Tls(Box<TlsStream<TcpStream>>),
    Shared(Http),
}

impl Connection {
    fn new(stream: Stream) -> Self {
        Self { stream, idle: Box::pin(tokio::time::sleep(IDLE)), listens: Listens::default() }
    }

    /// By which a handler says that the client listens.
    #[must_use]
    pub fn listens(&self) -> Listens {
        self.listens.clone()
    }
}

impl Listener {
    /// A listener on a bound socket, with TLS if there is a certificate.
    ///
    /// # Errors
    /// The system's.
    pub fn new(socket: TcpListener, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        Ok(match tls {
            Some(config) => Self::Tls(TlsListener::new(socket, config)?),
            None => Self::Plain(socket),
        })
    }

    /// A listener on a bound socket that hands on what is not HTTP.
    ///
    /// # Errors
    /// The system's.
    pub fn shared(socket: TcpListener, tls: Option<Arc<ServerConfig>>, streams: Streams) -> io::Result<Self> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Self::Shared(Port::new(socket, tls, streams)?, scheme))
    }

    /// How an address of this listener begins.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Plain(_) => "http",
            Self::Tls(_) => "https",
            Self::Shared(_, scheme) => scheme,
        }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self {
            Self::Plain(listener) => {
                let (stream, peer) = axum::serve::Listener::accept(listener).await;
                (Connection::new(Stream::Plain(stream)), peer)
            }
            Self::Tls(listener) => {
                let (stream, peer) = listener.accept().await;
                (Connection::new(Stream::Tls(Box::new(stream))), peer)
            }
            Self::Shared(port, _) => {
                let (stream, peer) = port.accept().await;
                (Connection::new(Stream::Shared(stream)), peer)
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(listener) => listener.local_addr(),
            Self::Tls(listener) => Ok(listener.local_addr()),
            Self::Shared(port, _) => Ok(port.local_addr()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, idle, .. } = self.get_mut();
        let read = match stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Shared(Http::Plain(stream)) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Shared(Http::Tls(stream)) => Pin::new(stream).poll_read(cx, buffer),
        };
        if read.is_ready() {
            idle.as_mut().reset(Instant::now() + IDLE);
        } else if idle.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, idle, listens } = self.get_mut();
        let written = match stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Shared(Http::Plain(stream)) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Shared(Http::Tls(stream)) => Pin::new(stream).poll_write(cx, bytes),
        };
        if written.is_ready() && listens.holds() {
            idle.as_mut().reset(Instant::now() + IDLE);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Shared(Http::Plain(stream)) => Pin::new(stream).poll_flush(cx),
            Stream::Shared(Http::Tls(stream)) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Shared(Http::Plain(stream)) => Pin::new(stream).poll_shutdown(cx),
            Stream::Shared(Http::Tls(stream)) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::serve::Listener as _;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stalls_is_cut_off() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut listener = Listener::new(socket, None).unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = listener.accept().await;
        client.write_all(b"GET / HT").await.unwrap();
        let mut begun = [0; 8];
        connection.read_exact(&mut begun).await.unwrap();
        let stalled = connection.read(&mut begun).await;
        assert_eq!(stalled.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
    }
    #[tokio::test(start_paused = true)]
    async fn a_client_that_listens_is_there_as_long_as_it_takes_what_it_is_sent() {
        for (listens, wanted) in [(true, None), (false, Some(io::ErrorKind::TimedOut))] {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = socket.local_addr().unwrap();
            let mut listener = Listener::new(socket, None).unwrap();
            let _client = TcpStream::connect(address).await.unwrap();
            let (mut connection, _) = listener.accept().await;
            if listens {
                connection.listens().begin();
            }
            let mut ended = None;
            for _ in 0..6 {
                connection.write_all(b":\n\n").await.unwrap();
                let mut nothing = [0; 1];
                let reading = tokio::time::timeout(Duration::from_secs(10), connection.read(&mut nothing));
                ended = ended.or(reading.await.ok().and_then(Result::err).map(|error| error.kind()));
            }
            assert_eq!(ended, wanted, "listens: {listens}");
        }
    }
}
