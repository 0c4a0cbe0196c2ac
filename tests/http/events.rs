//! What a WHEP viewer is told while it watches, and what it may choose: the extensions for events and layers.

use std::time::Duration;

use str0m::format::Codec;
use str0m::media::Direction;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::message::{Request, read, write};
use crate::peer::{Offering, Peer};
use crate::running::Running;

const CORE: &str = "urn:ietf:params:whep:ext:core";

/// A stream of events that somebody reads.
struct Events {
    client: TcpStream,
    told: Vec<u8>,
}

impl Events {
    async fn open(server: &Running, path: &str) -> Self {
        let client = TcpStream::connect(server.address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n");
        write(&client, request.as_bytes()).await.expect("it reads");
        Self { client, told: Vec::new() }
    }

    /// Reads until there is such a line, or the connection ends. Returns all that was told so far.
    async fn until(&mut self, line: &str) -> String {
        let reading = async {
            loop {
                let text = String::from_utf8(self.told.clone()).expect("UTF-8");
                if text.contains(line) || read(&self.client, &mut self.told).await.unwrap_or(0) == 0 {
                    return text;
                }
            }
        };
        let text = timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("still no {line:?}"));
        assert!(text.contains(line), "{line:?} is not in {text}");
        text
    }

    /// Reads until the end of the body.
    async fn ended(&mut self) {
        self.until("\r\n0\r\n\r\n").await;
    }
}

fn json(path: &str, body: &str) -> Request {
    Request::new("POST", path).with("Content-Type", "application/json").body(body)
}

#[tokio::test]
async fn the_extensions_are_linked_one_line_each() {
    let server = Running::start().await;
    let _publisher = Peer::publish(&server, "demo", 1).await;
    let offer = Offering::new(Direction::RecvOnly, Codec::Vp8).await.offer;
    let reply = server.ask(&Request::sdp("/whep/demo", offer)).await;
    let session = reply.location();
    let events = "active,inactive,layers,viewercount,reconnect";
    assert_eq!(
        reply.all("link"),
        [
            format!("<{session}/events>; rel=\"{CORE}:server-sent-events\"; events=\"{events}\""),
            format!("<{session}/layer>; rel=\"{CORE}:layer\""),
        ]
    );
    for (path, method, status) in [
        ("events", "OPTIONS", 200),
        ("layer", "OPTIONS", 200),
        ("layer", "GET", 405),
        ("events", "PUT", 405),
        ("events/7", "GET", 404),
        ("events/x", "DELETE", 404),
    ] {
        let reply = server.ask(&Request::new(method, format!("{session}/{path}"))).await;
        assert_eq!(reply.status, status, "{method} {path}");
    }
    let stranger = session.replace("/whep/demo/", "/whep/other/");
    assert_eq!(server.ask(&json(&format!("{stranger}/layer"), "{}")).await.status, 404);
    let publisher = session.replace("/whep/", "/whip/");
    assert_eq!(server.ask(&json(&format!("{publisher}/layer"), "{}")).await.status, 404);
}

#[tokio::test]
async fn a_plain_event_source_hears_of_everything() {
    let server = Running::start().await;
    let publisher = Peer::publish(&server, "demo", 1).await;
    let mut viewer = Peer::watch(&server, "demo").await;
    viewer.until("a frame", |seen| seen.frames_of(1) > 0).await;
    let mut events = Events::open(&server, &format!("{}/events", viewer.path)).await;
    let head = events.until("event: active\ndata: {}\n\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-type: text/event-stream\r\n"));
    assert!(head.contains("access-control-allow-origin: *\r\n"), "{head}");
    assert!(!head.contains("event: inactive"), "nothing was lost yet: {head}");
    events.until("event: viewercount\ndata: {\"viewercount\":1}\n\n").await;
    // The publisher's statistics come every two seconds.
    events.until("\"encodingId\":\"0\"").await;
    let _another = Peer::watch(&server, "demo").await;
    events.until("data: {\"viewercount\":2}\n\n").await;
    server.ask(&Request::new("DELETE", &publisher.path)).await;
    events.until("event: inactive\ndata: {}\n\n").await;
    assert_eq!(server.ask(&Request::new("DELETE", &viewer.path)).await.status, 200);
    events.ended().await;
}

#[tokio::test]
async fn a_stream_of_some_events_is_made_and_deleted() {
    let server = Running::start().await;
    let _publisher = Peer::publish(&server, "demo", 1).await;
    let viewer = Peer::watch(&server, "demo").await;
    let path = format!("{}/events", viewer.path);
    for (what, request, status) in [
        ("an unknown event", json(&path, r#"["active","scte36"]"#), 400),
        ("none", json(&path, "[]"), 400),
        ("nothing, which stands for all", Request::new("POST", &path), 201),
        ("no list", json(&path, r#"{"active":true}"#), 400),
        ("no JSON", json(&path, "active"), 400),
        ("another type", Request::sdp(&path, "v=0\r\n"), 415),
    ] {
        assert_eq!(server.ask(&request).await.status, status, "{what}");
    }
    let made = server.ask(&json(&path, r#"["viewercount"]"#)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let stream = made.location().to_owned();
    assert!(stream.starts_with(&format!("{path}/")), "{stream}");
    let mut events = Events::open(&server, &stream).await;
    let told = events.until("event: viewercount").await;
    assert!(!told.contains("event: active"), "it was not asked for: {told}");
    assert_eq!(server.ask(&Request::new("DELETE", &stream)).await.status, 200);
    events.ended().await;
    assert_eq!(server.ask(&Request::new("DELETE", &stream)).await.status, 404);
    for _ in 0..3 {
        assert_eq!(server.ask(&json(&path, r#"["active"]"#)).await.status, 201);
    }
    assert_eq!(server.ask(&json(&path, r#"["active"]"#)).await.status, 429, "they are bounded");
}

#[tokio::test]
async fn who_listens_is_counted_whichever_way_it_came() {
    let server = Running::start().await;
    let _publisher = Peer::publish(&server, "demo", 1).await;
    let viewer = Peer::watch(&server, "demo").await;
    let path = format!("{}/events", viewer.path);
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut events = Events::open(&server, &path).await;
        events.until("event: viewercount").await;
        open.push(events);
    }
    let fifth = server.ask(&Request::new("GET", &path)).await;
    assert_eq!((fifth.status, fifth.problem().as_deref()), (429, Some("streams")), "{fifth:?}");
    open.clear();
    let mut events = Events::open(&server, &path).await;
    while events.until("\r\n").await.starts_with("HTTP/1.1 429 ") {
        events = Events::open(&server, &path).await;
    }
    events.until("event: viewercount").await;
}

#[tokio::test]
async fn viewers_are_told_to_come_back_when_the_server_stops() {
    let server = Running::start().await;
    let _publisher = Peer::publish(&server, "demo", 1).await;
    let viewer = Peer::watch(&server, "demo").await;
    let mut events = Events::open(&server, &format!("{}/events", viewer.path)).await;
    events.until("event: viewercount").await;
    let served = server.stop();
    events.until("event: reconnect\ndata: {}\n\n").await;
    events.ended().await;
    let stopped = timeout(Duration::from_secs(10), served).await.expect("it stops").expect("no panic");
    stopped.expect("no error");
}

#[tokio::test]
async fn a_viewer_chooses() {
    let server = Running::start().await;
    let _publisher = Peer::publish(&server, "demo", 1).await;
    let mut viewer = Peer::watch(&server, "demo").await;
    viewer.until("a frame", |seen| seen.frames_of(1) > 0).await;
    let path = format!("{}/layer", viewer.path);
    // From then on it is known what there is.
    let mut events = Events::open(&server, &format!("{}/events", viewer.path)).await;
    events.until("\"encodingId\":\"0\"").await;
    for (what, body, status) in [
        ("automatic", "{}", 200),
        ("automatic for a section", r#"{"mediaId":"0"}"#, 200),
        ("as Broadcast Box counts", r#"{"mediaId":"1","encodingId":"0"}"#, 200),
        ("layers", r#"{"spatialLayerId":0,"temporalLayerId":0,"maxWidth":640,"maxHeight":360}"#, 200),
        ("what nobody asked for", r#"{"colour":"red"}"#, 200),
        ("an encoding that is not there", r#"{"encodingId":"h"}"#, 400),
        ("a negative layer", r#"{"spatialLayerId":-1}"#, 400),
        ("a list", "[1]", 400),
        ("somebody who is not there", r#"{"participant":"p4711"}"#, 409),
        ("nobody", r#"{"participant":"x"}"#, 400),
        ("a track that is not there", r#"{"track":"t4711"}"#, 409),
        ("nobody speaks", r#"{"participant":"active-speaker"}"#, 200),
    ] {
        let reply = server.ask(&json(&path, body)).await;
        assert_eq!(reply.status, status, "{what}: {reply:?}");
    }
    let so_far = viewer.seen().frames_of(1);
    viewer.until("ten frames more", |seen| seen.frames_of(1) >= so_far + 10).await;
}

#[tokio::test]
async fn a_choice_is_not_made_without_end() {
    let server = Running::start().await;
    let _publisher = Peer::publish(&server, "demo", 1).await;
    let viewer = Peer::watch(&server, "demo").await;
    let path = format!("{}/layer", viewer.path);
    let mut last = 200;
    for _ in 0..200 {
        last = server.ask(&json(&path, "{}")).await.status;
        if last != 200 {
            break;
        }
    }
    assert_eq!(last, 429, "five a second are enough for anybody");
}

/// Those who wait fill the server, and what they wait for comes all the same.
#[tokio::test]
async fn viewers_who_wait_do_not_keep_their_publisher_out() {
    let server = Running::with(|config| {
        config.http.wait_for_stream = true;
        config.limits.sessions = 2;
    })
    .await;
    let mut viewers = Vec::new();
    for _ in 0..2 {
        let mut viewer = Peer::watch(&server, "demo").await;
        viewer.until("the viewer is connected", |seen| seen.connected).await;
        viewers.push(viewer);
    }
    let offering = Offering::new(Direction::SendOnly, Codec::Vp8).await;
    let stranger = server.ask(&Request::sdp("/whip/other", offering.offer.clone())).await;
    assert_eq!(stranger.status, 503, "the server is full for others");
    let reply = server.ask(&Request::sdp("/whip/demo", offering.offer.clone())).await;
    let _publisher = offering.accept(&reply, 1);
    for viewer in &mut viewers {
        viewer.until("a frame", |seen| seen.frames_of(1) > 0).await;
    }
}

#[tokio::test]
async fn players_may_wait_for_a_stream() {
    let server = Running::with(|config| config.http.wait_for_stream = true).await;
    let mut viewer = Peer::watch(&server, "demo").await;
    viewer.until("the viewer is connected", |seen| seen.connected).await;
    let mut events = Events::open(&server, &format!("{}/events", viewer.path)).await;
    let told = events.until("event: viewercount").await;
    assert!(!told.contains("event: inactive"), "nothing was there before: {told}");
    let offering = Offering::new(Direction::SendOnly, Codec::Vp8).await;
    let reply = server.ask(&Request::sdp("/whip/demo", offering.offer.clone())).await;
    let _publisher = offering.accept(&reply, 1);
    events.until("event: active\ndata: {}\n\n").await;
    viewer.until("a frame", |seen| seen.frames_of(1) > 0).await;
}
