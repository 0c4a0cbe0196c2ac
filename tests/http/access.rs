//! Who may publish, and how many may come.

use sluice::config::{PublicUrl, RoomKey, StreamKey};

use crate::message::{Reply, Request};
use crate::offer;
use crate::running::Running;
use crate::whip::assert_created;

async fn with_keys(keys: &[(&str, &str)]) -> Running {
    let key = |(stream, key): &(&str, &str)| ((*stream).to_owned(), StreamKey::new(key).expect("a key"));
    Running::with(|config| config.auth.stream_keys = keys.iter().map(key).collect()).await
}

/// Asks by POST and by OPTIONS, which are guarded alike.
async fn try_key(server: &Running, stream: &str, authorization: Option<&str>, admitted: bool) {
    let path = format!("/whip/{stream}");
    for request in [Request::sdp(&path, offer("publish/obs-h264")), Request::new("OPTIONS", &path)] {
        let request = match authorization {
            Some(value) => request.with("Authorization", value),
            None => request,
        };
        let what = format!("{} {path} with {authorization:?}", request.method);
        let reply = server.ask(&request).await;
        if admitted {
            assert!(reply.status == 201 || reply.status == 200, "{what}: {reply:?}");
            continue;
        }
        assert_eq!((reply.status, reply.problem().as_deref()), (401, Some("unauthorized")), "{what}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{what}");
        assert_eq!((reply.header("link"), reply.header("accept-post")), (None, None), "{what}");
    }
}

#[tokio::test]
async fn the_key_of_the_stream_opens_it_and_nothing_else() {
    let server = with_keys(&[("studio", "studio-secret"), ("*", "common-secret")]).await;
    for (stream, authorization, admitted) in [
        ("studio", Some("Bearer studio-secret"), true),
        ("studio", Some("bearer studio-secret"), true),
        ("studio", Some("BEARER  studio-secret"), true),
        ("studio", None, false),
        ("studio", Some(""), false),
        ("studio", Some("Bearer"), false),
        ("studio", Some("Bearer "), false),
        ("studio", Some("Bearer studio-secre"), false),
        ("studio", Some("Bearer studio-secrets"), false),
        ("studio", Some("Bearer STUDIO-SECRET"), false),
        ("studio", Some("Bearer common-secret"), false),
        // Eyevinn's player sends what it is given, without a scheme.
        ("studio", Some("studio-secret"), true),
        ("studio", Some("studio-secre"), false),
        ("studio", Some("Basic c3R1ZGlvOnN0dWRpby1zZWNyZXQ="), false),
        ("studio", Some("Token studio-secret"), false),
        ("studio/", Some("Bearer studio-secret"), true),
        ("studio/", None, false),
        ("Studio", Some("Bearer studio-secret"), false),
        ("%73tudio", None, false),
        ("%73tudio", Some("Bearer common-secret"), false),
        ("elsewhere", Some("Bearer common-secret"), true),
        ("elsewhere", Some("Bearer studio-secret"), false),
        ("elsewhere", None, false),
    ] {
        try_key(&server, stream, authorization, admitted).await;
    }
}

#[tokio::test]
async fn streams_without_a_key_are_closed_where_others_have_one_unless_told_otherwise() {
    let closed = with_keys(&[("studio", "studio-secret")]).await;
    try_key(&closed, "elsewhere", None, false).await;
    try_key(&closed, "elsewhere", Some("Bearer studio-secret"), false).await;
    let open = Running::with(|config| {
        let key = StreamKey::new("studio-secret").expect("a key");
        config.auth.stream_keys.insert("studio".to_owned(), key);
        config.auth.open = true;
    })
    .await;
    try_key(&open, "elsewhere", None, true).await;
    try_key(&open, "studio", None, false).await;
}

#[tokio::test]
async fn a_key_guards_publishing_and_not_watching_or_the_session() {
    let server = with_keys(&[("*", "common-secret")]).await;
    // Whoever has no key learns nothing about an offer either.
    assert_eq!(server.ask(&Request::new("POST", "/whip/studio").body("x")).await.status, 401);
    assert_eq!(server.ask(&Request::new("OPTIONS", "/whep/studio")).await.status, 200);
    assert_eq!(server.ask(&Request::sdp("/whep/studio", offer("play/chromium"))).await.status, 409);
    let offer = Request::sdp("/whip/studio", offer("publish/obs-h264"));
    let reply = server.ask(&offer.with("Authorization", "Bearer common-secret")).await;
    assert_created("the right key", &reply, "/whip/studio/");
    // Some clients send their token once only. The path is secret enough.
    assert_eq!(server.ask(&Request::new("GET", reply.location())).await.status, 204);
    assert_eq!(server.ask(&Request::new("DELETE", reply.location())).await.status, 200);
}

#[tokio::test]
async fn a_full_server_says_when_to_come_again() {
    let server = Running::with(|config| config.limits.sessions = 2).await;
    let publish = |stream: &str| Request::sdp(format!("/whip/{stream}"), offer("publish/obs-h264"));
    let first = server.ask(&publish("one")).await;
    assert_created("one of two", &first, "/whip/one/");
    assert_created("two of two", &server.ask(&publish("two")).await, "/whip/two/");
    let full = server.ask(&publish("three")).await;
    assert_eq!((full.status, full.problem().as_deref()), (503, Some("full")), "{full:?}");
    let again = full.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
    assert!(again.is_some_and(|seconds| seconds > 0), "{full:?}");
    assert_eq!((full.header("location"), full.header("etag")), (None, None), "no session, no address of one");
    server.ask(&Request::new("DELETE", first.location())).await;
    let taken = |reply: &Reply| reply.status == 201;
    server.ask_until("there is room again", &publish("three"), taken).await;
}

#[tokio::test]
async fn a_full_server_may_send_clients_to_another() {
    let server = Running::with(|config| {
        config.limits.sessions = 1;
        config.limits.overflow = PublicUrl::parse("https://second.example.org/live");
    })
    .await;
    let publish = |stream: &str| Request::sdp(format!("/whip/{stream}?take=2"), offer("publish/obs-h264"));
    assert_created("the only one", &server.ask(&publish("one")).await, "/whip/one/");
    let full = server.ask(&publish("two")).await;
    assert_eq!(full.status, 307, "{full:?}");
    assert_eq!(full.location(), "https://second.example.org/live/whip/two?take=2&sent-on=1");
    let sent_on = Request::sdp("/whip/two?sent-on=1", offer("publish/obs-h264"));
    let refused = server.ask(&sent_on).await;
    assert_eq!((refused.status, refused.header("location")), (503, None), "nobody is sent to and fro");
    let odd = server.ask(&Request::sdp("/whip/two?take=\u{e9}", offer("publish/obs-h264"))).await;
    assert_eq!(odd.location(), "https://second.example.org/live/whip/two?sent-on=1");
}

#[tokio::test]
async fn where_only_rooms_have_keys_publishing_is_closed() {
    let server = Running::with(|config| {
        let key = RoomKey::new("team-secret").expect("a key");
        config.auth.room_keys.insert("team".to_owned(), key);
    })
    .await;
    for stream in ["team", "elsewhere"] {
        try_key(&server, stream, None, false).await;
        try_key(&server, stream, Some("Bearer team-secret"), false).await;
    }
}

/// The number that a metric has.
async fn metric(server: &Running, name: &str) -> u64 {
    let page = server.ask(&Request::new("GET", "/metrics")).await.body;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name} is missing: {page}"))
}

#[tokio::test]
async fn who_guesses_keys_has_to_wait_and_nobody_else_has() {
    let server = with_keys(&[("*", "common-secret")]).await;
    let from = |address: &str, key: &str| {
        let request =
            Request::sdp("/whip/studio", offer("publish/obs-h264")).with("X-Forwarded-For", address);
        request.with("Authorization", format!("Bearer {key}"))
    };
    let mut refused = None;
    for number in 0..40 {
        let reply = server.ask(&from("203.0.113.5", &format!("guess-{number}"))).await;
        match reply.status {
            401 => assert!(refused.is_none(), "once it has to wait it waits: {number}"),
            429 => refused = refused.or(Some((number, reply))),
            other => panic!("{other}"),
        }
    }
    let (number, reply) = refused.expect("nobody may try forty keys in one go");
    assert!(number >= 30, "thirty may be wrong: {number}");
    assert_eq!((reply.problem().as_deref(), reply.header("retry-after")), (Some("wrong-keys"), Some("2")));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "a page may read why");
    // Others are let in, and so is who needs no key.
    assert_created(
        "from elsewhere",
        &server.ask(&from("203.0.113.6", "common-secret")).await,
        "/whip/studio/",
    );
    let plain = Request::new("OPTIONS", "/whep/studio").with("X-Forwarded-For", "203.0.113.5");
    assert_eq!(server.ask(&plain).await.status, 200);
    let refused = metric(&server, "sluice_auth_refused_tries_total").await;
    assert_eq!(metric(&server, "sluice_auth_wrong_keys_total").await + refused, 40);
    // Nobody is locked out: a try comes back by itself.
    let again = from("203.0.113.5", "common-secret");
    server.ask_until("its next try", &again, |reply| reply.status == 201).await;
}

/// Watching needs no key, and what is answered to a key tells whether it was the room's.
#[tokio::test]
async fn keys_of_rooms_are_not_guessed_by_watching() {
    let server = Running::with(|config| {
        config.auth.room_keys.insert("team".to_owned(), RoomKey::new("team-secret").expect("a key"));
        config.auth.stream_keys.insert("team".to_owned(), StreamKey::new("stream-secret").expect("a key"));
    })
    .await;
    let from = |address: &str, key: &str| {
        let request = Request::sdp("/whep/team", offer("play/chromium")).with("X-Forwarded-For", address);
        request.with("Authorization", format!("Bearer {key}"))
    };
    let mut answers = Vec::new();
    for number in 0..40 {
        answers.push(server.ask(&from("203.0.113.5", &format!("guess-number-{number}"))).await.status);
    }
    assert!(answers[..30].iter().all(|status| *status == 409), "nobody publishes: {answers:?}");
    assert!(answers.contains(&429), "{answers:?}");
    // A player that was given the stream's key, or the room's, guesses nothing.
    for key in ["stream-secret", "team-secret"] {
        for _ in 0..40 {
            assert_eq!(server.ask(&from("203.0.113.6", key)).await.status, 409, "{key}");
        }
    }
}
