//! The configuration: one typed value, read once at start from defaults, a TOML file, the environment and the
//! command line, each overriding the one before.
//!
//! In reading order: the sections (here), [`keys`] (the one list of keys, which drives everything else),
//! `field` (how a value is written), [`load()`](load()) (sources on top of each other), `check` (what must fit
//! together), [`mod@file`] (which file). `config/sluice.toml` is the reference for users; a test keeps it equal to
//! the list of keys.

mod access_key;
mod check;
mod error;
mod field;
pub mod file;
mod host;
pub mod keys;
mod load;
mod types;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

pub use access_key::{AccessKey, AccessKeyError, AdminKey, RoomKey, StreamKey, TurnPassword, TurnSecret};
pub use check::unfit_to_announce;
pub use error::{Error, Origin, Problem};
pub use host::{DomainName, Host, HostPort};
pub use load::{Loaded, load};
pub use types::{Folder, LogFilter, LogFormat, Mail, PublicUrl, Realm};

use crate::units::ByteSize;

/// Everything that can be configured. [`Config::default`] is a server for one's own machine: HTTP on loopback,
/// media on UDP 3478 of all local addresses, no access control.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `[http]`
    pub http: HttpConfig,
    /// `[metrics]`
    pub metrics: MetricsConfig,
    /// `[admin]`
    pub admin: AdminConfig,
    /// `[media]`
    pub media: MediaConfig,
    /// `[turn]`
    pub turn: TurnConfig,
    /// `[auth]`
    pub auth: AuthConfig,
    /// `[worker]`
    pub worker: WorkerConfig,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[tls]`
    pub tls: TlsConfig,
}

/// `[http]`: pages, WHIP and WHEP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// `http.listen`: the TCP address of the HTTP server; port 0 takes a free one. Default `127.0.0.1:8080`.
    /// Beyond loopback, [`AuthConfig`] must say who may publish.
    pub listen: SocketAddr,
    /// `http.public_url`: the address under which others reach this server. Default: none, then addresses are
    /// told as the request named them.
    pub public_url: Option<PublicUrl>,
    /// `http.wait_for_stream`: let WHEP players in while nobody publishes. Default false: they are refused with 409.
    pub wait_for_stream: bool,
    /// `http.redirect`: the TCP address of a listener without TLS that sends everybody to HTTPS, and answers the
    /// certificate authority. Default: none.
    pub redirect: Option<SocketAddr>,
}

/// `[metrics]`: what Prometheus scrapes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricsConfig {
    /// `metrics.listen`: a TCP address of its own for `/metrics`, which is then served only there. Default:
    /// none, `/metrics` stands on [`HttpConfig::listen`].
    pub listen: Option<SocketAddr>,
}

/// `[admin]`: the API for operators.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdminConfig {
    /// `admin.listen`: the TCP address of the admin API; port 0 takes a free one. Default: none, there is no such API.
    pub listen: Option<SocketAddr>,
    /// `admin.key`: the bearer token that the admin API demands. Default: none, then [`Self::listen`] is not set.
    pub key: Option<AdminKey>,
}

/// `[media]`: the UDP side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaConfig {
    /// `media.listen`: the UDP addresses for ICE, DTLS, SRTP and STUN, at least one; port 0 takes a free one.
    /// Default `0.0.0.0:3478` and `[::]:3478`.
    pub listen: Vec<SocketAddr>,
    /// `media.announce`: the addresses told to clients in ICE candidates when they are not the ones of this machine
    /// (1:1 NAT), or names that are resolved. Default: empty, the usable local addresses are announced.
    pub announce: Vec<Host>,
    /// `media.discover`: a STUN server that is asked for the public address of this machine. Default: none, and nobody is
    /// asked.
    pub discover: Option<HostPort>,
    /// `media.loopback`: announce loopback addresses too. Default false: only when there are no others.
    pub loopback: bool,
    /// `media.tcp`: take media over TCP too, on the port of [`HttpConfig::listen`], for clients whose network lets no UDP
    /// through. Default true; a port on loopback does so only with [`Self::loopback`].
    pub tcp: bool,
    /// `media.receive_buffer`: the receive buffer of each UDP socket, 64 KiB to 512 MiB. Default 8 MiB. The
    /// kernel may cap it (`net.core.rmem_max` on Linux).
    pub receive_buffer: ByteSize,
    /// `media.send_buffer`: the send buffer of each UDP socket, 64 KiB to 512 MiB. Default 4 MiB. The kernel
    /// may cap it (`net.core.wmem_max` on Linux).
    pub send_buffer: ByteSize,
}

/// `[turn]`: the relay for clients that cannot reach the media port otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnConfig {
    /// `turn.enabled`: whether there is a relay. Default true.
    pub enabled: bool,
    /// `turn.realm`: what credentials are for. Default `sluice`.
    pub realm: Realm,
    /// `turn.secrets`: what time-limited credentials are made with, at most 4; the first makes new ones. Default: empty,
    /// a random one.
    pub secrets: Vec<TurnSecret>,
    /// `turn.users`: the password of each user by its name. Default: empty.
    pub users: BTreeMap<String, TurnPassword>,
    /// `turn.allocations`: relayed clients at one time, 1 to 8000. Default 2000.
    pub allocations: u32,
    /// `turn.per_user`: relayed clients of one user at one time, 1 to 8000. Default 32.
    pub per_user: u32,
    /// `turn.per_address`: relayed clients of one client address at one time, 1 to 8000. Default 256.
    pub per_address: u32,
    /// `turn.bandwidth`: what one relayed client may send and may receive in kbit/s, up to 1000000; 0: no limit.
    /// Default 50000.
    pub bandwidth: u32,
}

/// `[auth]`: who may publish, and who may join rooms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthConfig {
    /// `auth.open`: let everybody publish streams and join rooms that no key covers. Default false: such streams are
    /// open on a server without any key, which then may listen on loopback only, and closed on a server with keys;
    /// such rooms are open to this machine only.
    pub open: bool,
    /// `auth.stream_keys`: the key of each stream by its name; `*` covers the streams without an entry.
    /// Default: empty.
    pub stream_keys: BTreeMap<String, StreamKey>,
    /// `auth.room_keys`: the key of each room by its name; `*` covers the rooms without an entry. Default: empty.
    pub room_keys: BTreeMap<String, RoomKey>,
}

/// `[worker]`: the media threads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerConfig {
    /// `worker.count`: the number of media threads, 1 to 64; 0 takes one for each CPU. Default 0.
    pub count: u32,
}

/// `[limits]`: what one server takes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// `limits.sessions`: publishers, viewers and participants at one time, 1 to 100000. Default 2000.
    pub sessions: u32,
    /// `limits.participants`: participants of one room at one time, 1 to 1000. Default 200.
    pub participants: u32,
    /// `limits.overflow`: the server to which WHIP and WHEP clients are sent while this one is full. Default: none, they
    /// are refused with 503.
    pub overflow: Option<PublicUrl>,
}

/// `[log]`: what is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `log.level`: a level, then `target=level` for exceptions. Default `info`.
    pub level: LogFilter,
    /// `log.format`: `text` or `json`. Default `text`.
    pub format: LogFormat,
}

/// `[tls]`: HTTPS instead of HTTP, with a certificate of files or of a certificate authority (ACME, RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// `tls.cert`: a PEM file with the certificate, then its chain. Default: none.
    pub cert: Option<PathBuf>,
    /// `tls.key`: a PEM file with the private key of the certificate. Default: none.
    pub key: Option<PathBuf>,
    /// `tls.acme`: the names that a certificate is got for and renewed. Default: empty, none is got.
    pub acme: Vec<DomainName>,
    /// `tls.acme_mail`: where the certificate authority writes to. Default: none.
    pub acme_mail: Option<Mail>,
    /// `tls.acme_directory`: the certificate authority, by its `https` address. Default: Let's Encrypt.
    pub acme_directory: PublicUrl,
    /// `tls.acme_folder`: where account, key and certificate are kept. Default `acme` in the working directory.
    pub acme_folder: Folder,
}

impl TlsConfig {
    /// The files of certificate and key: those of the user, else the one of ACME, which holds both. `None` without TLS.
    #[must_use]
    pub fn files(&self) -> Option<(PathBuf, PathBuf)> {
        match (&self.cert, &self.key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            _ if self.acme.is_empty() => None,
            _ => {
                let both = self.acme_folder.as_path().join(ACME_CERTIFICATE);
                Some((both.clone(), both))
            }
        }
    }
}

/// The file in [`TlsConfig::acme_folder`] with key, certificate and chain. One file, so that they change together.
pub const ACME_CERTIFICATE: &str = "certificate.pem";

impl Config {
    /// The address under which others reach this server: `http.public_url`, else the first name of `tls.acme`, if the
    /// server is on the port of HTTPS itself.
    #[must_use]
    pub fn public_url(&self) -> Option<PublicUrl> {
        let named = || {
            let name = self.tls.acme.first().filter(|_| self.http.listen.port() == 443)?;
            PublicUrl::parse(&format!("https://{name}"))
        };
        self.http.public_url.clone().or_else(named)
    }

    /// The port by which clients reach the TCP port that listens on `own`: that of the public address, if it is `https` and
    /// the certificate is this server's, as then connections to it end here. A router or a container engine may map it. Where
    /// a proxy has the certificate, it leads to the proxy.
    #[must_use]
    pub fn tcp_port(&self, own: u16) -> u16 {
        let ends_here = self.public_url().filter(|url| url.is_https() && self.tls.files().is_some());
        ends_here.map_or(own, |url| url.port())
    }
}

impl AuthConfig {
    /// The key that `stream` demands of a publisher: its own, else the one of `*`, else none.
    #[must_use]
    pub fn key_for(&self, stream: &str) -> Option<&StreamKey> {
        covering(&self.stream_keys, stream)
    }

    /// Whether a publisher who presents `token` (its bearer token, if it sent one) may publish `stream`.
    ///
    /// A stream with a key demands it, whatever `auth.open` says. A stream without one is open if `auth.open`
    /// is set or no key is configured at all, be it of a stream or of a room.
    #[must_use]
    pub fn admits(&self, stream: &str, token: Option<&str>) -> bool {
        let otherwise = self.open || (self.stream_keys.is_empty() && self.room_keys.is_empty());
        opens(self.key_for(stream), token, otherwise)
    }

    /// Whether somebody who presents the key `given`, if any, may join `room` and take part. `from_loopback`: they
    /// are at this very machine, not only seen through something on it that passes others on.
    ///
    /// A room with a key demands it of everybody, whatever `auth.open` says. A room without one is open to this
    /// machine, and to all others if `auth.open` is set.
    #[must_use]
    pub fn admits_to_room(&self, room: &str, given: Option<&str>, from_loopback: bool) -> bool {
        opens(covering(&self.room_keys, room), given, self.open || from_loopback)
    }
}

/// The key of `name`: its own, else the one of `*`.
fn covering<'a, K>(keys: &'a BTreeMap<String, K>, name: &str) -> Option<&'a K> {
    keys.get(name).or_else(|| keys.get("*"))
}

/// Whether `given` is the key, if there is one; `otherwise` where there is none.
fn opens<const MIN: usize>(key: Option<&AccessKey<MIN>>, given: Option<&str>, otherwise: bool) -> bool {
    key.map_or(otherwise, |key| given.is_some_and(|given| key.matches(given)))
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_url: None,
            wait_for_stream: false,
            redirect: None,
        }
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            listen: vec![
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 3478)),
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 3478)),
            ],
            announce: Vec::new(),
            discover: None,
            loopback: false,
            tcp: true,
            // About a quarter of a second of 250 Mbit/s: what arrives while the media thread is held up.
            receive_buffer: ByteSize(8 << 20),
            send_buffer: ByteSize(4 << 20),
        }
    }
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            realm: Realm::default(),
            secrets: Vec::new(),
            users: BTreeMap::new(),
            allocations: 2000,
            per_user: 32,
            per_address: 256,
            bandwidth: 50_000,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { sessions: 2000, participants: 200, overflow: None }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: LogFilter::default(), format: LogFormat::Text }
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            acme: Vec::new(),
            acme_mail: None,
            acme_directory: PublicUrl::lets_encrypt(),
            acme_folder: Folder::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[(&str, &str)]) -> BTreeMap<String, AccessKey<8>> {
        let entry = |(name, key): &(&str, &str)| ((*name).to_owned(), AccessKey::new(key).unwrap());
        keys.iter().map(entry).collect()
    }

    fn auth(open: bool, stream_keys: &[(&str, &str)]) -> AuthConfig {
        AuthConfig { open, stream_keys: keys(stream_keys), ..AuthConfig::default() }
    }

    #[test]
    fn the_key_of_a_stream_is_its_own_then_the_common_one() {
        let both = auth(false, &[("live", "live-secret"), ("*", "common-secret")]);
        assert!(both.key_for("live").unwrap().matches("live-secret"));
        assert!(both.key_for("other").unwrap().matches("common-secret"));
        assert!(both.key_for("Live").unwrap().matches("common-secret"));
        assert_eq!(auth(false, &[("live", "live-secret")]).key_for("other"), None);
    }

    #[test]
    fn tcp_is_announced_at_the_port_that_leads_here() {
        let mut config = Config::default();
        config.http.public_url = PublicUrl::parse("https://live.example.org");
        assert_eq!(config.tcp_port(8080), 8080, "a proxy speaks HTTPS");
        (config.tls.cert, config.tls.key) = (Some("cert.pem".into()), Some("key.pem".into()));
        assert_eq!(config.tcp_port(8080), 443);
        config.http.public_url = PublicUrl::parse("http://live.example.org:81");
        assert_eq!(config.tcp_port(8080), 8080);
        config.http.public_url = None;
        assert_eq!(config.tcp_port(8080), 8080);
    }

    #[test]
    fn a_key_is_demanded_even_where_publishing_is_open() {
        for open in [false, true] {
            let auth = auth(open, &[("live", "live-secret")]);
            assert!(auth.admits("live", Some("live-secret")));
            assert!(!auth.admits("live", Some("other-secret")));
            assert!(!auth.admits("live", None));
            assert_eq!(auth.admits("other", None), open, "a stream without a key is open only if told so");
        }
        assert!(auth(false, &[]).admits("any", None), "no key at all: development mode");
    }
    #[test]
    fn a_room_key_closes_the_streams_that_no_key_covers() {
        let rooms = AuthConfig { room_keys: keys(&[("team", "team-secret")]), ..AuthConfig::default() };
        for stream in ["team", "other"] {
            assert!(!rooms.admits(stream, None) && !rooms.admits(stream, Some("team-secret")), "{stream}");
        }
        let open = AuthConfig { open: true, ..rooms };
        assert!(open.admits("team", None), "a room key is no stream key");
    }

    #[test]
    fn who_may_join_a_room() {
        const KEY: &[(&str, &str)] = &[("team", "team-secret")];
        const BOTH: &[(&str, &str)] = &[("team", "team-secret"), ("*", "common-secret")];
        for (room_keys, room, given, from_loopback, open) in [
            // A key is demanded of everybody, and no other will do.
            (KEY, "team", Some("team-secret"), [true, true], [true, true]),
            (KEY, "team", Some("team-secres"), [false, false], [false, false]),
            (KEY, "team", Some(""), [false, false], [false, false]),
            (KEY, "team", None, [false, false], [false, false]),
            (BOTH, "team", Some("common-secret"), [false, false], [false, false]),
            (BOTH, "Team", Some("team-secret"), [false, false], [false, false]),
            (BOTH, "Team", Some("common-secret"), [true, true], [true, true]),
            (BOTH, "other", None, [false, false], [false, false]),
            // Without one it depends on where they are, and a key that nobody asked for does not matter.
            (KEY, "other", None, [false, true], [true, true]),
            (KEY, "other", Some("team-secret"), [false, true], [true, true]),
            (&[], "any", None, [false, true], [true, true]),
        ] {
            let auth = |open| AuthConfig { open, room_keys: keys(room_keys), ..AuthConfig::default() };
            let admitted =
                |open| [false, true].map(|loopback| auth(open).admits_to_room(room, given, loopback));
            assert_eq!(admitted(false), from_loopback, "{room} with {given:?}, closed");
            assert_eq!(admitted(true), open, "{room} with {given:?}, open");
        }
        let streams = auth(false, &[("team", "team-secret")]);
        assert!(!streams.admits_to_room("team", Some("team-secret"), false), "a stream key is no room key");
    }
}
