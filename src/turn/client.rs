//! A client of a TURN server, as far as it takes to try one out: it asks for an address, lets a peer through, sends it a
//! question and waits for the answer, and gives the address back. Without I/O: [`Trial::message`] is what to send, and to
//! send again where datagrams get lost, until [`Trial::receive`] says that it is through.

use std::net::SocketAddr;

use super::credentials::{Credential, LongTermKey, PasswordAlgorithm};
use crate::wire::stun::integrity::Integrity;
use crate::wire::stun::{Class, Message, Method, TransactionId, Writer, attribute};

/// REQUESTED-TRANSPORT for UDP (RFC 8656 section 18.8), and a REQUESTED-ADDRESS-FAMILY of IPv6 (section 18.6).
const UDP: [u8; 4] = [17, 0, 0, 0];
const IPV6: [u8; 4] = [2, 0, 0, 0];

/// How far a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Asks without credentials, to be told the realm and the nonce (RFC 8489 section 9.2.3.1).
    Ask,
    /// Asks for an address.
    Allocate,
    /// Lets the peer through.
    Permit,
    /// Sends the peer a question.
    Send,
    /// Gives the address back.
    GiveBack,
    /// Is through.
    Done,
}

/// Why a trial failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The credentials are not good there.
    #[error("it does not take the credentials")]
    Credentials,
    /// It refuses something with this code (RFC 8656 section 19).
    #[error("it refuses with error {0}")]
    Refused(u16),
    /// What it answers is not TURN.
    #[error("it answers something that is not TURN")]
    NotTurn,
}

/// One trial of a server.
pub struct Trial {
    credential: Credential,
    peer: SocketAddr,
    step: Step,
    transaction: TransactionId,
    /// What the peer is asked by.
    question: TransactionId,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    message: Vec<u8>,
}

impl Trial {
    /// Begins one. `peer` is what shall answer through the relay, a STUN server. The first bytes of `transactions` are
    /// counted up, so that each request has its own.
    #[must_use]
    pub fn new(credential: Credential, peer: SocketAddr, transactions: [TransactionId; 2]) -> Self {
        let [transaction, question] = transactions;
        let (realm, nonce, message) = (Vec::new(), Vec::new(), Vec::new());
        let mut trial =
            Self { credential, peer, step: Step::Ask, transaction, question, realm, nonce, message };
        trial.write();
        trial
    }

    /// What to send now, as one datagram or as it is over a stream.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Takes what came from the server. Returns whether all went through. What is not the answer to what was asked last
    /// is passed over.
    ///
    /// # Errors
    /// [`Failure`], when it cannot go on.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let message = Message::parse(bytes).map_err(|_| Failure::NotTurn)?;
        if self.step == Step::Send {
            if self.is_answer(&message) {
                self.advance(Step::GiveBack);
            }
            return Ok(false);
        }
        if message.transaction() != self.transaction || self.step == Step::Done {
            return Ok(self.step == Step::Done);
        }
        match (self.step, message.class()) {
            (Step::Ask, Class::Error) => self.learn(&message)?,
            (Step::Allocate, Class::Success) => self.advance(Step::Permit),
            (Step::Permit, Class::Success) => self.advance(Step::Send),
            (Step::GiveBack, Class::Success) => self.advance(Step::Done),
            (_, Class::Error) => return Err(refused(&message)),
            _ => return Err(Failure::NotTurn),
        }
        Ok(self.step == Step::Done)
    }

    /// Reads what credentials are to be used with.
    fn learn(&mut self, message: &Message<'_>) -> Result<(), Failure> {
        let (realm, nonce) = (message.attribute(attribute::REALM), message.attribute(attribute::NONCE));
        match (code(message), realm, nonce) {
            (Some(401), Some(realm), Some(nonce)) => {
                (self.realm, self.nonce) = (realm.to_vec(), nonce.to_vec());
                self.advance(Step::Allocate);
                Ok(())
            }
            _ => Err(refused(message)),
        }
    }

    /// Whether this brings the peer's answer (RFC 8656 section 11.7).
    fn is_answer(&self, message: &Message<'_>) -> bool {
        let data = message.attribute(attribute::DATA).filter(|_| message.method() == Method::DATA);
        let inner = data.and_then(|data| Message::parse(data).ok());
        inner.is_some_and(|inner| inner.transaction() == self.question && inner.class() == Class::Success)
    }

    fn advance(&mut self, step: Step) {
        self.step = step;
        if let Some(first) = self.transaction.0.first_mut() {
            *first = first.wrapping_add(1);
        }
        self.write();
    }

    fn write(&mut self) {
        let mut out = std::mem::take(&mut self.message);
        let (request, peer) = (Class::Request, attribute::XOR_PEER_ADDRESS);
        match self.step {
            Step::Ask | Step::Allocate => {
                let writer = Writer::new(&mut out, request, Method::ALLOCATE, self.transaction);
                let writer = writer.attribute(attribute::REQUESTED_TRANSPORT, &UDP);
                let writer = match self.peer {
                    SocketAddr::V4(_) => writer,
                    SocketAddr::V6(_) => writer.attribute(attribute::REQUESTED_ADDRESS_FAMILY, &IPV6),
                };
                if self.step == Step::Allocate { self.prove(writer) } else { writer.fingerprint() }
            }
            Step::Permit => {
                let writer = Writer::new(&mut out, request, Method::CREATE_PERMISSION, self.transaction);
                self.prove(writer.xor_address(peer, self.peer));
            }
            Step::Send => {
                let mut question = Vec::new();
                Writer::new(&mut question, request, Method::BINDING, self.question).fingerprint();
                let writer = Writer::new(&mut out, Class::Indication, Method::SEND, self.transaction);
                let _ = writer.xor_address(peer, self.peer).attribute(attribute::DATA, &question);
            }
            Step::GiveBack => {
                let writer = Writer::new(&mut out, request, Method::REFRESH, self.transaction);
                self.prove(writer.attribute(attribute::LIFETIME, &[0; 4]));
            }
            Step::Done => out.clear(),
        }
        self.message = out;
    }

    /// Adds the credentials, as browsers do.
    fn prove(&self, writer: Writer<'_>) {
        let Credential { username, password } = &self.credential;
        let (name, password) = (username.as_bytes(), password.as_bytes());
        let key = LongTermKey::new(PasswordAlgorithm::Md5, name, &self.realm, password);
        let writer = writer.attribute(attribute::USERNAME, name).attribute(attribute::REALM, &self.realm);
        let writer = writer.attribute(attribute::NONCE, &self.nonce);
        writer.integrity(Integrity::Sha1, key.bytes()).fingerprint();
    }
}

/// The number in ERROR-CODE (RFC 8489 section 14.8).
fn code(message: &Message<'_>) -> Option<u16> {
    match message.attribute(attribute::ERROR_CODE)? {
        [_, _, class, number, ..] => Some(u16::from(*class & 7) * 100 + u16::from(*number)),
        _ => None,
    }
}

fn refused(message: &Message<'_>) -> Failure {
    match code(message) {
        Some(401) => Failure::Credentials,
        Some(code) => Failure::Refused(code),
        None => Failure::NotTurn,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::turn::allocation::{FiveTuple, Transport};
    use crate::turn::binding;
    use crate::turn::relays::Relayed;
    use crate::turn::server::{Limits, Outcome, Server, Settings};

    const MEDIA: &str = "192.0.2.1:3478";
    /// In seconds since 1970.
    const WALL: u64 = 1_800_000_000;

    /// The real server, whose media answers questions.
    fn tried(credential: Credential, peer: &str) -> Result<bool, Failure> {
        let now = Instant::now();
        let media: SocketAddr = MEDIA.parse().unwrap();
        let settings = Settings {
            realm: "sluice".into(),
            users: vec![Credential { username: "ann".into(), password: "ann's password".into() }],
            secrets: vec!["a secret of the operator".into()],
            key: [7; 32],
            began: now,
            media: vec![media],
            relayed: Relayed { v4: Some("192.0.2.1".parse().unwrap()), v6: None, ports: 49_152..=65_535 },
            ports: 49_152..=60_001,
            limits: Limits::default(),
        };
        let mut server = Server::new(settings, now, Duration::from_secs(WALL));
        let client = FiveTuple {
            client: "198.51.100.2:4000".parse().unwrap(),
            server: media,
            transport: Transport::Udp,
        };
        let transactions = [TransactionId([1; 12]), TransactionId([2; 12])];
        let mut trial = Trial::new(credential, peer.parse().unwrap(), transactions);
        for _ in 0..10 {
            let message = trial.message().to_vec();
            let mut replies = Vec::new();
            match server.receive(now, &client, &message) {
                Outcome::Reply(reply) => replies.push(reply.to_vec()),
                Outcome::ToMedia { relayed, data, .. } => {
                    let mut answer = Vec::new();
                    binding::answer(data, relayed, &mut answer).unwrap();
                    let (_, envelope) =
                        server.to_client(now, relayed, media, answer.len()).expect("it may answer");
                    let mut wrapped = Vec::new();
                    envelope.wrap(&answer, &mut wrapped);
                    replies.push(wrapped);
                }
                _ => {}
            }
            for reply in replies {
                if trial.receive(&reply)? {
                    assert!(!server.has_allocation(&client), "the address is given back");
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    #[test]
    fn a_server_that_relays_passes() {
        let fresh = Credential::until(WALL + 60, "doctor", "a secret of the operator");
        assert_eq!(tried(fresh, MEDIA), Ok(true));
        let ann = Credential { username: "ann".into(), password: "ann's password".into() };
        assert_eq!(tried(ann, MEDIA), Ok(true));
    }

    #[test]
    fn what_is_refused_is_told_apart() {
        let old = Credential::until(WALL - 60, "doctor", "a secret of the operator");
        assert_eq!(tried(old, MEDIA), Err(Failure::Credentials));
        let wrong = Credential::until(WALL + 60, "doctor", "another secret");
        assert_eq!(tried(wrong, MEDIA), Err(Failure::Credentials));
        let right = Credential::until(WALL + 60, "doctor", "a secret of the operator");
        assert_eq!(tried(right.clone(), "192.0.2.9:3478"), Err(Failure::Refused(403)), "not a peer of ours");
        assert_eq!(tried(right, "[2001:db8::1]:3478"), Err(Failure::Refused(440)), "no relayed IPv6 there");
    }

    #[test]
    fn what_is_no_turn_is_told() {
        let transactions = [TransactionId([1; 12]), TransactionId([2; 12])];
        let credential = Credential { username: "ann".into(), password: "x".into() };
        let mut trial = Trial::new(credential, MEDIA.parse().unwrap(), transactions);
        assert_eq!(trial.receive(b"HTTP/1.1 400 Bad Request"), Err(Failure::NotTurn));
        let mut other = Vec::new();
        let _ =
            Writer::new(&mut other, Class::Error, Method::ALLOCATE, TransactionId([9; 12])).error_code(401);
        assert_eq!(trial.receive(&other), Ok(false), "an answer to somebody else");
    }
}
