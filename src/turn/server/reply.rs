//! Replies, each into the one buffer for them.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::Server;
use super::authenticate::Proof;
use super::request::{Granted, UNDERSTOOD};
use crate::turn::allocation::{FiveTuple, Transport};
use crate::turn::binding;
use crate::turn::counters::{Dropped, Refused};
use crate::turn::credentials::PasswordAlgorithm;
use crate::turn::peers::canonical;
use crate::turn::relays::Family;
use crate::turn::strangers::Host;
use crate::wire::stun::{Class, Fingerprint, Message, Writer, attribute};

impl Server {
    /// Tells a client that its request was carried out.
    pub(super) fn grant(
        &mut self,
        client: &FiveTuple,
        message: &Message<'_>,
        proof: &Proof<'_>,
        granted: Granted,
    ) {
        let allocation = match granted {
            Granted::Allocation(number) => self.table.get(number),
            _ => None,
        };
        let mut writer = Writer::new(&mut self.out, Class::Success, message.method(), message.transaction());
        if let Some(allocation) = allocation {
            for address in Family::ALL.into_iter().filter_map(|family| allocation.relayed(family)) {
                writer = writer.xor_address(attribute::XOR_RELAYED_ADDRESS, address);
            }
            writer = lifetime(writer, allocation.granted.lifetime.as_secs());
            if let Some(token) = allocation.granted.token {
                writer = writer.attribute(attribute::RESERVATION_TOKEN, &token);
            }
            writer = writer.xor_mapped_address(canonical(client.client));
            if let Some((family, reason)) = allocation.granted.lacks {
                let [_, class] = (reason.code() / 100).to_be_bytes();
                let [_, rest] = (reason.code() % 100).to_be_bytes();
                writer = writer.attribute(attribute::ADDRESS_ERROR_CODE, &[family.number(), 0, class, rest]);
            }
        }
        if let Granted::Lifetime(granted) = granted {
            writer = lifetime(writer, granted.as_secs());
        }
        finish(writer.integrity(proof.integrity, proof.key.bytes()), message);
    }

    /// Tells a client that it cannot have what it asked for, though it may ask.
    pub(super) fn refuse(
        &mut self,
        client: &FiveTuple,
        message: &Message<'_>,
        proof: &Proof<'_>,
        reason: Refused,
    ) {
        let alternate = self.alternate(client).filter(|_| reason == Refused::TryAlternate);
        let mut writer = Writer::new(&mut self.out, Class::Error, message.method(), message.transaction())
            .error_code(reason.code());
        if reason == Refused::UnknownAttribute {
            let unknown = binding::unknown_attributes(message, &UNDERSTOOD);
            writer = writer.attribute(attribute::UNKNOWN_ATTRIBUTES, &unknown);
        }
        if let Some(alternate) = alternate {
            writer = plain_address(writer, attribute::ALTERNATE_SERVER, alternate);
        }
        finish(writer.integrity(proof.integrity, proof.key.bytes()), message);
    }

    /// Tells somebody unknown what is missing. Returns whether that may be sent.
    pub(super) fn refuse_stranger(
        &mut self,
        now: Instant,
        client: &FiveTuple,
        message: &Message<'_>,
        reason: Refused,
        length: usize,
    ) -> bool {
        let ip = client.client.ip().to_canonical();
        let mut writer = Writer::new(&mut self.out, Class::Error, message.method(), message.transaction())
            .error_code(reason.code());
        if matches!(reason, Refused::Unauthenticated | Refused::StaleNonce) {
            writer = writer
                .attribute(attribute::REALM, self.credentials.realm().as_bytes())
                .attribute(attribute::NONCE, self.nonces.make(now, ip).as_bytes())
                .attribute(attribute::PASSWORD_ALGORITHMS, &PasswordAlgorithm::OFFERED);
        }
        finish(writer, message);
        // A connection was set up from both ends, so that its client is where it says.
        let is_sent = client.transport == Transport::Tcp
            || self.strangers.may_reply(now, Host::of(ip), length, self.out.len());
        if !is_sent {
            self.counters.drop_for(Dropped::Stranger);
        }
        is_sent
    }

    /// The server that a new client is to go to instead.
    pub(super) fn alternate(&self, client: &FiveTuple) -> Option<SocketAddr> {
        *self.alternates.of(Family::of(client.client.ip().to_canonical()))
    }
}

fn lifetime(writer: Writer<'_>, seconds: u64) -> Writer<'_> {
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    writer.attribute(attribute::LIFETIME, &seconds.to_be_bytes())
}

/// Adds an attribute in the form of MAPPED-ADDRESS (RFC 8489 section 14.1).
fn plain_address(writer: Writer<'_>, kind: u16, address: SocketAddr) -> Writer<'_> {
    let [p0, p1] = address.port().to_be_bytes();
    match address.ip() {
        IpAddr::V4(ip) => writer.attribute(kind, &[&[0, 1, p0, p1][..], &ip.octets()].concat()),
        IpAddr::V6(ip) => writer.attribute(kind, &[&[0, 2, p0, p1][..], &ip.octets()].concat()),
    }
}

/// A reply has a fingerprint if the request had.
fn finish(writer: Writer<'_>, request: &Message<'_>) {
    if request.fingerprint() == Fingerprint::Valid {
        writer.fingerprint();
    }
}
