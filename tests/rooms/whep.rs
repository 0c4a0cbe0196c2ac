//! Participants as any WHEP player sees them, and WHIP streams as participants see them.

use serde_json::{Value, json};
use sluice::config::RoomKey;
use str0m::format::Codec;
use str0m::media::Direction;

use crate::message::Request;
use crate::participant::Participant;
use crate::peer::{Offering, Peer};
use crate::running::Running;

async fn watch(server: &Running, path: &str) -> Peer {
    let offering = Offering::new(Direction::RecvOnly, Codec::Vp8).await;
    let request = Request::sdp(path, offering.offer.clone());
    // The server has its own moment of noticing that the publisher is connected.
    let reply = server.ask_until("it can be watched", &request, |reply| reply.status != 409).await;
    offering.accept(&reply, 0)
}

#[tokio::test]
async fn a_player_sees_a_participant_a_track_or_whoever_speaks() {
    let server = Running::start().await;
    let ada = Participant::join(&server, "team", 1).await;
    let track = ada.camera();
    for query in [
        format!("?participant={}", ada.client.id()),
        format!("?track={}", track.as_str().expect("a text")),
        "?participant=active-speaker".to_owned(),
        String::new(),
    ] {
        let mut viewer = watch(&server, &format!("/whep/team{query}")).await;
        viewer.until(&query, |seen| seen.frames_of(1) >= 5).await;
    }
    for (query, status, problem) in [
        ("?participant=p999", 409, "not-live"),
        ("?track=t9", 409, "not-live"),
        ("?participant=Ada", 400, "bad-request"),
        ("?track=", 400, "bad-request"),
    ] {
        let reply = server.ask(&Request::sdp(format!("/whep/team{query}"), "v=0\r\n")).await;
        assert_eq!((reply.status, reply.problem().as_deref()), (status, Some(problem)), "{query}");
    }
}

#[tokio::test]
async fn participants_are_shown_to_those_who_know_the_key() {
    let server = Running::with(|config| {
        let key = RoomKey::new("the-team-key").expect("a key");
        config.auth.room_keys = [("team".to_owned(), key)].into();
    });
    let server = server.await;
    for query in ["?participant=active-speaker", "?participant=p1", "?track=t1"] {
        for key in [None, Some("Bearer another-key")] {
            let request = Request::sdp(format!("/whep/team{query}"), "v=0\r\n");
            let request = key.into_iter().fold(request, |request, key| request.with("Authorization", key));
            let reply = server.ask(&request).await;
            assert_eq!(
                (reply.status, reply.problem().as_deref()),
                (401, Some("room-key")),
                "{query} {key:?}"
            );
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        }
        let request = Request::sdp(format!("/whep/team{query}"), "v=0\r\n");
        let reply = server.ask(&request.with("Authorization", "Bearer the-team-key")).await;
        assert_eq!(reply.status, 409, "{query}");
    }
}

#[tokio::test]
async fn a_stream_is_a_participant_of_the_room_of_its_name() {
    let server = Running::start().await;
    let mut ada = Participant::join(&server, "team", 1).await;
    let publisher = Peer::publish(&server, "team", 2).await;
    let is_stream = |message: &Value| message["set"][0]["kind"] == "stream";
    let told = ada.client.until("the stream", is_stream).await;
    let stream = &told["set"][0];
    let picture =
        stream["tracks"].as_array().expect("a list").iter().find(|track| track["source"] == "stream");
    ada.look_at(&picture.expect("it has a picture")["id"]).await;
    ada.media.until_ten_more_of(2).await;
    assert_eq!(server.ask(&Request::new("DELETE", &publisher.path)).await.status, 200);
    ada.client.misses(stream["id"].as_str().expect("an id")).await;
    assert_eq!(ada.client.ask(&json!({"t": "ping"})).await["t"], "pong");
}
