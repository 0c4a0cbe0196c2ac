//! Whether the server runs, and whether its ports are free or its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::report::Finding;
use crate::config::Config;
use crate::health;
use crate::net::discover;
use crate::wire::stun::TransactionId;

/// How long each step of asking the running server may take.
pub(super) const STEP: Duration = Duration::from_millis(900);

/// What became of trying to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    /// It can be listened on.
    Free,
    /// A running Sluice has it, and answers.
    Ours,
    /// A running Sluice should have it, and does not answer there.
    Silent,
    /// Another program has it.
    Taken,
    /// This machine does not have the address.
    Foreign,
    /// The port needs rights that this user does not have.
    Denied,
    /// This machine has no IPv6; the server then does without.
    WithoutIpv6,
    /// Something else.
    Failed(io::ErrorKind),
}

/// A port of the configuration.
struct Wanted {
    check: &'static str,
    key: &'static str,
    transport: &'static str,
    address: SocketAddr,
}

/// Also answers with whether the server runs.
pub(super) fn check(config: &Config, mut transaction: impl FnMut() -> TransactionId) -> (Vec<Finding>, bool) {
    let http = tcp(config.http.listen);
    let certificate = config.tls.files().map(|(certificate, _)| certificate);
    let health = match http {
        Port::Taken => health::check(config.http.listen, certificate.as_deref(), STEP).is_ok(),
        _ => false,
    };
    let mut findings = vec![server(health)];
    let wanted = |check, key, address| Wanted { check, key, transport: "TCP", address };
    let mut ports = vec![(wanted("HTTP port", "http.listen", config.http.listen), http)];
    if let Some(address) = config.http.redirect {
        ports.push((wanted("redirect port", "http.redirect", address), tcp(address)));
    }
    if let Some(address) = config.metrics.listen {
        ports.push((wanted("metrics port", "metrics.listen", address), tcp(address)));
    }
    if let Some(address) = config.admin.listen {
        ports.push((wanted("admin port", "admin.listen", address), tcp(address)));
    }
    for address in &config.media.listen {
        let wanted = Wanted { check: "media port", key: "media.listen", transport: "UDP", address: *address };
        let mut answers = || discover::ask(this_machine(*address), transaction()).is_ok();
        let port = match udp(*address) {
            Port::Taken if health => {
                if answers() {
                    Port::Ours
                } else {
                    Port::Silent
                }
            }
            other => other,
        };
        ports.push((wanted, port));
    }
    for (wanted, port) in ports {
        let port = if port == Port::Taken && wanted.transport == "TCP" && health { Port::Ours } else { port };
        findings.push(judge(&wanted, port));
    }
    (findings, health)
}

fn server(runs: bool) -> Finding {
    if runs {
        Finding::ok("server", "Sluice runs and answers")
    } else {
        Finding::note(
            "server",
            "Sluice does not run with this configuration, so only what it would meet was looked at",
            "for the rest, run `sluice doctor` once more while it runs",
        )
    }
}

fn judge(wanted: &Wanted, port: Port) -> Finding {
    let Wanted { check, key, transport, address } = wanted;
    let what = format!("{transport} {address}");
    match port {
        Port::Free if address.port() == 0 => Finding::ok(check, format!("{what} takes any free port")),
        Port::Free => Finding::ok(check, format!("{what} is free")),
        Port::Ours => Finding::ok(check, format!("{what} answers")),
        Port::WithoutIpv6 => Finding::ok(check, format!("{what} is left out, as this machine has no IPv6")),
        Port::Silent => Finding::error(
            check,
            format!("Sluice runs, but {what} does not answer"),
            "look into its log, and whether a firewall of this machine drops UDP on it",
        ),
        Port::Taken => {
            let flag = if *transport == "UDP" { 'u' } else { 't' };
            Finding::error(
                check,
                format!("another program has {what}"),
                format!(
                    "end it (`ss -lnp{flag} sport = :{}` names it), or choose another port in {key}",
                    address.port()
                ),
            )
        }
        Port::Foreign => Finding::error(
            check,
            format!("this machine does not have the address {}", address.ip()),
            format!(
                "correct {key}: 0.0.0.0 and [::] stand for all addresses; a public one behind NAT belongs into media.announce"
            ),
        ),
        Port::Denied => Finding::error(
            check,
            format!("{what} needs more rights than this user has"),
            format!(
                "choose a port above 1023 in {key}, or run `setcap cap_net_bind_service=+ep` on the program"
            ),
        ),
        Port::Failed(kind) => {
            Finding::error(check, format!("{what} cannot be listened on: {kind}"), format!("correct {key}"))
        }
    }
}

fn tcp(address: SocketAddr) -> Port {
    TcpListener::bind(address).map_or_else(|error| failed(address, &error), |_| Port::Free)
}

fn udp(address: SocketAddr) -> Port {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())
    };
    open().map_or_else(|error: io::Error| failed(address, &error), |()| Port::Free)
}

fn failed(address: SocketAddr, error: &io::Error) -> Port {
    let no_family = error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    match error.kind() {
        io::ErrorKind::AddrInUse => Port::Taken,
        io::ErrorKind::PermissionDenied => Port::Denied,
        _ if no_family && address.ip().is_unspecified() => Port::WithoutIpv6,
        io::ErrorKind::AddrNotAvailable if address.is_ipv6() && address.ip().is_unspecified() => {
            Port::WithoutIpv6
        }
        io::ErrorKind::AddrNotAvailable => Port::Foreign,
        kind => Port::Failed(kind),
    }
}

/// Where a listening address is reached from this machine.
pub(super) fn this_machine(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::doctor::report::Status;

    fn said(transport: &'static str, address: &str, port: Port) -> (Status, String) {
        let address = address.parse().unwrap();
        let wanted = Wanted { check: "media port", key: "media.listen", transport, address };
        let finding = judge(&wanted, port);
        (finding.status, [finding.found, finding.fix.unwrap_or_default()].join(" -> "))
    }

    #[test]
    fn each_state_of_a_port_has_its_words() {
        for (port, status, words) in [
            (Port::Free, Status::Ok, "UDP 0.0.0.0:3478 is free -> "),
            (Port::Ours, Status::Ok, "UDP 0.0.0.0:3478 answers -> "),
            (Port::WithoutIpv6, Status::Ok, "UDP 0.0.0.0:3478 is left out, as this machine has no IPv6 -> "),
            (
                Port::Silent,
                Status::Error,
                "Sluice runs, but UDP 0.0.0.0:3478 does not answer -> look into its log, and whether a firewall of \
                 this machine drops UDP on it",
            ),
            (
                Port::Taken,
                Status::Error,
                "another program has UDP 0.0.0.0:3478 -> end it (`ss -lnpu sport = :3478` names it), or choose \
                 another port in media.listen",
            ),
            (
                Port::Foreign,
                Status::Error,
                "this machine does not have the address 0.0.0.0 -> correct media.listen: 0.0.0.0 and [::] stand for \
                 all addresses; a public one behind NAT belongs into media.announce",
            ),
            (
                Port::Denied,
                Status::Error,
                "UDP 0.0.0.0:3478 needs more rights than this user has -> choose a port above 1023 in media.listen, \
                 or run `setcap cap_net_bind_service=+ep` on the program",
            ),
            (
                Port::Failed(io::ErrorKind::OutOfMemory),
                Status::Error,
                "UDP 0.0.0.0:3478 cannot be listened on: out of memory -> correct media.listen",
            ),
        ] {
            assert_eq!(said("UDP", "0.0.0.0:3478", port), (status, words.to_owned()), "{port:?}");
        }
        assert_eq!(said("TCP", "127.0.0.1:0", Port::Free).1, "TCP 127.0.0.1:0 takes any free port -> ");
        assert!(said("TCP", "127.0.0.1:80", Port::Taken).1.contains("`ss -lnpt sport = :80` names it"));
    }

    #[test]
    fn ports_are_free_or_somebody_elses() {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_eq!(tcp(other.local_addr().unwrap()), Port::Taken);
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = other.local_addr().unwrap();
        assert_eq!(udp(address), Port::Taken);
        drop(other);
        assert_eq!(udp(address), Port::Free);
        // TEST-NET-1 (RFC 5737) is nobody's.
        let foreign: SocketAddr = "192.0.2.1:3478".parse().unwrap();
        assert_eq!((tcp(foreign), udp(foreign)), (Port::Foreign, Port::Foreign));
    }
}
