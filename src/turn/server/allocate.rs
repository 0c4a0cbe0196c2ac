//! Allocate: a relayed address for a client (RFC 8656 section 7.2).

use std::time::Instant;

use super::Server;
use super::authenticate::Proof;
use super::request::{Granted, asked_lifetime, granted_lifetime};
use crate::turn::allocation::{self, Allocation, FiveTuple, Leg, Start};
use crate::turn::bucket::{Bucket, Rate};
use crate::turn::counters::Refused;
use crate::turn::relays::{Both, Family};
use crate::turn::strangers::Host;
use crate::wire::stun::{Message, attribute};

/// The number of UDP in REQUESTED-TRANSPORT.
const UDP: u8 = 17;

/// What kind of address a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish<'m> {
    /// Of this family, or of the one there is. `keep_next`: and the next port is to be kept.
    One { family: Option<Family>, keep_next: bool },
    /// One of each family, as far as there is.
    Each,
    /// The one that was kept.
    Reserved(&'m [u8]),
}

impl<'m> Wish<'m> {
    fn read(message: &Message<'m>) -> Result<Self, Refused> {
        let transport = message.attribute(attribute::REQUESTED_TRANSPORT);
        match transport {
            Some(&[UDP, _, _, _]) => {}
            Some(&[_, _, _, _]) => return Err(Refused::UnsupportedTransport),
            _ => return Err(Refused::BadRequest),
        }
        let token = message.attribute(attribute::RESERVATION_TOKEN);
        let even = message.attribute(attribute::EVEN_PORT);
        let family = message.attribute(attribute::REQUESTED_ADDRESS_FAMILY);
        let additional = message.attribute(attribute::ADDITIONAL_ADDRESS_FAMILY);
        let keep_next = match even {
            None => false,
            Some(&[flags]) => flags & 0x80 != 0,
            Some(_) => return Err(Refused::BadRequest),
        };
        match (token, family, additional) {
            (Some(token), None, None) if token.len() == 8 && even.is_none() => Ok(Self::Reserved(token)),
            (None, None, Some(&[2, _, _, _])) if !keep_next => Ok(Self::Each),
            (None, family, None) => {
                let family = family.map(read_family).transpose()?;
                Ok(Self::One { family, keep_next })
            }
            _ => Err(Refused::BadRequest),
        }
    }
}

/// Reads REQUESTED-ADDRESS-FAMILY.
fn read_family(value: &[u8]) -> Result<Family, Refused> {
    let &[number, _, _, _] = value else { return Err(Refused::BadRequest) };
    Family::read(number).ok_or(Refused::AddressFamilyNotSupported)
}

/// What was lent for an allocation that is about to be made.
#[derive(Debug, Default)]
struct Lent {
    legs: Both<Option<Leg>>,
    token: Option<[u8; 8]>,
    lacks: Option<(Family, Refused)>,
}

impl Server {
    pub(super) fn allocate(
        &mut self,
        now: Instant,
        client: &FiveTuple,
        message: &Message<'_>,
        proof: &Proof<'_>,
    ) -> Result<Granted, Refused> {
        if let Some(number) = self.table.find(client) {
            // The reply to the first one may have been lost.
            let is_repeated = self.table.get(number).is_some_and(|allocation| {
                allocation.granted.transaction == message.transaction()
                    && *allocation.username == *proof.username
            });
            return if is_repeated {
                Ok(Granted::Allocation(number))
            } else {
                Err(Refused::AllocationMismatch)
            };
        }
        let wish = Wish::read(message)?;
        let lifetime = granted_lifetime(asked_lifetime(message)?);
        if self.alternate(client).is_some() {
            return Err(Refused::TryAlternate);
        }
        let user = self.credentials.user(proof.username);
        self.check_quotas(client, user)?;
        let Lent { legs, token, lacks } = self.lend(now, wish, user, now + lifetime)?;
        let granted = allocation::Granted { transaction: message.transaction(), lifetime, token, lacks };
        let rate = self.limits.rate().unwrap_or(Rate { per_second: 0, burst: 0 });
        let number = self.table.next();
        self.table.insert(Allocation::new(Start {
            client: *client,
            username: proof.username.into(),
            user: user.into(),
            key: proof.key,
            granted,
            legs,
            bucket: Bucket::full(rate, now),
        }));
        self.counters.allocated += 1;
        Ok(Granted::Allocation(number))
    }

    fn check_quotas(&self, client: &FiveTuple, user: &[u8]) -> Result<(), Refused> {
        let host = Host::of(client.client.ip());
        if self.table.of_user(user) >= self.limits.per_user
            || self.table.of_host(host) >= self.limits.per_host
        {
            return Err(Refused::QuotaReached);
        }
        if self.table.len() >= self.limits.allocations {
            return Err(Refused::InsufficientCapacity);
        }
        Ok(())
    }

    /// Lends what was wished for to the allocation that comes next. Nothing stays lent when it fails.
    fn lend(&mut self, now: Instant, wish: Wish<'_>, user: &[u8], expires: Instant) -> Result<Lent, Refused> {
        let number = self.table.next();
        let mut lent = Lent::default();
        match wish {
            Wish::One { family, keep_next } => {
                let family =
                    family.unwrap_or(if self.relays.has(Family::V4) { Family::V4 } else { Family::V6 });
                if keep_next && !self.relays.may_reserve() {
                    return Err(Refused::InsufficientCapacity);
                }
                let leg = self.lend_one(family, number, expires)?;
                *lent.legs.of_mut(family) = Some(leg);
                lent.token = keep_next.then(|| self.relays.reserve(now, leg.address, user));
            }
            Wish::Each => {
                let v4 = self.lend_one(Family::V4, number, expires);
                let v6 = self.lend_one(Family::V6, number, expires);
                lent.lacks = match (v4, v6) {
                    (Err(reason), Err(_)) => return Err(reason),
                    (Err(reason), Ok(_)) => Some((Family::V4, reason)),
                    (Ok(_), Err(reason)) => Some((Family::V6, reason)),
                    (Ok(_), Ok(_)) => None,
                };
                lent.legs = Both { v4: v4.ok(), v6: v6.ok() };
            }
            Wish::Reserved(token) => {
                let address = self.relays.redeem(token, user, number).ok_or(Refused::InsufficientCapacity)?;
                *lent.legs.of_mut(Family::of(address.ip())) = Some(Leg { address, expires });
            }
        }
        Ok(lent)
    }

    fn lend_one(&mut self, family: Family, number: usize, expires: Instant) -> Result<Leg, Refused> {
        if !self.relays.has(family) {
            return Err(Refused::AddressFamilyNotSupported);
        }
        let address = self.relays.lend(family, number).ok_or(Refused::InsufficientCapacity)?;
        Ok(Leg { address, expires })
    }
}
