//! What clients are told to connect to, and whether that leads here.

use std::net::{IpAddr, SocketAddr};

use super::report::{Finding, listed};
use crate::config::{Config, unfit_to_announce};
use crate::net::addresses;
use crate::net::announcing::{Announcing, look};
use crate::net::discover::Seen;
use crate::net::surroundings::{self, Surroundings};
use crate::wire::stun::TransactionId;

/// Also answers with what clients are told.
pub(super) fn check(
    config: &Config,
    transaction: impl FnMut() -> TransactionId,
) -> (Vec<Finding>, Vec<SocketAddr>) {
    let interfaces = match addresses::interfaces() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            let fix = "give this program the right to list them, or name them all in media.listen and media.announce";
            return (
                vec![Finding::error(
                    "addresses",
                    format!("the system does not tell its addresses: {error}"),
                    fix,
                )],
                Vec::new(),
            );
        }
    };
    let mut look = look(&config.media, true, transaction);
    let compared = std::mem::take(&mut look.seen);
    if config.media.announce.is_empty() {
        // Silence is told of below, with what to do about it.
        look.seen = compared.iter().filter(|result| result.is_ok()).cloned().collect();
    }
    let mut announcing = Announcing::new(config.media.clone());
    let wrong = announcing.take(look);
    if announcing.is_blind() {
        let fix = "correct media.announce, or see why names cannot be resolved here; until then Sluice does not start";
        return (vec![Finding::error("addresses", wrong.join("; "), fix)], Vec::new());
    }
    let announced = addresses::announced(&config.media.listen, &announcing.wanted(), &interfaces);
    let mut findings = vec![told(&announced)];
    findings.extend(wrong.into_iter().map(|sentence| {
        Finding::warning(
            "addresses",
            sentence,
            "correct media.announce or media.discover, or the resolver of this machine",
        )
    }));
    if let Some(doubt) = surroundings::doubt(config, &announced, Surroundings::look()) {
        findings.push(doubted(&doubt));
    }
    findings.extend(compare(config, &announced, &interfaces, &compared));
    (findings, announced)
}

fn told(announced: &[SocketAddr]) -> Finding {
    if announced.is_empty() {
        let fix = "set media.announce to an address of a family that media.listen has";
        return Finding::error("addresses", "there is no address that clients could be told", fix);
    }
    if announced.iter().all(|address| address.ip().is_loopback()) {
        let fix = "connect it to a network, or set media.announce";
        return Finding::warning(
            "addresses",
            "only this machine can send media: it has no other address",
            fix,
        );
    }
    Finding::ok("addresses", format!("clients are told to send media to UDP {}", listed(announced)))
}

/// The sentence has what is wrong before its colon, and what to do behind.
fn doubted(doubt: &str) -> Finding {
    let (found, fix) = doubt.split_once(": set ").unwrap_or((doubt, "media.announce"));
    Finding::warning("addresses", found, format!("set {fix}"))
}

/// Holds what is announced against what a STUN server saw.
fn compare(
    config: &Config,
    announced: &[SocketAddr],
    interfaces: &[IpAddr],
    compared: &[Result<Seen, String>],
) -> Vec<Finding> {
    const CHECK: &str = "public address";
    let Some(server) = &config.media.discover else {
        return vec![Finding::note(
            CHECK,
            "nobody outside was asked whether these addresses lead here",
            "set media.discover to a STUN server to have them compared; any other Sluice is one",
        )];
    };
    let ports = listed(
        &config
            .media
            .listen
            .iter()
            .map(SocketAddr::port)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>(),
    );
    let judge = |result: &Result<Seen, String>| match result {
        Err(error) => Finding::warning(
            CHECK,
            format!("the STUN server {server} does not help: {error}"),
            "see whether a firewall drops UDP on its way out, or name another in media.discover",
        ),
        Ok(Seen { outside, .. }) if !announced.iter().any(|address| address.ip() == outside.ip()) => {
            Finding::warning(
                CHECK,
                format!("a STUN server sees this machine as {}, which clients are not told", outside.ip()),
                format!("set media.announce to {}, unless clients really come by another way", outside.ip()),
            )
        }
        Ok(Seen { outside, .. }) if interfaces.contains(&outside.ip()) => Finding::ok(
            CHECK,
            format!("a STUN server sees this machine as {}, its own address", outside.ip()),
        ),
        Ok(Seen { outside, inside }) if outside.port() != inside.port() => Finding::note(
            CHECK,
            format!("a STUN server sees this machine as {} through a NAT that changes ports", outside.ip()),
            format!("see that the router forwards UDP {ports} to this machine, under the same number"),
        ),
        Ok(Seen { outside, .. }) => Finding::ok(
            CHECK,
            format!("a STUN server sees this machine as {}, and the NAT in front keeps ports", outside.ip()),
        ),
    };
    // What no client can reach was told already.
    let fit = |seen: &Seen| unfit_to_announce(seen.outside.ip(), config.media.loopback).is_none();
    compared.iter().filter(|result| result.as_ref().map_or(true, fit)).map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Host, HostPort};
    use crate::doctor::report::Status;

    fn sockets(text: &str) -> Vec<SocketAddr> {
        text.split_whitespace().map(|a| a.parse().unwrap()).collect()
    }

    #[test]
    fn what_clients_are_told_is_shown() {
        let finding = told(&sockets("203.0.113.7:3478 10.0.0.5:3478 [2001:db8::7]:3478"));
        assert_eq!(
            finding.found,
            "clients are told to send media to UDP 203.0.113.7:3478, 10.0.0.5:3478 and [2001:db8::7]:3478"
        );
        assert_eq!(told(&sockets("127.0.0.1:3478")).status, Status::Warning);
        assert_eq!(told(&[]).status, Status::Error);
    }

    #[test]
    fn a_doubt_is_taken_apart_into_what_is_wrong_and_what_to_do() {
        let finding = doubted("clients are told 172.17.0.2: set media.announce to this");
        assert_eq!(finding.found, "clients are told 172.17.0.2");
        assert_eq!(finding.fix.as_deref(), Some("set media.announce to this"));
        // As the sentences really are.
        let announced = sockets("172.17.0.2:3478");
        let real =
            surroundings::doubt(&Config::default(), &announced, Surroundings { in_container: true }).unwrap();
        let finding = doubted(&real);
        assert!(finding.found.ends_with("that nobody outside can reach"), "{finding:?}");
        assert!(
            finding.fix.unwrap().starts_with("set media.announce (SLUICE__MEDIA__ANNOUNCE) to the address")
        );
    }

    /// What is said of a machine with 10.0.0.5 that announces `announced` and is seen as `outside`.
    fn compared(announced: &str, outside: &str) -> (Status, String) {
        let mut config = Config::default();
        config.media.discover = HostPort::parse("stun.example.org:3478");
        let inside = "10.0.0.5:4000".parse().unwrap();
        let seen = Ok(Seen { outside: outside.parse().unwrap(), inside });
        let interfaces = ["10.0.0.5".parse().unwrap()];
        let mut findings = compare(&config, &sockets(announced), &interfaces, &[seen]);
        let finding = findings.remove(0);
        (finding.status, [finding.found, finding.fix.unwrap_or_default()].join(" -> "))
    }

    #[test]
    fn what_a_stun_server_sees_is_held_against_what_is_announced() {
        for (announced, outside, status, words) in [
            (
                "10.0.0.5:3478",
                "10.0.0.5:4000",
                Status::Ok,
                "a STUN server sees this machine as 10.0.0.5, its own address -> ",
            ),
            (
                "203.0.113.7:3478",
                "203.0.113.7:4000",
                Status::Ok,
                "a STUN server sees this machine as 203.0.113.7, and the NAT in front keeps ports -> ",
            ),
            (
                "203.0.113.7:3478",
                "203.0.113.7:61000",
                Status::Note,
                "a STUN server sees this machine as 203.0.113.7 through a NAT that changes ports -> see that the router \
                 forwards UDP 3478 to this machine, under the same number",
            ),
            (
                "203.0.113.9:3478",
                "203.0.113.7:4000",
                Status::Warning,
                "a STUN server sees this machine as 203.0.113.7, which clients are not told -> set media.announce to \
                 203.0.113.7, unless clients really come by another way",
            ),
        ] {
            assert_eq!(compared(announced, outside), (status, words.to_owned()), "{announced} {outside}");
        }
    }

    #[test]
    fn who_asks_nobody_is_told_so_and_silence_is_a_warning() {
        let mut config = Config::default();
        let findings = compare(&config, &[], &[], &[]);
        assert_eq!((findings.len(), findings[0].status), (1, Status::Note));
        config.media.discover = HostPort::parse("stun.example.org:3478");
        let findings = compare(&config, &[], &[], &[Err("no answer within two seconds".to_owned())]);
        assert_eq!(findings[0].status, Status::Warning);
        assert_eq!(
            findings[0].found,
            "the STUN server stun.example.org:3478 does not help: no answer within two seconds"
        );
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_an_error() {
        let mut config = Config::default();
        config.media.announce = vec![Host::parse("no.such.name.invalid").unwrap()];
        let (findings, _) = check(&config, || TransactionId([1; 12]));
        assert_eq!((findings.len(), findings[0].status), (1, Status::Error));
        assert!(findings[0].found.starts_with("no.such.name.invalid of media.announce cannot be resolved"));
    }
}
