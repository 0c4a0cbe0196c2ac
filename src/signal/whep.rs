//! WHEP, draft-ietf-wish-whep: a player posts an offer and sees the stream.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::error::Problem;
use super::exchange::{self, Exchange};
use super::path::Named;
use crate::room::control::JoinError;
use crate::room::directory::Side;
use crate::room::room::WatchError;

/// `POST /whep/{stream}`: watch.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    Named(stream): Named<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let room = exchange::room(&stream)?;
    exchange::check_sdp(&headers)?;
    // Players poll for streams that are not there yet: those are told before anything is made for them.
    if !app.control.directory().is_live(&room) {
        return Err(JoinError::from(WatchError::NotLive).into());
    }
    let Exchange { id, resource, answered } = exchange::negotiate(&app, &room, Side::Watch, body).await?;
    let response = exchange::created(&app, id, &resource, answered.answer);
    let session = resource.session;
    app.control.watch(id, resource, answered.session, answered.slots)?;
    tracing::info!(%session, stream = %room, "watch");
    Ok(response)
}

/// `OPTIONS /whep/{stream}`, not preflight.
pub(super) async fn options(
    State(app): State<Arc<App>>,
    Named(stream): Named<String>,
) -> Result<Response, Problem> {
    exchange::room(&stream)?;
    Ok(exchange::describe(&app))
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
