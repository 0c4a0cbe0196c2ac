//! Counter-offers: players who ask for an offer of the server's, and answer it by PATCH.

use crate::message::{Reply, Request};
use crate::offer;
use crate::peer::Peer;
use crate::running::Running;

#[tokio::test]
async fn a_player_that_asks_for_an_offer_gets_one_and_sees_the_stream() {
    let server = Running::start().await;
    let _publisher = Peer::publish(&server, "demo", 1).await;
    let ask = Request::sdp("/whep/demo?offer=server", offer("play/chromium"));
    let offered = server.ask(&ask).await;
    assert_eq!(offered.status, 406, "{offered:?}");
    let has = |line: &str| offered.body.lines().any(|known| known == line);
    assert!(has("a=setup:actpass") && has("a=sendonly") && has("a=ice-lite"), "{}", offered.body);
    for codec in ["opus", "VP8", "VP9", "H264", "H265", "AV1"] {
        assert!(offered.body.contains(&format!(" {codec}/")), "{codec}: {}", offered.body);
    }
    assert!(!has("a=ice-ufrag:none"), "the player's credentials are for it to say");

    let (mut player, accepted) = Peer::answer(&server, &offered).await;
    assert_eq!((accepted.status, accepted.etag()), (204, offered.etag()));
    player.until("ten frames", |seen| seen.frames_of(1) >= 10).await;
    assert!(offered.body.contains(&format!("a=ssrc:{} ", player.seen().sources.first().expect("one"))));
    let again = Request::new("PATCH", &player.path).with("Content-Type", "application/sdp").body("v=0\r\n");
    assert_eq!(server.ask(&again).await.status, 415, "it is a session like others now");
    assert_eq!(server.ask(&Request::new("GET", &player.path)).await.status, 204);
    assert_eq!(server.ask(&Request::new("DELETE", &player.path)).await.status, 200);
    player.until("the goodbye", |seen| seen.closed).await;
}

/// The answer that comes while the publisher is away for a moment is taken when it is back.
#[tokio::test]
async fn an_answer_that_came_too_early_may_be_sent_again() {
    let server = Running::start().await;
    let publisher = Peer::publish(&server, "demo", 1).await;
    let offered = server.ask(&Request::sdp("/whep/demo?offer=server", "")).await;
    assert_eq!(offered.header("accept-patch"), Some("application/sdp, application/trickle-ice-sdpfrag"));
    assert!(offered.all("link").iter().any(|link| link.contains(":layer\"")), "{offered:?}");
    assert_eq!(server.ask(&Request::new("DELETE", &publisher.path)).await.status, 200);
    let answer = Request::new("PATCH", offered.location()).with("Content-Type", "application/sdp");
    let answer = answer.body(offer("play/chromium"));
    let early = server.ask_until("the publisher is gone", &answer, |reply| reply.status == 409).await;
    assert_eq!(early.header("retry-after"), Some("2"));
    let _publisher = Peer::publish(&server, "demo", 1).await;
    server.ask_until("it is taken", &answer, |reply| reply.status == 204).await;
}

#[tokio::test]
async fn a_counter_offer_is_answered_once_or_given_up() {
    let server = Running::start().await;
    let ask = Request::sdp("/whep/demo?offer=server", "");
    assert_eq!(server.ask(&ask).await.status, 409, "there is nothing to offer");
    let _publisher = Peer::publish(&server, "demo", 1).await;
    let session = |reply: &Reply| reply.location().to_owned();
    let answer = |path: &str, body: &str| {
        Request::new("PATCH", path).with("Content-Type", "application/sdp").body(body.to_owned())
    };
    let spoilt = session(&server.ask(&ask).await);
    assert_eq!(server.ask(&answer(&spoilt, "hello")).await.status, 400);
    assert_eq!(server.ask(&answer(&spoilt, &offer("play/chromium"))).await.status, 404, "it had its chance");
    let other = session(&server.ask(&ask).await);
    let wrong = other.replace("/whep/demo/", "/whep/other/");
    assert_eq!(server.ask(&answer(&wrong, &offer("play/chromium"))).await.status, 404);
    assert_eq!(server.ask(&Request::new("DELETE", &other)).await.status, 200);
    assert_eq!(server.ask(&answer(&other, &offer("play/chromium"))).await.status, 404);
    let metrics = Request::new("GET", "/metrics");
    let one = |reply: &Reply| reply.body.contains("\nsluice_sessions 1\n");
    server.ask_until("the publisher is the only session", &metrics, one).await;
}
