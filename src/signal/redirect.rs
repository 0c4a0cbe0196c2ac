//! The listener without TLS: it answers a certificate authority, and sends everybody else to HTTPS.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::config::{Config, PublicUrl};
use crate::net::tls::Challenges;

/// Where HTTPS is.
#[derive(Clone)]
struct Target {
    public_url: Option<PublicUrl>,
    port: u16,
}

/// All routes of that listener.
pub fn router(config: &Config, challenges: Challenges) -> Router {
    let public_url = config.public_url().filter(PublicUrl::is_https);
    let target = Target { public_url, port: config.http.listen.port() };
    // RFC 8555 section 8.3.
    let proof = get(prove).with_state(challenges);
    Router::new().route("/.well-known/acme-challenge/{token}", proof).fallback(send).with_state(target)
}

async fn prove(State(challenges): State<Challenges>, Path(token): Path<String>) -> Response {
    match challenges.text(&token) {
        Some(text) => ([(header::CONTENT_TYPE, "application/octet-stream")], text).into_response(),
        None => (StatusCode::NOT_FOUND, "nobody expects this question\n").into_response(),
    }
}

/// 308 keeps the method, so that an encoder that was given the wrong address still works.
async fn send(State(target): State<Target>, headers: HeaderMap, uri: Uri) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match location(&target, host, &uri) {
        Some(location) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]).into_response(),
        None => (StatusCode::BAD_REQUEST, "use https\n").into_response(),
    }
}

/// The same page by HTTPS: at the public address, else at the host that was asked.
fn location(target: &Target, host: Option<&str>, uri: &Uri) -> Option<String> {
    let page = uri.path_and_query().map_or("/", |page| page.as_str());
    if let Some(url) = &target.public_url {
        return Some(format!("{}{page}", url.as_str()));
    }
    let authority = match target.port {
        443 => without_port(host?).to_owned(),
        port => format!("{}:{port}", without_port(host?)),
    };
    PublicUrl::parse(&format!("https://{authority}")).map(|url| format!("{}{page}", url.as_str()))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(public_url: Option<&str>, port: u16, host: Option<&str>, page: &str) -> Option<String> {
        let public_url = public_url.map(|url| PublicUrl::parse(url).unwrap());
        location(&Target { public_url, port }, host, &page.parse().unwrap())
    }

    #[test]
    fn people_are_sent_to_the_same_page() {
        for (public_url, port, host, expected) in [
            (None, 443, Some("live.example.org"), Some("https://live.example.org/watch/a?b=c")),
            (None, 443, Some("live.example.org:80"), Some("https://live.example.org/watch/a?b=c")),
            (None, 8443, Some("192.0.2.1:80"), Some("https://192.0.2.1:8443/watch/a?b=c")),
            (None, 443, Some("[2001:db8::1]"), Some("https://[2001:db8::1]/watch/a?b=c")),
            (Some("https://live.example.org"), 8443, None, Some("https://live.example.org/watch/a?b=c")),
            (None, 443, None, None),
            (None, 443, Some("a@b"), None),
        ] {
            assert_eq!(sent(public_url, port, host, "/watch/a?b=c").as_deref(), expected, "{host:?}");
        }
    }
}
