//! Whether a certificate authority would find this server under its names, and what it said the last time.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::report::{Finding, listed};
use crate::config::Config;
use crate::net::acme::remembered;
use crate::net::acme::schedule::Memory;

const CHECK: &str = "ACME";
const HTTPS: u16 = 443;
const HTTP: u16 = 80;

/// `announced`: what clients are told, which is where names should lead.
pub(super) fn check(config: &Config, announced: &[SocketAddr], now: SystemTime) -> Vec<Finding> {
    if config.tls.acme.is_empty() {
        return Vec::new();
    }
    let memory = remembered(config.tls.acme_folder.as_path());
    let mut findings: Vec<Finding> = memory.and_then(|memory| failure(&memory, now)).into_iter().collect();
    findings.extend(ports(config));
    for name in &config.tls.acme {
        let addresses = (name.as_str(), HTTPS).to_socket_addrs();
        let addresses: Result<Vec<IpAddr>, String> =
            addresses.map(|all| all.map(|address| address.ip()).collect()).map_err(|error| error.to_string());
        findings.extend(leads_here(name.as_str(), addresses, announced));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{} lead here", listed(&config.tls.acme))));
    }
    findings
}

/// What failed last, if nothing was got since.
fn failure(memory: &Memory, now: SystemTime) -> Option<Finding> {
    let failed = memory.failure.as_ref()?;
    let ago =
        |at: u64| now.duration_since(UNIX_EPOCH + Duration::from_secs(at)).unwrap_or_default().as_secs() / 60;
    let left = (UNIX_EPOCH + Duration::from_secs(failed.next)).duration_since(now).unwrap_or_default();
    let next = match left.as_secs() {
        0 => "as soon as Sluice runs".to_owned(),
        seconds => format!("in {} min", seconds.div_ceil(60)),
    };
    let found = format!(
        "no certificate was got {} min ago: {}; the next attempt is made {next}",
        ago(failed.at),
        failed.reason
    );
    let fix = "see that the names lead to this machine, and that port 443 (or 80 with http.redirect) is open from outside";
    Some(Finding::warning(CHECK, found, fix))
}

/// A certificate authority asks on these two ports only.
fn ports(config: &Config) -> Option<Finding> {
    let own = config.http.listen.port() == HTTPS;
    let other = config.http.redirect.is_some_and(|address| address.port() == HTTP);
    if own || other {
        return None;
    }
    let found = format!(
        "certificate authorities ask on port 443 or 80 only, and http.listen is on port {}",
        config.http.listen.port()
    );
    let fix =
        "set http.listen to port 443 or http.redirect to port 80, unless a router forwards one of them here";
    Some(Finding::note(CHECK, found, fix))
}

fn leads_here(
    name: &str,
    addresses: Result<Vec<IpAddr>, String>,
    announced: &[SocketAddr],
) -> Option<Finding> {
    let fix = format!("set the A or AAAA record of {name} to the public address of this machine");
    match addresses {
        Err(error) => Some(Finding::error(CHECK, format!("{name} is not found: {error}"), fix)),
        Ok(addresses) => {
            let here = |address: &IpAddr| announced.iter().any(|own| own.ip() == address.to_canonical());
            let elsewhere: Vec<IpAddr> = addresses.into_iter().filter(|address| !here(address)).collect();
            if elsewhere.is_empty() {
                return None;
            }
            let found = format!(
                "{name} leads to {}, which is none of the addresses that clients are told",
                listed(&elsewhere)
            );
            Some(Finding::warning(CHECK, found, format!("{fix}, or set media.announce to it if it is that")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;
    use crate::net::acme::schedule::Failed;

    #[test]
    fn the_last_failure_is_told_with_the_next_attempt() {
        let failed = Failed { at: 6_000, next: 6_600, reason: "no proof was found".to_owned() };
        let memory = Memory { failure: Some(failed), ..Memory::default() };
        let finding = failure(&memory, UNIX_EPOCH + Duration::from_secs(6_300)).unwrap();
        assert_eq!(
            finding.found,
            "no certificate was got 5 min ago: no proof was found; the next attempt is made in 5 min"
        );
        assert_eq!(failure(&Memory::default(), UNIX_EPOCH), None);
    }

    #[test]
    fn names_must_lead_to_what_clients_are_told() {
        let own: Vec<SocketAddr> = vec!["203.0.113.7:3478".parse().unwrap()];
        let judged = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            leads_here("live.example.org", Ok(addresses), &own)
        };
        assert_eq!(judged(&["203.0.113.7"]), None);
        let wrong = judged(&["203.0.113.7", "198.51.100.1"]).unwrap();
        assert_eq!(wrong.status, Status::Warning);
        assert!(wrong.found.contains("198.51.100.1") && !wrong.found.contains("203"), "{wrong:?}");
        let missing = leads_here("live.example.org", Err("no such name".to_owned()), &own).unwrap();
        assert_eq!(missing.status, Status::Error);
    }

    #[test]
    fn only_two_ports_are_asked() {
        let mut config = Config::default();
        assert!(ports(&config).is_some());
        config.http.redirect = Some("0.0.0.0:80".parse().unwrap());
        assert_eq!(ports(&config), None);
        config.http.redirect = None;
        config.http.listen = "0.0.0.0:443".parse().unwrap();
        assert_eq!(ports(&config), None);
    }
}
