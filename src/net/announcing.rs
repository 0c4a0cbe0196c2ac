//! What to announce, looked at again and again: names may come to stand for other addresses, and the public address may
//! change.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

use crate::config::{Host, MediaConfig, unfit_to_announce};
use crate::net::addresses::Wanted;
use crate::net::discover::{Seen, ask_all, resolve};
use crate::wire::stun::TransactionId;

/// What those who were asked have said.
#[derive(Debug, Default)]
pub struct Look {
    /// Each entry of `media.announce`, and what it stands for.
    pub given: Vec<(Host, Result<Vec<IpAddr>, String>)>,
    /// What the STUN server of `media.discover` saw, one for each family in which it was asked.
    pub seen: Vec<Result<Seen, String>>,
}

/// Asks about everything in the configuration that has to be asked about. Blocks for some seconds at most; how long
/// exactly is up to the system's resolver. `always`: ask the STUN server even where nothing is announced by its word.
pub fn look(media: &MediaConfig, always: bool, transaction: impl FnMut() -> TransactionId) -> Look {
    let words = |error: &io::Error| error.to_string();
    let given = media.announce.iter().map(|host| (host.clone(), resolve(host).map_err(|e| words(&e))));
    let given = given.collect();
    let Some(server) = media.discover.as_ref().filter(|_| always || media.announce.is_empty()) else {
        return Look { given, seen: Vec::new() };
    };
    let mut families: Vec<_> = media.listen.iter().map(|socket| socket.is_ipv4()).collect();
    families.sort_unstable_by(|a, b| b.cmp(a));
    families.dedup();
    let seen = match ask_all(server, &families, transaction) {
        Ok(results) => results.into_iter().map(|result| result.map_err(|e| words(&e))).collect(),
        Err(error) => vec![Err(words(&error))],
    };
    Look { given, seen }
}

/// What is to be announced, and what of it is known.
#[derive(Debug)]
pub struct Announcing {
    media: MediaConfig,
    /// What names stood for when they were last resolved.
    resolved: HashMap<Host, Vec<IpAddr>>,
    /// Where the STUN server last saw us, by IPv4 and by IPv6.
    seen: [Option<IpAddr>; 2],
    /// What is wrong at present, so that it is told once.
    wrong: Vec<String>,
}

impl Announcing {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(media: MediaConfig) -> Self {
        Self { media, resolved: HashMap::new(), seen: [None; 2], wrong: Vec::new() }
    }

    /// The configuration.
    #[must_use]
    pub fn media(&self) -> &MediaConfig {
        &self.media
    }

    /// Whether anybody is asked about anything. If not, one look is enough.
    #[must_use]
    pub fn asks(&self) -> bool {
        let named = self.media.announce.iter().any(|host| matches!(host, Host::Name(_)));
        named || (self.media.discover.is_some() && self.media.announce.is_empty())
    }

    /// Takes what a look found. What could not be found out now stays as it was. Returns a sentence for everything that
    /// is newly wrong.
    pub fn take(&mut self, look: Look) -> Vec<String> {
        let mut wrong = Vec::new();
        for (host, result) in look.given {
            match result {
                Ok(addresses) => {
                    let fit = self.fit(&host, addresses, &mut wrong);
                    self.resolved.insert(host, fit);
                }
                Err(error) => {
                    let meanwhile = if self.resolved.contains_key(&host) {
                        "its last addresses stay announced"
                    } else {
                        "it is left out until it can be"
                    };
                    wrong.push(format!("{host} of media.announce cannot be resolved ({error}): {meanwhile}"));
                }
            }
        }
        for result in look.seen {
            match result {
                Ok(seen) if unfit_to_announce(seen.outside.ip(), self.media.loopback).is_none() => {
                    let [four, six] = &mut self.seen;
                    let place = if seen.outside.is_ipv4() { four } else { six };
                    *place = Some(seen.outside.ip());
                }
                Ok(seen) => wrong.push(format!(
                    "the STUN server of media.discover sees this machine as {}, which no client can reach: ask another",
                    seen.outside.ip()
                )),
                Err(error) => {
                    let server = self.media.discover.as_ref().map(ToString::to_string).unwrap_or_default();
                    wrong.push(format!("the STUN server {server} of media.discover does not help: {error}"));
                }
            }
        }
        let before = std::mem::replace(&mut self.wrong, wrong);
        self.wrong.iter().filter(|sentence| !before.contains(sentence)).cloned().collect()
    }

    /// The addresses of a host that clients can reach.
    fn fit(&self, host: &Host, addresses: Vec<IpAddr>, wrong: &mut Vec<String>) -> Vec<IpAddr> {
        let judged = addresses.into_iter().filter(|address| {
            let why = unfit_to_announce(*address, self.media.loopback);
            if let Some(why) = why {
                wrong.push(format!("{host} of media.announce stands for {address}, which {why}"));
            }
            why.is_none()
        });
        judged.collect()
    }

    /// What is to be announced by all that is known.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        let known = |host| self.resolved.get(host).into_iter().flatten().copied();
        Wanted {
            given: self.media.announce.iter().flat_map(known).collect(),
            seen: self.seen.iter().flatten().copied().collect(),
            loopback: self.media.loopback,
        }
    }

    /// Whether something is to be announced and nothing of it is known, so that the machine's own addresses would be
    /// announced in its place.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        !self.media.announce.is_empty() && self.wanted().given.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    fn announcing(announce: &[&str]) -> Announcing {
        let announce = announce.iter().map(|text| host(text)).collect();
        Announcing::new(MediaConfig { announce, ..MediaConfig::default() })
    }

    fn resolved(name: &str, addresses: &str) -> Look {
        Look { given: vec![(host(name), Ok(ips(addresses)))], seen: Vec::new() }
    }

    fn failed(name: &str) -> Look {
        Look { given: vec![(host(name), Err("no such name".to_owned()))], seen: Vec::new() }
    }

    fn seen(outside: &str) -> Look {
        let outside = outside.parse().unwrap();
        Look { given: Vec::new(), seen: vec![Ok(Seen { outside, inside: "10.0.0.5:4000".parse().unwrap() })] }
    }

    #[test]
    fn a_name_stands_for_what_it_was_last_resolved_to() {
        let mut announcing = announcing(&["live.example.org"]);
        assert!(announcing.asks() && announcing.is_blind());
        let none = announcing.take(failed("live.example.org"));
        assert_eq!(
            none,
            [
                "live.example.org of media.announce cannot be resolved (no such name): it is left out until it can be"
            ]
        );
        assert!(announcing.is_blind());
        assert_eq!(announcing.take(failed("live.example.org")), [""; 0], "what lasts is told once");
        assert_eq!(announcing.take(resolved("live.example.org", "203.0.113.7 2001:db8::7")), [""; 0]);
        assert_eq!(announcing.wanted().given, ips("203.0.113.7 2001:db8::7"));
        let again = announcing.take(failed("live.example.org"));
        assert!(again[0].ends_with("(no such name): its last addresses stay announced"), "{again:?}");
        assert_eq!(announcing.wanted().given, ips("203.0.113.7 2001:db8::7"));
        announcing.take(resolved("live.example.org", "203.0.113.8"));
        assert_eq!(announcing.wanted().given, ips("203.0.113.8"));
    }

    #[test]
    fn what_no_client_can_reach_is_not_announced() {
        let mut announcing = announcing(&["live.example.org", "203.0.113.7"]);
        let wrong = announcing.take(resolved("live.example.org", "127.0.1.1 0.0.0.0"));
        assert_eq!(
            wrong,
            [
                "live.example.org of media.announce stands for 127.0.1.1, which is reached from this machine only; if \
                 that is wanted, set `media.loopback` to true",
                "live.example.org of media.announce stands for 0.0.0.0, which stands for all addresses; name those \
                 that clients can reach",
            ]
        );
        announcing.take(resolved("203.0.113.7", "203.0.113.7"));
        assert_eq!(announcing.wanted().given, ips("203.0.113.7"));
    }

    #[test]
    fn where_a_stun_server_sees_us_is_remembered_for_each_family() {
        let mut announcing = announcing(&[]);
        assert!(!announcing.asks() && !announcing.is_blind());
        announcing.media.discover = crate::config::HostPort::parse("stun.example.org:3478");
        assert!(announcing.asks());
        announcing.take(seen("203.0.113.7:40000"));
        announcing.take(seen("[2001:db8::7]:40000"));
        announcing.take(seen("203.0.113.8:40000"));
        assert_eq!(announcing.wanted().seen, ips("203.0.113.8 2001:db8::7"));
        let silent = Look { given: Vec::new(), seen: vec![Err("no answer".to_owned())] };
        let wrong = announcing.take(silent);
        assert_eq!(
            wrong,
            ["the STUN server stun.example.org:3478 of media.discover does not help: no answer"]
        );
        assert_eq!(announcing.wanted().seen, ips("203.0.113.8 2001:db8::7"), "what was known stays");
        let wrong = announcing.take(seen("127.0.0.1:40000"));
        assert!(wrong[0].contains("127.0.0.1, which no client can reach"), "{wrong:?}");
    }
}
