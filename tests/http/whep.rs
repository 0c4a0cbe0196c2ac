//! Watching: POST on `/whep/{stream}`, and what a viewer sees of its publisher's comings and goings.

use str0m::format::Codec;
use str0m::media::Direction;

use crate::message::{Reply, Request};
use crate::peer::{Offering, Peer};
use crate::running::Running;
use crate::whip::assert_created;
use crate::{offer, offers};

#[tokio::test]
async fn a_stream_that_is_not_live() {
    let server = Running::start().await;
    // An encoder that was answered, but has not connected, is not on air.
    server.ask(&Request::sdp("/whip/soon", offer("publish/obs-h264"))).await;
    for path in ["/whep/never", "/whep/never/", "/whep/soon"] {
        for body in [offer("play/chromium"), String::new()] {
            let reply = server.ask(&Request::sdp(path, body)).await;
            assert_eq!((reply.status, reply.problem().as_deref()), (409, Some("not-live")), "{path}");
            let again = reply.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
            assert!(again.is_some_and(|seconds| seconds > 0), "{reply:?}");
        }
        let reply = server.ask(&Request::new("POST", path).with("Content-Type", "text/plain")).await;
        assert_eq!((reply.status, reply.header("accept-post")), (415, Some("application/sdp")), "{path}");
    }
    assert_eq!(server.ask(&Request::sdp("/whep/a%20b", "")).await.status, 400);
}

#[tokio::test]
async fn players_of_a_live_stream_are_taken_in_or_told_why_not() {
    let server = Running::start().await;
    let _publisher = Peer::publish(&server, "demo", 1).await;
    for name in offers("play") {
        let reply = server.ask(&Request::sdp("/whep/demo", offer(&name))).await;
        assert_created(&name, &reply, "/whep/demo/");
        assert!(!reply.body.contains("a=recvonly"), "{name}: the server only sends: {}", reply.body);
    }
    let vp9 = Offering::new(Direction::RecvOnly, Codec::Vp9).await.offer;
    let play = offer("play/firefox");
    for (what, offer, status, problem) in [
        ("VP9 only", vp9, 422, "no-common-codec"),
        ("an encoder's offer", offer("publish/obs-h264"), 422, "offer"),
        ("all inactive", play.replace("a=recvonly", "a=inactive"), 422, "offer"),
        ("only a data channel", offer("session/chromium-data-channel"), 422, "offer"),
        ("no SDP", "hello".to_owned(), 400, "malformed-sdp"),
        ("nothing", String::new(), 400, "malformed-sdp"),
        ("10,000 lines", format!("v=0\r\n{}", "a=x\n".repeat(10_000)), 400, "malformed-sdp"),
        ("4 MB", "v=0\r\n".repeat(800_000), 413, "too-large"),
    ] {
        let reply = server.ask(&Request::sdp("/whep/demo/", offer)).await;
        assert_eq!((reply.status, reply.problem().as_deref()), (status, Some(problem)), "{what}: {reply:?}");
        assert_eq!((reply.header("location"), reply.header("retry-after")), (None, None), "{what}");
    }
}

#[tokio::test]
async fn a_viewer_stays_when_the_publisher_is_replaced() {
    let server = Running::start().await;
    let mut first = Peer::publish(&server, "demo", 1).await;
    let mut viewer = Peer::watch(&server, "demo").await;
    viewer.until("ten frames of the first", |seen| seen.frames_of(1) >= 10).await;

    let second = Peer::publish(&server, "demo", 2).await;
    viewer.until("ten frames of the second", |seen| seen.frames_of(2) >= 10).await;
    first.until("the first is told to go", |seen| seen.closed).await;
    let seen = viewer.seen();
    assert!(!seen.closed && seen.sources.len() == 1, "the viewer sees one stream: {seen:?}");

    // The first encoder tidies up behind itself, which must not touch the second.
    assert_eq!(server.ask(&trickle(&first)).await.status, 404);
    assert_eq!(server.ask(&Request::new("DELETE", &first.path)).await.status, 200);
    assert_eq!(server.ask(&trickle(&second)).await.status, 204);
    let so_far = viewer.seen().frames_of(2);
    viewer.until("ten frames more", |seen| seen.frames_of(2) >= so_far + 10).await;
    assert!(!second.seen().closed && !viewer.seen().closed);
}

fn trickle(peer: &Peer) -> Request {
    Request::new("PATCH", &peer.path)
        .with("Content-Type", "application/trickle-ice-sdpfrag")
        .with("If-Match", peer.etag.clone())
        .body("m=audio 9 RTP/AVP 0\r\na=end-of-candidates\r\n")
}

#[tokio::test]
async fn a_viewer_waits_while_the_publisher_is_away() {
    let server = Running::start().await;
    let mut first = Peer::publish(&server, "demo", 1).await;
    let mut viewer = Peer::watch(&server, "demo").await;
    viewer.until("a frame of the first", |seen| seen.frames_of(1) > 0).await;
    assert_eq!(server.ask(&Request::new("DELETE", &first.path)).await.status, 200);
    first.until("the goodbye", |seen| seen.closed).await;
    let another = Request::sdp("/whep/demo", offer("play/chromium"));
    server.ask_until("the stream is off", &another, |reply: &Reply| reply.status == 409).await;

    let _second = Peer::publish(&server, "demo", 2).await;
    viewer.until("a frame of the second", |seen| seen.frames_of(2) > 0).await;
    assert!(!viewer.seen().closed);
    assert_eq!(server.ask(&trickle(&viewer)).await.status, 204);
    let wrong_side = viewer.path.replace("/whep/", "/whip/");
    assert_eq!(server.ask(&Request::new("DELETE", &wrong_side)).await.status, 404);
    assert_eq!(server.ask(&Request::new("DELETE", &viewer.path)).await.status, 200);
    viewer.until("its own goodbye", |seen| seen.closed).await;
}
