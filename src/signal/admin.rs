//! The admin API: for operators, on an address and with a key of its own.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::app::App;
use super::error::Problem;
use super::exchange::{self, bearer};
use super::pages;
use super::path::Named;
use crate::config::AdminKey;
use crate::doctor;
use crate::doctor::report::Report;
use crate::ids::{ParticipantId, SessionId};
use crate::protocol::server::{Bye, ByeCode};
use crate::room::event::{Event, Target};
use crate::room::history::HistoryReport;
use crate::room::report::{RoomReport, RoomSummary};
use crate::wire::stun::TransactionId;
use crate::worker::random::random;

/// The routes that need no key: the page for operators, which asks for it, and its parts. They are the same for everybody.
pub(super) fn page() -> Router<Arc<App>> {
    let router = Router::new().route("/admin/connections", get(pages::connections));
    router.route("/assets/{file}", get(pages::asset))
}

/// All routes of the admin API.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/admin", get(index))
        .route("/admin/", get(index))
        .route("/admin/doctor", get(examine))
        .route("/admin/rooms", get(rooms))
        .route("/admin/rooms/{room}", get(room).delete(close_room))
        .route("/admin/rooms/{room}/sessions/{session}", get(session))
        .route("/admin/rooms/{room}/participants/{participant}", delete(remove))
}

/// Lets in who sends the key.
pub(super) async fn authorize(
    State(key): State<Arc<AdminKey>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !bearer(request.headers()).is_some_and(|token| key.matches(token)) {
        let detail = "The admin API needs the key of admin.key. Send it as a bearer token.";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail);
        return Err(problem.with(header::WWW_AUTHENTICATE, "Bearer"));
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What answers here.
#[derive(Debug, Serialize)]
struct Index {
    name: &'static str,
    version: &'static str,
}

/// `GET /admin/doctor`: what `sluice doctor` says, of the running server itself. It takes some seconds.
async fn examine(State(app): State<Arc<App>>) -> Result<Json<Report>, Problem> {
    let config = app.config.clone();
    let credential = app.ice_servers().credential("doctor");
    let examined = spawn_blocking(move || doctor::examine(&config, credential, || TransactionId(random())));
    // It fails only while the server stops.
    examined.await.map(Json).map_err(|_| Problem::not_ready())
}

/// `GET /admin/rooms`
async fn rooms(State(app): State<Arc<App>>) -> Json<Vec<RoomSummary>> {
    Json(app.control.directory().summaries())
}

/// `GET /admin/rooms/{room}`
async fn room(State(app): State<Arc<App>>, Named(name): Named<String>) -> Result<Json<RoomReport>, Problem> {
    let report = app.control.directory().report(&exchange::room(&name)?);
    report.map(Json).ok_or_else(no_room)
}

/// `GET /admin/rooms/{room}/sessions/{session}`: the last minutes of one session's media.
async fn session(
    State(app): State<Arc<App>>,
    Named((name, id)): Named<(String, String)>,
) -> Result<Json<HistoryReport>, Problem> {
    let room = exchange::room(&name)?;
    let number = id.strip_prefix('s').and_then(|number| number.parse().ok());
    let history =
        number.and_then(|number| app.control.directory().history(Instant::now(), &room, SessionId(number)));
    let unknown =
        || Problem::not_found("There is no such session in this room, or nothing was heard of it yet.");
    history.map(Json).ok_or_else(unknown)
}

/// `DELETE /admin/rooms/{room}`: ends all sessions of the room. Nobody is kept from coming back.
async fn close_room(State(app): State<Arc<App>>, Named(name): Named<String>) -> Result<StatusCode, Problem> {
    let bye = Bye { code: ByeCode::RoomClosed, message: "The room was closed.".to_owned(), retry_ms: None };
    if !app.control.command(&exchange::room(&name)?, Event::CloseRoom(bye)) {
        return Err(no_room());
    }
    tracing::info!(room = name, "closed by the operator");
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /admin/rooms/{room}/participants/{participant}`. It may come back if it knows how to join.
async fn remove(
    State(app): State<Arc<App>>,
    Named((name, id)): Named<(String, String)>,
) -> Result<StatusCode, Problem> {
    let room = exchange::room(&name)?;
    let nobody = || Problem::not_found("There is no such participant in this room.");
    let participant: ParticipantId = id.parse().map_err(|_| nobody())?;
    let is_here = app.control.directory().visit(&room, |room| room.has(Target::Participant(participant)));
    let is_member = app.control.directory().visit(&room, |room| room.has_member(participant));
    if !is_here.unwrap_or_default() && !is_member.unwrap_or_default() {
        return Err(nobody());
    }
    let message = "You were removed from the room.".to_owned();
    let bye = Bye { code: ByeCode::Removed, message, retry_ms: None };
    app.control.command(&room, Event::Leave(participant, bye));
    tracing::info!(room = name, %participant, "removed by the operator");
    Ok(StatusCode::NO_CONTENT)
}

fn no_room() -> Problem {
    Problem::not_found("There is nobody in a room of this name.")
}

async fn index() -> Json<Index> {
    Json(Index { name: "sluice", version: env!("CARGO_PKG_VERSION") })
}
