//! HTTP/1.1 by hand, so that a test decides every byte that is sent and sees every byte that comes back.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::PATIENCE;

/// A request in the making.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A POST of an offer.
    pub(crate) fn sdp(path: impl Into<String>, offer: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).with("Content-Type", "application/sdp").body(offer)
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it over a connection of its own.
    pub(crate) async fn send(&self, server: SocketAddr) -> Reply {
        let reply = self.send_unshared(server).await;
        reply.check_sharing(&self.what());
        reply
    }

    /// Sends it to where pages of other origins have no business.
    pub(crate) async fn send_unshared(&self, server: SocketAddr) -> Reply {
        let (method, path) = (self.method, &self.path);
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if matches!(method, "POST" | "PATCH" | "PUT") {
            head.extend(["Content-Length: ", &self.body.len().to_string(), "\r\n"]);
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend(&self.body);
        let reply = Reply::parse(&speak(server, &bytes).await, method == "HEAD");
        reply.check(&self.what(), method == "HEAD");
        reply
    }

    fn what(&self) -> String {
        format!("{} {} {:?}", self.method, self.path, self.headers)
    }
}

/// Sends bytes and returns everything that comes back until the server closes.
pub(crate) async fn speak(server: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(server).await.expect("the server listens");
    let mut reply = Vec::new();
    let listen = async { while read(&stream, &mut reply).await.is_ok_and(|count| count > 0) {} };
    // Errors do not count: a server that refuses early stops reading. What it said is what matters.
    let told = timeout(PATIENCE, async { tokio::join!(write(&stream, bytes), listen) }).await;
    assert!(
        told.is_ok(),
        "no end of the reply to {}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(200)])
    );
    reply
}

/// Sends all of `bytes`.
pub(crate) async fn write(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Appends what has come. Returns how much it was: 0 at the end.
pub(crate) async fn read(stream: &TcpStream, into: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0; 4096];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(count) => {
                into.extend(&buffer[..count]);
                return Ok(count);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// Reads the last reply in `bytes`, which has no body if it is one `to_head`.
    pub(crate) fn parse(bytes: &[u8], to_head: bool) -> Self {
        let mut text = std::str::from_utf8(bytes).expect("this server writes UTF-8");
        while let Some((_, rest)) = text.split_once("\r\n\r\n").filter(|_| text.starts_with("HTTP/1.1 1")) {
            text = rest;
        }
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no whole head: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = status.and_then(|status| status.get(..3)?.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
            (name.to_ascii_lowercase(), value.to_owned())
        };
        let headers = lines.map(header).collect();
        let reply = Self { status: status.expect("a status line"), headers, body: body.to_owned() };
        let length = reply.header("content-length").map(|length| length.parse::<usize>().expect("a number"));
        match length {
            Some(length) if !to_head => assert_eq!(body.len(), length, "the whole body came: {text}"),
            _ => assert_eq!(body, "", "a body without a length"),
        }
        reply
    }

    /// The value of a header that comes once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} comes {} times: {all:?}", all.len());
        all.first().copied()
    }

    /// The values of all headers of a name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(known, _)| known == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    /// The path of the new session, as its `Location` names it.
    pub(crate) fn location(&self) -> &str {
        self.header("location").expect("a Location")
    }

    pub(crate) fn etag(&self) -> &str {
        self.header("etag").expect("an ETag")
    }

    /// The last part of the `type` of a problem.
    pub(crate) fn problem(&self) -> Option<String> {
        let problem: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        Some(problem["type"].as_str()?.rsplit(':').next()?.to_owned())
    }

    /// Pages of other origins may read it.
    fn check_sharing(&self, what: &str) {
        assert_eq!(self.header("access-control-allow-origin"), Some("*"), "{what}: {self:?}");
        let exposed = self.header("access-control-expose-headers").unwrap_or_default();
        for name in ["Location", "Link", "ETag", "Accept-Post", "Retry-After", "Access-Control-Allow-Methods"]
        {
            assert!(exposed.split(", ").any(|known| known == name), "{what}: {name} is hidden: {exposed}");
        }
    }

    /// What holds for every reply: a refusal says what to do.
    fn check(&self, what: &str, to_head: bool) {
        if self.status == 204 && !to_head {
            assert_eq!((self.header("content-length"), self.body.as_str()), (None, ""), "{what}");
        }
        // A counter-offer is SDP.
        if self.status == 406 {
            return assert_eq!(self.header("content-type"), Some("application/sdp"), "{what}: {self:?}");
        }
        if self.status >= 400 {
            assert_eq!(self.header("content-type"), Some("application/problem+json"), "{what}: {self:?}");
        }
        if self.status >= 400 && !to_head {
            let problem: serde_json::Value = serde_json::from_str(&self.body).expect("JSON");
            assert_eq!(problem["status"], self.status, "{what}: {self:?}");
            for member in ["type", "title", "detail"] {
                assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: {self:?}");
            }
        }
    }
}
