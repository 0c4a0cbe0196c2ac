//! Whether browsers will trust this server, and for how long.

use std::time::{Duration, SystemTime};

use super::report::{Finding, listed};
use crate::config::Config;
use crate::net::tls::{Facts, inspect};

const CHECK: &str = "certificate";
const DAY: Duration = Duration::from_secs(86_400);

/// Renewal is usually tried a month before the end, so that something is wrong when so much is left.
const SOON: Duration = Duration::from_secs(14 * 86_400);

pub(super) fn check(config: &Config, now: SystemTime) -> Vec<Finding> {
    let Some((certificate, key)) = config.tls.files() else {
        return vec![without(config)];
    };
    let by_acme = !config.tls.acme.is_empty();
    if by_acme && !certificate.exists() {
        return vec![Finding::note(CHECK, "there is none yet", "start Sluice: it gets one within a minute")];
    }
    let public_url = config.public_url();
    let host = public_url.as_ref().map(|url| url.host());
    match inspect(&certificate, &key) {
        Ok(Some(facts)) if by_acme && facts.self_signed => vec![Finding::warning(
            CHECK,
            "there is none of a certificate authority yet, so browsers warn of this server",
            "see below why, or wait a minute if Sluice has just been started",
        )],
        Err(error) if by_acme => vec![Finding::error(
            CHECK,
            error.to_string().replace("tls.cert", "tls.acme_folder").replace("tls.key", "tls.acme_folder"),
            "run this as the user that Sluice runs as, or correct the rights on tls.acme_folder",
        )],
        Err(error) => vec![Finding::error(
            CHECK,
            error.to_string(),
            "correct tls.cert and tls.key, or the rights on these files",
        )],
        Ok(None) => vec![Finding::warning(
            CHECK,
            format!(
                "{} is written in an unusual way, so its end and names are unknown",
                certificate.display()
            ),
            "see with `openssl x509 -text -in FILE` what it says",
        )],
        Ok(Some(facts)) => judge(&facts, host, now, by_acme),
    }
}

/// Plain HTTP, which is right for one's own machine and behind a proxy.
fn without(config: &Config) -> Finding {
    let alone = config.http.listen.ip().to_canonical().is_loopback();
    match &config.http.public_url {
        Some(url) if url.is_https() => {
            Finding::ok(CHECK, format!("none here, as the proxy of {} speaks HTTPS", url.as_str()))
        }
        _ if alone => Finding::ok(CHECK, "none, and none is needed on this machine itself"),
        _ => Finding::warning(
            CHECK,
            "none: browsers give no camera or microphone to pages without HTTPS, and keys can be read on the way",
            "set tls.cert and tls.key, or put a proxy in front and set http.public_url to its https address",
        ),
    }
}

fn judge(facts: &Facts, host: Option<&str>, now: SystemTime, by_acme: bool) -> Vec<Finding> {
    let Facts { not_before, not_after, until, names, self_signed } = facts;
    let renew = if by_acme {
        "see below why Sluice could not renew it; start it if it does not run"
    } else {
        "renew it; Sluice takes the new files within seconds"
    };
    let mut findings = Vec::new();
    if now > *not_after {
        findings.push(Finding::error(CHECK, format!("it ended on {until}"), renew));
    } else if now < *not_before {
        let fix = "correct this machine's clock, or wait";
        findings.push(Finding::error(CHECK, "it begins in the future by this machine's clock", fix));
    } else if let Some(left) = not_after.duration_since(now).ok().filter(|left| *left < SOON) {
        let days = left.as_secs() / DAY.as_secs();
        let days = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
        findings.push(Finding::warning(CHECK, format!("it ends in {days}, on {until}"), renew));
    }
    match host {
        _ if names.is_empty() => findings.push(Finding::error(
            CHECK,
            "it has no names (subject alternative names), so browsers refuse it",
            "have one made with the name that people open",
        )),
        Some(host) if !facts.is_for(host) => findings.push(Finding::error(
            CHECK,
            format!("it is for {}, and not for {host} of http.public_url", listed(names)),
            format!("have one made for {host}, or correct http.public_url"),
        )),
        _ => {}
    }
    if *self_signed {
        let found = "it signed itself, so browsers warn of it, and encoders may refuse it";
        findings.push(Finding::warning(CHECK, found, "get one from a certificate authority"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("for {}, until {until}", listed(names))));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PublicUrl;
    use crate::doctor::report::Status;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY
    }

    /// A certificate for live.example.org that began a day ago and has so many days left.
    fn facts(days: i32) -> Facts {
        let span = DAY * days.unsigned_abs();
        Facts {
            not_before: now() - if days < 0 { span + DAY } else { DAY },
            not_after: if days < 0 { now() - span } else { now() + span },
            until: "THEN".to_owned(),
            names: vec!["live.example.org".to_owned(), "*.example.net".to_owned()],
            self_signed: false,
        }
    }

    fn said(facts: &Facts, host: Option<&str>) -> Vec<(Status, String)> {
        judge(facts, host, now(), false).into_iter().map(|finding| (finding.status, finding.found)).collect()
    }

    #[test]
    fn the_end_is_told_in_time() {
        let well = (Status::Ok, "for live.example.org and *.example.net, until THEN".to_owned());
        assert_eq!(said(&facts(60), None), [well]);
        assert_eq!(said(&facts(3), None), [(Status::Warning, "it ends in 3 days, on THEN".to_owned())]);
        assert_eq!(said(&facts(1), None), [(Status::Warning, "it ends in 1 day, on THEN".to_owned())]);
        assert_eq!(said(&facts(-1), None), [(Status::Error, "it ended on THEN".to_owned())]);
        let early = Facts { not_before: now() + DAY, ..facts(60) };
        assert_eq!(said(&early, None)[0].1, "it begins in the future by this machine's clock");
    }

    #[test]
    fn names_are_held_against_the_public_url() {
        assert_eq!(said(&facts(60), Some("live.example.org"))[0].0, Status::Ok);
        assert_eq!(
            said(&facts(60), Some("other.example.org")),
            [(
                Status::Error,
                "it is for live.example.org and *.example.net, and not for other.example.org of http.public_url"
                    .to_owned()
            )]
        );
        let nameless = Facts { names: Vec::new(), ..facts(60) };
        assert!(said(&nameless, None)[0].1.starts_with("it has no names"));
        let own = Facts { self_signed: true, ..facts(60) };
        assert!(said(&own, None)[0].1.starts_with("it signed itself"));
    }

    #[test]
    fn plain_http_is_right_at_home_and_behind_a_proxy() {
        let mut config = Config::default();
        assert_eq!(without(&config).status, Status::Ok);
        config.http.listen = "0.0.0.0:8080".parse().unwrap();
        assert_eq!(without(&config).status, Status::Warning);
        config.http.public_url = PublicUrl::parse("http://live.example.org");
        assert_eq!(without(&config).status, Status::Warning);
        config.http.public_url = PublicUrl::parse("https://live.example.org");
        let proxied = without(&config);
        assert_eq!(proxied.status, Status::Ok);
        assert_eq!(proxied.found, "none here, as the proxy of https://live.example.org speaks HTTPS");
    }

    #[test]
    fn files_that_cannot_be_used_are_an_error() {
        let mut config = Config::default();
        config.tls.cert = Some("/nowhere/cert.pem".into());
        config.tls.key = Some("/nowhere/key.pem".into());
        let findings = check(&config, now());
        assert_eq!(findings[0].status, Status::Error);
        assert!(findings[0].found.starts_with("cannot read tls.cert from /nowhere/cert.pem"), "{findings:?}");
    }
}
