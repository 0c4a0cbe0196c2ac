//! Refresh: keeps an allocation, or gives it back (RFC 8656 section 8.2).

use std::time::Instant;

use super::Server;
use super::request::{Granted, asked_lifetime, granted_lifetime};
use crate::turn::counters::Refused;
use crate::turn::relays::Family;
use crate::wire::stun::{Message, attribute};

impl Server {
    pub(super) fn refresh(
        &mut self,
        now: Instant,
        number: usize,
        message: &Message<'_>,
    ) -> Result<Granted, Refused> {
        let family = self.asked_family(number, message)?;
        let is_meant = |of: Family| family.is_none_or(|family| family == of);
        let asked = asked_lifetime(message)?;
        if asked.is_some_and(|asked| asked.is_zero()) {
            if self.end_legs(number, |of, _| is_meant(of)) {
                self.counters.released += 1;
            }
            return Ok(Granted::Lifetime(asked.unwrap_or_default()));
        }
        let lifetime = granted_lifetime(asked);
        self.table.change_expiry(number, |allocation| {
            for of in Family::ALL.into_iter().filter(|of| is_meant(*of)) {
                if let Some(leg) = allocation.legs.of_mut(of) {
                    leg.expires = now + lifetime;
                }
            }
        });
        Ok(Granted::Lifetime(lifetime))
    }

    /// Which of its addresses a client means, if it does not mean all.
    fn asked_family(&self, number: usize, message: &Message<'_>) -> Result<Option<Family>, Refused> {
        let Some(value) = message.attribute(attribute::REQUESTED_ADDRESS_FAMILY) else { return Ok(None) };
        let &[family, _, _, _] = value else { return Err(Refused::BadRequest) };
        let allocation = self.table.get(number).ok_or(Refused::AllocationMismatch)?;
        let family = Family::read(family).filter(|family| allocation.relayed(*family).is_some());
        family.map(Some).ok_or(Refused::PeerAddressFamilyMismatch)
    }
}
