//! What happens around every request: taking in its body, CORS, and counting.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::error::Problem;
use super::guesses::whom;
use super::peer::Peer;
use crate::wire::sdp::MAX_BYTES;

/// How much of a body that is too large is still read, so that its sender gets to see the refusal.
const MOST_READ: usize = 8 * 1024 * 1024;
/// How long a body may take. Offers are sent in one go.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Takes in the whole body before anything is decided. A connection that is closed on a client which is still
/// sending is reset, and then the client may never see why it was refused.
pub(super) async fn take_body(mut request: Request, next: Next) -> Result<Response, Problem> {
    let body = std::mem::take(request.body_mut());
    let bytes = tokio::time::timeout(BODY_WITHIN, read(body)).await.map_err(|_| {
        let detail = "The body did not come within 10 s.";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "Request timeout", detail)
    })??;
    *request.body_mut() = Body::from(bytes);
    Ok(next.run(request).await)
}

async fn read(mut body: Body) -> Result<Vec<u8>, Problem> {
    let (mut bytes, mut total) = (Vec::new(), 0);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame =
            frame.map_err(|_| Problem::bad_request("The body is broken off, or not framed as HTTP asks."))?;
        let Ok(data) = frame.into_data() else { continue };
        total += data.len();
        if total <= MAX_BYTES {
            bytes.extend_from_slice(&data);
        } else if total > MOST_READ {
            break;
        }
    }
    if total <= MAX_BYTES {
        return Ok(bytes);
    }
    let detail = format!("The body is larger than {MAX_BYTES} bytes.");
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Payload too large", detail))
}

/// Players and publishers live on other origins than the server, so that everything here may be used from
/// anywhere. Nothing is granted by that: there are no cookies, and a token has to be sent on purpose.
///
/// The headers are named, as `*` covers neither `Authorization` nor what a client may read of a reply
/// (Fetch standard, CORS protocol). A preflight is answered here for every route, without authentication.
pub(super) async fn cors(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        let mut response = StatusCode::NO_CONTENT.into_response();
        allow_methods(response.headers_mut());
        response
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "Location, Link, ETag, Accept-Post, Accept-Patch, Retry-After, Access-Control-Allow-Methods",
        ),
    );
    response
}

fn allow_methods(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization, Content-Type, If-Match, ETag"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
}

/// Whoever presents a key, and has presented too many wrong ones, is told to wait.
pub(super) async fn limit_guesses(
    State(app): State<Arc<App>>,
    peer: Peer,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !request.headers().contains_key(header::AUTHORIZATION) {
        return Ok(next.run(request).await);
    }
    let whom = whom(&peer, request.headers());
    if !app.guesses.may_try(Instant::now(), whom) {
        return Err(Problem::too_many_wrong_keys());
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        app.guesses.failed(Instant::now(), whom);
    }
    Ok(response)
}

/// Counts a request under its route, not its path: paths are endless, and session URLs are secrets.
pub(super) async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("other", |path| route_label(path.as_str()));
    let response = next.run(request).await;
    app.http_metrics.observe(route, method.as_str(), response.status().as_u16(), began.elapsed());
    response
}

/// A route as a metric label.
fn route_label(path: &str) -> &'static str {
    const ROUTES: [&str; 19] = [
        "/openapi.json",
        "/whep/{stream}/{session}/events/{number}",
        "/whep/{stream}/{session}/events",
        "/whep/{stream}/{session}/layer",
        "/whip/{stream}/{session}",
        "/whep/{stream}/{session}",
        "/whip/{stream}",
        "/whep/{stream}",
        "/watch/{stream}",
        "/publish/{stream}",
        "/room/{room}",
        "/assets/{file}",
        "/metrics",
        "/room/{room}/people",
        "/ws",
        "/healthz",
        "/readyz",
        "/admin",
        "/",
    ];
    let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    ROUTES.into_iter().find(|route| *route == path).unwrap_or("other")
}
