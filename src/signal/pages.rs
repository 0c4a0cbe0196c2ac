//! The web pages, which are part of the binary: nothing to install beside it, nothing fetched from elsewhere.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::error::Problem;
use super::exchange;
use super::path::Named;

/// An embedded file: its name below `/assets/`, its media type, its content.
type Asset = (&'static str, &'static str, &'static [u8]);

/// Where the files lie when the server is built.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web-demo");

const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
/// Declarations for editors and checkers: a browser only ever shows them.
const TEXT: &str = "text/plain; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($name:literal $media_type:ident),* $(,)?) => {
        [$(($name, $media_type, include_bytes!(concat!("../../web-demo/", $name)))),*]
    };
}

const ASSETS: &[Asset] = &assets![
    "base.css" CSS,
    "capture.js" JS,
    "chart.css" CSS,
    "chart.js" JS,
    "chevron.svg" SVG,
    "connections.css" CSS,
    "connections.js" JS,
    "favicon.svg" SVG,
    "icons.svg" SVG,
    "index.css" CSS,
    "index.js" JS,
    "protocol.d.ts" TEXT,
    "publish-view.js" JS,
    "publish.css" CSS,
    "publish.js" JS,
    "room-banner.js" JS,
    "room-bar.js" JS,
    "room-connection.css" CSS,
    "room-connection.js" JS,
    "room-devices.js" JS,
    "room-gestures.js" JS,
    "room-keys.js" JS,
    "room-layout.js" JS,
    "room-lobby.css" CSS,
    "room-lobby.js" JS,
    "room-menu.js" JS,
    "room-names.js" JS,
    "room-panel.css" CSS,
    "room-people.js" JS,
    "room-panel.js" JS,
    "room-stage.js" JS,
    "room-stats.js" JS,
    "room-tile.js" JS,
    "room-trouble.js" JS,
    "room.css" CSS,
    "room.js" JS,
    "session.js" JS,
    "sluice-audio.js" JS,
    "sluice-connection.js" JS,
    "sluice-data.js" JS,
    "sluice-devices.js" JS,
    "sluice-encodings.js" JS,
    "sluice-error.js" JS,
    "sluice-ice.js" JS,
    "sluice-local.js" JS,
    "sluice-media.js" JS,
    "sluice-peers.js" JS,
    "sluice-publisher.js" JS,
    "sluice-reconnect.js" JS,
    "sluice-sdp.js" JS,
    "sluice-sender.js" JS,
    "sluice-silence.js" JS,
    "sluice-socket.js" JS,
    "sluice-stage.js" JS,
    "sluice-stats.js" JS,
    "sluice-view.js" JS,
    "sluice.js" JS,
    "stats.js" JS,
    "theme.js" JS,
    "ui.js" JS,
    "watch-controls.js" JS,
    "watch-stats.js" JS,
    "watch.css" CSS,
    "watch.js" JS,
    "whep.js" JS,
    "whip.js" JS,
];

/// `/`
pub(super) async fn landing() -> Response {
    page("index.html", include_bytes!("../../web-demo/index.html"))
}

/// `/watch/{stream}`. The page reads the stream's name from its own address.
pub(super) async fn watch(Named(stream): Named<String>) -> Result<Response, Problem> {
    exchange::room(&stream)?;
    Ok(page("watch.html", include_bytes!("../../web-demo/watch.html")))
}

/// `/publish/{stream}`
pub(super) async fn publish(Named(stream): Named<String>) -> Result<Response, Problem> {
    exchange::room(&stream)?;
    Ok(page("publish.html", include_bytes!("../../web-demo/publish.html")))
}

/// `/room/{room}`
pub(super) async fn room(Named(room): Named<String>) -> Result<Response, Problem> {
    exchange::room(&room)?;
    Ok(page("room.html", include_bytes!("../../web-demo/room.html")))
}

/// `/admin/connections`, for operators. The page asks for the key and sends it with what it asks the admin API for.
pub(super) async fn connections() -> Response {
    let mut response = page("connections.html", include_bytes!("../../web-demo/connections.html"));
    // Whoever gets somebody to type the key into a page shall at least have to build that page.
    let policy = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// `/assets/{file}`
pub(super) async fn asset(Named(file): Named<String>) -> Result<Response, Problem> {
    let found = ASSETS.iter().find(|(name, _, _)| *name == file);
    let (name, media_type, content) = found.ok_or_else(|| Problem::not_found("There is no such file."))?;
    Ok(embedded(name, media_type, content))
}

/// `/openapi.json`: what all these addresses take and give.
pub(super) async fn openapi() -> Response {
    embedded("openapi.json", "application/json", include_bytes!("../../web-demo/openapi.json"))
}

fn page(name: &str, content: &'static [u8]) -> Response {
    let mut response = embedded(name, "text/html; charset=utf-8", content);
    // Whatever a stream may be called, a page runs only what came with it and speaks only to its own server.
    let policy = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; \
                  style-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors *";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn embedded(name: &str, media_type: &'static str, content: &'static [u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        // After an update of the server the browser must not mix old files with new ones.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    ];
    (headers, current(name, content)).into_response()
}

/// What to serve as a file. A debug build reads the file in the source folder anew each time, so that a page can be
/// changed without building the server.
fn current(name: &str, built_in: &'static [u8]) -> Cow<'static, [u8]> {
    if cfg!(debug_assertions)
        && let Ok(on_disk) = std::fs::read(format!("{SOURCE}/{name}"))
    {
        return Cow::Owned(on_disk);
    }
    Cow::Borrowed(built_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_web_app_is_embedded() {
        for entry in std::fs::read_dir(SOURCE).expect("the folder is there") {
            let name = entry.expect("readable").file_name().into_string().expect("UTF-8");
            let served_otherwise =
                name.ends_with(".html") || ["README.md", "openapi.json"].contains(&name.as_str());
            assert!(
                served_otherwise || ASSETS.iter().any(|(known, _, _)| *known == name),
                "web-demo/{name} is not in ASSETS of src/signal/pages.rs"
            );
        }
    }
}
