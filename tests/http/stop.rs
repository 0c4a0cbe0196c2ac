//! The end of a server.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::message::{read, write};
use crate::peer::Peer;
use crate::running::Running;

/// What a person waits after Ctrl-C.
const LONGEST_STOP: Duration = Duration::from_secs(2);

async fn assert_stops(server: Running) {
    let address = server.address;
    let stopped = timeout(LONGEST_STOP, server.stop()).await;
    stopped.expect("it stops in time").expect("it does not panic").expect("and without an error");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn sessions_hear_a_goodbye() {
    let server = Running::start().await;
    let mut publisher = Peer::publish(&server, "demo", 1).await;
    let mut viewer = Peer::watch(&server, "demo").await;
    viewer.until("a frame", |seen| seen.frames_of(1) > 0).await;
    assert!(!publisher.seen().closed && !viewer.seen().closed);
    assert_stops(server).await;
    publisher.until("the publisher's goodbye", |seen| seen.closed).await;
    viewer.until("the viewer's goodbye", |seen| seen.closed).await;
}

#[tokio::test]
async fn an_idle_server_stops() {
    assert_stops(Running::start().await).await;
}

#[tokio::test]
async fn slow_clients_do_not_hold_it() {
    let server = Running::start().await;
    let mut clients = Vec::new();
    for request in [
        "",
        "POST /whip/demo HTT",
        "POST /whip/demo HTTP/1.1\r\nHost: h\r\n",
        "POST /whip/demo HTTP/1.1\r\nHost: h\r\nContent-Type: application/sdp\r\nContent-Length: 9000\r\n\r\nv=0\r\n",
        "POST /whip/demo HTTP/1.1\r\nHost: h\r\nContent-Type: application/sdp\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nv=0",
    ] {
        let client = TcpStream::connect(server.address).await.expect("it listens");
        write(&client, request.as_bytes()).await.expect("it reads");
        clients.push(client);
    }
    // One that is known to have reached its handler, which waits for the body, and one that is kept alive.
    let waiting = "POST /whip/demo HTTP/1.1\r\nHost: h\r\nContent-Type: application/sdp\r\n\
                   Expect: 100-continue\r\nContent-Length: 9000\r\n\r\n";
    for (request, reply) in
        [(waiting, "HTTP/1.1 100 "), ("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 ")]
    {
        let client = TcpStream::connect(server.address).await.expect("it listens");
        write(&client, request.as_bytes()).await.expect("it reads");
        let mut told = Vec::new();
        read(&client, &mut told).await.expect("it answers");
        assert!(told.starts_with(reply.as_bytes()), "{}", String::from_utf8_lossy(&told));
        clients.push(client);
    }
    assert_stops(server).await;
}
