//! Requests, and messages between participants by way of the WebSocket.

use serde_json::json;

use crate::client::{Client, join};
use crate::running::Running;
use crate::socket::{BINARY, Frame, PING};

#[tokio::test]
async fn a_request_that_is_no_good_is_answered_and_the_connection_goes_on() {
    let server = Running::start().await;
    let mut client = Client::join(&server, "team", "Ada").await;
    let reply = client.ask(&join("team")).await;
    assert_eq!((&reply["t"], &reply["code"]), (&json!("error"), &json!("order")), "{reply}");
    let reply = client.ask(&json!({"t": "dance"})).await;
    assert_eq!((&reply["t"], &reply["code"]), (&json!("error"), &json!("unknown_type")), "{reply}");
    let reply = client.ask(&json!({"t": "mute", "mid": "0", "muted": true})).await;
    assert_eq!((&reply["t"], &reply["code"]), (&json!("error"), &json!("not_found")), "{reply}");

    client.say(&json!({"t": "dance"})).await;
    let error = client.hear("error").await;
    assert_eq!((&error["code"], &error["re"]), (&json!("unknown_type"), &json!(null)), "{error}");
    for text in
        ["hello", "{", "[]", "null", "{}", r#"{"t": "mute"}"#, r#"{"t": "ping", "id": "x"}"#, "\u{1f}"]
    {
        client.say_text(text).await;
        let error = client.hear("error").await;
        assert_eq!((&error["code"], &error["re"]), (&json!("bad_message"), &json!(null)), "{text}: {error}");
    }
    client.socket.write(BINARY, b"{}").await.expect("it is open");
    assert_eq!(client.hear("error").await["code"], "bad_message");
    client.socket.write(PING, b"there?").await.expect("it is open");
    assert_eq!(client.socket.read().await, Frame::Pong(b"there?".to_vec()));
    assert_eq!(client.ask(&json!({"t": "ping", "ts": 7})).await["ts"], 7.0);
}

#[tokio::test]
async fn messages_reach_those_they_are_for() {
    let server = Running::start().await;
    let mut ada = Client::join(&server, "team", "Ada").await;
    let mut bob = Client::join(&server, "team", "Bob").await;
    let mut eve = Client::join(&server, "team", "Eve").await;
    let (ada_id, bob_id) = (json!(ada.id()), json!(bob.id()));
    ada.ask_ok(&json!({"t": "send", "to": [bob_id], "topic": "chat", "body": {"text": "for Bob"}})).await;
    ada.ask_ok(&json!({"t": "send", "topic": "chat", "body": "for all"})).await;
    let first = bob.hear("msg").await;
    assert_eq!(
        (&first["from"], &first["topic"], &first["body"]["text"]),
        (&ada_id, &json!("chat"), &json!("for Bob"))
    );
    assert_eq!(bob.hear("msg").await["body"], "for all");
    assert_eq!(eve.hear("msg").await["body"], "for all", "and nothing before");
    bob.ask_ok(&json!({"t": "send", "body": [1]})).await;
    assert_eq!(ada.hear("msg").await["body"], json!([1]), "nobody hears what it said itself");
    let reply = ada.ask(&json!({"t": "send", "to": ["p999"], "body": 1})).await;
    assert_eq!((&reply["t"], &reply["code"]), (&json!("error"), &json!("not_found")), "{reply}");
}

#[tokio::test]
async fn others_see_a_new_name_a_muted_track_and_what_is_published() {
    let server = Running::start().await;
    let mut ada = Client::join(&server, "team", "Ada").await;
    let mut bob = Client::join(&server, "team", "Bob").await;
    ada.ask_ok(&json!({"t": "update", "name": "Countess"})).await;
    bob.until("the new name", |message| message["set"][0]["name"] == "Countess").await;
    ada.ask_ok(&json!({"t": "tracks", "tracks": [{"mid": "1", "source": "camera", "label": "front"}]})).await;
    let told = bob.until("the track", |message| message["set"][0]["tracks"][0]["label"] == "front").await;
    assert_eq!(told["set"][0]["tracks"][0]["muted"], false, "{told}");
    ada.ask_ok(&json!({"t": "mute", "mid": "1", "muted": true})).await;
    bob.until("the mute", |message| message["set"][0]["tracks"][0]["muted"] == true).await;
}
