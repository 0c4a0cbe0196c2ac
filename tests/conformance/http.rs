//! HTTP/1.1, one connection for each request, so that nothing of one is left for the next.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Whom Debian trusts.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";
/// A server that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a reply is read.
const LONGEST: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("{0}")]
    Broken(String),
}

/// An absolute http or https URL without a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    secure: bool,
    authority: String,
    /// With the query.
    pub(crate) path: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (secure, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err("a URL begins with http:// or https://".to_owned()),
        };
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        if authority.is_empty() {
            return Err("the URL names no host".to_owned());
        }
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { secure, authority: authority.to_owned(), path: path.to_owned() })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}{}", if self.secure { "s" } else { "" }, self.authority, self.path)
    }
}

impl Url {
    /// What a Location or a Link says, seen from here (RFC 3986 section 5.2, as far as servers use it).
    pub(crate) fn join(&self, reference: &str) -> Result<Self, Error> {
        if reference.starts_with("http://") || reference.starts_with("https://") {
            return reference.parse().map_err(Error::Broken);
        }
        let path = if reference.starts_with('/') {
            reference.to_owned()
        } else {
            let folder = self.path.split('?').next().unwrap_or_default();
            format!("{}/{reference}", folder.rsplit_once('/').map_or("", |(folder, _)| folder))
        };
        Ok(Self { path, ..self.clone() })
    }

    fn host(&self) -> &str {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, port)| {
            if port.bytes().all(|b| b.is_ascii_digit()) { host } else { &self.authority }
        });
        host.trim_start_matches('[').trim_end_matches(']')
    }

    fn port(&self) -> u16 {
        let named = self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        named.unwrap_or(if self.secure { 443 } else { 80 })
    }
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer is {}", self.status)?;
        for (name, value) in &self.headers {
            if ["content-type", "location", "etag", "retry-after", "accept-post"].contains(&name.as_str()) {
                write!(f, ", {name}: {value}")?;
            }
        }
        let first = self.body.lines().next().unwrap_or_default();
        if first.is_empty() { Ok(()) } else { write!(f, "; {first:.160}") }
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn is_refusal(&self) -> bool {
        (400..500).contains(&self.status)
    }

    /// Whether the media type is this one, whatever its parameters are.
    pub(crate) fn is_of(&self, media_type: &str) -> bool {
        let essence = self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case(media_type)
    }
}

/// A request in the making.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: &'static str,
    url: Url,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Whether the beginning of the reply is enough, as it goes on for ever.
    streams: bool,
}

impl Request {
    pub(crate) fn new(method: &'static str, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), body: Vec::new(), streams: false }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.with("Content-Type", media_type)
    }

    pub(crate) fn streams(mut self) -> Self {
        self.streams = true;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { method, url, .. } = self;
        let mut head =
            format!("{method} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", url.path, url.authority);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if matches!(*method, "POST" | "PATCH" | "PUT") {
            head.extend(["Content-Length: ", &self.body.len().to_string(), "\r\n"]);
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Client {
    tls: Arc<ClientConfig>,
}

impl Client {
    pub(crate) fn new(ca: Option<&Path>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        let file = ca.unwrap_or_else(|| Path::new(SYSTEM));
        match CertificateDer::pem_file_iter(file) {
            Ok(found) => drop(roots.add_parsable_certificates(found.filter_map(Result::ok))),
            // Only https needs them.
            Err(error) if ca.is_some() => return Err(Error::Broken(format!("{}: {error}", file.display()))),
            Err(_) => {}
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Self { tls: Arc::new(config.with_root_certificates(roots).with_no_client_auth()) })
    }

    pub(crate) fn send(&self, request: &Request) -> Result<Reply, Error> {
        let url = &request.url;
        let address = (url.host(), url.port()).to_socket_addrs()?.next();
        let address = address.ok_or_else(|| Error::Broken(format!("{} has no address", url.host())))?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        if url.secure {
            let name =
                ServerName::try_from(url.host().to_owned()).map_err(|e| Error::Broken(e.to_string()))?;
            let connection = ClientConnection::new(self.tls.clone(), name)?;
            exchange(StreamOwned::new(connection, stream), request)
        } else {
            exchange(stream, request)
        }
    }
}

fn exchange(mut stream: impl Read + Write, request: &Request) -> Result<Reply, Error> {
    // Who refuses early may stop reading: what it says is what matters.
    let written = stream.write_all(&request.bytes()).and_then(|()| stream.flush());
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    let until = Instant::now() + PATIENCE;
    while bytes.len() < LONGEST && Instant::now() < until && !(request.streams && has_head(&bytes)) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => bytes.extend(buffer.iter().take(count)),
            Err(_) if has_head(&bytes) => break,
            Err(error) => return Err(written.err().unwrap_or(error).into()),
        }
    }
    parse(&bytes)
}

fn has_head(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|end| end == b"\r\n\r\n")
}

fn parse(bytes: &[u8]) -> Result<Reply, Error> {
    let text = String::from_utf8_lossy(bytes);
    let broken = || Error::Broken("this is no HTTP reply".to_owned());
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(broken)?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    };
    let mut reply = Reply { status, headers: lines.filter_map(header).collect(), body: body.to_owned() };
    if reply.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        reply.body = unchunked(body);
    }
    Ok(reply)
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(..size).filter(|_| size > 0) else { break };
        whole += chunk;
        body = rest.get(size..).unwrap_or_default().trim_start_matches("\r\n");
    }
    whole
}
