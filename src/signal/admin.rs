//! The admin API: for operators, on an address and with a key of its own.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::app::App;
use super::error::Problem;
use super::exchange::bearer;
use crate::config::AdminKey;

/// All routes of the admin API.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/admin", get(index)).route("/admin/", get(index))
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

async fn index() -> Json<Index> {
    Json(Index { name: "sluice", version: env!("CARGO_PKG_VERSION") })
}
