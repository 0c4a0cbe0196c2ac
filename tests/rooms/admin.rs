//! What operators see of rooms, and what they can do.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use sluice::config::AdminKey;

use crate::client::{Client, join, with};
use crate::message::{Reply, Request};
use crate::running::Running;

const KEY: &str = "the-key-of-the-operator";

struct Operator(SocketAddr);

impl Operator {
    async fn ask(&self, method: &'static str, path: &str) -> Reply {
        let request = Request::new(method, path).with("Authorization", format!("Bearer {KEY}"));
        request.send_unshared(self.0).await
    }

    async fn see(&self, path: &str) -> Value {
        let reply = self.ask("GET", path).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        serde_json::from_str(&reply.body).expect("JSON")
    }
}

async fn with_operator() -> (Running, Operator) {
    let server = Running::with(|config| {
        config.admin.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.admin.key = Some(AdminKey::new(KEY).expect("a key"));
    })
    .await;
    let told = server.greeting.lines().find_map(|line| line.trim().strip_prefix("Admin"));
    let told = told.and_then(|rest| rest.trim().strip_prefix("http://")?.split_once("/admin/"));
    let address = told.and_then(|(address, _)| address.parse().ok()).expect("the greeting names it");
    (server, Operator(address))
}

#[tokio::test]
async fn rooms_and_participants_are_shown() {
    let (server, operator) = with_operator().await;
    assert_eq!(operator.see("/admin/rooms").await, json!([]));
    let camera = json!({"name": "Ada", "tracks": [{"mid": "1", "source": "camera", "muted": true}]});
    let ada = Client::join_with(&server, &with(join("team"), &camera)).await;
    let _bob = Client::join(&server, "hall", "Bob").await;
    let summary = |name| json!({"name": name, "participants": 1, "viewers": 0, "live": false});
    assert_eq!(operator.see("/admin/rooms").await, json!([summary("hall"), summary("team")]));

    let room = operator.see("/admin/rooms/team").await;
    let shown = &room["participants"][0];
    assert_eq!((&shown["id"], &shown["name"]), (&json!(ada.id()), &json!("Ada")));
    assert_eq!((&shown["kind"], &shown["state"]), (&json!("member"), &json!("here")));
    assert_eq!(
        (&shown["tracks"][0]["source"], &shown["tracks"][0]["muted"]),
        (&json!("camera"), &json!(true))
    );
    assert_eq!(shown["session"]["connected"], json!(false), "it only joined");
    assert_eq!(operator.ask("GET", "/admin/rooms/nobody").await.status, 404);
}

#[tokio::test]
async fn the_minutes_of_a_session_are_told_of_those_in_the_room_only() {
    let (server, operator) = with_operator().await;
    let _ada = Client::join(&server, "team", "Ada").await;
    let room = operator.see("/admin/rooms/team").await;
    let session = room["participants"][0]["session"]["id"].as_str().expect("an id").to_owned();
    for path in [
        format!("/admin/rooms/team/sessions/{session}"),
        format!("/admin/rooms/hall/sessions/{session}"),
        "/admin/rooms/team/sessions/s999".to_owned(),
        "/admin/rooms/team/sessions/x".to_owned(),
    ] {
        let reply = operator.ask("GET", &path).await;
        assert_eq!(reply.status, 404, "nothing was heard of it yet, or it is none: {path}");
        let without = Request::new("GET", &path).send_unshared(operator.0).await;
        assert_eq!(without.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_participant_can_be_removed_and_the_others_stay() {
    let (server, operator) = with_operator().await;
    let mut ada = Client::join(&server, "team", "Ada").await;
    let mut bob = Client::join(&server, "team", "Bob").await;
    let path = format!("/admin/rooms/team/participants/{}", bob.id());
    for wrong in [
        "/admin/rooms/hall/participants/p1",
        "/admin/rooms/team/participants/p99",
        "/admin/rooms/team/participants/x",
    ] {
        assert_eq!(operator.ask("DELETE", wrong).await.status, 404, "{wrong}");
    }
    assert_eq!(operator.ask("DELETE", &path).await.status, 204);
    let (heard, _) = bob.end().await;
    assert!(heard.iter().any(|message| message["t"] == "bye" && message["code"] == "removed"), "{heard:?}");
    ada.misses(bob.id()).await;
    assert_eq!(operator.ask("DELETE", &path).await.status, 404, "gone already");
}

#[tokio::test]
async fn a_room_can_be_closed() {
    let (server, operator) = with_operator().await;
    let mut all = Vec::new();
    for name in ["Ada", "Bob"] {
        all.push(Client::join(&server, "team", name).await);
    }
    assert_eq!(operator.ask("DELETE", "/admin/rooms/nobody").await.status, 404);
    assert_eq!(operator.ask("DELETE", "/admin/rooms/team").await.status, 204);
    for client in &mut all {
        let (heard, _) = client.end().await;
        assert!(
            heard.iter().any(|message| message["t"] == "bye" && message["code"] == "room_closed"),
            "{heard:?}"
        );
    }
    assert_eq!(operator.see("/admin/rooms").await, json!([]));
}
