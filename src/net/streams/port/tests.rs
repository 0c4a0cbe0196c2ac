use std::io::{Read, Write};
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::net::streams::{StreamIn, What};
use crate::net::tls::{Credentials, pinned};
use crate::wire::stun::{Class, Method, TransactionId, Writer};

const ALL: Carried = Carried { turn: true, ice: true };

fn stun(method: Method) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out, Class::Request, method, TransactionId([1; 12])).fingerprint();
    out
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

/// A port, what its streams tell the worker, and their counters.
async fn port(tls: Option<Arc<ServerConfig>>) -> (Port, mpsc::Receiver<StreamIn>, Arc<StreamCounters>) {
    let (inbox, told) = mpsc::channel(16);
    let counters = Arc::new(StreamCounters::default());
    let streams = Streams::new(Arc::new(move |_, _| Some(inbox.clone())), counters.clone(), ALL, 100);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (Port::new(socket, tls, streams).unwrap(), told, counters)
}

fn credentials(name: &str) -> (PathBuf, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = std::env::temp_dir().join(format!("sluice-port-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = Credentials::load(&certificate, &key).unwrap().config();
    (certificate, config)
}

/// Waits for a stream that opens, and answers its first message with itself.
async fn echo(told: &mut mpsc::Receiver<StreamIn>) -> (Carries, Ends, Vec<u8>) {
    let Some(StreamIn { what: What::Opened { carries, ends, out }, .. }) = told.recv().await else {
        panic!("a stream opens")
    };
    let Some(StreamIn { what: What::Frame(frame), .. }) = told.recv().await else {
        panic!("its first message follows")
    };
    out.send(std::time::Instant::now(), &[&frame]);
    (carries, ends, frame.into_vec())
}

#[tokio::test]
async fn one_port_tells_http_turn_and_ice_apart() {
    let (mut port, mut told, counters) = port(None).await;
    let address = port.local_addr();
    for (message, first, carries) in [
        (stun(Method::ALLOCATE), stun(Method::ALLOCATE), Carries::Turn),
        (framed(&stun(Method::BINDING)), stun(Method::BINDING), Carries::Ice),
    ] {
        let mut client = TcpStream::connect(address).await.unwrap();
        let ends = Ends { peer: client.local_addr().unwrap(), local: address };
        client.write_all(&message).await.unwrap();
        assert_eq!(echo(&mut told).await, (carries, ends, first));
        let mut answer = vec![0; message.len()];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, message, "framed as it came");
        drop(client);
        while !matches!(told.recv().await.unwrap().what, What::Closed) {}
    }
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let (mut http, peer) = port.accept().await;
    assert_eq!(peer, client.local_addr().unwrap());
    let Http::Plain(stream) = &mut http else { panic!("no TLS was spoken") };
    let mut text = [0; 16];
    stream.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"GET / HTTP/1.1\r\n");
    assert_eq!((counters.turn.get(), counters.ice.get()), (1, 1));
}

#[tokio::test]
async fn with_a_certificate_streams_may_come_inside_of_tls_and_without() {
    let (certificate, config) = credentials("both");
    let (mut port, mut told, _) = port(Some(config)).await;
    let address = port.local_addr();
    let speak = |message: Vec<u8>| {
        let certificate = certificate.clone();
        tokio::task::spawn_blocking(move || {
            let stream = std::net::TcpStream::connect(address).unwrap();
            let mut stream = pinned(address.ip(), &certificate, stream).unwrap();
            stream.write_all(&message).unwrap();
            let mut answer = vec![0; message.len()];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, message);
        })
    };
    let inside = speak(stun(Method::ALLOCATE));
    assert_eq!(echo(&mut told).await.0, Carries::Turn);
    inside.await.unwrap();
    while !matches!(told.recv().await.unwrap().what, What::Closed) {}
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(&stun(Method::ALLOCATE)).await.unwrap();
    assert_eq!(echo(&mut told).await.0, Carries::Turn);
    let web = speak(b"GET / HTTP/1.1\r\n".to_vec());
    let (http, _) = port.accept().await;
    let Http::Tls(mut stream) = http else { panic!("TLS was spoken") };
    let mut text = [0; 16];
    stream.read_exact(&mut text).await.unwrap();
    stream.write_all(&text).await.unwrap();
    stream.flush().await.unwrap();
    web.await.unwrap();
    let mut without = TcpStream::connect(address).await.unwrap();
    without.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = without.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP"), "HTTP without TLS is refused");
}

/// Silent connections and such that stop in the middle, more than there are places: who speaks is served.
#[tokio::test]
async fn those_who_say_nothing_give_way_to_those_who_speak() {
    let (_, config) = credentials("slow");
    for tls in [None, Some(config)] {
        let with_tls = tls.is_some();
        let (mut port, mut told, _) = port(tls).await;
        let mut slow = Vec::new();
        for number in 0..600 {
            let mut client = TcpStream::connect(port.local_addr()).await.unwrap();
            let first: &[u8] = [&b""[..], &[0, 1], &[0x16, 3, 1]][number % 3];
            client.write_all(if with_tls || first != [0x16, 3, 1] { first } else { b"" }).await.unwrap();
            slow.push(client);
        }
        let mut client = TcpStream::connect(port.local_addr()).await.unwrap();
        client.write_all(&stun(Method::ALLOCATE)).await.unwrap();
        assert_eq!(echo(&mut told).await.0, Carries::Turn);
        if !with_tls {
            let mut client = TcpStream::connect(port.local_addr()).await.unwrap();
            client.write_all(b"GET").await.unwrap();
            port.accept().await;
        }
        let first = slow.first_mut().unwrap();
        let closed = tokio::time::timeout(std::time::Duration::from_secs(5), first.read(&mut [0])).await;
        assert!(closed.is_ok(), "the first gave way");
    }
}

#[tokio::test]
async fn what_is_not_enabled_goes_to_the_http_server() {
    let streams =
        Streams::new(Arc::new(|_, _| None), Arc::default(), Carried { turn: false, ice: false }, 100);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut port = Port::new(socket, None, streams).unwrap();
    let mut client = TcpStream::connect(port.local_addr()).await.unwrap();
    client.write_all(&stun(Method::ALLOCATE)).await.unwrap();
    assert!(matches!(port.accept().await.0, Http::Plain(_)));
}
