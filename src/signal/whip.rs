//! WHIP, RFC 9725: an encoder posts an offer and is on air.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::error::Problem;
use super::exchange::{self, Exchange};
use super::path::Named;
use crate::room::resource::Side;

/// `POST /whip/{stream}`: publish. A stream that is on air is taken over once this publisher connects.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    Named(stream): Named<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let room = exchange::room(&stream)?;
    if !app.auth.admits(room.as_str(), exchange::token(&headers)) {
        return Err(Problem::unauthorized());
    }
    exchange::check_sdp(&headers)?;
    let Exchange { id, resource, answered } = exchange::negotiate(&app, &room, Side::Publish, body).await?;
    let response = exchange::created(&app, query.as_deref(), id, &resource, answered.answer);
    tracing::info!(session = %resource.session, stream = %room, tracks = answered.tracks.len(), "publish");
    let published =
        app.control.publish(id, resource, app.mint.participant(), answered.session, answered.tracks);
    published.map_err(|error| exchange::refusal(&app, Side::Publish, &room, query.as_deref(), error))?;
    Ok(response)
}

/// `OPTIONS /whip/{stream}`, not preflight: for those who may publish, what to post.
pub(super) async fn options(
    State(app): State<Arc<App>>,
    Named(stream): Named<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let room = exchange::room(&stream)?;
    if !app.auth.admits(room.as_str(), exchange::token(&headers)) {
        return Err(Problem::unauthorized());
    }
    Ok(exchange::describe())
}

/// `GET /whip/{stream}`: 2xx without content (RFC 9725 section 4.1).
pub(super) async fn get(Named(stream): Named<String>) -> Result<Response, Problem> {
    exchange::room(&stream)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
