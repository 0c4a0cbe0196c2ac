//! The admin API, and who gets in.

use std::net::{Ipv4Addr, SocketAddr};

use sluice::config::AdminKey;

use crate::message::Request;
use crate::running::Running;

const KEY: &str = "the-key-of-the-operator";

/// A server with an admin API, and the address that its greeting tells of it.
async fn with_admin() -> (Running, SocketAddr) {
    let server = Running::with(|config| {
        config.admin.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.admin.key = Some(AdminKey::new(KEY).expect("a key"));
    })
    .await;
    let told = server.greeting.lines().find_map(|line| line.trim().strip_prefix("Admin"));
    let told = told.and_then(|rest| rest.trim().strip_prefix("http://")?.split_once("/admin/"));
    let admin = told.and_then(|(address, _)| address.parse().ok()).expect("the greeting names it");
    assert!(!server.greeting.contains(KEY));
    (server, admin)
}

fn with_key(method: &'static str, path: &str) -> Request {
    Request::new(method, path).with("Authorization", format!("Bearer {KEY}"))
}

#[tokio::test]
async fn the_index_says_who_answers() {
    let (server, admin) = with_admin().await;
    for path in ["/admin/", "/admin"] {
        let reply = with_key("GET", path).send_unshared(admin).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("application/json")),
            "{reply:?}"
        );
        let index: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
        assert_eq!(index, serde_json::json!({"name": "sluice", "version": env!("CARGO_PKG_VERSION")}));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    let missing = with_key("GET", "/admin/nothing").send_unshared(admin).await;
    assert_eq!((missing.status, missing.problem().as_deref()), (404, Some("not-found")));
    let method = with_key("DELETE", "/admin/").send_unshared(admin).await;
    assert_eq!((method.status, method.problem().as_deref()), (405, Some("method")));
    let metrics = server.ask(&Request::new("GET", "/metrics")).await.body;
    let counted = "sluice_http_requests_total{method=\"GET\",route=\"/admin\",status=\"200\"} 2";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
}

#[tokio::test]
async fn without_the_key_there_is_nothing_to_see() {
    let (_server, admin) = with_admin().await;
    for authorization in [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer the-key-of-the-operato".to_owned()),
        Some(format!("Bearer {KEY}s")),
        Some(format!("Bearer {}", KEY.to_uppercase())),
        Some(format!("Basic {KEY}")),
        Some(KEY.to_owned()),
    ] {
        for (method, path) in [
            ("GET", "/admin/"),
            ("HEAD", "/admin/"),
            ("OPTIONS", "/admin/"),
            ("DELETE", "/admin/"),
            ("GET", "/admin/nothing"),
            ("GET", "/"),
        ] {
            let request = Request::new(method, path);
            let request = match &authorization {
                Some(value) => request.with("Authorization", value.clone()),
                None => request,
            };
            let reply = request.send_unshared(admin).await;
            assert_eq!(reply.status, 401, "{request:?}: {reply:?}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{request:?}");
            assert!(method == "HEAD" || reply.problem().as_deref() == Some("unauthorized"), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn the_page_for_operators_asks_for_the_key_itself() {
    let (server, admin) = with_admin().await;
    let page = Request::new("GET", "/admin/connections").send_unshared(admin).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'self'"), "{policy}");
    let parts = page.body.split("/assets/").skip(1).filter_map(|rest| rest.split(['"', '#']).next());
    for part in parts {
        let reply = Request::new("GET", format!("/assets/{part}")).send_unshared(admin).await;
        assert_eq!(reply.status, 200, "{part}");
    }
    assert_eq!(server.ask(&Request::new("GET", "/admin/connections")).await.status, 404, "not for everybody");
}

#[tokio::test]
async fn pages_of_other_origins_may_not_use_it() {
    let (_server, admin) = with_admin().await;
    let asked = Request::new("OPTIONS", "/admin/")
        .with("Origin", "https://live.example.org")
        .with("Access-Control-Request-Method", "GET")
        .with("Access-Control-Request-Headers", "authorization");
    let preflight = asked.send_unshared(admin).await;
    assert_eq!(preflight.status, 401, "{preflight:?}");
    let read =
        with_key("GET", "/admin/").with("Origin", "https://live.example.org").send_unshared(admin).await;
    for reply in [preflight, read] {
        for name in ["access-control-allow-origin", "access-control-allow-headers"] {
            assert_eq!(reply.header(name), None, "{reply:?}");
        }
    }
}

#[tokio::test]
async fn it_stands_on_its_own_address_only_and_only_there() {
    let (server, admin) = with_admin().await;
    assert_ne!(server.address, admin);
    assert_eq!(server.ask(&with_key("GET", "/admin/")).await.status, 404);
    for path in ["/", "/metrics", "/healthz", "/whip/demo"] {
        assert_eq!(with_key("GET", path).send_unshared(admin).await.status, 404, "{path}");
    }
    let without = Running::start().await;
    assert!(!without.greeting.contains("Admin"), "{}", without.greeting);
}

#[tokio::test]
async fn it_ends_with_the_server() {
    let (server, admin) = with_admin().await;
    server.stop().await.expect("no panic").expect("it stops well");
    assert!(tokio::net::TcpStream::connect(admin).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn the_doctor_examines_the_server_that_is_asked() {
    let (_server, admin) = with_admin().await;
    let refused = Request::new("GET", "/admin/doctor").send_unshared(admin).await;
    assert_eq!(refused.status, 401, "it costs seconds, and names addresses");
    let reply = with_key("GET", "/admin/doctor").send_unshared(admin).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{reply:?}");
    let report: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    let findings = report["findings"].as_array().expect("a list");
    let found = |check: &str| {
        let finding =
            findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("{check}"));
        format!("{}: {}", finding["status"], finding["found"]).replace('"', "")
    };
    assert_eq!(found("server"), "ok: Sluice runs and answers");
    for port in ["HTTP port", "media port", "admin port"] {
        let found = found(port);
        assert!(
            found.starts_with("ok: ") && found.ends_with(" answers") && !found.contains(":0 "),
            "{found}"
        );
    }
    let relay = findings.iter().filter(|finding| finding["check"] == "relay");
    let relay: Vec<_> = relay.map(|finding| finding["found"].as_str().expect("a text")).collect();
    let works = |transport| format!("over {transport} it lends addresses, and media answers through it");
    assert_eq!(
        relay,
        [works("UDP"), works("TCP")],
        "the relay works, with credentials that only the server knows"
    );
    assert!(!reply.body.contains(KEY));
}
