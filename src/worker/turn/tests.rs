//! Two workers of one server, and clients that speak to them through real sockets but by turns that the test takes.

use std::sync::Arc;

use md5::{Digest, Md5};
use tokio::sync::mpsc;

use super::super::Worker;
use super::super::neighbour::{Inbox, Neighbour};
use super::super::tests::{Ends, address, binding_request, port, worker_of};
use super::*;
use crate::net::demux::DropReason;
use crate::net::udp::{ReceiveBatch, UdpPort};
use crate::wire::stun::integrity::Integrity;
use crate::wire::stun::{Class, Message, Method, TransactionId, Writer, attribute};

const NAME: &str = "ann";
const PASSWORD: &str = "ann's password";
const REALM: &str = "sluice";
const CHANNEL: [u8; 2] = [0x40, 0x01];

fn config() -> TurnConfig {
    let user = Credential { username: NAME.into(), password: PASSWORD.into() };
    // Relayed addresses have the address of this machine, so that a test can bear one.
    let dummies = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    TurnConfig { dummies, ..TurnConfig::new(REALM.into(), vec![user], Vec::new()) }
}

/// Two workers, each with a port of its own, as no system spreads clients as a test needs it. Both have the same media
/// address: that of the first.
struct World {
    workers: Vec<(Worker, Ends)>,
    media: SocketAddr,
}

impl World {
    fn new() -> Self {
        let config = config();
        let commands = || mpsc::unbounded_channel().0;
        let neighbour = |_| Neighbour { commands: commands(), inbox: Arc::new(Inbox::new()) };
        let all: Arc<[Neighbour]> = (0..2).map(neighbour).collect();
        let ports = [port(), port()];
        let media = address(&ports[0]);
        let worker = |(id, port): (u8, UdpPort)| {
            let id = WorkerId(id);
            let turn = Turn::new(&config, id, 2, &[media], vec![media]);
            worker_of(port, Neighbours::new(id, all.clone()), Some(turn))
        };
        Self { workers: (0..).zip(ports).map(worker).collect(), media }
    }

    fn worker(&mut self, id: usize) -> &mut Worker {
        &mut self.workers[id].0
    }

    /// What one turn of a worker's loop does with what has come.
    fn turn(&mut self, id: usize) {
        let now = Instant::now();
        let worker = self.worker(id);
        if let Some(turn) = &mut worker.turn {
            turn.begin(now);
        }
        worker.hear(now);
        worker.receive(now);
        worker.flush();
        worker.neighbours.pass_on(&mut worker.core);
    }

    fn dropped(&self, id: usize, reason: DropReason) -> u64 {
        let place = DropReason::ALL.iter().position(|known| *known == reason).unwrap();
        self.workers[id].0.core.counters().dropped[place]
    }
}

/// A TURN client of one worker.
struct Client {
    port: UdpPort,
    worker: usize,
    nonce: Vec<u8>,
}

impl Client {
    /// A client with an allocation and channels to these peers. Returns it and its relayed address.
    async fn relayed(world: &mut World, worker: usize) -> (Self, SocketAddr) {
        let mut client = Self { port: port(), worker, nonce: Vec::new() };
        let transport = (attribute::REQUESTED_TRANSPORT, vec![17, 0, 0, 0]);
        let challenge = client.ask(world, Method::ALLOCATE, std::slice::from_ref(&transport)).await;
        client.nonce = Message::parse(&challenge).unwrap().attribute(attribute::NONCE).unwrap().to_vec();
        let granted = client.ask(world, Method::ALLOCATE, &[transport]).await;
        let message = Message::parse(&granted).unwrap();
        assert_eq!(message.class(), Class::Success);
        let relayed = message.attribute(attribute::XOR_RELAYED_ADDRESS).unwrap();
        (client, message.xor_address(relayed).unwrap())
    }

    async fn bind(&mut self, world: &mut World, peer: SocketAddr) {
        let number = [&CHANNEL[..], &[0, 0]].concat();
        let mut xor = Vec::new();
        let _ = Writer::new(&mut xor, Class::Request, Method::SEND, TransactionId([3; 12]))
            .xor_address(attribute::XOR_PEER_ADDRESS, peer);
        let peer = (attribute::XOR_PEER_ADDRESS, xor.split_off(24));
        let bound = self.ask(world, Method::CHANNEL_BIND, &[(attribute::CHANNEL_NUMBER, number), peer]).await;
        assert_eq!(Message::parse(&bound).unwrap().class(), Class::Success);
    }

    async fn ask(&mut self, world: &mut World, method: Method, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, Class::Request, method, TransactionId([3; 12]));
        for (kind, value) in attributes {
            writer = writer.attribute(*kind, value);
        }
        if !self.nonce.is_empty() {
            let key = Md5::digest(format!("{NAME}:{REALM}:{PASSWORD}"));
            let _ = writer
                .attribute(attribute::USERNAME, NAME.as_bytes())
                .attribute(attribute::REALM, REALM.as_bytes())
                .attribute(attribute::NONCE, &self.nonce)
                .integrity(Integrity::Sha1, &key);
        }
        self.send(world, &out).await;
        world.turn(self.worker);
        self.hear().await
    }

    /// Sends to its worker, which has it in its socket afterwards.
    async fn send(&mut self, world: &mut World, bytes: &[u8]) {
        let to = address(&world.worker(self.worker).port);
        let mut batch = SendBatch::new();
        batch.push(address(&self.port), to, bytes);
        assert_eq!(self.port.send(&mut batch).dropped, 0);
        world.worker(self.worker).port.readable().await.unwrap();
    }

    async fn send_on_channel(&mut self, world: &mut World, data: &[u8]) {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        self.send(world, &[&CHANNEL[..], &length, data].concat()).await;
    }

    /// The next datagram that came.
    async fn hear(&mut self) -> Vec<u8> {
        let mut batch = ReceiveBatch::new();
        while self.port.receive(Instant::now(), &mut batch) == 0 {
            self.port.readable().await.unwrap();
        }
        batch.take().unwrap().payload.to_vec()
    }
}

#[tokio::test]
async fn a_client_behind_the_relay_asks_the_media_port_for_its_address_and_is_told_the_relayed_one() {
    let mut world = World::new();
    let (mut client, relayed) = Client::relayed(&mut world, 0).await;
    let media = world.media;
    client.bind(&mut world, media).await;
    client.send_on_channel(&mut world, &binding_request()).await;
    world.turn(0);
    let answer = client.hear().await;
    assert_eq!(answer[..2], CHANNEL);
    let answer = Message::parse(&answer[4..]).unwrap();
    assert_eq!(answer.xor_mapped_address(), Some(relayed));
    let counters = world.worker(0).turn.as_ref().unwrap().counters();
    let server = counters.server;
    assert_eq!((counters.allocations, server.outward.packets, server.inward.packets), (1, 1, 1));
}

#[tokio::test]
async fn two_clients_of_two_workers_reach_each_other() {
    let mut world = World::new();
    let (mut ann, at_ann) = Client::relayed(&mut world, 0).await;
    let (mut bob, at_bob) = Client::relayed(&mut world, 1).await;
    ann.bind(&mut world, at_bob).await;
    bob.bind(&mut world, at_ann).await;
    ann.send_on_channel(&mut world, b"hello").await;
    world.turn(0);
    world.turn(1);
    assert_eq!(bob.hear().await, [&CHANNEL[..], &[0, 5], b"hello"].concat());
    assert_eq!(world.worker(0).neighbours.counters.to_clients, 1);
}

#[tokio::test]
async fn what_the_media_sends_to_another_workers_client_arrives() {
    let mut world = World::new();
    let (mut client, relayed) = Client::relayed(&mut world, 1).await;
    let media = world.media;
    client.bind(&mut world, media).await;
    let first = world.worker(0);
    first.turn.as_mut().unwrap().begin(Instant::now());
    first.turn.as_mut().unwrap().heard_relayed();
    let elsewhere = port();
    for to in [relayed, address(&elsewhere)] {
        first.batch.push(media, to, b"picture");
    }
    first.flush();
    assert_eq!(first.snapshot.udp.packets_out, 1, "the ordinary one leaves by the socket");
    first.neighbours.pass_on(&mut first.core);
    world.turn(1);
    assert_eq!(client.hear().await, [&CHANNEL[..], &[0, 7], b"picture"].concat());
}

#[tokio::test]
async fn a_datagram_that_claims_to_come_from_a_relayed_address_is_dropped() {
    let mut world = World::new();
    let (_client, relayed) = Client::relayed(&mut world, 0).await;
    let listen = vec![relayed];
    let (receive_buffer, send_buffer) = (1 << 20, 1 << 20);
    let sharing = crate::net::udp::Sharing::Alone;
    let config = crate::net::udp::UdpConfig { listen, receive_buffer, send_buffer, sharing };
    let port = UdpPort::bind(&config).unwrap();
    let mut forger = Client { port, worker: 0, nonce: Vec::new() };
    forger.send(&mut world, &binding_request()).await;
    let before = world.worker(0).core.counters().stun_bindings;
    world.turn(0);
    assert_eq!(world.dropped(0, DropReason::Forged), 1);
    assert_eq!(world.worker(0).core.counters().stun_bindings, before, "and not answered");
}

#[tokio::test]
async fn there_is_no_relay_through_the_relay() {
    let mut world = World::new();
    let (mut client, _) = Client::relayed(&mut world, 0).await;
    let media = world.media;
    client.bind(&mut world, media).await;
    client.send_on_channel(&mut world, &[0x40, 0x01, 0, 0]).await;
    world.turn(0);
    assert_eq!(world.dropped(0, DropReason::Turn), 1);
}

#[test]
fn every_relayed_address_is_lent_by_one_worker() {
    let announced = ["192.0.2.1:3478", "[2001:db8::1]:3478"].map(|address| address.parse().unwrap());
    for workers in [1, 2, 3, 7, 64] {
        let lending = Lending::new(DUMMIES, &announced, workers);
        let mut next = *PORTS.start();
        for worker in (0..workers).map(WorkerId) {
            let ports = lending.ports(worker);
            assert_eq!((*ports.start(), next % 2, ports.len() % 2), (next, 0, 0));
            next = ports.end() + 1;
            for port in [ports.start(), ports.end()] {
                let lent = SocketAddr::new(DUMMIES.0.into(), *port);
                assert_eq!((lending.lender(lent), lending.relayed.contains(lent)), (worker, true));
            }
        }
        assert!(!lending.relayed.contains(SocketAddr::new(DUMMIES.0.into(), next)), "nobody lends it");
        assert!(!lending.relayed.contains(SocketAddr::new(announced[0].ip(), 20_000)), "a machine");
    }
}

/// A client over TCP: what is for it goes into its stream, and its allocation ends with that.
#[tokio::test]
async fn a_client_with_a_connection_is_answered_in_it_and_gone_with_it() {
    use crate::net::streams::mark::StreamId;
    use crate::net::streams::outgoing;
    use crate::net::streams::{Carries, Ends as StreamEnds, StreamIn, What};

    let mut world = World::new();
    let media = world.media;
    let ends = StreamEnds { peer: "203.0.113.9:5000".parse().unwrap(), local: media };
    let (out, waiting) = outgoing::channel(Carries::Turn);
    let tell = |world: &mut World, what| {
        world.worker(0).hear_streams(Instant::now(), Some(StreamIn { id: StreamId(1), what }));
    };
    tell(&mut world, What::Opened { carries: Carries::Turn, ends, out });
    let mut nonce = Vec::new();
    for class in [Class::Error, Class::Success] {
        let mut request = Vec::new();
        let mut writer = Writer::new(&mut request, Class::Request, Method::ALLOCATE, TransactionId([3; 12]))
            .attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        if !nonce.is_empty() {
            writer = writer
                .attribute(attribute::USERNAME, NAME.as_bytes())
                .attribute(attribute::REALM, REALM.as_bytes())
                .attribute(attribute::NONCE, &nonce);
            let key = Md5::digest(format!("{NAME}:{REALM}:{PASSWORD}"));
            let _ = writer.integrity(Integrity::Sha1, &key);
        }
        tell(&mut world, What::Frame(request.into()));
        let answer = waiting.taken(Instant::now());
        let answer = Message::parse(&answer).unwrap();
        assert_eq!(answer.class(), class);
        nonce = answer.attribute(attribute::NONCE).unwrap_or_default().to_vec();
    }
    let allocations = |world: &mut World| world.worker(0).turn.as_ref().unwrap().counters().allocations;
    assert_eq!(allocations(&mut world), 1);
    tell(&mut world, What::Closed);
    assert_eq!(allocations(&mut world), 0);
}
