//! From where a request comes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Extension, FromRequestParts};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Uri, header};
use axum::serve::IncomingStream;

use super::error::Problem;
use super::listener::{Listener, Listens};

/// What those add who pass on the requests of others.
const PASSED_ON: [HeaderName; 4] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
];

/// The other end of the connection on which a request came. Handlers take it as an argument.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address: of the client itself, or of the proxy that passed the request on.
    pub address: SocketAddr,
    /// The server that the request line names, as it does in a request to a proxy (RFC 9112 section 3.2.2).
    authority: Option<Authority>,
    listens: Listens,
}

impl Peer {
    /// Takes note that the client only listens from now on: it need not say anything to be taken for alive.
    pub(super) fn listens(&self) {
        self.listens.begin();
    }

    /// Whether the request was made on this very machine, by somebody who meant this machine.
    ///
    /// Three kinds of strangers look like a neighbour, and are none:
    /// - those for whom a reverse proxy on this machine asks. It says so in a header, or names its public host.
    /// - those who own a host name and let it point to 127.0.0.1 once their page is open in a browser here (DNS
    ///   rebinding). The request names that host.
    /// - the pages of others in a browser here, which may ask any address. The browser adds their origin.
    ///
    /// So neither the request nor its origin may name any host but a loopback one, and the request names one.
    #[must_use]
    pub fn is_local(&self, headers: &HeaderMap) -> bool {
        is_loopback(self.address.ip())
            && !PASSED_ON.iter().any(|name| headers.contains_key(name))
            && self.authority.as_ref().is_none_or(is_loopback_host)
            && headers.contains_key(header::HOST)
            && all(headers, &header::HOST, |host| {
                host.parse::<Authority>().is_ok_and(|host| is_loopback_host(&host))
            })
            && all(headers, &header::ORIGIN, |origin| {
                origin.parse::<Uri>().is_ok_and(|origin| origin.authority().is_some_and(is_loopback_host))
            })
    }
}

/// Whether all headers of a name are as wanted; true without any.
fn all(headers: &HeaderMap, name: &HeaderName, wanted: impl Fn(&str) -> bool) -> bool {
    headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(&wanted))
}

/// Names that never leave the machine (RFC 6761 section 6.3), and addresses that do not.
fn is_loopback_host(authority: &Authority) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host().to_ascii_lowercase();
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| is_loopback(address.into()));
    }
    let is_below = host.strip_suffix(".localhost").is_some_and(|name| !name.is_empty());
    host == "localhost" || is_below || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
impl Peer {
    /// One at this address.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self { address, authority: None, listens: Listens::default() }
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        Self { address: *stream.remote_addr(), authority: None, listens: stream.io().listens() }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let peer = Extension::<ConnectInfo<Self>>::from_request_parts(parts, state).await;
        // Without it the router was served in another way than the server serves it.
        let Extension(ConnectInfo(peer)) = peer.map_err(|_| Problem::bug())?;
        Ok(Self { authority: parts.uri.authority().cloned(), ..peer })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use axum::Router;
    use axum::http::HeaderValue;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::net::tls::{Credentials, pinned};

    fn peer(address: &str) -> Peer {
        Peer { address: address.parse().unwrap(), authority: None, listens: Listens::default() }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_loopback_addresses_are_local() {
        let host = headers(&[("host", "localhost:8080")]);
        for address in ["127.0.0.1:50000", "127.1.2.3:1", "[::1]:50000", "[::ffff:127.0.0.1]:50000"] {
            assert!(peer(address).is_local(&host), "{address}");
        }
        for address in ["192.0.2.1:1", "10.0.0.1:1", "[2001:db8::1]:1", "[fe80::1]:1", "[::ffff:192.0.2.1]:1"]
        {
            assert!(!peer(address).is_local(&host), "{address}");
        }
    }

    #[test]
    fn only_who_names_a_loopback_host_is_local() {
        for host in [
            "localhost",
            "localhost:8080",
            "LocalHost:8080",
            "app.localhost",
            "a.b.localhost:1",
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.255.0.9:80",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:8080",
        ] {
            assert!(peer("127.0.0.1:1").is_local(&headers(&[("host", host)])), "{host}");
        }
        for host in [
            "",
            "live.example.org",
            "live.example.org:8080",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "notlocalhost",
            ".localhost",
            "localhost@live.example.org",
            "live.example.org@localhost",
            "localhost/",
            "192.168.0.7:8080",
            "0.0.0.0:8080",
            "[::]:8080",
            "[2001:db8::1]",
            "::1",
            "2130706433",
            "localhost live.example.org",
        ] {
            assert!(!peer("127.0.0.1:1").is_local(&headers(&[("host", host)])), "{host}");
        }
        assert!(!peer("127.0.0.1:1").is_local(&HeaderMap::new()), "HTTP/1.0 need not name a host");
        let mut two = headers(&[("host", "localhost")]);
        two.append(header::HOST, HeaderValue::from_static("live.example.org"));
        assert!(!peer("127.0.0.1:1").is_local(&two), "one of two");
    }

    #[test]
    fn who_asks_for_somebody_else_is_not_local() {
        for (name, value) in [
            ("forwarded", "for=192.0.2.1"),
            ("forwarded", ""),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("via", "1.1 proxy"),
        ] {
            let headers = headers(&[("host", "localhost"), (name, value)]);
            assert!(!peer("127.0.0.1:1").is_local(&headers), "{name}: {value}");
        }
        let harmless = headers(&[("host", "localhost"), ("accept", "*/*"), ("user-agent", "x")]);
        assert!(peer("127.0.0.1:1").is_local(&harmless));
    }

    #[test]
    fn pages_of_others_are_not_local() {
        for (origin, local) in [
            ("http://localhost:8080", true),
            ("https://127.0.0.1", true),
            ("http://[::1]:3000", true),
            ("http://live.example.org", false),
            ("http://localhost.example.org", false),
            ("null", false),
            ("", false),
        ] {
            let headers = headers(&[("host", "localhost:8080"), ("origin", origin)]);
            assert_eq!(peer("127.0.0.1:1").is_local(&headers), local, "{origin}");
        }
    }

    #[test]
    fn what_the_request_line_names_counts_too() {
        for (named, local) in [("localhost:8080", true), ("live.example.org", false)] {
            let peer = Peer { authority: Some(named.parse().unwrap()), ..peer("127.0.0.1:1") };
            assert_eq!(peer.is_local(&headers(&[("host", "localhost")])), local, "{named}");
        }
    }

    /// A server that answers with the address of whoever asks, and whether that is local.
    async fn serve(credentials: Option<&Credentials>) -> SocketAddr {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener::new(socket, credentials.map(Credentials::config)).unwrap();
        let tell =
            async |peer: Peer, headers: HeaderMap| format!("{} {}", peer.address, peer.is_local(&headers));
        let service = Router::new().fallback(get(tell)).into_make_service_with_connect_info::<Peer>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        address
    }

    #[tokio::test]
    async fn handlers_learn_the_address_of_a_plain_connection() {
        let server = serve(None).await;
        for (target, local) in [("/", true), ("http://localhost/", true), ("http://live.example.org/", false)]
        {
            let mut client = TcpStream::connect(server).await.unwrap();
            let own = client.local_addr().unwrap();
            let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let mut reply = String::new();
            client.read_to_string(&mut reply).await.unwrap();
            assert!(reply.ends_with(&format!("\r\n\r\n{own} {local}")), "{target}: {reply}");
        }
    }

    fn certificate() -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = std::env::temp_dir().join(format!("sluice-peer-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (certificate, key)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn handlers_learn_the_address_of_a_tls_connection() {
        use std::io::{Read, Write};
        let (certificate, key) = certificate();
        let server = serve(Some(&Credentials::load(&certificate, &key).unwrap())).await;
        let asked = tokio::task::spawn_blocking(move || {
            let stream = std::net::TcpStream::connect(server).unwrap();
            let own = stream.local_addr().unwrap();
            let mut client = pinned(server.ip(), &certificate, stream).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
            let mut reply = Vec::new();
            client.read_to_end(&mut reply).unwrap();
            (own, String::from_utf8(reply).unwrap())
        });
        let (own, reply) = asked.await.unwrap();
        assert!(reply.ends_with(&format!("\r\n\r\n{own} true")), "{reply}");
    }
}
