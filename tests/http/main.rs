//! WHIP and WHEP as clients meet them: a server in this process, and real sockets between.
//!
//! In reading order: [`message`] (an HTTP client that shows every byte, and what holds for every reply), [`running`]
//! (the server), [`peer`] (a WebRTC client in real time), then the tests. No test waits by the clock: it waits for
//! what it wants to see, and [`PATIENCE`] is only how long a broken server may keep it.

mod message;
mod running;
mod peer;

mod whip;
mod whep;
mod counter;
mod openapi;
mod conformance;
mod events;
mod resource;
mod access;
mod operator;
mod admin;
mod stop;

use std::time::Duration;

/// When a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A captured offer of `tests/fixtures/offers`.
fn offer(name: &str) -> String {
    let path = format!("{}/tests/fixtures/offers/{name}.sdp", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of all captured offers of a folder.
fn offers(folder: &str) -> Vec<String> {
    let path = format!("{}/tests/fixtures/offers/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(path).expect("the fixtures are there");
    let names = files.map(|file| file.expect("readable").file_name().into_string().expect("UTF-8"));
    names.filter_map(|name| Some(format!("{folder}/{}", name.strip_suffix(".sdp")?))).collect()
}
