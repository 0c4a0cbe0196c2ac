//! Requests: who asks, whether all of it is understood, what it leads to, and the reply.

use std::time::{Duration, Instant};

use super::authenticate::{Denied, Proof};
use super::{DEFAULT_LIFETIME, MAX_LIFETIME, Server};
use crate::turn::allocation::FiveTuple;
use crate::turn::binding;
use crate::turn::counters::Refused;
use crate::turn::strangers::Host;
use crate::wire::stun::{Message, Method, attribute};

/// Attributes below 0x8000 that are understood in TURN messages. DONT-FRAGMENT is not among them: nothing is ever
/// fragmented behind a virtual address, but who asks wants to hear of the path, and there is none.
pub(super) const UNDERSTOOD: [u16; 21] = [
    0x0001,
    attribute::USERNAME,
    attribute::MESSAGE_INTEGRITY,
    attribute::ERROR_CODE,
    attribute::UNKNOWN_ATTRIBUTES,
    attribute::CHANNEL_NUMBER,
    attribute::LIFETIME,
    attribute::XOR_PEER_ADDRESS,
    attribute::DATA,
    attribute::REALM,
    attribute::NONCE,
    attribute::XOR_RELAYED_ADDRESS,
    attribute::REQUESTED_ADDRESS_FAMILY,
    attribute::EVEN_PORT,
    attribute::REQUESTED_TRANSPORT,
    attribute::MESSAGE_INTEGRITY_SHA256,
    attribute::PASSWORD_ALGORITHM,
    attribute::USERHASH,
    attribute::XOR_MAPPED_ADDRESS,
    attribute::RESERVATION_TOKEN,
    0x0024,
];

/// What a request was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Granted {
    /// This allocation.
    Allocation(usize),
    /// So long a life.
    Lifetime(Duration),
    /// What it asked for.
    All,
}

impl Server {
    /// Handles a request of TURN's methods. Returns whether there is a reply in `out`.
    pub(super) fn request(
        &mut self,
        now: Instant,
        client: &FiveTuple,
        message: &Message<'_>,
        length: usize,
    ) -> bool {
        let proof = match self.authenticate(now, client, message) {
            Ok(proof) => proof,
            Err(Denied::Silently(reason)) => {
                self.counters.drop_for(reason);
                return false;
            }
            Err(Denied::Refused(reason)) => {
                self.counters.refuse_for(reason);
                return self.refuse_stranger(now, client, message, reason, length);
            }
        };
        self.strangers.proved(now, Host::of(client.client.ip()));
        match self.carry_out(now, client, message, &proof) {
            Ok(granted) => self.grant(client, message, &proof, granted),
            Err(reason) => {
                self.counters.refuse_for(reason);
                self.refuse(client, message, &proof, reason);
            }
        }
        true
    }

    fn carry_out(
        &mut self,
        now: Instant,
        client: &FiveTuple,
        message: &Message<'_>,
        proof: &Proof<'_>,
    ) -> Result<Granted, Refused> {
        if !binding::unknown_attributes(message, &UNDERSTOOD).is_empty() {
            return Err(Refused::UnknownAttribute);
        }
        if message.method() == Method::ALLOCATE {
            return self.allocate(now, client, message, proof);
        }
        let number = self.table.find(client).ok_or(Refused::AllocationMismatch)?;
        if self.table.get(number).is_none_or(|allocation| *allocation.username != *proof.username) {
            return Err(Refused::WrongCredentials);
        }
        match message.method() {
            Method::REFRESH => self.refresh(now, number, message),
            Method::CREATE_PERMISSION => self.create_permission(now, number, message),
            _ => self.bind_channel(now, number, message),
        }
    }
}

/// The lifetime that a request asks for; `None` when it asks for none.
pub(super) fn asked_lifetime(message: &Message<'_>) -> Result<Option<Duration>, Refused> {
    let Some(value) = message.attribute(attribute::LIFETIME) else { return Ok(None) };
    let seconds = value.try_into().map(u32::from_be_bytes).map_err(|_| Refused::BadRequest)?;
    Ok(Some(Duration::from_secs(seconds.into())))
}

/// The lifetime that is granted: never less than the default, never more than the most (RFC 8656 section 7.2).
pub(super) fn granted_lifetime(asked: Option<Duration>) -> Duration {
    asked.unwrap_or(DEFAULT_LIFETIME).clamp(DEFAULT_LIFETIME, MAX_LIFETIME)
}
