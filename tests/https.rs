//! With certificate files the server speaks HTTPS, and `sluice health` asks by it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use sluice::config::Config;
use sluice::health;
use sluice::server::Server;

const LIMIT: Duration = Duration::from_secs(10);

fn certificate(folder: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(&folder).expect("a folder");
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (certificate, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_certificate_is_healthy_by_https_only() {
    let (certificate, key) = certificate("https");
    let mut config = Config::default();
    config.http.listen = "127.0.0.1:0".parse().expect("an address");
    config.media.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    config.media.loopback = true;
    config.tls.cert = Some(certificate.clone());
    config.tls.key = Some(key);
    let server = Server::start(&config).await.expect("it starts");
    let address = server.http_address().expect("it listens");
    assert!(server.greeting().expect("it listens").contains("https://127.0.0.1:"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async move { drop(stopped.await) }));
    let (by_https, by_http) = tokio::task::spawn_blocking(move || {
        (health::check(address, Some(&certificate), LIMIT), health::check(address, None, LIMIT))
    })
    .await
    .expect("no panic");
    by_https.expect("healthy");
    assert!(by_http.is_err(), "nobody's token shall travel in the clear");
    stop.send(()).expect("it serves");
    serving.await.expect("no panic").expect("it stops well");
}
