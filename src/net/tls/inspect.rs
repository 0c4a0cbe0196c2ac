//! What a certificate says of itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::files::{Files, TlsError};

/// What clients will judge a certificate by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// It is not valid before.
    pub not_before: SystemTime,
    /// It is not valid after.
    pub not_after: SystemTime,
    /// The end, as `2031-02-03T00:00:00Z`.
    pub until: String,
    /// The names and addresses it is for (RFC 5280 section 4.2.1.6), names in lower case and maybe with `*` at their front.
    pub names: Vec<String>,
    /// It is its own issuer, so nobody vouches for it.
    pub self_signed: bool,
}

/// Reads a certificate and its key, both PEM, and sees that they belong together.
///
/// # Errors
/// [`TlsError`] names the file. `None` within when the certificate is written in an unusual way.
pub fn inspect(certificate: &Path, key: &Path) -> Result<Option<Facts>, TlsError> {
    let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
    let pair = files.pair(&files.read()?)?;
    Ok(pair.end_entity_cert().ok().and_then(|own| facts(own)))
}

fn facts(der: &[u8]) -> Option<Facts> {
    let certificate = Certificate::from_der(der).ok()?;
    let own = certificate.tbs_certificate();
    let validity = own.validity();
    let at = |since: Duration| UNIX_EPOCH + since;
    let names = match own.get_extension::<SubjectAltName>() {
        Ok(Some((_, SubjectAltName(names)))) => names.iter().filter_map(name).collect(),
        _ => Vec::new(),
    };
    Some(Facts {
        not_before: at(validity.not_before.to_unix_duration()),
        not_after: at(validity.not_after.to_unix_duration()),
        until: validity.not_after.to_string(),
        names,
        self_signed: own.issuer() == own.subject(),
    })
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let four = || <[u8; 4]>::try_from(bytes).map(|four| IpAddr::from(Ipv4Addr::from(four)));
            let six = || <[u8; 16]>::try_from(bytes).map(|six| IpAddr::from(Ipv6Addr::from(six)));
            four().or_else(|_| six()).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

impl Facts {
    /// Whether it is for `host`, a DNS name or an IP address. A `*` stands for one label (RFC 9525 section 6.3).
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.names.iter().any(|name| {
            let behind = |wild: &str| host.split_once('.').is_some_and(|(_, rest)| rest == wild);
            *name == host || name.strip_prefix("*.").is_some_and(behind)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str]) -> Facts {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2030, 2, 3);
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let own = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        facts(own.der()).unwrap()
    }

    #[test]
    fn a_certificate_says_for_whom_and_how_long() {
        let facts = made(&["Live.example.org", "*.example.net", "203.0.113.7", "2001:db8::7"]);
        assert_eq!(facts.names, ["live.example.org", "*.example.net", "203.0.113.7", "2001:db8::7"]);
        assert_eq!(facts.until, "2031-02-03T00:00:00Z");
        assert_eq!(
            facts.not_after.duration_since(facts.not_before).unwrap(),
            Duration::from_secs(365 * 86_400)
        );
        assert!(facts.self_signed);
    }

    #[test]
    fn names_are_matched_as_browsers_do() {
        let facts = made(&["live.example.org", "*.example.net", "2001:db8::7"]);
        for host in ["live.example.org", "LIVE.example.org.", "a.example.net", "2001:db8::7"] {
            assert!(facts.is_for(host), "{host}");
        }
        for host in ["example.org", "example.net", "a.b.example.net", "203.0.113.7", ""] {
            assert!(!facts.is_for(host), "{host}");
        }
    }
}
