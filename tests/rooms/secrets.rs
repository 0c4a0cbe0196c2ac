//! What the log keeps to itself.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::json;
use sluice::config::RoomKey;
use tracing_subscriber::EnvFilter;

use crate::client::{Client, join, resume, with};
use crate::participant::Participant;
use crate::running::Running;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics here").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn at_its_most_talkative_the_log_names_no_secret() {
    // The media threads log too, so it is the log of the whole process: tests beside this one may write to it.
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("sluice=trace"))
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let server = Running::with(|config| {
        let key = RoomKey::new("the-key-of-the-vault").expect("a key");
        config.auth.room_keys = [("vault".to_owned(), key)].into();
    })
    .await;
    let join =
        with(join("vault"), &json!({"key": "the-key-of-the-vault", "meta": {"private": "meta-of-ada"}}));
    let mut ada = Client::join_with(&server, &join).await;
    ada.ask_ok(&json!({"t": "send", "topic": "chat", "body": "between-us"})).await;
    ada.ask(&json!({"t": "offer", "sdp": "not-an-offer"})).await;
    ada.say_text("garbage-of-ada").await;
    ada.hear("error").await;
    let again = with(resume(&ada), &json!({"key": "the-key-of-the-vault"}));
    let back = Client::join_with(&server, &again).await;
    for change in [
        json!({"key": "a-wrong-key"}),
        json!({"resume": "0123456789abcdef0123456789abcdef"}),
        json!({"sdp": "v=0\r\nx"}),
    ] {
        let mut refused = Client::connect(server.address).await;
        refused.say(&with(join.clone(), &change)).await;
        assert_eq!(refused.next().await["t"], "error");
    }
    let open = Running::start().await;
    let carol = Participant::join(&open, "vault", 1).await;

    let text = String::from_utf8(log.0.lock().expect("nobody panics here").clone()).expect("text");
    assert!(text.contains("vault") && text.contains("connected"), "it was listened to: {text}");
    let token = |client: &Client| client.welcome["resume_token"].as_str().expect("a text").to_owned();
    let mut secrets = vec![token(&ada), token(&back), token(&carol.client)];
    let texts = [
        "the-key-of-the-vault",
        "a-wrong-key",
        "0123456789abcdef",
        "meta-of-ada",
        "between-us",
        "garbage-of-ada",
    ];
    secrets.extend(texts.map(str::to_owned));
    for sdp in [&join["sdp"], &ada.welcome["sdp"], &carol.client.welcome["sdp"]] {
        let lines = sdp.as_str().expect("an SDP").lines();
        let telling =
            lines.filter(|line| ["a=ice-pwd:", "a=fingerprint:"].iter().any(|name| line.starts_with(name)));
        secrets.extend(telling.filter_map(|line| Some(line.split_once(':')?.1.to_owned())));
    }
    secrets.extend(["a=".to_owned(), "v=0".to_owned()]);
    for secret in secrets {
        assert!(!text.contains(&secret), "the log tells {secret:?}: {text}");
    }
}
