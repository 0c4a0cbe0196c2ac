//! Whether the server's own relay works, tried as a browser would: over UDP, over TCP and over TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::ports::{STEP, this_machine};
use super::report::Finding;
use crate::config::{Config, TurnConfig};
use crate::net::tls;
use crate::turn::client::{Failure, Trial};
use crate::turn::credentials::Credential;
use crate::wire::stun::{HEADER_LEN, TransactionId};

const CHECK: &str = "relay";

/// How long an answer over UDP is waited for before the question is asked again, and how often it is asked in all.
const PATIENCE: Duration = Duration::from_millis(300);
const TRIES: u32 = 4;
/// The most messages that are passed over in a trial.
const MOST: usize = 32;
/// How long the doctor's credentials are good.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// Why a trial ended without success.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Failure(#[from] Failure),
}

/// A credential by the configuration: made of a secret, else of a user; `None` if only the running server has any.
pub(super) fn credential(turn: &TurnConfig, now: SystemTime) -> Option<Credential> {
    let expires = now.duration_since(UNIX_EPOCH).unwrap_or_default() + GOOD_FOR;
    let made =
        turn.secrets.first().map(|secret| Credential::until(expires.as_secs(), "doctor", secret.reveal()));
    made.or_else(|| {
        let (name, password) = turn.users.iter().next()?;
        Some(Credential { username: name.clone(), password: password.reveal().to_owned() })
    })
}

/// Tries the relay of a server that runs here. `peer`: the address of the media port that is to answer through it.
pub(super) fn check(
    config: &Config,
    credential: Option<&Credential>,
    peer: Option<SocketAddr>,
    mut transaction: impl FnMut() -> TransactionId,
) -> Vec<Finding> {
    if !config.turn.enabled {
        return vec![Finding::ok(CHECK, "it is switched off (turn.enabled)")];
    }
    let (Some(credential), Some(peer)) = (credential, peer) else {
        return vec![Finding::note(
            CHECK,
            "it was not tried, as only the running server knows credentials for it",
            "ask the server itself, at /admin/doctor of the admin API, or set turn.secrets",
        )];
    };
    let mut trial = || Trial::new(credential.clone(), peer, [transaction(), transaction()]);
    let mut findings = Vec::new();
    if let Some(listen) = config.media.listen.first() {
        findings.push(judge("UDP", over_udp(this_machine(*listen), trial())));
    }
    let http = config.http.listen;
    // One on loopback is for a proxy, and no client is told of it.
    if !http.ip().is_loopback() || config.media.loopback {
        findings.push(judge("TCP", connect(http).and_then(|stream| over_stream(stream, trial()))));
        if let Some((certificate, _)) = config.tls.files() {
            let pinned =
                |stream| tls::pinned(this_machine(http).ip(), &certificate, stream).map_err(io::Error::other);
            let secured = connect(http).and_then(|stream| Ok(pinned(stream)?));
            findings.push(judge("TLS", secured.and_then(|stream| over_stream(stream, trial()))));
        }
    }
    findings
}

fn judge(transport: &str, outcome: Result<(), Trouble>) -> Finding {
    let fix = match &outcome {
        Ok(()) => {
            return Finding::ok(
                CHECK,
                format!("over {transport} it lends addresses, and media answers through it"),
            );
        }
        Err(Trouble::Failure(Failure::Credentials)) => {
            "give the doctor the configuration of the running server; if it is that, correct this machine's clock"
        }
        Err(Trouble::Failure(Failure::Refused(403))) => {
            "restart Sluice if media.announce was changed: it relays to the addresses that it announces"
        }
        Err(Trouble::Failure(Failure::Refused(486 | 508))) => {
            "it is full: raise turn.allocations, turn.per_user or turn.per_address if that is no attack"
        }
        Err(_) => {
            "look into the log of Sluice, and whether a firewall of this machine drops what comes to its ports"
        }
    };
    let reason = outcome.err().map(|trouble| trouble.to_string()).unwrap_or_default();
    Finding::error(CHECK, format!("over {transport} it does not work: {reason}"), fix)
}

fn over_udp(server: SocketAddr, mut trial: Trial) -> Result<(), Trouble> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = [0; 1_500];
    let mut silent = 0;
    for _ in 0..MOST {
        socket.send(trial.message())?;
        match socket.recv(&mut buffer) {
            Ok(length) => {
                silent = 0;
                if trial.receive(buffer.get(..length).unwrap_or_default())? {
                    return Ok(());
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                silent += 1;
                if silent == TRIES {
                    return Err(silence().into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(silence().into())
}

fn connect(listen: SocketAddr) -> Result<TcpStream, Trouble> {
    let stream = TcpStream::connect_timeout(&this_machine(listen), STEP)?;
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    Ok(stream)
}

/// Over a stream each message says its own length (RFC 8656 section 3.1).
fn over_stream(mut stream: impl Read + Write, mut trial: Trial) -> Result<(), Trouble> {
    for _ in 0..MOST {
        stream.write_all(trial.message())?;
        let mut message = vec![0; HEADER_LEN];
        stream.read_exact(&mut message).map_err(late)?;
        if message.first().is_some_and(|first| first & 0xC0 != 0) {
            return Err(Failure::NotTurn.into());
        }
        let length = message.get(2..4).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok());
        message.resize(HEADER_LEN + usize::from(length.map_or(0, u16::from_be_bytes)), 0);
        stream.read_exact(message.get_mut(HEADER_LEN..).unwrap_or_default()).map_err(late)?;
        if trial.receive(&message)? {
            return Ok(());
        }
    }
    Err(silence().into())
}

/// What the system says of silence differs from transport to transport.
fn late(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => silence(),
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the connection was closed"),
        _ => error,
    }
}

fn silence() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    fn said(outcome: Result<(), Trouble>) -> (Status, String) {
        let finding = judge("TCP", outcome);
        (finding.status, [finding.found, finding.fix.unwrap_or_default()].join(" -> "))
    }

    #[test]
    fn each_trouble_has_its_words() {
        assert_eq!(
            said(Ok(())),
            (Status::Ok, "over TCP it lends addresses, and media answers through it -> ".to_owned())
        );
        for (trouble, found, fix) in [
            (
                Failure::Credentials.into(),
                "it does not take the credentials",
                "give the doctor the configuration",
            ),
            (Failure::Refused(403).into(), "it refuses with error 403", "restart Sluice if media.announce"),
            (Failure::Refused(486).into(), "it refuses with error 486", "it is full: raise turn.allocations"),
            (Failure::NotTurn.into(), "it answers something that is not TURN", "look into the log"),
            (silence().into(), "no answer", "look into the log"),
        ] {
            let (status, said) = said(Err(trouble));
            assert_eq!(status, Status::Error);
            assert!(said.starts_with(&format!("over TCP it does not work: {found} -> {fix}")), "{said}");
        }
    }

    #[test]
    fn a_relay_that_cannot_be_tried_is_a_note() {
        let mut config = Config::default();
        let none = || TransactionId([0; 12]);
        assert_eq!(check(&config, None, None, none)[0].status, Status::Note);
        config.turn.enabled = false;
        assert_eq!(
            check(&config, None, None, none),
            [Finding::ok(CHECK, "it is switched off (turn.enabled)")]
        );
    }

    #[test]
    fn a_port_that_is_silent_or_speaks_something_else_is_told() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let credential = Credential { username: "ann".into(), password: "x".into() };
        let transactions = [TransactionId([1; 12]), TransactionId([2; 12])];
        let trial = || Trial::new(credential.clone(), "192.0.2.1:3478".parse().unwrap(), transactions);
        let silent = over_udp(socket.local_addr().unwrap(), trial());
        assert_eq!(silent.unwrap_err().to_string(), "no answer");
        let mut web = io::Cursor::new(Vec::new());
        web.get_mut().extend(vec![0; trial().message().len()]);
        web.get_mut().extend(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let other = over_stream(web, trial());
        assert_eq!(other.unwrap_err().to_string(), "it answers something that is not TURN");
    }
}
