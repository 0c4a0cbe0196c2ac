//! The end of a server, as participants see it.

use std::time::Duration;

use serde_json::json;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::client::Client;
use crate::participant::Participant;
use crate::running::Running;
use crate::socket::Frame;

/// What a person waits after Ctrl-C.
const LONGEST_STOP: Duration = Duration::from_secs(2);

#[tokio::test]
async fn everybody_is_told_that_the_server_restarts() {
    let server = Running::start().await;
    let mut ada = Participant::join(&server, "team", 1).await;
    let mut bob = Client::join(&server, "team", "Bob").await;
    let _silent = Client::connect(server.address).await;
    let _never_reads = Client::join(&server, "other", "Eve").await;
    let stopping = server.stop();
    for client in [&mut ada.client, &mut bob] {
        let (heard, end) = client.end().await;
        let bye = heard.last().expect("a goodbye");
        assert_eq!((&bye["t"], &bye["code"]), (&json!("bye"), &json!("restarting")), "{heard:?}");
        assert!(bye["retry_ms"].is_u64(), "it may come back: {bye}");
        assert_eq!(end, Frame::Close(Some(1000)));
        client.socket.close(Some(1000)).await;
    }
    ada.media.until("the goodbye of its media", |seen| seen.closed).await;
    let stopped = timeout(LONGEST_STOP, stopping).await;
    stopped.expect("it stops in time").expect("it does not panic").expect("and without an error");
}

#[test]
fn the_goodbye_is_on_its_way_before_the_process_ends() {
    let runtime = || Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let (of_server, of_clients) = (runtime(), runtime());
    let server = of_server.block_on(Running::start());
    let mut clients: Vec<_> =
        (0..5).map(|_| of_clients.block_on(Client::join(&server, "team", "Ada"))).collect();
    let stopped = of_server.block_on(async { timeout(LONGEST_STOP, server.stop()).await });
    stopped.expect("it stops in time").expect("it does not panic").expect("and without an error");
    of_server.shutdown_background();
    for client in &mut clients {
        let (heard, end) = of_clients.block_on(client.end());
        let bye = heard.last().expect("a goodbye");
        assert_eq!(
            (&bye["t"], &bye["code"], end),
            (&json!("bye"), &json!("restarting"), Frame::Close(Some(1000)))
        );
    }
}
