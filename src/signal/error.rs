//! Every refusal, as `application/problem+json` (RFC 9457): a status, a title, and a sentence that says what to do.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::room::WatchError;
use crate::room::control::JoinError;
use crate::sfu::session::offer::OfferError;

/// A refusal on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    header: Option<(HeaderName, Cow<'static, str>)>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// A problem. `kind` is a short name for programs, the last part of the `type` URI.
    #[must_use]
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, kind, title, detail: detail.into(), header: None }
    }

    /// Adds the header that belongs to the status.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl Into<Cow<'static, str>>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    /// Whether the same request may be taken later.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.header.as_ref().is_some_and(|(name, _)| *name == header::RETRY_AFTER)
    }

    /// There is nothing at this address.
    #[must_use]
    pub fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// The request is not what its place takes.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", detail)
    }

    /// The body has the wrong media type; `wanted` is the right one, `told_by` the header that names it: Accept-Post
    /// for a POST (W3C Linked Data Platform section 7.1), Accept-Patch for a PATCH (RFC 5789 section 2.2).
    #[must_use]
    pub fn media_type(wanted: &'static str, told_by: HeaderName) -> Self {
        let detail = format!("Send the body with Content-Type: {wanted}.");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, "media-type", "Unsupported media type", detail).with(told_by, wanted)
    }

    /// A media thread is gone: no session could ever connect.
    #[must_use]
    pub fn not_ready() -> Self {
        let detail = "A media thread has stopped. Restart the server.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready", detail)
            .with(header::RETRY_AFTER, "5")
    }

    /// More offers are waiting to be answered than this server can answer soon.
    #[must_use]
    pub fn busy() -> Self {
        let detail = "Too many clients are joining at this moment. Try again in a second.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail).with(header::RETRY_AFTER, "1")
    }

    /// Another server takes who comes while this one is full.
    #[must_use]
    pub fn elsewhere(location: String) -> Self {
        let detail = "This server is full. Send the same to the address in Location.";
        Self::new(StatusCode::TEMPORARY_REDIRECT, "elsewhere", "Go elsewhere", detail)
            .with(header::LOCATION, location)
    }

    /// The fault is this server's.
    #[must_use]
    pub fn bug() -> Self {
        let detail = "A bug in this server ended the request. Please report it, with the offer.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", "Internal error", detail)
    }

    /// The stream wants a key.
    #[must_use]
    pub fn unauthorized() -> Self {
        let detail =
            "This stream needs its stream key. Send it as a bearer token (in OBS: the field Bearer Token).";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail)
            .with(header::WWW_AUTHENTICATE, "Bearer")
    }

    /// The participants of a room are for those who may join it.
    #[must_use]
    pub fn no_room_key() -> Self {
        let detail =
            "Participants of this room are shown to those who know its key. Send it as a bearer token.";
        Self::new(StatusCode::UNAUTHORIZED, "room-key", "Unauthorized", detail)
            .with(header::WWW_AUTHENTICATE, "Bearer")
    }

    /// Keys of this client are not looked at for a while.
    #[must_use]
    pub fn too_many_wrong_keys() -> Self {
        let detail =
            "Too many wrong keys came from your address. Wait for two seconds, and send the right one.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "wrong-keys", "Too many wrong keys", detail)
            .with(header::RETRY_AFTER, "2")
    }

    /// This client asks for something more often than anybody needs it; `seconds` is when it may again.
    #[must_use]
    pub fn too_often(seconds: &'static str) -> Self {
        let detail = "Too many requests of this kind for this session. Wait as long as Retry-After says.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-often", "Too many requests", detail)
            .with(header::RETRY_AFTER, seconds)
    }

    /// A precondition of RFC 9110 section 13 is missing or does not hold.
    #[must_use]
    pub fn precondition(missing: bool) -> Self {
        if missing {
            let detail = "Send If-Match with the ETag of the session, or with *.";
            return Self::new(
                StatusCode::PRECONDITION_REQUIRED,
                "no-if-match",
                "Precondition required",
                detail,
            );
        }
        let detail = "If-Match names another ICE session than the current one.";
        Self::new(StatusCode::PRECONDITION_FAILED, "if-match", "Precondition failed", detail)
    }
}

impl From<OfferError> for Problem {
    fn from(error: OfferError) -> Self {
        if matches!(error, OfferError::Malformed(_)) {
            return Self::new(StatusCode::BAD_REQUEST, "malformed-sdp", "Malformed SDP", error.to_string());
        }
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "offer", "Offer not acceptable", error.to_string())
    }
}

impl From<JoinError> for Problem {
    fn from(error: JoinError) -> Self {
        let detail = error.to_string();
        match error {
            // Draft-ietf-wish-whep section 4.2 asks for 409 and Retry-After when nobody publishes.
            JoinError::Watch(WatchError::NotLive) => {
                Self::new(StatusCode::CONFLICT, "not-live", "Not live", detail).with(header::RETRY_AFTER, "2")
            }
            JoinError::Watch(WatchError::NoCommonCodec { .. }) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "no-common-codec", "No common codec", detail)
            }
            JoinError::WorkerGone => Self::not_ready(),
            JoinError::Full(_) | JoinError::RoomFull(_) | JoinError::NothingToResume => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "full", "Server full", detail)
                    .with(header::RETRY_AFTER, "30")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let uri = format!("urn:sluice:problem:{}", self.kind);
        let body =
            Body { r#type: &uri, title: self.title, status: self.status.as_u16(), detail: &self.detail };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = self.header {
            // All are made of visible ASCII characters, see `exchange::refusal`.
            HeaderValue::from_str(&value).map(|value| headers.insert(name, value)).ok();
        }
        response
    }
}
