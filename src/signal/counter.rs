//! Counter-offers of WHEP (draft-ietf-wish-whep section 4.2): for players who ask for an offer of the server's.
//!
//! A player's answer says all that an offer of its own would say: its codecs, its certificate, its addresses. So the session is
//! made when the answer comes, by the routine for offers, with the identity that the counter-offer told. Until then there is
//! only that identity.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::error::Problem;
use super::exchange::{self, Exchange};
use super::extensions;
use super::offered::Open;
use crate::ids::RoomName;
use crate::room::event::Target;
use crate::room::resource::{ResourceId, Side};

/// What a player would offer that knows all codecs which are forwarded here: the server's offer is its answer to that.
const PLAYER: &str = include_str!("player.sdp");

/// Whether a player asks for an offer of the server's.
pub(super) fn is_asked(query: &str) -> bool {
    query.split('&').any(|pair| pair == "offer=server")
}

/// Offers, with 406.
pub(super) async fn offer(
    app: &Arc<App>,
    room: &RoomName,
    query: Option<&str>,
    target: Target,
    members: bool,
) -> Result<Response, Problem> {
    let new = app.mint.session(app.control.place(room));
    let player = Bytes::from_static(PLAYER.as_bytes());
    let made = exchange::negotiate_as(app, room, Side::Watch, new.clone(), player).await?;
    let Exchange { id, resource, answered } = made;
    // Whoever answers chooses who begins with DTLS.
    let offer = answered.answer.replace("a=setup:passive", "a=setup:actpass");
    let open = Open { new, room: room.clone(), target, members, made: Instant::now() };
    app.counter_offers.add(Instant::now(), id, open)?;
    let mut response = exchange::created(app, query, id, &resource, offer);
    extensions::link(app, room, id, response.headers_mut());
    let answers = HeaderValue::from_static("application/sdp, application/trickle-ice-sdpfrag");
    response.headers_mut().insert(exchange::ACCEPT_PATCH, answers);
    *response.status_mut() = StatusCode::NOT_ACCEPTABLE;
    Ok(response)
}

/// Takes the answer to a counter-offer, with 204. `None` when no counter-offer of this name is open.
pub(super) async fn accept(
    app: &Arc<App>,
    (stream, id): &(String, String),
    body: Bytes,
) -> Option<Result<Response, Problem>> {
    let (id, open) = app.counter_offers.take(Instant::now(), stream, id)?;
    let finished = finish(app, id, open.clone(), body).await;
    // Who is told to come again must find it.
    if finished.as_ref().is_err_and(Problem::passes) {
        app.counter_offers.put_back(id, open);
    }
    Some(finished)
}

async fn finish(app: &Arc<App>, id: ResourceId, open: Open, body: Bytes) -> Result<Response, Problem> {
    let Open { new, room, target, members, .. } = open;
    let Exchange { mut resource, answered, .. } =
        exchange::negotiate_as(app, &room, Side::Watch, new, body).await?;
    resource.members = members;
    let etag = format!("\"{}\"", resource.etag);
    let session = resource.session;
    app.control.watch(id, resource, answered.session, answered.slots, target)?;
    tracing::info!(%session, stream = %room, "watch, by a counter-offer");
    Ok((StatusCode::NO_CONTENT, [(header::ETAG, etag)]).into_response())
}
