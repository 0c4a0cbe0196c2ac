//! Health and metrics, and where they may be asked for.

use std::net::{Ipv4Addr, SocketAddr};

use crate::message::Request;
use crate::offer;
use crate::running::Running;

#[tokio::test]
async fn health_and_metrics_stand_beside_the_rest() {
    let server = Running::start().await;
    server.ask(&Request::sdp("/whip/demo", offer("publish/obs-h264"))).await;
    for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let reply = server.ask(&Request::new("GET", path)).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, text), "{path}");
        assert_eq!(server.ask(&Request::new("HEAD", path)).await.status, 200, "{path}");
    }
    let metrics = server.ask(&Request::new("GET", "/metrics")).await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").is_some_and(|text| text.starts_with("text/plain")), "{metrics:?}");
    let posts = "sluice_http_requests_total{method=\"POST\",route=\"/whip/{stream}\",status=\"201\"} 1";
    for line in ["sluice_rooms 1", "sluice_streams 0", posts] {
        assert!(metrics.body.lines().any(|known| known == line), "no {line}: {}", metrics.body);
    }
}

#[tokio::test]
async fn metrics_have_an_address_of_their_own_where_they_are_given_one() {
    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Running::with(|config| config.metrics.listen = Some(own)).await;
    let told = server.greeting.lines().find_map(|line| line.trim().strip_prefix("Metrics"));
    let told = told.and_then(|url| url.trim().strip_prefix("http://")?.strip_suffix("/metrics"));
    let operator: SocketAddr = told.and_then(|address| address.parse().ok()).expect("the greeting names it");
    assert_ne!(operator, server.address);

    assert_eq!(server.ask(&Request::new("GET", "/metrics")).await.status, 404);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.ask(&Request::new("GET", path)).await.status, 200, "{path}");
        assert_eq!(Request::new("GET", path).send(operator).await.status, 200, "{path}");
    }
    assert_eq!(Request::new("GET", "/metrics").send(operator).await.status, 200);
    for request in [
        Request::sdp("/whip/demo", offer("publish/obs-h264")),
        Request::sdp("/whep/demo", offer("play/chromium")),
        Request::new("GET", "/watch/demo"),
        Request::new("GET", "/"),
    ] {
        assert_eq!(request.send(operator).await.status, 404, "{request:?}");
    }
}
