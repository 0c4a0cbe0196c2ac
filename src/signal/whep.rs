//! WHEP, draft-ietf-wish-whep: a player posts an offer and sees the stream.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::error::Problem;
use super::exchange::{self, Exchange};
use super::path::Named;
use super::peer::Peer;
use crate::room::WatchError;
use crate::room::control::JoinError;
use crate::room::event::Target;
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
    let key = exchange::bearer(&headers);
    let members = app.auth.admits_to_room(room.as_str(), key, peer.is_local(&headers));
    let target = target(query.as_deref().unwrap_or_default(), members)?;
    // Players poll for streams that are not there yet: those are told before anything is made for them.
    let is_there = app.control.directory().visit(&room, |room| room.has(target));
    if !is_there.unwrap_or_default() {
        return Err(JoinError::from(WatchError::NotLive).into());
    }
    let Exchange { id, resource, answered } = exchange::negotiate(&app, &room, Side::Watch, body).await?;
    let response = exchange::created(&app, query.as_deref(), id, &resource, answered.answer);
    let session = resource.session;
    app.control.watch(id, resource, answered.session, answered.slots, target)?;
    tracing::info!(%session, stream = %room, "watch");
    Ok(response)
}

/// What a query asks to see: `participant=p7`, `participant=active-speaker`, `track=t12`; the stream of the room's name
/// where it asks for nothing. Participants are for those who may join the room.
fn target(query: &str, members: bool) -> Result<Target, Problem> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| matches!(*name, "participant" | "track"));
    let Some((name, value)) = named.next() else { return Ok(Target::Stream { members }) };
    if !members {
        return Err(Problem::no_room_key());
    }
    let target = match (name, value) {
        ("participant", "active-speaker") => Some(Target::Speaker),
        ("participant", id) => id.parse().ok().map(Target::Participant),
        (_, id) => id.parse().ok().map(Target::Track),
    };
    target
        .ok_or_else(|| Problem::bad_request(format!("There is no {name} {value:?}: ids are as p7 and t12.")))
}

/// `OPTIONS /whep/{stream}`, not preflight.
pub(super) async fn options(Named(stream): Named<String>) -> Result<Response, Problem> {
    exchange::room(&stream)?;
    Ok(exchange::describe())
}

/// `GET` is 2xx without content; `HEAD` is how players find out what to post.
pub(super) async fn get(method: Method, Named(stream): Named<String>) -> Result<Response, Problem> {
    exchange::room(&stream)?;
    if method == Method::HEAD {
        let sdp = HeaderValue::from_static(exchange::SDP);
        return Ok((StatusCode::OK, [(header::CONTENT_TYPE, sdp)]).into_response());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
