//! Who asks? Long-term credentials (RFC 8489 section 9.2.4).

use std::time::Instant;

use super::Server;
use crate::turn::allocation::FiveTuple;
use crate::turn::counters::{Dropped, Refused};
use crate::turn::credentials::{LongTermKey, PasswordAlgorithm};
use crate::turn::strangers::Host;
use crate::wire::stun::integrity::Integrity;
use crate::wire::stun::{Message, Method, attribute};

/// The longest USERNAME in bytes (RFC 8489 section 14.3).
const MAX_USERNAME: usize = 508;

/// A request whose sender knows the password and got our nonce at its address.
#[derive(Debug)]
pub(super) struct Proof<'m> {
    pub(super) username: &'m [u8],
    pub(super) key: LongTermKey,
    /// The reply is proved in the way in which the request was.
    pub(super) integrity: Integrity,
}

/// Why a request has no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// The client is told.
    Refused(Refused),
    /// The client is not told.
    Silently(Dropped),
}

impl From<Refused> for Denied {
    fn from(reason: Refused) -> Self {
        Self::Refused(reason)
    }
}

impl Server {
    pub(super) fn authenticate<'m>(
        &mut self,
        now: Instant,
        client: &FiveTuple,
        message: &Message<'m>,
    ) -> Result<Proof<'m>, Denied> {
        let Some(integrity) = message.integrity() else { return Err(Refused::Unauthenticated.into()) };
        let [username, realm, nonce] = [attribute::USERNAME, attribute::REALM, attribute::NONCE]
            .map(|kind| message.attribute(kind).ok_or(Refused::BadRequest));
        let (username, realm, nonce) = (username?, realm?, nonce?);
        let algorithm = algorithm(message)?;
        if username.len() > MAX_USERNAME {
            return Err(Refused::BadRequest.into());
        }
        if realm != self.credentials.realm().as_bytes() {
            return Err(Refused::Unauthenticated.into());
        }
        // Before the password: who forges an address has no nonce for it, and so can neither use up its tries nor make us
        // compute keys.
        if !self.nonces.is_good(now, client.client.ip().to_canonical(), nonce) {
            return Err(Refused::StaleNonce.into());
        }
        let key = match self.key_of_allocation(client, username, algorithm) {
            Some(key) if message.is_proved_by(integrity, key.bytes()) => key,
            _ => self.search_key(now, client, message, username, (integrity, algorithm))?,
        };
        // Later a client may go on with what it has: sessions last longer than credentials.
        let is_new = message.method() == Method::ALLOCATE && self.table.find(client).is_none();
        if is_new && self.credentials.expires(username).is_some_and(|expires| expires < self.seconds(now)) {
            self.counters.expired_credentials += 1;
            return Err(Refused::Unauthenticated.into());
        }
        Ok(Proof { username, key, integrity })
    }

    /// The key that the client's allocation was made with, if it is the one of this name. It stays good when the
    /// credential is taken away, and saves making it again.
    fn key_of_allocation(
        &self,
        client: &FiveTuple,
        username: &[u8],
        algorithm: PasswordAlgorithm,
    ) -> Option<LongTermKey> {
        let allocation = self.table.get(self.table.find(client)?)?;
        let is_same = *allocation.username == *username && allocation.key.algorithm() == algorithm;
        is_same.then_some(allocation.key)
    }

    fn search_key(
        &mut self,
        now: Instant,
        client: &FiveTuple,
        message: &Message<'_>,
        username: &[u8],
        (integrity, algorithm): (Integrity, PasswordAlgorithm),
    ) -> Result<LongTermKey, Denied> {
        let host = Host::of(client.client.ip());
        // Who has an allocation has shown a password, and must be able to go on whoever else is behind its address.
        if self.table.find(client).is_none() && !self.strangers.may_try(now, host) {
            return Err(Denied::Silently(Dropped::Guessing));
        }
        let fits = |key: &LongTermKey| message.is_proved_by(integrity, key.bytes());
        let key = self.credentials.find(username, algorithm, fits);
        key.ok_or_else(|| {
            self.counters.wrong_passwords += 1;
            self.strangers.failed(now, host);
            Refused::Unauthenticated.into()
        })
    }

    /// Seconds since 1970.
    fn seconds(&self, now: Instant) -> u64 {
        let (then, wall) = self.clock;
        wall.saturating_add(now.saturating_duration_since(then)).as_secs()
    }
}

/// With which algorithm the key was made. Our nonces say that PASSWORD-ALGORITHMS was sent with them, so a client that
/// knows algorithms repeats it: if somebody on the way took a better one out, that shows (RFC 8489 section 9.2.4).
fn algorithm(message: &Message<'_>) -> Result<PasswordAlgorithm, Refused> {
    let offered = message.attribute(attribute::PASSWORD_ALGORITHMS);
    match (message.attribute(attribute::PASSWORD_ALGORITHM), offered) {
        (None, None) => Ok(PasswordAlgorithm::Md5),
        (Some(chosen), Some(offered)) if *offered == PasswordAlgorithm::OFFERED => {
            PasswordAlgorithm::read(chosen).ok_or(Refused::BadRequest)
        }
        _ => Err(Refused::BadRequest),
    }
}
