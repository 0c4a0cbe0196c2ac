//! This server against the table of what WHIP and WHEP lay down: the program `whip-conformance`, as anybody runs it.

use std::process::Output;

use sluice::config::StreamKey;
use tokio::task::spawn_blocking;

use crate::running::Running;

/// Runs the program, whose arguments may name the server as `@`.
async fn judge(server: &Running, arguments: &[&str]) -> (Option<i32>, String) {
    let address = format!("http://{}", server.address);
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.replace('@', &address)).collect();
    let program = env!("CARGO_BIN_EXE_whip-conformance");
    let run = move || std::process::Command::new(program).args(arguments).output();
    let Output { status, stdout, stderr } = spawn_blocking(run).await.expect("no panic").expect("it starts");
    let text = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8")).concat();
    (status.code(), text)
}

#[tokio::test]
async fn this_server_keeps_every_line_of_whip_and_whep() {
    let server = Running::with(|config| {
        let key = StreamKey::new("studio-secret").expect("a key");
        config.auth.stream_keys.insert("*".to_owned(), key);
    })
    .await;
    let arguments = ["@/whip/studio?relay=all", "--token", "studio-secret", "--whep", "@/whep/studio"];
    let (status, report) = judge(&server, &arguments).await;
    assert_eq!(status, Some(0), "{report}");
    assert!(report.contains(" 0 failed (0 of them MUST or SHALL), 0 not applicable"), "{report}");
}

#[tokio::test]
async fn what_is_no_endpoint_fails() {
    let server = Running::start().await;
    let (status, report) = judge(&server, &["@/watch/studio", "--no-media"]).await;
    assert_eq!(status, Some(1), "{report}");
    assert!(report.contains("\nFAIL  4.2             MUST       POST an offer: 201\n"), "{report}");
    let (status, report) = judge(&server, &["http://127.0.0.1:9/whip/studio"]).await;
    assert_eq!(status, Some(2), "{report}");
}
