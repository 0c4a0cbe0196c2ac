//! `sluice health`: asks the server of this machine whether it is alive, for the health check of a container,
//! in which no other HTTP client may be installed.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::net::tls;

/// Asks for `/healthz` at `listen`, the configured `http.listen`; a wildcard address is asked by loopback. With
/// `certificate`, the configured `tls.cert`, it asks by HTTPS, and the server must present that certificate.
/// Each step (connect, send, receive) may take `limit`.
///
/// # Errors
/// Nobody listens there, the answer does not come in time, or it is another than 200.
pub fn check(listen: SocketAddr, certificate: Option<&Path>, limit: Duration) -> Result<()> {
    let server = SocketAddr::new(reachable(listen.ip()), listen.port());
    let stream = TcpStream::connect_timeout(&server, limit)?;
    stream.set_write_timeout(Some(limit))?;
    stream.set_read_timeout(Some(limit))?;
    match certificate {
        Some(certificate) => {
            ask(server, tls::pinned(server.ip(), certificate, stream).map_err(Error::other)?)
        }
        None => ask(server, stream),
    }
}

fn ask(server: SocketAddr, mut stream: impl Read + Write) -> Result<()> {
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut status = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut status)?;
    if status == *b"HTTP/1.1 200" {
        return Ok(());
    }
    let answer = String::from_utf8_lossy(&status).into_owned();
    Err(Error::new(ErrorKind::InvalidData, format!("{server} answered {answer:?} to GET /healthz")))
}

fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(wildcard) if wildcard.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(wildcard) if wildcard.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Checks against a server that answers one request with `answer`, and returns the request with the result.
    fn served(answer: &'static str, listen: Ipv4Addr) -> (String, Result<()>) {
        let listener = TcpListener::bind((listen, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("the request goes on");
                request.extend(byte);
            }
            stream.write_all(answer.as_bytes()).expect("the answer leaves");
            String::from_utf8(request).expect("the request is text")
        });
        let result = check(address, None, LIMIT);
        (server.join().expect("the server ends"), result)
    }

    #[test]
    fn a_live_server_is_healthy() {
        let (request, result) = served("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Ipv4Addr::LOCALHOST);
        result.expect("200 means alive");
        assert!(request.starts_with("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
    }

    #[test]
    fn a_wildcard_address_is_asked_by_loopback() {
        let (request, result) = served("HTTP/1.1 200 OK\r\n\r\n", Ipv4Addr::UNSPECIFIED);
        result.expect("200 means alive");
        assert!(request.contains("\r\nHost: 127.0.0.1:"), "{request}");
        assert_eq!(reachable(Ipv6Addr::UNSPECIFIED.into()), IpAddr::from(Ipv6Addr::LOCALHOST));
        assert_eq!(reachable(Ipv4Addr::new(192, 0, 2, 1).into()), IpAddr::from([192, 0, 2, 1]));
    }

    #[test]
    fn any_other_answer_is_an_error() {
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "SSH-2.0-server\r\n", "", "HTTP/1.1"] {
            let (_, result) = served(answer, Ipv4Addr::LOCALHOST);
            assert!(result.is_err(), "{answer:?} counted as healthy");
        }
    }

    #[test]
    fn nobody_listening_is_an_error() {
        // Port 1 (tcpmux) has been out of use for decades.
        assert!(check(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), None, LIMIT).is_err());
    }
}
