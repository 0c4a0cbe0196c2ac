//! Rooms as clients meet them: a server in this process, WebSockets and UDP between.
//!
//! In reading order: [`socket`] (a WebSocket by hand, so that a test decides every byte), [`client`] (what every client
//! of the room protocol does with it), [`participant`] (a client with a WebRTC stack, in real time), then the tests. No
//! test waits by the clock: it waits for what it wants to hear, and [`PATIENCE`] is only how long a broken server may
//! keep it.

#[allow(dead_code, reason = "these three serve the tests of HTTP too, and not every test needs all of them")]
#[path = "../http/message.rs"]
mod message;
#[allow(dead_code, reason = "as above")]
#[path = "../http/running.rs"]
mod running;
#[allow(dead_code, reason = "as above")]
#[path = "../http/peer.rs"]
mod peer;
mod socket;
mod client;
mod participant;

mod joining;
mod talking;
mod harm;
mod returning;
mod media;
mod whep;
mod stop;
mod secrets;
mod admin;

use std::time::Duration;

/// When a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A captured offer of `tests/fixtures/offers`.
fn offer(name: &str) -> String {
    let path = format!("{}/tests/fixtures/offers/{name}.sdp", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
