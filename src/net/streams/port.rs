//! The TCP port: accepts, tells what each connection is for, and hands it on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::ServerConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::begun::Begun;
use super::connection::Connection;
use super::counters::StreamCounters;
use super::mark::StreamId;
use super::opening::Opening;
use super::places::Places;
use super::{Carries, Choose, Ends};
use crate::net::tls::{Handshakes, accept};

/// What the system may keep of a stream, in bytes: what is on its way over 100 ms at 20 Mbit/s.
const SEND_BUFFER: usize = 256 << 10;

/// What of it may wait to be sent for the first time. The rest waits where it can be dropped.
const UNSENT: u32 = 16 << 10;

/// A connection of the HTTP server.
#[derive(Debug)]
pub enum Http {
    /// Without TLS.
    Plain(Begun<TcpStream>),
    /// With TLS. Boxed, as it is ten times as large.
    Tls(Box<Begun<TlsStream<Begun<TcpStream>>>>),
}

/// What is done with connections that are not for the HTTP server.
#[derive(Clone)]
pub struct Streams {
    choose: Choose,
    carried: Carried,
    places: Arc<Places>,
    counters: Arc<StreamCounters>,
    next: Arc<AtomicU64>,
}

/// Which protocols are taken. What is not goes to the HTTP server, which answers it with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// TURN over TCP and TLS.
    pub turn: bool,
    /// ICE-TCP, also inside of TLS.
    pub ice: bool,
}

impl Streams {
    /// Takes as many streams as `most`, and asks `choose` where each belongs.
    #[must_use]
    pub fn new(choose: Choose, counters: Arc<StreamCounters>, carried: Carried, most: usize) -> Self {
        Self { choose, carried, places: Places::new(most), counters, next: Arc::default() }
    }

    /// A client of TURN may name that in its handshake (RFC 7443), and would be refused by who speaks HTTP only.
    fn named_in(&self, config: Arc<ServerConfig>) -> Arc<ServerConfig> {
        if !self.carried.turn {
            return config;
        }
        let mut config = ServerConfig::clone(&config);
        config.alpn_protocols.push(b"stun.turn".to_vec());
        Arc::new(config)
    }

    /// What a connection carries that begins like this. `None`: HTTP.
    fn carries(&self, opening: Opening) -> Option<Carries> {
        match opening {
            Opening::Turn if self.carried.turn => Some(Carries::Turn),
            Opening::Ice if self.carried.ice => Some(Carries::Ice),
            _ => None,
        }
    }

    /// Carries a stream in a task of its own.
    fn start<S: OverTcp>(&self, carries: Carries, stream: Begun<S>, peer: SocketAddr) {
        let Some(place) = self.places.take(peer.ip()) else { return self.counters.full.add(1) };
        let Ok(local) = stream.get_ref().tcp().local_addr() else { return };
        if let Err(error) = prepare(stream.get_ref().tcp()) {
            tracing::debug!(%error, "a socket could not be set up for media; it works, with more delay");
        }
        let counters = self.counters.clone();
        let opened = match carries {
            Carries::Turn => &counters.turn,
            Carries::Ice => &counters.ice,
        };
        opened.add(1);
        let connection = Connection {
            id: StreamId(self.next.fetch_add(1, Ordering::Relaxed)),
            carries,
            ends: Ends { peer: canonical(peer), local: canonical(local) },
            choose: self.choose.clone(),
            counters: counters.clone(),
        };
        tokio::spawn(async move {
            counters.open.add(1);
            connection.run(stream).await;
            counters.open.take_back();
            drop(place);
        });
    }

    /// Tells what a connection is for, and starts it if it is a stream. Returns it if it is for HTTP.
    async fn sort<S: OverTcp>(&self, mut stream: Begun<S>, peer: SocketAddr) -> Option<Begun<S>> {
        let opening = stream.tell().await.ok()?;
        match self.carries(opening) {
            Some(carries) => self.start(carries, stream, peer),
            None => return Some(stream),
        }
        None
    }
}

/// What runs over a TCP connection.
trait OverTcp: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn tcp(&self) -> &TcpStream;
}

impl OverTcp for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl OverTcp for TlsStream<Begun<TcpStream>> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0.get_ref()
    }
}

/// A listener whose connections have said what they are for. A slow client delays nobody, and many silent ones give way to
/// those who speak.
pub struct Port {
    address: SocketAddr,
    ready: mpsc::Receiver<(Http, SocketAddr)>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Port {
    /// Accepts connections of `listener` from now on: with TLS those that begin with a handshake, if there is a
    /// certificate. Needs to be called within a tokio runtime.
    ///
    /// # Errors
    /// When the listener does not know its own address.
    pub fn new(listener: TcpListener, tls: Option<Arc<ServerConfig>>, streams: Streams) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (finished, ready) = mpsc::channel(16);
        let handshakes = if tls.is_some() { Handshakes::default() } else { Handshakes::plain() };
        let tls = tls.map(|config| TlsAcceptor::from(streams.named_in(config)));
        let door = Arc::new(Door { tls, streams, finished });
        let open = move |stream, peer| door.clone().open(stream, peer);
        let accepting = tokio::spawn(accept(listener, handshakes, open));
        Ok(Self { address, ready, accepting })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next connection of the HTTP server.
    pub async fn accept(&mut self) -> (Http, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task ends only with this listener.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What a connection passes through.
struct Door {
    tls: Option<TlsAcceptor>,
    streams: Streams,
    finished: mpsc::Sender<(Http, SocketAddr)>,
}

impl Door {
    async fn open(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let late = Late(&self.streams.counters, true);
        if let Some(http) = self.sorted(stream, peer).await {
            drop(self.finished.send((http, peer)).await);
        }
        late.done();
    }

    async fn sorted(&self, stream: TcpStream, peer: SocketAddr) -> Option<Http> {
        let mut stream = Begun::new(stream);
        let Some(acceptor) = &self.tls else {
            return self.streams.sort(stream, peer).await.map(Http::Plain);
        };
        let opening = stream.tell().await.ok()?;
        if let Some(carries) = self.streams.carries(opening) {
            self.streams.start(carries, stream, peer);
            return None;
        }
        // What is neither TLS nor a stream is told so by TLS, as it would be on any such port.
        match acceptor.accept(stream).await {
            Ok(stream) => {
                self.streams.sort(Begun::new(stream), peer).await.map(|stream| Http::Tls(Box::new(stream)))
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "the TLS handshake failed");
                None
            }
        }
    }
}

/// Counts a connection that was given up before it had said what it is for.
struct Late<'a>(&'a StreamCounters, bool);

impl Late<'_> {
    fn done(mut self) {
        self.1 = false;
    }
}

impl Drop for Late<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.slow.add(1);
        }
    }
}

/// Sends at once, and keeps the system from hiding seconds of media in its queue.
fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    socket.set_send_buffer_size(SEND_BUFFER)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

/// A socket that listens on both families writes IPv4 addresses as IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
