//! Who is in a room, for somebody at its door.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;

use super::app::App;
use super::error::Problem;
use super::exchange;
use super::path::Named;
use super::peer::Peer;
use crate::protocol::shared::PeerKind;

/// How many names are told.
const MOST_NAMES: usize = 5;

/// Those who joined a room.
#[derive(Debug, Default, Serialize)]
pub(super) struct People {
    /// How many.
    count: usize,
    /// What some of them are called.
    names: Vec<String>,
}

/// `GET /room/{room}/people`: for those who may join the room. The room's key is the bearer token.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    peer: Peer,
    Named(room): Named<String>,
    headers: HeaderMap,
) -> Result<Json<People>, Problem> {
    let room = exchange::room(&room)?;
    if !app.auth.admits_to_room(room.as_str(), exchange::bearer(&headers), peer.is_local(&headers)) {
        return Err(Problem::no_room_key());
    }
    let peers = app.control.directory().visit(&room, |room| room.peers()).unwrap_or_default();
    let mut names: Vec<_> =
        peers.into_iter().filter(|peer| peer.kind == PeerKind::Member).map(|peer| peer.name).collect();
    let count = names.len();
    names.truncate(MOST_NAMES);
    Ok(Json(People { count, names }))
}
