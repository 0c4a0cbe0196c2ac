//! What participants see of each other, over real UDP.

use serde_json::json;

use crate::client::Client;
use crate::participant::Participant;
use crate::running::Running;

#[tokio::test]
async fn two_see_each_other_and_choose_whom() {
    let server = Running::start().await;
    let mut ada = Participant::join(&server, "team", 1).await;
    let mut bob = Participant::join(&server, "team", 2).await;
    let (of_ada, of_bob) = (ada.camera(), bob.camera());
    assert_eq!(ada.media.seen().frames.len(), 0, "nobody asked for a picture yet");
    ada.look_at(&of_bob).await;
    bob.look_at(&of_ada).await;
    ada.media.until_ten_more_of(2).await;
    bob.media.until_ten_more_of(1).await;
    let slot = ada.media.slots[0].clone();
    let live =
        |bind: &serde_json::Value| bind["mid"] == slot && bind["track"] == of_bob && bind["from"].is_u64();
    ada.client
        .until("from when on", |message| message["bind"].as_array().is_some_and(|all| all.iter().any(live)))
        .await;

    let carol = Participant::join(&server, "team", 3).await;
    let of_carol = carol.camera();
    ada.look_at(&of_carol).await;
    ada.media.until_ten_more_of(3).await;
    let peers = carol.client.welcome["peers"].as_array().expect("a list").clone();
    let csrc =
        peers.iter().find(|peer| peer["id"] == bob.client.id()).expect("he is there")["tracks"][0]["csrc"]
            .clone();
    ada.look_at(&of_bob).await;
    ada.media
        .until("Bob again", |seen| seen.sources.get(&slot).is_some_and(|source| json!(source) == csrc))
        .await;
}

#[tokio::test]
async fn a_muted_track_stops_and_comes_back() {
    let server = Running::start().await;
    let mut ada = Participant::join(&server, "team", 1).await;
    let mut bob = Participant::join(&server, "team", 2).await;
    let of_ada = ada.camera();
    bob.look_at(&of_ada).await;
    bob.media.until_ten_more_of(1).await;
    let mid = ada.media.camera.clone();
    ada.client.ask_ok(&json!({"t": "mute", "mid": mid, "muted": true})).await;
    let paused = |message: &serde_json::Value| message["bind"][0]["why"] == "muted";
    bob.client.until("the slot pauses", paused).await;
    ada.client.ask_ok(&json!({"t": "mute", "mid": mid, "muted": false})).await;
    bob.media.until_ten_more_of(1).await;
}

#[tokio::test]
async fn messages_pass_through_data_channels() {
    let server = Running::start().await;
    let ada = Participant::join(&server, "team", 1).await;
    let mut bob = Participant::join(&server, "team", 2).await;
    let mut no_channels = Client::join(&server, "team", "Carol").await;
    for channel in ["reliable", "lossy"] {
        ada.media.say(channel, &json!({"topic": "chat", "body": channel}));
        let wanted = json!({"from": ada.client.id(), "topic": "chat", "body": channel});
        let came = |(by, bytes): &(String, Vec<u8>)| {
            by == channel && serde_json::from_slice::<serde_json::Value>(bytes).is_ok_and(|it| it == wanted)
        };
        bob.media.until(channel, |seen| seen.messages.iter().any(came)).await;
    }
    let told = no_channels.hear("msg").await;
    assert_eq!((&told["from"], &told["body"]), (&json!(ada.client.id()), &json!("reliable")), "{told}");
}
