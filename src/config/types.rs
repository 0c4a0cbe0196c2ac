//! The values of keys that need a type of their own.

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;

/// The address under which others reach this server, for instance behind a reverse proxy: an absolute `http`
/// or `https` URL without user name, query or fragment (RFC 3986 section 3). It may have a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The directory of Let's Encrypt, a certificate authority that everybody may use.
    #[must_use]
    pub fn lets_encrypt() -> Self {
        Self("https://acme-v02.api.letsencrypt.org/directory".to_owned())
    }

    /// Takes `text` as a URL; `None` when it is not one of this kind. Slashes at the end are dropped.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return None;
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let in_path = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&b);
        if !is_authority(authority) || !path.bytes().all(in_path) {
            return None;
        }
        Some(Self(text.trim_end_matches('/').to_owned()))
    }

    /// The host: a name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => authority.split(':').next().unwrap_or_default(),
        }
    }

    /// The port: the one that is written, else the usual one of HTTP or HTTPS.
    #[must_use]
    pub fn port(&self) -> u16 {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        // What stands behind the last colon of an IPv6 address alone ends with a bracket.
        let written = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        written.unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Whether it is an `https` URL.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"))
    }

    /// The URL without a slash at its end, so that `{url}/whip/{stream}` is right.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host of an `https` URL, an IPv6 address in brackets. `None` without TLS.
    #[must_use]
    pub fn secure_host(&self) -> Option<&str> {
        let (scheme, rest) = self.0.split_once("://")?;
        let authority = rest.split('/').next()?;
        let end = match authority.find(']') {
            Some(bracket) => bracket + 1,
            None => authority.find(':').unwrap_or(authority.len()),
        };
        authority.get(..end).filter(|_| scheme.eq_ignore_ascii_case("https"))
    }
}

/// Whether `text` is `host` or `host:port`, the host a name, an IPv4 address or an IPv6 address in brackets.
fn is_authority(text: &str) -> bool {
    if let Some((address, after)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok()
            && (after.is_empty() || after.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let in_name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    !host.is_empty() && host.bytes().all(in_name) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port != 0)
}

/// The realm of TURN's credentials: 1 to 64 visible ASCII characters. It stands in every challenge, and challenges are
/// to be short; RFC 8489 (section 14.9) would allow 127.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(String);

impl Realm {
    /// Takes `text` as a realm; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        fits.then(|| Self(text.to_owned()))
    }

    /// The realm as clients are told it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Realm {
    fn default() -> Self {
        Self("sluice".to_owned())
    }
}

/// A folder that this server writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// Takes `text` as a path; `None` when it is empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(PathBuf::from(text)))
    }

    /// Its path; a relative one starts at the working directory.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self(PathBuf::from("acme"))
    }
}

/// A mail address, as far as it has to be understood here: visible ASCII characters around one `@`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail(String);

impl Mail {
    /// Takes `text` as a mail address; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (user, host) = text.split_once('@')?;
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b",;<>?\"".contains(&b));
        (plain && !user.is_empty() && !host.is_empty() && !host.contains('@')).then(|| Self(text.to_owned()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is logged: a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), then exceptions as
/// `target=level`, comma separated. Anything [`EnvFilter`] understands, except a target without a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    /// Takes `text` as a filter; `None` when it is not one.
    ///
    /// `EnvFilter` alone would read a misspelt level as a target of that name, and nothing would be logged.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // A comma inside a span's braces separates fields, not directives: such filters are not taken apart.
        let parts_are_clear = text.contains('[')
            || text.split(',').all(|part| {
                part.contains('=') || Self::LEVELS.contains(&part.trim().to_ascii_lowercase().as_str())
            });
        (parts_are_clear && EnvFilter::try_new(text).is_ok()).then(|| Self(text.to_owned()))
    }

    /// The filter as [`EnvFilter::new`] takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for log collectors.
    Json,
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls() {
        for (text, url) in [
            ("https://live.example.org", "https://live.example.org"),
            ("http://10.0.0.1:8080/", "http://10.0.0.1:8080"),
            ("HTTPS://[2001:db8::1]:8443/sluice/", "HTTPS://[2001:db8::1]:8443/sluice"),
        ] {
            assert_eq!(PublicUrl::parse(text).as_ref().map(PublicUrl::as_str), Some(url), "{text}");
        }
        for bad in [
            "live.example.org",
            "/sluice",
            "ftp://example.org",
            "https://",
            "https:///path",
            "https://user:word@example.org",
            "https://example.org?x=1",
            "https://example.org/a?x=1",
            "https://example.org/#a",
            "https://example.org:0",
            "https://example.org:99999",
            "https://example.org:",
            "https://example.org:+80",
            "https://exa mple.org",
            "https://[::1",
            "https://[::1]8080",
        ] {
            assert_eq!(PublicUrl::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_public_url_has_a_host() {
        for (text, host, is_https, port) in [
            ("https://live.example.org/sluice:1", "live.example.org", true, 443),
            ("HTTP://10.0.0.1:8080", "10.0.0.1", false, 8080),
            ("http://10.0.0.1", "10.0.0.1", false, 80),
            ("https://[2001:db8::1]:8443", "2001:db8::1", true, 8443),
            ("https://[2001:db8::8443]", "2001:db8::8443", true, 443),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.is_https(), url.port()), (host, is_https, port));
        }
    }

    #[test]
    fn the_host_of_a_public_url_is_for_tls() {
        let host = |text: &str| PublicUrl::parse(text).unwrap().secure_host().map(str::to_owned);
        assert_eq!(host("https://live.example.org/sluice").as_deref(), Some("live.example.org"));
        assert_eq!(host("HTTPS://live.example.org:8443").as_deref(), Some("live.example.org"));
        assert_eq!(host("https://[2001:db8::1]:8443/a").as_deref(), Some("[2001:db8::1]"));
        assert_eq!(host("http://live.example.org"), None);
    }

    #[test]
    fn log_filters() {
        for good in ["info", "DEBUG", "off", "warn,sluice=debug", "sluice[session{id=1}]=trace"] {
            assert!(LogFilter::parse(good).is_some(), "{good}");
        }
        for bad in ["", "info, str0m=warn", "inof", "verbose", "info,sluice", "sluice=loud", "info,"] {
            assert_eq!(LogFilter::parse(bad), None, "{bad}");
        }
    }
}
