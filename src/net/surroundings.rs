//! Whether clients can have a way to what is announced, judged by where this machine stands.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::config::{Config, PublicUrl};
use crate::net::addresses::is_private;

/// What can be seen of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// This is a container, by the mark that its engine leaves in it.
    pub in_container: bool,
}

impl Surroundings {
    /// Looks around.
    #[must_use]
    pub fn look() -> Self {
        let marks = ["/.dockerenv", "/run/.containerenv"];
        Self { in_container: marks.iter().any(|mark| Path::new(mark).exists()) }
    }
}

/// Why clients probably cannot reach what is `announced`, and what to do, in one sentence; `None` when nothing speaks
/// against it, or when the operator has said what to announce.
#[must_use]
pub fn doubt(config: &Config, announced: &[SocketAddr], surroundings: Surroundings) -> Option<String> {
    if !config.media.announce.is_empty() {
        return None;
    }
    let usable: Vec<IpAddr> = announced.iter().map(SocketAddr::ip).filter(|ip| !ip.is_loopback()).collect();
    if usable.is_empty() || usable.iter().any(|ip| !is_private(*ip)) {
        return None;
    }
    let told = usable.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let on_bridge = usable.iter().all(|ip| is_bridge(*ip));
    if on_bridge && (surroundings.in_container || usable.iter().all(|ip| is_first_bridge(*ip))) {
        return Some(format!(
            "clients are told to send media to {told}, which looks like a container's own address on a bridge that \
             nobody outside can reach: set media.announce (SLUICE__MEDIA__ANNOUNCE) to the address or name of the \
             machine that runs the container, and publish the UDP port"
        ));
    }
    let public = config.http.public_url.as_ref().filter(|url| is_public(url))?;
    Some(format!(
        "clients come to {}, and are told to send media to {told}, which is private: set media.announce to this \
         machine's public address or name",
        public.as_str()
    ))
}

/// What container engines take for their bridges: 172.16.0.0/12, and 10.88.0.0/16 of Podman.
fn is_bridge(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => matches!(ip.octets(), [172, 16..=31, ..] | [10, 88, ..]),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

/// Docker's own bridge, which hardly anything else uses.
fn is_first_bridge(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if matches!(ip.octets(), [172, 17, ..]))
}

/// Whether a URL is for people outside: neither a private address, nor a name of a home or a test.
fn is_public(url: &PublicUrl) -> bool {
    let host = url.host();
    if let Ok(ip) = host.parse::<IpAddr>() {
        return !is_private(ip) && !ip.is_loopback();
    }
    const AT_HOME: [&str; 7] = ["localhost", "local", "lan", "internal", "home.arpa", "test", "localdomain"];
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let at_home =
        |end: &&str| name.strip_suffix(*end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    name.contains('.') && !AT_HOME.iter().any(at_home)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(announced: &str, url: &str, in_container: bool) -> Option<String> {
        let mut config = Config::default();
        config.http.public_url = PublicUrl::parse(url);
        let announced: Vec<_> = announced.split_whitespace().map(|a| a.parse().unwrap()).collect();
        doubt(&config, &announced, Surroundings { in_container })
    }

    #[test]
    fn a_container_on_a_bridge_is_noticed() {
        for (announced, in_container) in [
            ("172.17.0.2:3478", false),
            ("172.17.0.2:3478", true),
            ("172.19.0.2:3478", true),
            ("10.88.0.5:3478", true),
            ("172.18.0.2:3478 [fd00:1::2]:3478 127.0.0.1:3478", true),
        ] {
            let said = judged(announced, "", in_container).expect(announced);
            assert!(said.contains("set media.announce (SLUICE__MEDIA__ANNOUNCE)"), "{said}");
        }
        let said = judged("172.17.0.2:3478 127.0.0.1:3478", "", true).unwrap();
        assert!(said.starts_with("clients are told to send media to 172.17.0.2, which looks like"), "{said}");
        // A container that shares the machine's network, a bridge beside a real network, a network that only uses 172.20.
        for (announced, in_container) in [
            ("192.168.1.5:3478", true),
            ("192.168.1.5:3478 172.17.0.1:3478", false),
            ("172.20.0.5:3478", false),
            ("203.0.113.7:3478 172.17.0.2:3478", true),
            ("127.0.0.1:3478", true),
        ] {
            assert_eq!(judged(announced, "", in_container), None, "{announced}");
        }
    }

    #[test]
    fn a_public_name_with_private_addresses_alone_is_noticed() {
        let said = judged("10.0.0.5:3478", "https://live.example.org", false).unwrap();
        assert_eq!(
            said,
            "clients come to https://live.example.org, and are told to send media to 10.0.0.5, which is private: set \
             media.announce to this machine's public address or name"
        );
        assert!(judged("10.0.0.5:1", "http://203.0.113.7:8080", false).is_some());
        for url in [
            "",
            "http://10.0.0.5",
            "https://box.lan",
            "http://sluice",
            "https://a.home.arpa",
            "http://localhost",
        ] {
            assert_eq!(judged("10.0.0.5:3478", url, false), None, "{url}");
        }
        assert_eq!(judged("10.0.0.5:1 [2001:db8::5]:1", "https://live.example.org", false), None);
    }

    #[test]
    fn who_said_what_to_announce_is_not_doubted() {
        let mut config = Config::default();
        config.media.announce = vec![crate::config::Host::Ip("172.17.0.2".parse().unwrap())];
        let announced = ["172.17.0.2:3478".parse().unwrap()];
        assert_eq!(doubt(&config, &announced, Surroundings { in_container: true }), None);
    }
}
