//! With certificate files the server speaks HTTPS, and `sluice health` asks by it. The files may change at any time.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};
use sluice::config::Config;
use sluice::health;
use sluice::net::tls::{Credentials, TlsListener, pinned};
use sluice::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(10);

/// When a test gives up waiting for something that the server does by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("it can be emptied");
    }
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Writes a new certificate and its key into a folder.
fn write_pair(folder: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (certificate, key)
}

fn certificate(name: &str) -> (PathBuf, PathBuf) {
    write_pair(&folder(name))
}

/// A server on a free port that sends back what it receives.
async fn echo(credentials: &Credentials) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut listener = TlsListener::new(socket, credentials.config()).expect("it listens");
    let address = listener.local_addr();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await;
            tokio::spawn(async move {
                let mut text = [0; 5];
                while stream.read_exact(&mut text).await.is_ok() {
                    stream.write_all(&text).await.expect("the client listens");
                    stream.flush().await.expect("the client listens");
                }
            });
        }
    });
    address
}

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A client that takes no other certificate than that of a file.
fn connect(server: SocketAddr, certificate: &Path) -> Client {
    let stream = TcpStream::connect(server).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    pinned(server.ip(), certificate, stream).expect("the file holds a certificate")
}

fn is_served(client: &mut Client) -> bool {
    let mut text = [0; 5];
    client.write_all(b"hello").and_then(|()| client.read_exact(&mut text)).is_ok() && text == *b"hello"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_for_new_connections_and_a_broken_one_for_none() {
    let (certificate, key) = certificate("renewed");
    let first = certificate.with_file_name("first.pem");
    fs::copy(&certificate, &first).expect("copied");
    let mut credentials = Credentials::load(&certificate, &key).expect("a good pair");
    let server = echo(&credentials).await;
    let test = tokio::task::spawn_blocking(move || {
        let mut old = connect(server, &first);
        assert!(is_served(&mut old));
        assert!(!credentials.look(), "nothing has changed");

        write_pair(certificate.parent().expect("it is in a folder"));
        assert!(credentials.look());
        assert!(is_served(&mut connect(server, &certificate)), "the new certificate is in use");
        assert!(!is_served(&mut connect(server, &first)), "and no other one");
        assert!(is_served(&mut old), "who was connected notices nothing");

        let second = certificate.with_file_name("second.pem");
        fs::copy(&certificate, &second).expect("copied");
        let good = fs::read(&key).expect("a key");
        let foreign = rcgen::KeyPair::generate().expect("a key").serialize_pem();
        for broken in [foreign.as_bytes(), good.get(..good.len() / 2).expect("a half"), b"", b"\xff\xfe"] {
            fs::write(&key, broken).expect("written");
            assert!(!credentials.look() && !credentials.look(), "refused, however often it is looked at");
            assert!(is_served(&mut connect(server, &second)) && is_served(&mut old));
        }
        for file in [&key, &certificate] {
            fs::remove_file(file).expect("it was there");
            assert!(!credentials.look() && is_served(&mut connect(server, &second)), "a file is gone");
        }
        write_pair(certificate.parent().expect("it is in a folder"));
        assert!(credentials.look() && is_served(&mut connect(server, &certificate)), "all is well again");
    });
    test.await.expect("no panic");
}

/// As secrets are mounted into containers: the paths lead through a link to a folder, and the link is replaced.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_turn_elsewhere_are_noticed() {
    use std::os::unix::fs::symlink;
    let mount = folder("mounted");
    for name in ["one", "two"] {
        fs::create_dir(mount.join(name)).expect("a folder");
        write_pair(&mount.join(name));
    }
    symlink("one", mount.join("data")).expect("a link");
    for name in ["cert.pem", "key.pem"] {
        symlink(Path::new("data").join(name), mount.join(name)).expect("a link");
    }
    let (certificate, key) = (mount.join("cert.pem"), mount.join("key.pem"));
    let mut credentials = Credentials::load(&certificate, &key).expect("a good pair");
    let server = echo(&credentials).await;
    let test = tokio::task::spawn_blocking(move || {
        assert!(is_served(&mut connect(server, &mount.join("one/cert.pem"))));
        symlink("two", mount.join("next")).expect("a link");
        fs::rename(mount.join("next"), mount.join("data")).expect("replaced");
        assert!(credentials.look());
        assert!(is_served(&mut connect(server, &mount.join("two/cert.pem"))));
        assert!(!is_served(&mut connect(server, &mount.join("one/cert.pem"))));
    });
    test.await.expect("no panic");
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
        let asked = (health::check(address, Some(&certificate), LIMIT), health::check(address, None, LIMIT));
        // The server notices by itself.
        write_pair(certificate.parent().expect("it is in a folder"));
        let began = Instant::now();
        while let Err(error) = health::check(address, Some(&certificate), LIMIT) {
            assert!(began.elapsed() < PATIENCE, "the certificate was not reloaded: {error}");
        }
        asked
    })
    .await
    .expect("no panic");
    by_https.expect("healthy");
    assert!(by_http.is_err(), "nobody's token shall travel in the clear");
    stop.send(()).expect("it serves");
    serving.await.expect("no panic").expect("it stops well");
}
