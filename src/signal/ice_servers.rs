//! The relay as clients are told of it: addresses and credentials, in `Link` headers (RFC 9725 section 4.6) and in the room
//! protocol.
//!
//! Who reaches the relay without TLS reaches the media as well: over UDP on the very same port, over TCP by ICE-TCP. So these
//! are only for those who want nothing but a relay: WHIP and WHEP clients ask for them, and the room's client module leaves
//! them out by itself. The relay over UDP would even do harm: Chromium, once it has one, takes whatever comes from that port
//! for the relay's, and all of its media would go through it. Over TLS it is for networks that pass nothing else.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, header};

use crate::protocol::server::IceServer;
use crate::turn::credentials::Credential;

/// How long credentials are good.
const GOOD_FOR: Duration = Duration::from_secs(24 * 3600);

/// How often participants of rooms get new ones: long before the old ones are over, as clients' clocks are not asked.
pub(super) const RENEWED_EVERY: Duration = Duration::from_secs(12 * 3600);

/// The ICE servers of this process. By default there are none.
#[derive(Clone, Default)]
pub struct IceServers {
    urls: Vec<String>,
    /// What credentials are made with.
    secret: String,
}

impl IceServers {
    /// The relay at the announced addresses of the media port, one of each family: clients warn when there are many.
    #[must_use]
    pub fn new(announced: &[SocketAddr], secret: String) -> Self {
        let first = |is_v4: bool| announced.iter().find(move |address| address.is_ipv4() == is_v4);
        let url = |address: &SocketAddr| format!("turn:{address}?transport=udp");
        Self { urls: [first(true), first(false)].into_iter().flatten().map(url).collect(), secret }
    }

    /// The relay over TCP too, at the first of these addresses: one URL, as who gets one address gets it by this.
    #[must_use]
    pub fn and_tcp(mut self, announced: &[SocketAddr]) -> Self {
        self.urls.extend(announced.first().map(|address| format!("turn:{address}?transport=tcp")));
        self
    }

    /// The relay over TLS too, on the same port as TCP. `name` is what the certificate is for, where that is known: clients
    /// that check it do not take an address for a name.
    #[must_use]
    pub fn and_tls(mut self, announced: &[SocketAddr], name: Option<&str>) -> Self {
        self.urls.extend(announced.first().map(|address| match name {
            Some(name) => format!("turns:{name}:{}?transport=tcp", address.port()),
            None => format!("turns:{address}?transport=tcp"),
        }));
        self
    }

    /// The servers with new credentials of `user`, who is a participant or a session.
    #[must_use]
    pub fn of(&self, user: &str) -> Vec<IceServer> {
        let server = |Credential { username, password }| IceServer {
            urls: self.urls.clone(),
            username: Some(username),
            credential: Some(password),
        };
        self.credential(user).map(server).into_iter().collect()
    }

    /// New credentials of `user`. `None` where there is no relay.
    #[must_use]
    pub fn credential(&self, user: &str) -> Option<Credential> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let fresh = || Credential::until((now + GOOD_FOR).as_secs(), user, &self.secret);
        (!self.urls.is_empty()).then(fresh)
    }

    /// Adds a `Link` header for each address to an answer of WHIP or WHEP: those without TLS if the request asks for them.
    pub(super) fn link(&self, query: &str, user: &str, headers: &mut HeaderMap) {
        let all = query.split('&').any(|pair| pair == "relay=all");
        for IceServer { urls, username, credential } in self.of(user) {
            let (username, credential) = (username.unwrap_or_default(), credential.unwrap_or_default());
            for url in urls.into_iter().filter(|url| all || url.starts_with("turns:")) {
                let text = format!(
                    "<{url}>; rel=\"ice-server\"; username=\"{username}\"; credential=\"{credential}\"; \
                     credential-type=\"password\""
                );
                if let Ok(value) = HeaderValue::from_str(&text) {
                    headers.append(header::LINK, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers() -> IceServers {
        let announced = ["198.51.100.5:3478", "10.0.0.5:3478", "[2001:db8::5]:3478"];
        IceServers::new(&announced.map(|address| address.parse().unwrap()), "a secret of the operator".into())
    }

    #[test]
    fn each_family_has_one_url_and_all_share_a_credential_that_is_good_for_a_day() {
        let [server] = <[_; 1]>::try_from(servers().of("p7")).unwrap();
        assert_eq!(
            server.urls,
            ["turn:198.51.100.5:3478?transport=udp", "turn:[2001:db8::5]:3478?transport=udp"]
        );
        let username = server.username.unwrap();
        let (expires, user) = username.split_once(':').unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!((now + 86_000..=now + 86_401).contains(&expires.parse().unwrap()));
        let wanted = Credential::until(expires.parse().unwrap(), user, "a secret of the operator");
        assert_eq!((user, server.credential.unwrap()), ("p7", wanted.password));
    }

    #[test]
    fn the_relay_is_told_over_tcp_and_tls_where_it_is_there() {
        let tcp = ["198.51.100.5:443".parse().unwrap(), "[2001:db8::5]:443".parse().unwrap()];
        let urls = |servers: IceServers| servers.of("p7").remove(0).urls.split_off(2);
        assert_eq!(urls(servers().and_tcp(&tcp)), ["turn:198.51.100.5:443?transport=tcp"]);
        let named = servers().and_tls(&tcp, Some("live.example.org"));
        assert_eq!(urls(named), ["turns:live.example.org:443?transport=tcp"]);
        assert_eq!(urls(servers().and_tls(&tcp, None)), ["turns:198.51.100.5:443?transport=tcp"]);
        assert!(urls(servers().and_tcp(&[]).and_tls(&[], None)).is_empty());
    }

    #[test]
    fn a_link_header_stands_for_each_address() {
        let mut headers = HeaderMap::new();
        servers().link("track=t1&relay=all", "s9", &mut headers);
        let links: Vec<_> = headers.get_all(header::LINK).iter().map(|link| link.to_str().unwrap()).collect();
        assert_eq!(links.len(), 2);
        assert!(
            links[0].starts_with("<turn:198.51.100.5:3478?transport=udp>; rel=\"ice-server\"; username=\"")
        );
        assert!(links[0].ends_with("\"; credential-type=\"password\""));
        let mut none = HeaderMap::new();
        IceServers::default().link("relay=all", "s9", &mut none);
        assert!(none.is_empty(), "where there is no relay, nobody is told of one");
        let tcp = ["198.51.100.5:443".parse().unwrap()];
        servers().and_tcp(&tcp).link("", "s9", &mut none);
        assert!(none.is_empty(), "who reaches these reaches the media: {none:?}");
        servers().and_tcp(&tcp).and_tls(&tcp, None).link("", "s9", &mut none);
        assert_eq!(none.len(), 1);
        assert!(none[header::LINK].to_str().unwrap().starts_with("<turns:198.51.100.5:443?transport=tcp>"));
    }
}
