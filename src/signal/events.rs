//! The events extension of WHEP: a viewer is told what happens to what it watches, as server-sent events.
//!
//! By the draft a viewer posts the names of the events that it wants, and gets the address of a stream of them. Players of the
//! field open the extension's own address by a plain `EventSource`: that is a stream of all.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::app::App;
use super::choice::{encoding, read};
use super::error::Problem;
use super::extensions::EVENTS;
use super::path::Named;
use super::peer::Peer;
use super::{exchange, resource};
use crate::room::resource::{Events, Listening, Resource, ResourceId, Side};
use crate::room::watching::Watched;
use crate::sfu::forward::ladder::Rung;
use crate::sfu::session::stats::NamedRung;

const ACTIVE: Events = Events(1);
const INACTIVE: Events = Events(2);
const LAYERS: Events = Events(4);
const VIEWERCOUNT: Events = Events(8);
const RECONNECT: Events = Events(16);
const ALL: Events = Events(31);

const NAMES: [(&str, Events); 5] = [
    ("active", ACTIVE),
    ("inactive", INACTIVE),
    ("layers", LAYERS),
    ("viewercount", VIEWERCOUNT),
    ("reconnect", RECONNECT),
];

/// How often it is looked whether there is something to tell. Streams come and go by the second, not faster.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A line of comment is sent after so many looks without an event, which is 10 s: proxies and this server cut connections on
/// which nothing happens.
const QUIET_LOOKS: u32 = 40;
/// Events that wait for a client that does not read. They hold their teller up, and nobody else.
const WAITING: usize = 4;

/// `POST /whep/{stream}/{session}/events`: makes a stream of the events that the body names; of all, where there is none.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    Named(path): Named<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let (id, resource) = resource::find_live(&app, &path, Side::Watch)?;
    let mut events = Events(0);
    // Who names none wants all.
    let all = || NAMES.map(|(name, _)| name.to_owned()).to_vec();
    let wanted: Vec<String> = if body.is_empty() { all() } else { read(&headers, &body)? };
    for name in wanted {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let (_, event) = known.ok_or_else(|| {
            Problem::bad_request(format!("There is no event of this name. There are: {EVENTS}."))
        })?;
        events.0 |= event.0;
    }
    if events.0 == 0 {
        return Err(Problem::bad_request("Name the events that are wanted."));
    }
    let number = app.control.directory().add_stream(id, events).ok_or_else(too_many)?;
    let location = format!("{}/whep/{}/{id}/events/{number}", exchange::base(&app), resource.room);
    let location = HeaderValue::from_str(&location).map_err(|_| Problem::bug())?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)]).into_response())
}

/// `GET /whep/{stream}/{session}/events`: all events.
pub(super) async fn get_all(
    State(app): State<Arc<App>>,
    peer: Peer,
    Named(path): Named<(String, String)>,
) -> Result<Response, Problem> {
    let (id, resource) = resource::find_live(&app, &path, Side::Watch)?;
    let listening = resource.listen().ok_or_else(too_many)?;
    peer.listens();
    Ok(stream(Teller { app, id, number: None, events: ALL, told: Told::default(), _listening: listening }))
}

/// `GET /whep/{stream}/{session}/events/{number}`: the events of a stream that was made.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    peer: Peer,
    Named((room, session, number)): Named<(String, String, String)>,
) -> Result<Response, Problem> {
    let (id, resource) = resource::find_live(&app, &(room, session), Side::Watch)?;
    let number = number.parse().ok();
    let made = resource.event_streams.iter().find(|(known, _)| Some(*known) == number);
    let (number, events) = *made.ok_or_else(no_stream)?;
    let listening = resource.listen().ok_or_else(too_many)?;
    peer.listens();
    let number = Some(number);
    Ok(stream(Teller { app, id, number, events, told: Told::default(), _listening: listening }))
}

/// `DELETE /whep/{stream}/{session}/events/{number}`
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Named((room, session, number)): Named<(String, String, String)>,
) -> Result<Response, Problem> {
    let (id, _) = resource::find_live(&app, &(room, session), Side::Watch)?;
    let removed = number.parse().is_ok_and(|number| app.control.directory().remove_stream(id, number));
    if removed { Ok((StatusCode::OK, "ended\n").into_response()) } else { Err(no_stream()) }
}

fn too_many() -> Problem {
    let detail = "This session has as many streams of events as it may. Close or delete one.";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "streams", "Too many streams", detail)
        .with(header::RETRY_AFTER, "10")
}

fn no_stream() -> Problem {
    Problem::not_found("There is no such stream of events.")
}

/// The answer that goes on.
fn stream(teller: Teller) -> Response {
    let (out, events) = mpsc::channel(WAITING);
    tokio::spawn(teller.run(out));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Nginx would gather it.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::new(Stream(events))).into_response()
}

/// The body of an answer that goes on.
struct Stream(mpsc::Receiver<Bytes>);

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

/// Looks again and again, and tells what changed.
struct Teller {
    app: Arc<App>,
    id: ResourceId,
    /// Of the stream that was made; `None` for the one of all events.
    number: Option<u32>,
    events: Events,
    told: Told,
    _listening: Listening,
}

/// What the viewer knows.
#[derive(Debug, Default)]
struct Told {
    active: bool,
    viewers: Option<usize>,
    layers: Option<Value>,
}

impl Teller {
    async fn run(mut self, out: mpsc::Sender<Bytes>) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut quiet = 0;
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = out.closed() => return,
            }
            let (text, goes_on) = match self.look() {
                Some(text) => (text, true),
                None if self.app.control.is_stopping() => {
                    (self.event("reconnect", RECONNECT, &json!({})), false)
                }
                None => return,
            };
            quiet = if text.is_empty() { quiet + 1 } else { 0 };
            let text = if quiet >= QUIET_LOOKS { ":\n\n".to_owned() } else { text };
            if text.starts_with(':') {
                quiet = 0;
            }
            if (!text.is_empty() && out.send(text.into()).await.is_err()) || !goes_on {
                return;
            }
        }
    }

    /// What is new. `None` when the session is over, or the stream was deleted.
    fn look(&mut self) -> Option<String> {
        let directory = self.app.control.directory();
        let resource = directory.resource(self.id).filter(|known| known.is_live())?;
        let is_there = |number| resource.event_streams.iter().any(|(known, _)| *known == number);
        if self.app.control.is_stopping() || self.number.is_some_and(|number| !is_there(number)) {
            return None;
        }
        let watched = directory.visit(&resource.room, |room| room.watched(resource.session)).flatten()?;
        let layers = (self.events.0 & LAYERS.0 != 0).then(|| layers(&self.app, &resource, &watched));
        Some(self.differences(&watched, layers))
    }

    fn differences(&mut self, watched: &Watched, layers: Option<Value>) -> String {
        let mut text = String::new();
        if std::mem::replace(&mut self.told.active, watched.active) != watched.active {
            text += &if watched.active {
                self.event("active", ACTIVE, &json!({}))
            } else {
                self.event("inactive", INACTIVE, &json!({}))
            };
        }
        if self.told.viewers.replace(watched.viewers) != Some(watched.viewers) {
            text += &self.event("viewercount", VIEWERCOUNT, &json!({ "viewercount": watched.viewers }));
        }
        if let Some(layers) = layers.filter(|layers| self.told.layers.as_ref() != Some(layers)) {
            text += &self.event("layers", LAYERS, &layers);
            self.told.layers = Some(layers);
        }
        text
    }

    fn event(&self, name: &str, kind: Events, data: &Value) -> String {
        if self.events.0 & kind.0 == 0 { String::new() } else { format!("event: {name}\ndata: {data}\n\n") }
    }
}

/// What there is to choose from for each section that takes pictures, by its index in the SDP.
fn layers(app: &App, resource: &Resource, watched: &Watched) -> Value {
    let of = |track| app.control.directory().ladder(track);
    let described = watched.pictures.iter().filter_map(|picture| {
        let index = resource.sections.iter().position(|mid| *mid == picture.mid)?;
        let ladder = picture.track.map(of).unwrap_or_default();
        Some((index.to_string(), ladder.iter().rev().map(describe).collect()))
    });
    Value::Object(described.collect())
}

/// A layer. What its publisher stopped is not among them.
fn describe(layer: &NamedRung) -> Value {
    let Rung { selection, bitrate, height, .. } = layer.rung;
    let mut described = json!({
        "encodingId": encoding(layer),
        "spatialLayerId": selection.spatial,
        "temporalLayerId": selection.temporal,
        "bitrate": bitrate.0,
        "height": height,
    });
    if let (Some(rid), Some(members)) = (&layer.rid, described.as_object_mut()) {
        members.insert("rid".to_owned(), json!(rid));
    }
    described
}
