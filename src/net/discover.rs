//! Asking others about this machine: what a DNS name stands for, and from where a STUN server sees us.
//!
//! Everything here blocks for some seconds at most. Nobody is asked whom the operator did not name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use crate::config::{Host, HostPort};
use crate::wire::stun::{Class, Message, Method, TransactionId, Writer};

/// When a question is asked again, and how long the answer to the last one is waited for. Two seconds in all: who
/// starts a server waits for it.
const PATIENCE: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(600), Duration::from_millis(1_100)];

/// The longest answer that is read: what we ask for has 32 or 44 bytes, and some servers add their name.
const MAX_ANSWER: usize = 1_500;

/// From where a server saw a socket of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The address and port that it saw.
    pub outside: SocketAddr,
    /// What the socket really had.
    pub inside: SocketAddr,
}

/// The addresses of a host; several for a name that has several, never none.
///
/// # Errors
/// The name stands for nothing, or nobody could be asked.
pub fn resolve(host: &Host) -> io::Result<Vec<IpAddr>> {
    let name = match host {
        Host::Ip(ip) => return Ok(vec![*ip]),
        Host::Name(name) => name.as_str(),
    };
    let mut found: Vec<_> = (name, 0).to_socket_addrs()?.map(|address| address.ip()).collect();
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(found)
}

/// Asks a STUN server by IPv4, by IPv6, or by both if it has both: one result for each of the `families` (whether it is
/// IPv4) in which it has an address. `transaction` draws a number that nobody can guess, as that is all that tells the
/// server's answer from a forged one.
///
/// # Errors
/// The server's name stands for nothing.
pub fn ask_all(
    server: &HostPort,
    families: &[bool],
    mut transaction: impl FnMut() -> TransactionId,
) -> io::Result<Vec<io::Result<Seen>>> {
    let servers = resolve(&server.host)?;
    let mut results = Vec::new();
    for is_ipv4 in families {
        if let Some(ip) = servers.iter().find(|ip| ip.is_ipv4() == *is_ipv4) {
            results.push(ask(SocketAddr::new(*ip, server.port), transaction()));
        }
    }
    Ok(results)
}

/// Asks one address of a STUN server from a socket that is opened for it (RFC 8489 section 6.2.1).
///
/// # Errors
/// No way to it, or no answer within two seconds.
pub fn ask(server: SocketAddr, transaction: TransactionId) -> io::Result<Seen> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // Connected, so that the system says which address is ours, and lets nobody else answer.
    socket.connect(server)?;
    let mut request = Vec::new();
    Writer::new(&mut request, Class::Request, Method::BINDING, transaction).fingerprint();
    for patience in PATIENCE {
        socket.send(&request)?;
        if let Some(outside) = answer(&socket, transaction, Instant::now() + patience)? {
            return Ok(Seen { outside, inside: socket.local_addr()? });
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within two seconds"))
}

/// The address in the answer, if it comes until `end`.
fn answer(socket: &UdpSocket, transaction: TransactionId, end: Instant) -> io::Result<Option<SocketAddr>> {
    let mut buffer = [0; MAX_ANSWER];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                let ours = Message::parse(bytes).ok().filter(|m| m.transaction() == transaction);
                match ours.map(|message| (message.class(), message.xor_mapped_address())) {
                    Some((Class::Success, Some(address))) => return Ok(Some(address)),
                    Some((Class::Error, _)) => {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, "it refuses to answer"));
                    }
                    _ => {}
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const TRANSACTION: TransactionId = TransactionId([9; 12]);

    /// A server that answers each question with what `answers` makes of it.
    fn server(answers: impl Fn(&[u8], SocketAddr) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                for answer in answers(&buffer[..length], from) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        address
    }

    fn success(transaction: TransactionId, seen: SocketAddr) -> Vec<u8> {
        let mut out = Vec::new();
        let writer = Writer::new(&mut out, Class::Success, Method::BINDING, transaction);
        let _ = writer.xor_mapped_address(seen);
        out
    }

    #[test]
    fn a_stun_server_tells_where_it_sees_us() {
        let address = server(|request, from| {
            let request = Message::parse(request).unwrap();
            assert_eq!((request.class(), request.method()), (Class::Request, Method::BINDING));
            vec![success(request.transaction(), from)]
        });
        let seen = ask(address, TRANSACTION).unwrap();
        assert_eq!((seen.outside, seen.inside.ip()), (seen.inside, Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let address = server(|_, _| {
            let other = TransactionId([8; 12]);
            let (wrong, right) = ("192.0.2.66:1".parse().unwrap(), "203.0.113.7:40000".parse().unwrap());
            vec![b"hello".to_vec(), success(other, wrong), success(TRANSACTION, right)]
        });
        assert_eq!(ask(address, TRANSACTION).unwrap().outside, "203.0.113.7:40000".parse().unwrap());
    }

    #[test]
    fn a_refusal_is_told_at_once() {
        let address = server(|_, _| {
            let mut out = Vec::new();
            let _ = Writer::new(&mut out, Class::Error, Method::BINDING, TRANSACTION).error_code(420);
            vec![out]
        });
        assert_eq!(ask(address, TRANSACTION).unwrap_err().to_string(), "it refuses to answer");
    }

    #[test]
    fn names_and_addresses_are_resolved() {
        let ip = Host::parse("203.0.113.7").unwrap();
        assert_eq!(resolve(&ip).unwrap(), ["203.0.113.7".parse::<IpAddr>().unwrap()]);
        let localhost = resolve(&Host::parse("localhost").unwrap()).unwrap();
        assert!(!localhost.is_empty() && localhost.iter().all(IpAddr::is_loopback), "{localhost:?}");
        // RFC 6761 section 6.4 reserves the name for this.
        assert!(resolve(&Host::parse("no.such.name.invalid").unwrap()).is_err());
    }
}
