//! Goodbyes, broken connections, and coming back.

use serde_json::json;
use tokio::time::Instant;

use crate::client::{Client, join, resume, with};
use crate::message::Request;
use crate::participant::{Offering, Participant};
use crate::running::Running;
use crate::socket::{Frame, PONG};

#[tokio::test]
async fn a_goodbye_is_heard_at_once() {
    let server = Running::start().await;
    let mut bob = Client::join(&server, "team", "Bob").await;
    for code in [1000, 1001] {
        let mut ada = Client::join(&server, "team", "Ada").await;
        ada.socket.close(Some(code)).await;
        bob.misses(ada.id()).await;
        let (_, end) = ada.end().await;
        assert_eq!(end, Frame::Close(Some(code)), "a goodbye is returned (RFC 6455 section 5.5.1)");
    }
    let mut ada = Client::join(&server, "team", "Ada").await;
    ada.say(&json!({"t": "leave"})).await;
    bob.misses(ada.id()).await;
    let (heard, end) = ada.end().await;
    let bye = heard.last().expect("a goodbye");
    assert_eq!((&bye["t"], &bye["code"], &bye["retry_ms"]), (&json!("bye"), &json!("left"), &json!(null)));
    assert_eq!(end, Frame::Close(Some(1000)));

    // Who left cannot be resumed.
    let mut late = Client::connect(server.address).await;
    late.say(&resume(&ada)).await;
    assert_eq!(late.next().await["code"], "resume");
}

#[tokio::test]
async fn any_other_end_is_a_broken_connection() {
    let server = Running::start().await;
    let mut bob = Client::join(&server, "team", "Bob").await;
    let mut broken = Vec::new();
    for end in [None, Some(1011), Some(4000)] {
        let mut ada = Client::join(&server, "team", "Ada").await;
        ada.socket.close(end).await;
        broken.push(ada.id().to_owned());
    }
    let ada = Client::join(&server, "team", "Ada").await;
    let (id, come_back) = (ada.id().to_owned(), resume(&ada));
    ada.socket.reset();
    broken.push(id.clone());
    bob.sees_all(broken, "reconnecting").await;

    let back = Client::join_with(&server, &come_back).await;
    assert_eq!((back.id(), &back.welcome["resumed"]), (id.as_str(), &json!(true)));
    bob.sees(&id, "here").await;
}

#[tokio::test]
async fn whoever_comes_back_takes_the_place_of_its_older_connection() {
    let server = Running::start().await;
    let mut first = Client::join(&server, "team", "Ada").await;
    let second = Client::join_with(&server, &with(resume(&first), &json!({"name": "Countess"}))).await;
    assert_eq!((second.id(), &second.welcome["name"]), (first.id(), &json!("Countess")));
    let (heard, end) = first.end().await;
    let bye = heard.last().expect("a goodbye");
    assert_eq!((&bye["t"], &bye["code"], &bye["retry_ms"]), (&json!("bye"), &json!("resumed"), &json!(null)));
    assert_eq!(end, Frame::Close(Some(1000)));
}

#[tokio::test]
async fn a_token_is_for_its_own_room() {
    let server = Running::start().await;
    let ada = Client::join(&server, "team", "Ada").await;
    let mut elsewhere = Client::connect(server.address).await;
    elsewhere.say(&with(resume(&ada), &json!({"room": "other"}))).await;
    let error = elsewhere.next().await;
    assert_eq!((&error["t"], &error["code"]), (&json!("error"), &json!("resume")), "{error}");
}

#[tokio::test]
async fn coming_back_without_an_offer_keeps_the_media_running() {
    let server = Running::start().await;
    let mut ada = Participant::join(&server, "team", 1).await;
    let mut bob = Participant::join(&server, "team", 2).await;
    let (of_ada, of_bob) = (ada.camera(), bob.camera());
    ada.look_at(&of_bob).await;
    bob.look_at(&of_ada).await;
    bob.media.until_ten_more_of(1).await;

    let come_back = resume(&ada.client);
    let Participant { client, media: mut ada_media } = ada;
    client.socket.reset();
    let mut back = Client::join_with(&server, &come_back).await;
    let welcome = &back.welcome;
    assert_eq!((&welcome["resumed"], &welcome["sdp"]), (&json!(true), &json!(null)), "{welcome}");
    assert!(welcome["tracks"].as_array().is_some_and(|all| all.iter().any(|own| own["track"] == of_ada)));
    assert_eq!(welcome["peers"][0]["tracks"][0]["id"], of_bob, "{welcome}");
    assert!(welcome["slots"].as_array().is_some_and(|slots| slots.len() == 3), "{welcome}");
    let slots = back.hear("slots").await;
    assert_eq!(
        (&slots["bind"][0]["track"], &slots["bind"][0]["state"]),
        (&of_bob, &json!("live")),
        "{slots}"
    );
    bob.media.until_ten_more_of(1).await;
    ada_media.until_ten_more_of(2).await;
    assert!(!ada_media.seen().closed);

    let carol = Participant::join(&server, "team", 3).await;
    let metrics = Request::new("GET", "/metrics");
    let all = |reply: &crate::message::Reply| reply.body.contains("\nsluice_sessions_connected_total 3\n");
    let counted = server.ask_until("three are connected", &metrics, all).await;
    assert!(counted.body.contains("\nsluice_sessions_started_total 3\n"), "{}", counted.body);
    assert!(!carol.media.seen().closed);
}

#[tokio::test]
async fn coming_back_with_an_offer_replaces_the_media() {
    let server = Running::start().await;
    let mut ada = Participant::join(&server, "team", 1).await;
    let mut bob = Participant::join(&server, "team", 2).await;
    let offering = Offering::new().await;
    let token = &ada.client.welcome["resume_token"];
    let mut back = Client::join_with(&server, &with(offering.join("team"), &json!({"resume": token}))).await;
    assert_eq!((back.id(), &back.welcome["resumed"]), (ada.client.id(), &json!(true)));
    let mut media = offering.accept(back.welcome["sdp"].as_str().expect("an answer"), 3);
    ada.media.until("the old peer connection is ended", |seen| seen.closed).await;
    media.until("it is connected", |seen| seen.connected).await;
    let camera = |peer: &serde_json::Value| peer["tracks"][0]["id"].clone();
    let new = |message: &serde_json::Value| {
        message["set"][0]["id"] == ada.client.welcome["you"] && camera(&message["set"][0]) != ada.camera()
    };
    let told = bob.client.until("the new track", new).await;
    bob.look_at(&camera(&told["set"][0])).await;
    bob.media.until_ten_more_of(3).await;
    assert_eq!(back.ask(&json!({"t": "ping"})).await["t"], "pong");
}

#[tokio::test]
async fn a_resume_that_is_refused_can_be_tried_again() {
    let server = Running::start().await;
    let ada = Client::join(&server, "team", "Ada").await;
    let mut wrong = Client::connect(server.address).await;
    wrong.say(&with(resume(&ada), &json!({"sdp": "hello"}))).await;
    assert_eq!(wrong.next().await["code"], "offer");
    let long = json!({"meta": {"x": "y".repeat(3_000)}});
    let mut wrong = Client::connect(server.address).await;
    wrong.say(&with(resume(&ada), &long)).await;
    assert_eq!(wrong.hear("error").await["code"], "too_large");
    assert_eq!(wrong.hear("bye").await["code"], "refused");
    let back =
        Client::join_with(&server, &with(join("team"), &json!({"resume": ada.welcome["resume_token"]})))
            .await;
    assert_eq!(back.id(), ada.id());
}

/// Only the clock of sockets is paused: rooms and media go by the real one.
#[tokio::test(start_paused = true)]
async fn who_answers_pings_may_be_quiet_for_long_and_who_does_not_is_cut_off() {
    let server = Running::start().await;
    let mut quiet = Client::join(&server, "team", "Ada").await;
    for _ in 0..20 {
        assert!(quiet.socket.hear_ping().await);
        quiet.socket.write(PONG, b"").await.expect("it is open");
    }
    assert_eq!(quiet.ask(&json!({"t": "ping"})).await["t"], "pong");

    let began = Instant::now();
    while quiet.socket.hear_ping().await {}
    assert!((20..60).contains(&began.elapsed().as_secs()), "after {:?}", began.elapsed());
}
