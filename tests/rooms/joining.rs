//! The way into a room: who is let in, and what the others are told.

use serde_json::{Value, json};
use sluice::config::RoomKey;
use tokio::time::Instant;

use crate::client::{Client, join, with};
use crate::message::Request;
use crate::offer;
use crate::participant::Offering;
use crate::running::Running;
use crate::socket::{BINARY, Frame, Socket, TEXT};

/// What a client hears that is not let in: why, that it is over, and the end of the connection.
async fn refused(client: &mut Client, re: Option<u32>) -> (String, Value) {
    let (heard, end) = client.end().await;
    let [error, bye] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((&error["t"], &error["re"]), (&json!("error"), &json!(re)), "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.len() > 10), "it says what to do: {error}");
    assert_eq!(
        (&bye["t"], &bye["code"], &bye["message"]),
        (&json!("bye"), &json!("refused"), &error["message"])
    );
    assert!(matches!(end, Frame::Close(Some(1000 | 1008))), "{end:?}");
    (error["code"].as_str().expect("a code").to_owned(), bye["retry_ms"].clone())
}

async fn try_join(server: &Running, join: &Value) -> String {
    let mut client = Client::connect(server.address).await;
    client.say(join).await;
    // Many clients do not wait for the welcome before they go on.
    let _ = client.socket.write(TEXT, br#"{"t": "view", "slots": []}"#).await;
    refused(&mut client, Some(1)).await.0
}

#[tokio::test]
async fn who_joins_learns_who_is_there_and_the_others_learn_of_it() {
    let server = Running::start().await;
    let ada = json!({"name": "  Ada\n", "meta": {"seat": 4}, "tracks": [{"mid": "1", "source": "camera"}]});
    let mut ada = Client::join_with(&server, &with(join("team"), &ada)).await;
    let welcome = &ada.welcome;
    assert_eq!((&welcome["room"], &welcome["name"]), (&json!("team"), &json!("Ada")));
    assert_eq!((&welcome["peers"], &welcome["resumed"]), (&json!([]), &json!(false)));
    assert!(welcome["sdp"].as_str().is_some_and(|sdp| sdp.starts_with("v=0")), "{welcome}");
    assert!(welcome["slots"].as_array().is_some_and(|slots| slots.len() > 4), "{welcome}");
    let track = welcome["tracks"].as_array().and_then(|all| all.iter().find(|track| track["mid"] == "1"));
    let track = track.expect("the camera has a track")["track"].clone();
    let urls = welcome["ice_servers"][0]["urls"].to_string();
    assert!(urls.starts_with("[\"turn:") && !urls.contains("stun:"), "the relay, and no STUN server: {urls}");
    assert_eq!(welcome["limits"]["messages_per_second"], 20);

    let bob = Client::join(&server, "team", "Bob").await;
    let peers = bob.welcome["peers"].as_array().expect("a list");
    let [peer] = &peers[..] else { panic!("{peers:?}") };
    assert_eq!(
        (&peer["id"], &peer["name"], &peer["kind"]),
        (&json!(ada.id()), &json!("Ada"), &json!("member"))
    );
    assert_eq!((&peer["state"], &peer["meta"]), (&json!("here"), &json!({"seat": 4})));
    assert_eq!((&peer["tracks"][0]["id"], &peer["tracks"][0]["source"]), (&track, &json!("camera")));
    let told = ada.hear("peers").await;
    assert_eq!((&told["set"][0]["id"], &told["set"][0]["name"]), (&json!(bob.id()), &json!("Bob")));

    let elsewhere = Client::join(&server, "other", "Eve").await;
    assert_eq!(elsewhere.welcome["peers"], json!([]), "rooms are apart");
}

#[tokio::test]
async fn offers_of_all_browsers_are_answered() {
    let server = Running::start().await;
    for name in ["join/chromium", "join/firefox"] {
        let client = Client::join_with(&server, &with(join("team"), &json!({"sdp": offer(name)}))).await;
        assert!(client.welcome["sdp"].is_string(), "{name}");
    }
}

#[tokio::test]
async fn a_join_that_is_no_good_is_refused_with_the_reason() {
    let server = Running::start().await;
    let unknown = "0".repeat(32);
    for (what, change, code) in [
        ("a later version", json!({"v": 2}), "version"),
        ("an empty name", json!({"room": ""}), "room_name"),
        ("a name with a slash", json!({"room": "a/b"}), "room_name"),
        ("a name of 129 letters", json!({"room": "x".repeat(129)}), "room_name"),
        ("no offer", json!({"sdp": null}), "offer"),
        ("no SDP", json!({"sdp": "hello"}), "offer"),
        ("an unknown token", json!({"resume": unknown}), "resume"),
        ("no token", json!({"resume": "x"}), "resume"),
        ("an unknown section", json!({"tracks": [{"mid": "99", "source": "mic"}]}), "not_found"),
        ("long metadata", json!({"meta": {"x": "y".repeat(3_000)}}), "too_large"),
        ("another request", json!({"t": "ping"}), "order"),
        ("an unknown type", json!({"t": "enter"}), "order"),
    ] {
        assert_eq!(try_join(&server, &with(join("team"), &change)).await, code, "{what}");
    }
    let census = server.ask(&Request::new("GET", "/metrics")).await.body;
    assert!(census.contains("\nsluice_participants 0\n"), "nobody is left behind: {census}");
    let fresh = Client::join(&server, "team", "Ada").await;
    assert_eq!(fresh.welcome["peers"], json!([]));
}

#[tokio::test]
async fn what_is_no_message_is_refused_as_the_first_too() {
    let server = Running::start().await;
    for (opcode, payload) in
        [(TEXT, &b"hello"[..]), (TEXT, b"{}"), (TEXT, br#"{"t": "join"}"#), (TEXT, b"[]"), (BINARY, b"\x00")]
    {
        let mut client = Client::connect(server.address).await;
        client.socket.write(opcode, payload).await.expect("it is open");
        assert_eq!(refused(&mut client, None).await.0, "bad_message", "{payload:?}");
    }
}

#[tokio::test]
async fn fields_that_nobody_knows_are_ignored() {
    let server = Running::start().await;
    let join = with(join("team"), &json!({"later": {"deep": [1, 2]}, "capabilities": 7}));
    let mut client = Client::join_with(&server, &join).await;
    let pong = client.ask(&json!({"t": "ping", "ts": 12.5, "hue": "blue"})).await;
    assert_eq!((&pong["t"], &pong["ts"]), (&json!("pong"), &json!(12.5)));
}

#[tokio::test]
async fn a_room_key_opens_its_room() {
    let server = Running::with(|config| {
        let key = |room: &str, key| (room.to_owned(), RoomKey::new(key).expect("a key"));
        config.auth.room_keys = [key("team", "the-team-key"), key("*", "the-common-key")].into();
    });
    let server = server.await;
    for (room, key, admitted) in [
        ("team", json!("the-team-key"), true),
        ("team", json!(null), false),
        ("team", json!(""), false),
        ("team", json!("the-common-key"), false),
        ("hall", json!("the-common-key"), true),
        ("hall", json!("the-team-key"), false),
    ] {
        let join = with(join(room), &json!({"key": key}));
        if admitted {
            Client::join_with(&server, &join).await;
        } else {
            assert_eq!(try_join(&server, &join).await, "room_key", "{room} with {key}");
        }
    }
}

#[tokio::test]
async fn without_keys_rooms_are_for_this_machine() {
    let server = Running::start().await;
    for (headers, admitted) in [
        ("Origin: http://localhost:8080\r\n", true),
        ("Origin: https://evil.example\r\n", false),
        ("Host: evil.example\r\n", false),
        ("X-Forwarded-For: 192.0.2.1\r\n", false),
    ] {
        let mut client = Client::on(Socket::connect(server.address, headers).await);
        client.say(&join("team")).await;
        if admitted {
            client.hear("welcome").await;
        } else {
            assert_eq!(refused(&mut client, Some(1)).await.0, "room_key", "{headers}");
        }
    }
}

#[tokio::test]
async fn a_full_room_and_a_full_server_say_so_and_when_to_come_back() {
    let server = Running::with(|config| {
        config.limits.participants = 2;
        config.limits.sessions = 12;
    });
    let server = server.await;
    let (_one, two) = (Client::join(&server, "team", "1").await, Client::join(&server, "team", "2").await);
    let mut third = Client::connect(server.address).await;
    third.say(&join("team")).await;
    let (code, retry) = refused(&mut third, Some(1)).await;
    assert_eq!(code, "full");
    assert!(retry.as_u64().is_some_and(|retry| retry > 1_000), "{retry}");
    // Who is in already may come back, and whoever leaves makes room.
    let mut two = Client::join_with(&server, &crate::client::resume(&two)).await;
    two.say(&json!({"t": "leave"})).await;
    two.end().await;
    let _third = Client::join(&server, "team", "3").await;

    // A quarter of the sessions may be on their way to connecting.
    let mut rest = Vec::new();
    let refused_with = loop {
        let mut client = Client::connect(server.address).await;
        client.say(&join(&format!("room-{}", rest.len()))).await;
        if client.next().await["t"] == "error" {
            break client.next().await;
        }
        rest.push(client);
        assert!(rest.len() < 12, "the server takes more than its limit");
    };
    assert_eq!((&refused_with["code"], &refused_with["retry_ms"]), (&json!("refused"), &json!(30_000)));
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_sent_away() {
    let server = Running::start().await;
    let began = Instant::now();
    let mut client = Client::connect(server.address).await;
    assert_eq!(refused(&mut client, None).await.0, "order");
    assert!((4..10).contains(&began.elapsed().as_secs()), "after {:?}", began.elapsed());
}

#[tokio::test]
async fn a_plain_get_is_told_to_upgrade() {
    let server = Running::start().await;
    let reply = server.ask(&Request::new("GET", "/ws")).await;
    assert_eq!((reply.status, reply.problem().as_deref()), (426, Some("upgrade")), "{reply:?}");
    assert_eq!(reply.header("upgrade"), Some("websocket"));
}

#[tokio::test]
async fn a_room_fills_up_and_everybody_knows_everybody() {
    const CROWD: usize = 40;
    let server = Running::with(|config| config.limits.sessions = 1_000).await;
    let offer = Offering::new().await.sdp;
    let mut clients = Vec::new();
    for number in 0..CROWD {
        let join = with(join("team"), &json!({"name": number.to_string(), "sdp": offer}));
        let client = Client::join_with(&server, &join).await;
        assert_eq!(client.welcome["peers"].as_array().map(Vec::len), Some(number));
        clients.push(client);
    }
    let ids = clients.iter().skip(1).map(|client| client.id().to_owned()).collect();
    clients[0].sees_all(ids, "here").await;
}

#[tokio::test]
async fn who_may_join_learns_at_the_door_who_is_there() {
    let server = Running::with(|config| {
        config.auth.room_keys = [("*".to_owned(), RoomKey::new("the-common-key").expect("a key"))].into();
    });
    let server = server.await;
    let ask = async |key: &str| {
        let request = Request::new("GET", "/room/hall/people").with("Authorization", format!("Bearer {key}"));
        let reply = server.ask(&request).await;
        (reply.status, serde_json::from_str::<Value>(&reply.body).expect("JSON"))
    };
    assert_eq!(ask("the-common-key").await, (200, json!({"count": 0, "names": []})));
    let join = with(join("hall"), &json!({"key": "the-common-key", "name": "Ada"}));
    let _ada = Client::join_with(&server, &join).await;
    assert_eq!(ask("the-common-key").await, (200, json!({"count": 1, "names": ["Ada"]})));
    assert_eq!(ask("another-key").await.0, 401);
}

#[tokio::test]
async fn who_guesses_the_key_of_a_room_has_to_wait() {
    let server = Running::with(|config| {
        config.auth.room_keys = [("*".to_owned(), RoomKey::new("the-common-key").expect("a key"))].into();
    });
    let server = server.await;
    let try_key = async |address: &str, key: &str| {
        let mut client =
            Client::on(Socket::connect(server.address, &format!("X-Real-IP: {address}\r\n")).await);
        client.say(&with(join("hall"), &json!({"key": key}))).await;
        let reply = client.next().await;
        if reply["t"] == "error" { reply["code"].as_str().map(str::to_owned) } else { None }
    };
    let mut codes = Vec::new();
    for number in 0..35 {
        codes.extend(try_key("203.0.113.5", &format!("guess-{number}")).await);
    }
    assert_eq!(codes.len(), 35);
    assert!(codes.iter().take(30).all(|code| code == "room_key"), "{codes:?}");
    assert!(codes.iter().any(|code| code == "rate"), "{codes:?}");
    assert_eq!(try_key("203.0.113.6", "the-common-key").await, None, "others get in");
}
