//! A server and clients of it, in virtual time.

use super::*;
use crate::turn::allocation::Transport;
use crate::turn::counters::{Dropped, Refused};
use crate::turn::credentials::{LongTermKey, PasswordAlgorithm};
use crate::wire::stun::integrity::Integrity;
use crate::wire::stun::{Class, Fingerprint, Message, Method, TransactionId, Writer, attribute};

mod allocating;
mod authenticating;
mod flooding;
mod lifetimes;
mod permitting;
mod relaying;
mod scenarios;

const REALM: &str = "sluice";
const SECRET: &str = "a secret of the operator";
/// Seconds since 1970 when the tests begin.
const WALL: u64 = 1_800_000_000;

const MEDIA: &str = "192.0.2.1:3478";
const MEDIA6: &str = "[2001:db8::1]:3478";
const SERVER: &str = "192.0.2.1:3478";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn settings(now: Instant) -> Settings {
    Settings {
        realm: REALM.into(),
        users: vec![Credential { username: "ann".into(), password: "ann's password".into() }],
        secrets: vec![SECRET.into(), "the secret before".into()],
        key: [7; 32],
        began: now,
        media: vec![address(MEDIA), address(MEDIA6)],
        relayed: Relayed {
            v4: Some("192.0.2.1".parse().unwrap()),
            v6: Some("2001:db8::1".parse().unwrap()),
            ports: 49_152..=65_535,
        },
        ports: 49_152..=60_001,
        limits: Limits { bandwidth: None, ..Limits::default() },
    }
}

/// What became of a message, without borrowing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Became {
    Nothing,
    Reply(Vec<u8>),
    ToMedia(SocketAddr, SocketAddr, Vec<u8>),
    ToRelayed(SocketAddr, SocketAddr, Vec<u8>),
}

struct World {
    server: Server,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let now = Instant::now();
        let mut settings = settings(now);
        change(&mut settings);
        Self { server: Server::new(settings, now, seconds(WALL)), now }
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.server.expire(self.now);
    }

    fn send(&mut self, client: &FiveTuple, message: &[u8]) -> Became {
        match self.server.receive(self.now, client, message) {
            Outcome::Nothing => Became::Nothing,
            Outcome::Reply(reply) => Became::Reply(reply.to_vec()),
            Outcome::ToMedia { relayed, media, data } => Became::ToMedia(relayed, media, data.to_vec()),
            Outcome::ToRelayed { relayed, peer, data } => Became::ToRelayed(relayed, peer, data.to_vec()),
        }
    }

    /// What a client gets of `data` from `peer`.
    fn media_sends(
        &mut self,
        relayed: SocketAddr,
        peer: SocketAddr,
        data: &[u8],
    ) -> Option<(FiveTuple, Vec<u8>)> {
        let (client, envelope) = self.server.to_client(self.now, relayed, peer, data.len())?;
        let mut out = Vec::new();
        envelope.wrap(data, &mut out);
        Some((client, out))
    }

    fn dropped(&self, reason: Dropped) -> u64 {
        self.server.counters().dropped(reason)
    }
}

/// A reply, checked for what all replies have in common.
#[derive(Debug, Clone)]
struct Reply(Vec<u8>);

impl Reply {
    fn message(&self) -> Message<'_> {
        Message::parse(&self.0).unwrap()
    }

    fn is_success(&self) -> bool {
        self.message().class() == Class::Success
    }

    /// The error code; 0 for success.
    fn code(&self) -> u16 {
        match self.message().attribute(attribute::ERROR_CODE) {
            Some(&[0, 0, class, number]) => u16::from(class) * 100 + u16::from(number),
            Some(other) => panic!("a reason phrase: {other:?}"),
            None => 0,
        }
    }

    fn address(&self, kind: u16) -> Option<SocketAddr> {
        self.message().xor_address(self.message().attribute(kind)?)
    }

    fn relayed(&self) -> SocketAddr {
        self.address(attribute::XOR_RELAYED_ADDRESS).unwrap()
    }

    fn lifetime(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.message().attribute(attribute::LIFETIME)?.try_into().unwrap()))
    }

    fn get(&self, kind: u16) -> Option<Vec<u8>> {
        self.message().attribute(kind).map(<[u8]>::to_vec)
    }
}

/// A client that does as RFC 8489 and RFC 8656 say, unless told otherwise.
#[derive(Debug, Clone)]
struct Client {
    tuple: FiveTuple,
    username: String,
    password: String,
    nonce: Vec<u8>,
    algorithm: PasswordAlgorithm,
    integrity: Integrity,
    transactions: u32,
}

impl Client {
    fn new(source: &str) -> Self {
        Self {
            tuple: FiveTuple { transport: Transport::Udp, client: address(source), server: address(SERVER) },
            username: "ann".into(),
            password: "ann's password".into(),
            nonce: Vec::new(),
            algorithm: PasswordAlgorithm::Md5,
            integrity: Integrity::Sha1,
            transactions: 0,
        }
    }

    fn over_tcp(mut self) -> Self {
        self.tuple.transport = Transport::Tcp;
        self
    }

    fn with(mut self, credential: Credential) -> Self {
        self.username = credential.username;
        self.password = credential.password;
        self
    }

    fn sha256(mut self) -> Self {
        self.algorithm = PasswordAlgorithm::Sha256;
        self.integrity = Integrity::Sha256;
        self
    }

    fn key(&self) -> LongTermKey {
        let [name, password] = [&self.username, &self.password].map(|text| text.as_bytes());
        LongTermKey::new(self.algorithm, name, REALM.as_bytes(), password)
    }

    fn transaction(&mut self) -> TransactionId {
        self.transactions += 1;
        let mut id = [0; 12];
        id[..4].copy_from_slice(&self.transactions.to_be_bytes());
        id[4..6].copy_from_slice(&self.tuple.client.port().to_be_bytes());
        TransactionId(id)
    }

    /// A request as it is sent.
    fn request(&mut self, method: Method, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let transaction = self.transaction();
        self.request_again(method, attributes, transaction)
    }

    fn request_again(
        &self,
        method: Method,
        attributes: &[(u16, Vec<u8>)],
        transaction: TransactionId,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, Class::Request, method, transaction);
        for (kind, value) in attributes {
            writer = writer.attribute(*kind, value);
        }
        writer = writer
            .attribute(attribute::USERNAME, self.username.as_bytes())
            .attribute(attribute::REALM, REALM.as_bytes())
            .attribute(attribute::NONCE, &self.nonce);
        if self.algorithm == PasswordAlgorithm::Sha256 {
            writer = writer
                .attribute(attribute::PASSWORD_ALGORITHMS, &PasswordAlgorithm::OFFERED)
                .attribute(attribute::PASSWORD_ALGORITHM, &[0, 2, 0, 0]);
        }
        let _ = writer.integrity(self.integrity, self.key().bytes());
        out
    }

    /// The reply to a request, which must be there and proved by the client's key if it should be.
    fn ask(&mut self, world: &mut World, method: Method, attributes: &[(u16, Vec<u8>)]) -> Reply {
        let request = self.request(method, attributes);
        let Became::Reply(reply) = world.send(&self.tuple, &request) else { panic!("no reply") };
        let message = Message::parse(&reply).unwrap();
        assert_eq!(message.method(), method);
        assert_eq!(message.transaction(), Message::parse(&request).unwrap().transaction());
        assert_eq!(message.fingerprint(), Fingerprint::Absent, "the request had none");
        let reply = Reply(reply.clone());
        if !matches!(reply.code(), 400 | 401 | 438) {
            assert!(message.is_proved_by(self.integrity, self.key().bytes()), "{}", reply.code());
        }
        reply
    }

    /// Gets a nonce.
    fn greet(&mut self, world: &mut World) -> Reply {
        let mut out = Vec::new();
        let transaction = self.transaction();
        let _ = Writer::new(&mut out, Class::Request, Method::ALLOCATE, transaction)
            .attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        let Became::Reply(reply) = world.send(&self.tuple, &out) else { panic!("no challenge") };
        let reply = Reply(reply);
        self.nonce = reply.get(attribute::NONCE).unwrap();
        reply
    }

    fn allocate_with(&mut self, world: &mut World, attributes: &[(u16, Vec<u8>)]) -> Reply {
        if self.nonce.is_empty() {
            self.greet(world);
        }
        let attributes = [&[udp()][..], attributes].concat();
        self.ask(world, Method::ALLOCATE, &attributes)
    }

    /// Allocates, and returns the relayed address.
    fn allocate(&mut self, world: &mut World) -> SocketAddr {
        let reply = self.allocate_with(world, &[]);
        assert!(reply.is_success(), "{}", reply.code());
        reply.relayed()
    }

    fn refresh(&mut self, world: &mut World, lifetime: u32) -> Reply {
        self.ask(world, Method::REFRESH, &[(attribute::LIFETIME, lifetime.to_be_bytes().to_vec())])
    }

    fn permit(&mut self, world: &mut World, peers: &[&str]) -> u16 {
        let peers: Vec<_> = peers.iter().map(|peer| self.peer(peer)).collect();
        self.ask(world, Method::CREATE_PERMISSION, &peers).code()
    }

    fn bind(&mut self, world: &mut World, channel: u16, peer: &str) -> u16 {
        let peer = self.peer(peer);
        let number = [&channel.to_be_bytes()[..], &[0, 0]].concat();
        self.ask(world, Method::CHANNEL_BIND, &[(attribute::CHANNEL_NUMBER, number), peer]).code()
    }

    /// XOR-PEER-ADDRESS for the next request.
    fn peer(&self, peer: &str) -> (u16, Vec<u8>) {
        let transaction = self.clone().transaction();
        (attribute::XOR_PEER_ADDRESS, xor(address(peer), transaction))
    }

    /// A Send indication.
    fn send(&mut self, world: &mut World, peer: &str, data: &[u8]) -> Became {
        let message = indication(&[peer_of(peer), (attribute::DATA, data.to_vec())]);
        world.send(&self.tuple, &message)
    }

    fn send_on(&self, world: &mut World, channel: u16, data: &[u8]) -> Became {
        world.send(&self.tuple, &channel_data(channel, data))
    }
}

fn udp() -> (u16, Vec<u8>) {
    (attribute::REQUESTED_TRANSPORT, vec![17, 0, 0, 0])
}

fn xor(address: SocketAddr, transaction: TransactionId) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = Writer::new(&mut out, Class::Request, Method::SEND, transaction)
        .xor_address(attribute::XOR_PEER_ADDRESS, address);
    out.split_off(24)
}

const INDICATION: TransactionId = TransactionId([9; 12]);

fn peer_of(peer: &str) -> (u16, Vec<u8>) {
    (attribute::XOR_PEER_ADDRESS, xor(address(peer), INDICATION))
}

fn indication(attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, Class::Indication, Method::SEND, INDICATION);
    for (kind, value) in attributes {
        writer = writer.attribute(*kind, value);
    }
    let _ = writer;
    out
}

fn channel_data(channel: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&channel.to_be_bytes()[..], &length.to_be_bytes(), data].concat()
}
