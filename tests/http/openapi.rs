//! The OpenAPI document against the server that it describes.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::message::Request;
use crate::running::Running;

const DOCUMENT: &str = include_str!("../../web-demo/openapi.json");
/// Where the routes stand.
const ROUTERS: [&str; 2] =
    [include_str!("../../src/signal/mod.rs"), include_str!("../../src/signal/admin.rs")];

fn document() -> Value {
    serde_json::from_str(DOCUMENT).expect("JSON")
}

/// The paths of all routes. A slash at the end is the same place.
fn routes() -> BTreeSet<&'static str> {
    let literal = |rest: &'static str| rest.trim_start().strip_prefix('"')?.split('"').next();
    let all = ROUTERS.iter().flat_map(|text| text.split(".route(").skip(1).filter_map(literal));
    all.map(|path| path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path)).collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    assert_eq!(paths.keys().map(String::as_str).collect::<BTreeSet<_>>(), routes());
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn the_methods_are_those_that_are_described() {
    let server = Running::start().await;
    let told = server.ask(&Request::new("GET", "/openapi.json")).await;
    assert_eq!((told.header("content-type"), told.body.as_str()), (Some("application/json"), DOCUMENT));
    let document = document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        // The admin API is not here.
        if path.starts_with("/admin") {
            continue;
        }
        let named = path
            .replace("{session}", &"0".repeat(32))
            .replace("{number}", "1")
            .replace("{file}", "base.css")
            .replace("{stream}", "demo")
            .replace("{room}", "demo");
        for method in ["GET", "POST", "PATCH", "PUT", "DELETE"] {
            let reply = server.ask(&Request::new(method, &named)).await;
            let described = item.get(method.to_ascii_lowercase());
            assert_eq!(reply.status != 405, described.is_some(), "{method} {path}: {reply:?}");
            if let Some(operation) = described {
                let status = reply.status.to_string();
                assert!(
                    operation["responses"].get(&status).is_some(),
                    "{method} {path}: {status} is not described"
                );
            }
        }
    }
}
