//! What speaks HTTP: WHIP, WHEP, the pages, health and metrics.

pub mod app;
pub mod mint;
pub mod error;
mod path;
pub mod answering;
mod exchange;
mod extensions;
mod whip;
mod whep;
mod resource;
mod target;
pub mod offered;
mod counter;
mod choice;
mod events;
pub mod open;
mod rate;
pub mod guesses;
pub mod ice_servers;
mod joining;
mod websocket;
mod pages;
mod people;
mod layers;
mod admin;
pub mod peer;
pub mod listener;
pub mod redirect;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};

use self::app::App;
use self::error::Problem;
use crate::config::AdminKey;
use crate::metrics::exporter::CONTENT_TYPE;

/// All routes for clients. `with_metrics`: `/metrics` here too, when it has no address of its own.
pub fn router(app: Arc<App>, with_metrics: bool) -> Router {
    let whip = post(whip::post).options(whip::options).get(whip::get);
    let whep = post(whep::post).options(whep::options).get(whep::get);
    let whip_session = patch(resource::patch_whip).delete(resource::delete_whip).get(resource::get_whip);
    let whep_session = patch(resource::patch_whep).delete(resource::delete_whep).get(resource::get_whep);
    let mut router = Router::new()
        .route("/", get(pages::landing))
        .route("/watch/{stream}", get(pages::watch))
        .route("/publish/{stream}", get(pages::publish))
        .route("/room/{room}", get(pages::room))
        .route("/room/{room}/people", get(people::get))
        .route("/assets/{file}", get(pages::asset))
        // Encoders keep a slash that somebody typed behind the stream's name.
        .route("/whip/{stream}", whip.clone())
        .route("/whip/{stream}/", whip)
        .route("/whep/{stream}", whep.clone())
        .route("/whep/{stream}/", whep)
        .route("/whip/{stream}/{session}", whip_session)
        .route("/whep/{stream}/{session}", whep_session)
        .route(
            "/whep/{stream}/{session}/events",
            post(events::post).get(events::get_all).options(choice::options),
        )
        .route("/whep/{stream}/{session}/events/{number}", get(events::get).delete(events::delete))
        .route("/whep/{stream}/{session}/layer", post(choice::post).options(choice::options))
        .route("/ws", get(websocket::open))
        .route("/openapi.json", get(pages::openapi))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz));
    if with_metrics {
        router = router.route("/metrics", get(metrics));
    }
    public(router, app)
}

/// The routes of the address that is for Prometheus and those who watch over the process.
pub fn operator_router(app: Arc<App>) -> Router {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz));
    public(router, app)
}

/// The routes of the address of the admin API. No page of another origin may use them.
pub fn admin_router(app: Arc<App>, key: AdminKey) -> Router {
    // Whoever has no key learns nothing, not even what is not there.
    let guarded = complete(admin::routes()).layer(from_fn_with_state(Arc::new(key), admin::authorize));
    let guarded = guarded.layer(from_fn_with_state(app.clone(), layers::limit_guesses));
    count(guarded.merge(admin::page()).layer(from_fn(layers::take_body)), app)
}

fn public(router: Router<Arc<App>>, app: Arc<App>) -> Router {
    let guarded = complete(router).layer(from_fn_with_state(app.clone(), layers::limit_guesses));
    count(guarded.layer(from_fn(layers::take_body)).layer(from_fn(layers::cors)), app)
}

/// With an answer to everything that is no route.
fn complete(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router
        .fallback(async || Problem::not_found("There is nothing at this address."))
        .method_not_allowed_fallback(async || {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            Problem::new(status, "method", "Method not allowed", "This address does not take this method.")
        })
}

fn count(router: Router<Arc<App>>, app: Arc<App>) -> Router {
    router.layer(from_fn_with_state(app.clone(), layers::count)).with_state(app)
}

/// The process lives.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The process can take sessions.
async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    if app.control.pool().is_running() { Ok("ready\n") } else { Err(Problem::not_ready()) }
}

async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let census = app.control.directory().census();
    let text = app.exporter.scrape(&app.control.pool().snapshots(), census).map_err(|error| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, "metrics", "Metrics cannot be written", error.to_string())
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
