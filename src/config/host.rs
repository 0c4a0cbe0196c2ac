//! Other machines, and this one as others see it: by address or by DNS name.

use std::fmt;
use std::net::IpAddr;

/// An IP address, or a DNS name that stands for some (RFC 1123 section 2.1: letters, digits and hyphens between dots).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name, in lower case, at most 253 characters.
    Name(String),
}

impl Host {
    /// Takes `text` as an address or a name; `None` when it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse() {
            return Some(Self::Ip(ip));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let labels = || name.split('.');
        // What ends in a number was meant as an address: 203.0.113.777.
        let is_number = labels().next_back().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        (name.len() <= 253 && labels().all(is_label) && !is_number)
            .then(|| Self::Name(name.to_ascii_lowercase()))
    }
}

fn is_label(label: &str) -> bool {
    let in_label = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(in_label)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A DNS name that a certificate can be for: a [`Host`] that is a name, with a dot in it and no underscore.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// Takes `text` as such a name; `None` when it is none. It is put into lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match Host::parse(text)? {
            Host::Name(name) if name.contains('.') && !name.contains('_') => Some(Self(name)),
            _ => None,
        }
    }

    /// The name, in lower case and without a dot at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A UDP port of another machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The machine.
    pub host: Host,
    /// Its port, not 0.
    pub port: u16,
}

impl HostPort {
    /// Takes `host:port`, an IPv6 address in brackets; `None` when it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = Some(port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(six) => Host::Ip(IpAddr::V6(six.parse().ok()?)),
            None => Host::parse(host).filter(|host| !matches!(host, Host::Ip(IpAddr::V6(_))))?,
        };
        (port != 0).then_some(Self { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_names() {
        for (text, shown) in [
            ("203.0.113.7", "203.0.113.7"),
            ("2001:DB8::7", "2001:db8::7"),
            ("Live.Example.org", "live.example.org"),
            ("live.example.org.", "live.example.org"),
            ("media-1", "media-1"),
            ("1-2.example", "1-2.example"),
        ] {
            assert_eq!(Host::parse(text).map(|host| host.to_string()).as_deref(), Some(shown), "{text}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a b",
            "203.0.113.777",
            "203.0.113",
            "a:1",
            "http://a",
            "[::1]",
            &long,
        ] {
            assert_eq!(Host::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn certificates_are_for_public_names() {
        let taken = |text| DomainName::parse(text).map(|name| name.to_string());
        assert_eq!(taken("Live.Example.org."), Some("live.example.org".to_owned()));
        for bad in
            ["localhost", "203.0.113.7", "::1", "*.example.org", "a_b.example.org", "https://example.org", ""]
        {
            assert_eq!(taken(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn servers_have_a_host_and_a_port() {
        for text in ["stun.example.org:3478", "192.0.2.1:1", "[2001:db8::1]:65535"] {
            assert_eq!(HostPort::parse(text).map(|server| server.to_string()).as_deref(), Some(text));
        }
        for bad in [
            "stun.example.org",
            "a:0",
            "a:65536",
            "a:+1",
            ":1",
            "2001:db8::1:3478",
            "[192.0.2.1]:1",
            "stun:a:1",
        ] {
            assert_eq!(HostPort::parse(bad), None, "{bad:?}");
        }
    }
}
