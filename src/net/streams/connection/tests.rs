use std::net::SocketAddr;

use tokio::io::DuplexStream;
use tokio::task::JoinHandle;

use super::*;
use crate::net::streams::outgoing::{MOST_WAITING, StreamOut};
use crate::wire::stun::{Class, Method, TransactionId, Writer};

/// A client's end of a stream, and what the worker and the operator see of it.
struct Scene {
    client: DuplexStream,
    inbox: mpsc::Receiver<StreamIn>,
    counters: Arc<StreamCounters>,
    task: JoinHandle<()>,
}

fn scene(carries: Carries, is_known: bool) -> Scene {
    let (client, server) = tokio::io::duplex(1024);
    let (sender, inbox) = mpsc::channel(8);
    let counters = Arc::new(StreamCounters::default());
    let address = SocketAddr::from(([192, 0, 2, 1], 443));
    let connection = Connection {
        id: StreamId(7),
        carries,
        ends: Ends { peer: address, local: address },
        choose: Arc::new(move |_, _| is_known.then(|| sender.clone())),
        counters: counters.clone(),
    };
    Scene { client, inbox, counters, task: tokio::spawn(connection.run(server)) }
}

fn allocate() -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out, Class::Request, Method::ALLOCATE, TransactionId([1; 12])).fingerprint();
    out
}

impl Scene {
    /// Sends a first message and takes what the worker is told of it.
    async fn open(&mut self) -> StreamOut {
        self.client.write_all(&allocate()).await.unwrap();
        let Some(StreamIn { id: StreamId(7), what: What::Opened { out, .. } }) = self.inbox.recv().await
        else {
            panic!("it opens")
        };
        assert_eq!(self.frame().await, allocate());
        out
    }

    async fn frame(&mut self) -> Vec<u8> {
        match self.inbox.recv().await.unwrap().what {
            What::Frame(frame) => frame.into_vec(),
            other => panic!("{other:?}"),
        }
    }

    async fn closed(mut self) -> Arc<StreamCounters> {
        while !matches!(self.inbox.recv().await.unwrap().what, What::Closed) {}
        self.task.await.unwrap();
        self.counters
    }
}

#[tokio::test(start_paused = true)]
async fn frames_go_both_ways() {
    let mut scene = scene(Carries::Turn, true);
    let out = scene.open().await;
    scene.client.write_all(&[0x40, 0, 0, 1, 9, 0, 0, 0, 0x40, 0, 0, 0]).await.unwrap();
    assert_eq!(scene.frame().await, [0x40, 0, 0, 1, 9]);
    assert_eq!(scene.frame().await, [0x40, 0, 0, 0]);
    out.send(std::time::Instant::now(), &[&[0x40, 0, 0, 1, 8, 0, 0, 0]]);
    let mut got = [0; 8];
    scene.client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, [0x40, 0, 0, 1, 8, 0, 0, 0]);
    drop(out);
    assert_eq!(scene.client.read(&mut got).await.unwrap(), 0, "the worker closes it");
    let counters = scene.closed().await;
    assert_eq!((counters.frames_in.get(), counters.frames_out.get()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_is_closed() {
    let mut scene = scene(Carries::Turn, false);
    scene.client.write_all(&allocate()).await.unwrap();
    assert_eq!(scene.client.read(&mut [0]).await.unwrap(), 0);
    scene.task.await.unwrap();
    assert_eq!(scene.counters.unknown.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_of_no_use_is_gone_after_half_a_minute_however_much_it_says() {
    let mut scene = scene(Carries::Turn, true);
    let began = Instant::now();
    let _out = scene.open().await;
    let (mut client, counters) = (scene.client, scene.counters);
    let talk = async {
        while client.write_all(&[0x40, 0, 0, 0]).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let listen = async { while scene.inbox.recv().await.is_some() {} };
    tokio::join!(talk, listen);
    assert_eq!(counters.idle.get(), 1);
    assert!(began.elapsed() <= OF_NO_USE + Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn who_is_of_use_may_be_silent_for_minutes() {
    let mut scene = scene(Carries::Turn, true);
    let began = Instant::now();
    let out = scene.open().await;
    out.admit(true);
    let counters = scene.closed().await;
    assert_eq!(counters.idle.get(), 1);
    assert!(began.elapsed() >= SILENT);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stops_loses_frames_and_then_the_stream() {
    let mut scene = scene(Carries::Turn, true);
    let out = scene.open().await;
    out.admit(true);
    let frame = [&[0x40, 0, 0x04, 0xAC][..], &[0; 1196]].concat();
    for _ in 0..10_000 {
        out.send(std::time::Instant::now(), &[&frame]);
    }
    let counters = scene.counters.clone();
    scene.task.await.unwrap();
    assert_eq!(counters.stalled.get(), 1);
    assert_eq!(counters.frames_out.get(), 0, "the first batch was never done");
    let most = (MOST_WAITING / frame.len()) as u64;
    let dropped = counters.overflow.get() + counters.gone.get();
    assert!(counters.gone.get() + 20 >= most && dropped + 20 >= 10_000, "all are counted, {dropped}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_on_ends_the_stream() {
    let mut scene = scene(Carries::Turn, true);
    let _out = scene.open().await;
    scene.client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(scene.closed().await.malformed.get(), 1);
}
