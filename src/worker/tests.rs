use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::ids::WorkerId;
use crate::net::addresses::AddressMap;
use crate::net::udp::{Sharing, UdpConfig};
use crate::wire::stun::{self, Method, TransactionId, Writer};

pub(super) fn port() -> UdpPort {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    UdpPort::bind(&UdpConfig {
        listen,
        receive_buffer: 8 << 20,
        send_buffer: 4 << 20,
        sharing: Sharing::Alone,
    })
    .unwrap()
}

pub(super) fn address(port: &UdpPort) -> SocketAddr {
    port.local_addrs()[0]
}

/// The ends of a worker's queues that must stay open.
pub(super) type Ends = (mpsc::UnboundedSender<Command>, watch::Receiver<Snapshot>);

/// A worker without sessions, which answers STUN, and the ends of its queues that must stay open.
fn worker() -> (Worker, Ends) {
    worker_of(port(), Neighbours::new(WorkerId(0), Arc::new([])), None)
}

pub(super) fn worker_of(port: UdpPort, neighbours: Neighbours, turn: Option<Turn>) -> (Worker, Ends) {
    let map = AddressMap::new(port.local_addrs(), &[]);
    let (commands, command_queue) = mpsc::unbounded_channel();
    let (snapshot_slot, snapshots) = watch::channel(Snapshot::default());
    let events = mpsc::unbounded_channel().0;
    let core = Core::on(neighbours.own(), map);
    let streams = Streams::new(streams::queue().1, Arc::default());
    let ways = Ways { neighbours, streams, turn };
    let worker = Worker::new(core, port, ways, command_queue, events, snapshot_slot);
    (worker, (commands, snapshots))
}

pub(super) fn binding_request() -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out, stun::Class::Request, Method::BINDING, TransactionId([1; 12])).fingerprint();
    out
}

/// How many requests the worker looked at: strangers who ask more than a little get no answer.
fn judged(worker: &Worker) -> u64 {
    let counters = worker.core.counters();
    counters.stun_bindings + counters.dropped.iter().sum::<u64>()
}

/// Sends so many Binding requests to the worker, which find room in its receive buffer.
fn ask(worker: &Worker, from: &mut UdpPort, count: usize) {
    let mut batch = SendBatch::new();
    (0..count).for_each(|_| batch.push(address(from), address(&worker.port), &binding_request()));
    assert_eq!(from.send(&mut batch).dropped, 0);
}

/// What is too much for one turn stays where it is, and the next turn comes without waiting.
#[tokio::test]
async fn a_turn_is_bounded_and_loses_nothing() {
    let ((mut worker, _ends), mut client) = (worker(), port());
    let all = DATAGRAMS_PER_TURN + DATAGRAMS_PER_TURN / 2;
    ask(&worker, &mut client, all);
    let mut turns = Vec::new();
    while worker.snapshot.udp.packets_in < all as u64 {
        assert!(matches!(worker.wait().await, Wake::Network));
        worker.receive(Instant::now());
        turns.push((judged(&worker), worker.unread));
        worker.flush();
    }
    assert_eq!(turns, [(DATAGRAMS_PER_TURN as u64, true), (all as u64, false)]);
    assert_eq!(worker.snapshot.udp.packets_out, worker.core.counters().stun_bindings);
}

/// A worker that has more than enough to read still looks at the time, at commands and at other sockets.
#[tokio::test]
async fn a_busy_worker_lets_the_runtime_work() {
    let (mut worker, _ends) = worker();
    let other = tokio::spawn(async {});
    for _ in 0..3 {
        worker.unread = true;
        assert!(matches!(worker.wait().await, Wake::Network));
    }
    assert!(other.is_finished());
}

#[tokio::test]
async fn a_full_batch_leaves_before_the_turn_ends() {
    let ((mut worker, _ends), mut client) = (worker(), port());
    let (from, to) = (address(&worker.port), address(&client));
    while !worker.batch.is_full() {
        worker.batch.push(from, to, &[0xFF; 1200]);
    }
    let waiting = worker.batch.len() as u64;
    ask(&worker, &mut client, 3);
    worker.wait().await;
    worker.receive(Instant::now());
    let udp = &worker.snapshot.udp;
    assert_eq!(udp.packets_out + udp.unsent.would_block, waiting + 1, "with the first answer");
    assert_eq!(worker.batch.len(), 2, "the others wait for the end of the turn");
}
