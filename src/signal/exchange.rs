//! What WHIP and WHEP share: an offer comes in by POST, an answer and a session resource go out.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::error::Problem;
use crate::ids::RoomName;
use crate::room::control::JoinError;
use crate::room::resource::{Resource, ResourceId, Side};
use crate::sfu::session::negotiate::{Answered, NewSession, answer};
use crate::sfu::session::offer::Role;
use crate::wire::sdp::Sdp;

/// The media type of offers and answers.
pub(super) const SDP: &str = "application/sdp";

/// The media type of trickled candidates (RFC 8840 section 9).
pub(super) const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// The room that a path names.
pub(super) fn room(name: &str) -> Result<RoomName, Problem> {
    name.parse().map_err(|error| Problem::bad_request(format!("This is no stream name: {error}.")))
}

/// The bearer token of a request (RFC 6750 section 2.1); the scheme's name is not case sensitive.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The key that a client of WHIP or WHEP sends: a bearer token, or the whole value, as Eyevinn's player has it.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let raw = || headers.get(header::AUTHORIZATION)?.to_str().ok().filter(|value| !value.contains(' '));
    bearer(headers).or_else(raw)
}

/// The headers that name the media type of a POST and of a PATCH.
pub(super) const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
pub(super) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// Checks that the body of a POST is declared as SDP.
pub(super) fn check_sdp(headers: &HeaderMap) -> Result<(), Problem> {
    if is_declared_as(headers, SDP) { Ok(()) } else { Err(Problem::media_type(SDP, ACCEPT_POST)) }
}

/// Checks that the body of a PATCH is declared as candidates.
pub(super) fn check_sdp_fragment(headers: &HeaderMap) -> Result<(), Problem> {
    let right = is_declared_as(headers, SDP_FRAGMENT);
    if right { Ok(()) } else { Err(Problem::media_type(SDP_FRAGMENT, ACCEPT_PATCH)) }
}

/// Whether a request's body is declared as `wanted`; parameters such as a charset do not matter.
pub(super) fn is_declared_as(headers: &HeaderMap, wanted: &str) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(wanted)
}

/// A body as text.
pub(super) fn text(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|_| Problem::bad_request("The body is not UTF-8 text."))
}

/// An answered offer on its way into a room.
pub(super) struct Exchange {
    pub(super) id: ResourceId,
    pub(super) resource: Resource,
    pub(super) answered: Answered,
}

/// Answers the offer in a body, when its turn has come.
pub(super) async fn negotiate(
    app: &Arc<App>,
    room: &RoomName,
    side: Side,
    body: Bytes,
) -> Result<Exchange, Problem> {
    negotiate_as(app, room, side, app.mint.session(app.control.place(room)), body).await
}

/// Does what [`negotiate`] does, for a session that has its identity already.
pub(super) async fn negotiate_as(
    app: &Arc<App>,
    room: &RoomName,
    side: Side,
    new: NewSession,
    body: Bytes,
) -> Result<Exchange, Problem> {
    if !app.control.pool().is_running() {
        return Err(Problem::not_ready());
    }
    let (shared, room) = (app.clone(), room.clone());
    app.answering.run(move || answer_offer(&shared, room, side, &new, text(&body)?)).await?
}

fn answer_offer(
    app: &App,
    room: RoomName,
    side: Side,
    new: &NewSession,
    offer: &str,
) -> Result<Exchange, Problem> {
    let (session, ufrag) = (new.id, new.ice.ufrag);
    let role = match side {
        Side::Publish => Role::Publish,
        Side::Watch => Role::Watch,
    };
    let answered = answer(offer, role, new, &app.endpoint(), Instant::now())?;
    let remote = answered.remote_credentials.clone();
    let resource = Resource::new(session, room, side, ufrag.to_string(), remote);
    // This server writes its answers in a form that it can read.
    let resource = match Sdp::parse(&answered.answer) {
        Ok(answer) => resource.with(&answer),
        Err(_) => resource,
    };
    Ok(Exchange { id: app.mint.resource(), resource, answered })
}

/// How the addresses begin that clients are told. They are absolute paths, as clients paste anything else wrongly; full URLs
/// where a proxy changes the path.
pub(super) fn base(app: &App) -> &str {
    app.public_url.as_ref().map_or("", |url| url.as_str())
}

/// The 201 of RFC 9725 section 4.2. `query` is the request's.
pub(super) fn created(
    app: &App,
    query: Option<&str>,
    id: ResourceId,
    resource: &Resource,
    answer: String,
) -> Response {
    let location = format!("{}/{}/{}/{id}", base(app), path(resource.side), resource.room);
    let mut response = (StatusCode::CREATED, answer).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    let texts = [
        (header::LOCATION, location),
        (header::ETAG, format!("\"{}\"", resource.etag)),
        (ACCEPT_PATCH, SDP_FRAGMENT.to_owned()),
    ];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    app.ice_servers().link(query.unwrap_or_default(), &resource.session.to_string(), headers);
    response
}

/// What marks a request that was sent on already: two full servers would send it to and fro.
const SENT_ON: &str = "sent-on=1";

/// Why somebody is not taken in; clients of a full server are sent to the one that stands in for it, if there is any (RFC 9725
/// section 4.5).
pub(super) fn refusal(
    app: &App,
    side: Side,
    room: &RoomName,
    query: Option<&str>,
    error: JoinError,
) -> Problem {
    let query = query.unwrap_or_default();
    let was_sent = query.split('&').any(|pair| pair == SENT_ON);
    let is_full = matches!(error, JoinError::Full(_));
    let Some(other) = app.config.limits.overflow.as_ref().filter(|_| is_full && !was_sent) else {
        return error.into();
    };
    // What no header can hold is left out.
    let kept =
        Some(query).filter(|query| !query.is_empty() && query.bytes().all(|byte| byte.is_ascii_graphic()));
    let query = kept.map(|query| format!("{query}&")).unwrap_or_default();
    Problem::elsewhere(format!("{}/{}/{room}?{query}{SENT_ON}", other.as_str(), path(side)))
}

/// How the addresses of a side begin.
fn path(side: Side) -> &'static str {
    match side {
        Side::Publish => "whip",
        Side::Watch => "whep",
    }
}

/// The answer to OPTIONS that is no CORS preflight: what may be posted here.
pub(super) fn describe() -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(ACCEPT_POST, HeaderValue::from_static(SDP));
    response
}
