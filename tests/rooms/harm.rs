//! Clients that do harm, by mistake or on purpose: what becomes of them, and that nobody else notices.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::client::{Client, resume};
use crate::running::Running;
use crate::socket::{Frame, Socket, TEXT};

async fn assert_answered(client: &mut Client) {
    assert_eq!(client.ask(&json!({"t": "ping", "ts": 1})).await["t"], "pong");
}

/// The head of a frame that says how long its payload will be.
fn head(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat()
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_its_connection_only() {
    let server = Running::start().await;
    let mut bob = Client::join(&server, "team", "Bob").await;
    let mut broken = Vec::new();
    let long = "x".repeat(1 << 20);
    let part = vec![b'x'; 100_000];
    let parts = [head(TEXT, 100_000), part.clone(), head(0, 100_000), part].concat();
    for (what, bytes) in [
        ("a megabyte", [head(0x80 | TEXT, 1 << 20), long.into_bytes()].concat()),
        ("a frame that claims 4 EiB", head(0x80 | TEXT, 1 << 62)),
        ("parts", parts),
        ("a frame of an unknown kind", vec![0x83, 0x80, 0, 0, 0, 0]),
        ("no mask", vec![0x81, 0x02, b'{', b'}']),
        ("no UTF-8", vec![0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]),
    ] {
        for joined in [true, false] {
            let mut client = if joined {
                Client::join(&server, "team", "Eve").await
            } else {
                Client::connect(server.address).await
            };
            // The server may hang up before it has read everything.
            let _ = client.socket.write_raw(&bytes).await;
            let (_, end) = client.end().await;
            assert!(matches!(end, Frame::Close(Some(1008)) | Frame::Cut), "{what}: {end:?}");
            if joined {
                broken.push(client.id().to_owned());
            }
        }
    }
    bob.sees_all(broken, "reconnecting").await;
    assert_answered(&mut bob).await;
}

#[tokio::test]
async fn a_message_within_the_limit_passes() {
    let server = Running::start().await;
    let mut client = Client::join(&server, "team", "Ada").await;
    let longest = json!({"t": "ping", "ts": 1, "id": 7, "fill": ""}).to_string();
    let fill = "x".repeat(
        usize::try_from(client.welcome["limits"]["message_bytes"].as_u64().expect("a number"))
            .expect("it fits")
            - longest.len(),
    );
    client.say(&json!({"t": "ping", "ts": 1, "id": 7, "fill": fill})).await;
    assert_eq!(client.hear("pong").await["re"], 7);
}

#[tokio::test]
async fn a_flood_is_refused_then_cut_off() {
    let server = Running::start().await;
    let mut bob = Client::join(&server, "team", "Bob").await;
    let mut eve = Client::join(&server, "team", "Eve").await;
    for _ in 0..2_000 {
        if eve.socket.write(TEXT, br#"{"t": "ping", "id": 9}"#).await.is_err() {
            break;
        }
    }
    assert_answered(&mut bob).await;
    let (heard, end) = eve.end().await;
    let count = |kind: &str| heard.iter().filter(|message| message["t"] == kind).count();
    assert!((60..200).contains(&count("pong")), "{} are answered", count("pong"));
    let error = heard.iter().find(|message| message["t"] == "error").expect("it is told");
    assert_eq!((&error["code"], &error["re"]), (&json!("rate"), &json!(9)), "{error}");
    let bye = heard.last().expect("it is told");
    assert_eq!((&bye["t"], &bye["code"]), (&json!("bye"), &json!("rate")), "{bye}");
    assert!(bye["retry_ms"].is_u64(), "it may come back, later: {bye}");
    assert!(matches!(end, Frame::Close(Some(1008)) | Frame::Cut), "{end:?}");
    bob.sees(eve.id(), "reconnecting").await;
    assert_answered(&mut bob).await;
}

#[tokio::test]
async fn who_asks_a_little_too_fast_is_told_and_stays() {
    let server = Running::start().await;
    let mut client = Client::join(&server, "team", "Ada").await;
    // All at once: more than the budget, and too few for a flood however fast they are read.
    let ping: Vec<u8> = [&[0x80 | TEXT, 0x80 | 13, 0, 0, 0, 0][..], br#"{"t": "ping"}"#].concat();
    client.socket.write_raw(&ping.repeat(150)).await.expect("the connection is open");
    let error = client.hear("error").await;
    assert_eq!(error["code"], "rate");
    // From now on it asks no faster than it may, and is answered.
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let reply = client.ask(&json!({"t": "ping"})).await;
        if reply["t"] == "pong" {
            break;
        }
        assert_eq!(reply["code"], "rate");
    }
}

/// As many messages as a client may send at once, to somebody.
async fn pour(mut from: Client, to: Value) -> Client {
    let body = "x".repeat(50_000);
    for _ in 0..59 {
        from.say(&json!({"t": "send", "to": [to], "body": body})).await;
    }
    from
}

#[tokio::test]
async fn who_does_not_read_loses_the_connection_not_the_place() {
    let server = Running::with(|config| config.limits.sessions = 1_000).await;
    let mut slow = Client::on(Socket::connect_narrow(server.address).await);
    slow.enter(&crate::client::join("team")).await;
    let mut bob = Client::join(&server, "team", "Bob").await;
    let mut pouring = Vec::new();
    for number in 0..15 {
        let from = Client::join(&server, "team", &number.to_string()).await;
        pouring.push(tokio::spawn(pour(from, json!(slow.id()))));
    }
    bob.sees(slow.id(), "reconnecting").await;
    assert_answered(&mut bob).await;

    // It comes back by another connection while the old one is still stuck.
    let mut again = Client::join_with(&server, &resume(&slow)).await;
    assert_eq!((again.id(), &again.welcome["resumed"]), (slow.id(), &json!(true)));
    assert_answered(&mut again).await;
    bob.sees(slow.id(), "here").await;

    // The old one, should it read again in time, learns what happened; later it finds that it was given up.
    let (heard, end) = slow.end().await;
    if end != Frame::Cut {
        let bye = heard.last().expect("it was sent a lot");
        assert_eq!((&bye["t"], &bye["code"]), (&json!("bye"), &json!("too_slow")));
        assert!(bye["retry_ms"].is_u64(), "it may come back: {bye}");
        assert_eq!(end, Frame::Close(Some(1000)));
    }
    for from in pouring {
        from.await.expect("nobody who wrote to it was harmed");
    }
}
