//! TURN: whatever a client sends, with a password or without, nobody but this server is reached, what is wrapped can be
//! unwrapped, and in the end nothing is left.
//!
//! The input is a list of steps: a byte that says who does what, one of length, and as many bytes of content. Steps that
//! need a password get it here, as no fuzzer finds a hash.
#![no_main]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use sluice::turn::allocation::{FiveTuple, Transport};
use sluice::turn::credentials::Credential;
use sluice::turn::relays::Relayed;
use sluice::turn::server::{Limits, Outcome, Server, Settings};
use sluice::wire::channel;
use sluice::wire::stun::integrity::Integrity;
use sluice::wire::stun::{Class, Fingerprint, Message, Method, TransactionId, Writer, attribute};

const MEDIA: &str = "192.0.2.1:3478";
const WALL: Duration = Duration::from_secs(1_800_000_000);
/// MD5 of `ann:sluice:password`.
const KEY: [u8; 16] = [0x33, 0xDC, 0x86, 0x42, 0xFC, 0x6F, 0xF8, 0x75, 0x24, 0x82, 0x28, 0x3D, 0x35, 0xCB, 0xC7, 0x30];

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn server(now: Instant) -> Server {
    let relayed = Relayed {
        v4: Some("192.0.2.1".parse().expect("an address")),
        v6: Some("2001:db8::1".parse().expect("an address")),
        ports: 50_000..=50_063,
    };
    let settings = Settings {
        realm: "sluice".into(),
        users: vec![Credential { username: "ann".into(), password: "password".into() }],
        secrets: vec!["secret".into()],
        key: [7; 32],
        began: now,
        media: vec![address(MEDIA), address("[2001:db8::1]:3478")],
        relayed: relayed.clone(),
        ports: relayed.ports,
        limits: Limits { per_host: 3, permissions: 2, channels: 2, ..Limits::default() },
    };
    Server::new(settings, now, WALL)
}

fn client(number: u8) -> FiveTuple {
    let transport = if number & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let source = SocketAddr::from(([198, 51, 100, number / 2], 4000));
    FiveTuple { transport, client: source, server: address(MEDIA) }
}

/// A request of `method` with `attributes` as they stand on the wire, and a proof.
fn prove(method: Method, attributes: &[u8], nonce: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, Class::Request, method, TransactionId([3; 12]));
    let mut rest = attributes;
    while let Some((&[kind, length], behind)) = rest.split_first_chunk::<2>() {
        let (value, behind) = behind.split_at(usize::from(length).min(behind.len()));
        // The low types are TURN's own.
        writer = writer.attribute(u16::from(kind & 0x3F) | (u16::from(kind & 0x80) << 8), value);
        rest = behind;
    }
    let _ = writer
        .attribute(attribute::USERNAME, b"ann")
        .attribute(attribute::REALM, b"sluice")
        .attribute(attribute::NONCE, nonce)
        .integrity(Integrity::Sha1, &KEY);
    out
}

/// Sends one message, and checks what becomes of it. Returns the relayed address and the peer of relayed data, and keeps
/// the nonce of a challenge.
fn send(
    server: &mut Server,
    now: Instant,
    client: &FiveTuple,
    message: &[u8],
    nonce: &mut Vec<u8>,
) -> Option<(SocketAddr, SocketAddr)> {
    match server.receive(now, client, message) {
        Outcome::Nothing => None,
        Outcome::Reply(reply) => {
            let reply = Message::parse(reply).expect("a reply is STUN");
            assert!(matches!(reply.class(), Class::Success | Class::Error));
            assert_ne!(reply.fingerprint(), Fingerprint::Invalid);
            if let Some(fresh) = reply.attribute(attribute::NONCE) {
                *nonce = fresh.to_vec();
            }
            None
        }
        Outcome::ToMedia { relayed, media, data } => {
            assert!(media == address(MEDIA) || media == address("[2001:db8::1]:3478"));
            assert!(data.len() <= message.len());
            Some((relayed, media))
        }
        Outcome::ToRelayed { relayed, peer, data } => {
            assert!((50_000..=50_063).contains(&peer.port()) && peer.ip().is_ipv4() == relayed.ip().is_ipv4());
            assert!(data.len() <= message.len());
            Some((relayed, peer))
        }
    }
}

/// What is sent back to the relayed address arrives at the client as it was.
fn send_back(server: &mut Server, now: Instant, relayed: SocketAddr, peer: SocketAddr) {
    let Some((_, envelope)) = server.to_client(now, relayed, peer, 5) else { return };
    let mut out = Vec::new();
    envelope.wrap(b"media", &mut out);
    let data = match Message::parse(&out) {
        Ok(message) => message.attribute(attribute::DATA),
        Err(_) => channel::read(&out).map(|(_, data)| data),
    };
    assert_eq!(data, Some(&b"media"[..]));
}

fuzz_target!(|data: &[u8]| {
    let mut now = Instant::now();
    let mut server = server(now);
    let (mut nonce, mut rest) = (Vec::new(), data);
    send(&mut server, now, &client(0), &prove(Method::REFRESH, &[], b""), &mut nonce);
    while let Some((&[step, length], behind)) = rest.split_first_chunk::<2>() {
        let (content, behind) = behind.split_at(usize::from(length).min(behind.len()));
        rest = behind;
        let client = client(step & 3);
        let method = match step >> 2 & 7 {
            0 => Method::ALLOCATE,
            1 => Method::REFRESH,
            2 => Method::CREATE_PERMISSION,
            3 => Method::CHANNEL_BIND,
            4 => {
                now += Duration::from_secs(u64::from(length) * 4);
                continue;
            }
            5 => {
                server.closed(&client);
                continue;
            }
            _ => {
                if let Some((relayed, peer)) = send(&mut server, now, &client, content, &mut nonce) {
                    send_back(&mut server, now, relayed, peer);
                }
                continue;
            }
        };
        // A nonce is good for one address: who comes with another's is given its own, and tries again.
        for _ in 0..2 {
            let used = nonce.clone();
            send(&mut server, now, &client, &prove(method, content, &used), &mut nonce);
            if used == nonce {
                break;
            }
        }
    }
    assert!(server.allocations() <= 4);
    while let Some(deadline) = server.deadline() {
        server.expire(deadline.max(now));
    }
    assert_eq!(server.allocations(), 0);
});
