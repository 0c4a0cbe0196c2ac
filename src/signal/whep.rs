//! WHEP, draft-ietf-wish-whep: a player posts an offer and sees the stream.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::counter;
use super::error::Problem;
use super::exchange::{self, Exchange};
use super::extensions;
use super::guesses;
use super::path::Named;
use super::peer::Peer;
use super::target;
use crate::room::WatchError;
use crate::room::control::JoinError;
use crate::room::resource::Side;

/// `POST /whep/{stream}`: watch.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    peer: Peer,
    Named(stream): Named<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let room = exchange::room(&stream)?;
    exchange::check_sdp(&headers)?;
    let key = exchange::token(&headers);
    let members = app.auth.admits_to_room(room.as_str(), key, peer.is_local(&headers));
    let target = target::asked(query.as_deref().unwrap_or_default(), members)?;
    // Nobody needs a key to watch, but the answers tell whether it was one. The stream's own key is not a guess.
    if key.is_some() && !members && !app.auth.admits(room.as_str(), key) {
        app.guesses.failed(Instant::now(), guesses::whom(&peer, &headers));
    }
    // Players poll for streams that are not there yet: those are told before anything is made for them.
    let is_there = app.control.directory().visit(&room, |room| room.has(target));
    if !is_there.unwrap_or_default() && !app.config.http.wait_for_stream {
        return Err(JoinError::from(WatchError::NotLive).into());
    }
    if counter::is_asked(query.as_deref().unwrap_or_default()) {
        return counter::offer(&app, &room, query.as_deref(), target, members).await;
    }
    let Exchange { id, mut resource, answered } = exchange::negotiate(&app, &room, Side::Watch, body).await?;
    resource.members = members;
    let mut response = exchange::created(&app, query.as_deref(), id, &resource, answered.answer);
    extensions::link(&app, &room, id, response.headers_mut());
    let session = resource.session;
    let watched = app.control.watch(id, resource, answered.session, answered.slots, target);
    watched.map_err(|error| exchange::refusal(&app, Side::Watch, &room, query.as_deref(), error))?;
    tracing::info!(%session, stream = %room, "watch");
    Ok(response)
}

/// `OPTIONS /whep/{stream}`, not preflight.
pub(super) async fn options(Named(stream): Named<String>) -> Result<Response, Problem> {
    exchange::room(&stream)?;
    Ok(exchange::describe())
}

/// `GET` is 2xx without content; `HEAD` is how players find out what to post, and has the same headers.
pub(super) async fn get(method: Method, Named(stream): Named<String>) -> Result<Response, Problem> {
    exchange::room(&stream)?;
    let status = if method == Method::HEAD { StatusCode::OK } else { StatusCode::NO_CONTENT };
    let sdp = HeaderValue::from_static(exchange::SDP);
    Ok((status, [(header::CONTENT_TYPE, sdp)]).into_response())
}
