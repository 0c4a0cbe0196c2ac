//! What must fit together, beyond each key taking its value.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::error::{Origins, Problem};
use super::{Config, Host};

/// One demand. It is judged only if all of its keys could be read, so that no error causes another.
struct Rule {
    /// The keys it looks at; the first one is where the error is shown.
    keys: &'static [&'static str],
    /// A sentence for each way in which the demand is not met.
    broken: fn(&Config) -> Vec<String>,
}

static RULES: &[Rule] = &[
    Rule {
        keys: &["http.listen", "auth.open", "auth.stream_keys", "auth.room_keys"],
        broken: nobody_says_who_may_come,
    },
    Rule { keys: &["metrics.listen", "http.listen"], broken: metrics_on_the_http_address },
    Rule { keys: &["admin.listen", "http.listen", "metrics.listen"], broken: admin_on_another_address },
    Rule { keys: &["admin.listen", "admin.key"], broken: admin_without_key },
    Rule { keys: &["media.announce", "media.loopback"], broken: unreachable_announcements },
    Rule { keys: &["tls.cert", "tls.key"], broken: cert_without_key },
    Rule { keys: &["tls.key", "tls.cert"], broken: key_without_cert },
    Rule { keys: &["tls.acme", "tls.cert", "tls.key"], broken: two_certificates },
    Rule { keys: &["tls.acme_directory"], broken: directory_without_tls },
    Rule { keys: &["limits.overflow", "http.public_url"], broken: overflow_to_itself },
    Rule { keys: &["http.redirect", "tls.acme", "tls.cert"], broken: redirect_to_nowhere },
    Rule {
        keys: &["http.redirect", "http.listen", "metrics.listen", "admin.listen"],
        broken: redirect_on_another_address,
    },
];

/// All demands that `config` does not meet, except those that look at a `faulty` key.
pub(super) fn run(config: &Config, origins: &Origins, faulty: &[&str]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for rule in RULES.iter().filter(|rule| !rule.keys.iter().any(|key| faulty.contains(key))) {
        let key = rule.keys.first().copied();
        let origin = key.and_then(|key| origins.get(key)).and_then(|origins| origins.last());
        for sentence in (rule.broken)(config) {
            problems.push(Problem { origin: origin.cloned(), sentence, key });
        }
    }
    problems
}

fn nobody_says_who_may_come(config: &Config) -> Vec<String> {
    let (listen, auth) = (config.http.listen, &config.auth);
    let said = auth.open || !auth.stream_keys.is_empty() || !auth.room_keys.is_empty();
    if is_loopback(listen.ip()) || said {
        return Vec::new();
    }
    vec![format!(
        "`http.listen` is {listen}, which is open to other machines, and nothing says who may publish or join: \
         set a key in `auth.stream_keys` or `auth.room_keys`, or set `auth.open` to true to let everybody, or \
         listen on 127.0.0.1"
    )]
}

fn metrics_on_the_http_address(config: &Config) -> Vec<String> {
    let sentence = "`metrics.listen` is the same address as `http.listen`: leave it empty, and `/metrics` is \
                    served there, or give it another port";
    if is_taken(config.metrics.listen, config.http.listen) { vec![sentence.to_owned()] } else { Vec::new() }
}

fn admin_on_another_address(config: &Config) -> Vec<String> {
    let others = [("http.listen", Some(config.http.listen)), ("metrics.listen", config.metrics.listen)];
    let taken =
        others.into_iter().filter(|(_, other)| other.is_some_and(|o| is_taken(config.admin.listen, o)));
    let sentence =
        |(key, _)| format!("`admin.listen` is the same address as `{key}`: the admin API needs another port");
    taken.map(sentence).collect()
}

fn admin_without_key(config: &Config) -> Vec<String> {
    let open = config.admin.listen.is_some() && config.admin.key.is_none();
    let sentence = "`admin.listen` is set without `admin.key`: set a key of at least 16 characters, which the \
                    admin API then demands";
    if open { vec![sentence.to_owned()] } else { Vec::new() }
}

/// Whether `wanted` is the address `other`. Two listeners on port 0 get two ports.
fn is_taken(wanted: Option<SocketAddr>, other: SocketAddr) -> bool {
    wanted == Some(other) && other.port() != 0
}

/// Why nobody elsewhere could reach this server at `address`, to be read after "which"; `None` for most. `loopback`: it is
/// wanted that only this machine can.
#[must_use]
pub fn unfit_to_announce(address: IpAddr, loopback: bool) -> Option<&'static str> {
    let canonical = address.to_canonical();
    if canonical.is_unspecified() {
        Some("stands for all addresses; name those that clients can reach")
    } else if canonical.is_multicast() || canonical == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("is a group of machines; name an address of this one")
    } else if canonical.is_loopback() && !loopback {
        Some("is reached from this machine only; if that is wanted, set `media.loopback` to true")
    } else {
        None
    }
}

fn unreachable_announcements(config: &Config) -> Vec<String> {
    let fault = |host: &Host| {
        let Host::Ip(address) = host else { return None };
        let why = unfit_to_announce(*address, config.media.loopback)?;
        Some(format!("`media.announce` holds {address}, which {why}"))
    };
    config.media.announce.iter().filter_map(fault).collect()
}

fn cert_without_key(config: &Config) -> Vec<String> {
    let alone = config.tls.cert.is_some() && config.tls.key.is_none();
    let sentence =
        "`tls.cert` is set without `tls.key`: a certificate needs its private key; set both or none";
    if alone { vec![sentence.to_owned()] } else { Vec::new() }
}

fn key_without_cert(config: &Config) -> Vec<String> {
    let alone = config.tls.key.is_some() && config.tls.cert.is_none();
    let sentence =
        "`tls.key` is set without `tls.cert`: a private key needs its certificate; set both or none";
    if alone { vec![sentence.to_owned()] } else { Vec::new() }
}

fn two_certificates(config: &Config) -> Vec<String> {
    let both = !config.tls.acme.is_empty() && (config.tls.cert.is_some() || config.tls.key.is_some());
    let sentence = "`tls.acme` is set beside `tls.cert` or `tls.key`: a certificate comes from files or from a \
                    certificate authority; remove one of them";
    if both { vec![sentence.to_owned()] } else { Vec::new() }
}

fn directory_without_tls(config: &Config) -> Vec<String> {
    let sentence =
        "`tls.acme_directory` is no https address: certificate authorities are asked by HTTPS only";
    if config.tls.acme_directory.is_https() { Vec::new() } else { vec![sentence.to_owned()] }
}

fn overflow_to_itself(config: &Config) -> Vec<String> {
    let other = config.limits.overflow.as_ref();
    let own = config.public_url().filter(|own| other == Some(own));
    let sentence = |_| {
        "`limits.overflow` is this server's own `http.public_url`: name another server, or nothing".to_owned()
    };
    own.map(sentence).into_iter().collect()
}

fn redirect_to_nowhere(config: &Config) -> Vec<String> {
    let nowhere = config.http.redirect.is_some() && config.tls.acme.is_empty() && config.tls.cert.is_none();
    let sentence = "`http.redirect` is set, and there is no HTTPS to send people to: set `tls.acme`, or `tls.cert` \
                    and `tls.key`";
    if nowhere { vec![sentence.to_owned()] } else { Vec::new() }
}

fn redirect_on_another_address(config: &Config) -> Vec<String> {
    let others = [
        ("http.listen", Some(config.http.listen)),
        ("metrics.listen", config.metrics.listen),
        ("admin.listen", config.admin.listen),
    ];
    let taken =
        others.into_iter().filter(|(_, other)| other.is_some_and(|o| is_taken(config.http.redirect, o)));
    let sentence = |(key, _)| {
        format!("`http.redirect` is the same address as `{key}`: the redirection needs another port")
    };
    taken.map(sentence).collect()
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
