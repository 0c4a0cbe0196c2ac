//! What comes from clients, and what goes to them: the path of each relayed packet.

use std::net::SocketAddr;
use std::time::Instant;

use super::request::UNDERSTOOD;
use super::{Outcome, Server};
use crate::turn::allocation::{FiveTuple, Transport};
use crate::turn::binding;
use crate::turn::counters::Dropped;
use crate::turn::peers::{Peer, canonical};
use crate::turn::relays::Family;
use crate::wire::channel::{self, Envelope};
use crate::wire::stun::{Class, Fingerprint, Message, Method, TransactionId, attribute};

impl Server {
    /// Takes one message of a client: a datagram, or what was taken out of its connection
    /// ([`Frames`](crate::wire::framing::Frames)).
    pub fn receive<'s, 'd>(
        &'s mut self,
        now: Instant,
        client: &FiveTuple,
        message: &'d [u8],
    ) -> Outcome<'s, 'd> {
        self.expire_if_due(now);
        let outcome = if message.first().is_some_and(|first| channel::FIRST_BYTE.contains(first)) {
            self.channel_data(now, client, message)
        } else {
            self.stun(now, client, message)
        };
        outcome
            .unwrap_or_else(|reason| {
                self.counters.drop_for(reason);
                Step::Nothing
            })
            .outcome(&self.out)
    }

    /// Sends `length` bytes from `peer`, this server's media or another allocation, to the client that has the
    /// address `relayed`. Returns the client, and what is to be put around the bytes. `None` when they are dropped.
    pub fn to_client(
        &mut self,
        now: Instant,
        relayed: SocketAddr,
        peer: SocketAddr,
        length: usize,
    ) -> Option<(FiveTuple, Envelope)> {
        self.expire_if_due(now);
        let wrapped = self.wrap(now, canonical(relayed), canonical(peer), length);
        wrapped.map_err(|reason| self.counters.drop_for(reason)).ok()
    }

    fn wrap(
        &mut self,
        now: Instant,
        relayed: SocketAddr,
        peer: SocketAddr,
        length: usize,
    ) -> Result<(FiveTuple, Envelope), Dropped> {
        let number = self.relays.find(relayed).ok_or(Dropped::NoAllocation)?;
        let allocation = self.table.get_mut(number).ok_or(Dropped::NoAllocation)?;
        if !allocation.permits(now, peer.ip()) {
            return Err(Dropped::NoPermission);
        }
        let client = allocation.client;
        let envelope = match allocation.channel(now, peer) {
            Some(channel) => Envelope::channel_data(channel, length, client.transport == Transport::Tcp),
            None => Envelope::data_indication(peer, numbered(&mut self.indications), length),
        };
        let envelope = envelope.ok_or(Dropped::TooLong)?;
        if self.limits.rate().is_some_and(|rate| !allocation.inward.take(rate, now, length)) {
            return Err(Dropped::Bandwidth);
        }
        self.counters.inward.count(length);
        Ok((client, envelope))
    }

    fn expire_if_due(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.expire(now);
        }
    }

    fn stun<'d>(&mut self, now: Instant, client: &FiveTuple, bytes: &'d [u8]) -> Result<Step<'d>, Dropped> {
        let message = Message::parse(bytes).map_err(|_| Dropped::Malformed)?;
        if message.fingerprint() == Fingerprint::Invalid {
            return Err(Dropped::Fingerprint);
        }
        match (message.class(), message.method()) {
            (Class::Indication, Method::SEND) => self.send(now, client, &message),
            (Class::Indication, Method::BINDING) => Ok(Step::Nothing),
            // Over a connection nobody else answers them, and they keep it alive.
            (Class::Request, Method::BINDING) => {
                let answered = binding::answer(bytes, canonical(client.client), &mut self.out);
                answered.map(|()| Step::Reply).map_err(|_| Dropped::Unexpected)
            }
            (
                Class::Request,
                Method::ALLOCATE | Method::REFRESH | Method::CREATE_PERMISSION | Method::CHANNEL_BIND,
            ) => {
                let has_reply = self.request(now, client, &message, bytes.len());
                Ok(if has_reply { Step::Reply } else { Step::Nothing })
            }
            _ => Err(Dropped::Unexpected),
        }
    }

    /// A Send indication (RFC 8656 section 11.2). There is no reply to an indication, whatever is wrong with it.
    fn send<'d>(
        &mut self,
        now: Instant,
        client: &FiveTuple,
        message: &Message<'d>,
    ) -> Result<Step<'d>, Dropped> {
        let number = self.table.find(client).ok_or(Dropped::NoAllocation)?;
        let data = message.attribute(attribute::DATA).ok_or(Dropped::Indication)?;
        let peer =
            message.attribute(attribute::XOR_PEER_ADDRESS).and_then(|value| message.xor_address(value));
        let peer = canonical(peer.ok_or(Dropped::Indication)?);
        if message.attributes().any(|it| it.kind < 0x8000 && !UNDERSTOOD.contains(&it.kind)) {
            return Err(Dropped::Indication);
        }
        self.deliver(now, number, peer, data)
    }

    /// ChannelData (RFC 8656 section 12.6).
    fn channel_data<'d>(
        &mut self,
        now: Instant,
        client: &FiveTuple,
        message: &'d [u8],
    ) -> Result<Step<'d>, Dropped> {
        let (channel, data) = channel::read(message).ok_or(Dropped::Malformed)?;
        let number = self.table.find(client).ok_or(Dropped::NoAllocation)?;
        let peer = self.table.get(number).and_then(|allocation| allocation.peer(now, channel));
        self.deliver(now, number, peer.ok_or(Dropped::NoChannel)?, data)
    }

    /// Sends data of a client to a peer, if it is still one that may be reached.
    fn deliver<'d>(
        &mut self,
        now: Instant,
        number: usize,
        peer: SocketAddr,
        data: &'d [u8],
    ) -> Result<Step<'d>, Dropped> {
        let allocation = self.table.get_mut(number).ok_or(Dropped::NoAllocation)?;
        if !allocation.permits(now, peer.ip()) {
            return Err(Dropped::NoPermission);
        }
        let relayed = allocation.relayed(Family::of(peer.ip())).ok_or(Dropped::NoPermission)?;
        let kind = self.peers.find(peer).ok_or(Dropped::Forbidden)?;
        if self.limits.rate().is_some_and(|rate| !allocation.outward.take(rate, now, data.len())) {
            return Err(Dropped::Bandwidth);
        }
        self.counters.outward.count(data.len());
        Ok(Step::Relay { kind, relayed, peer, data })
    }
}

/// An [`Outcome`] that does not hold on to the server yet.
enum Step<'d> {
    Nothing,
    /// What stands in the buffer for replies.
    Reply,
    Relay {
        kind: Peer,
        relayed: SocketAddr,
        peer: SocketAddr,
        data: &'d [u8],
    },
}

impl<'d> Step<'d> {
    fn outcome<'s>(self, reply: &'s [u8]) -> Outcome<'s, 'd> {
        match self {
            Self::Nothing => Outcome::Nothing,
            Self::Reply => Outcome::Reply(reply),
            Self::Relay { kind: Peer::Media, relayed, peer: media, data } => {
                Outcome::ToMedia { relayed, media, data }
            }
            Self::Relay { kind: Peer::Relayed, relayed, peer, data } => {
                Outcome::ToRelayed { relayed, peer, data }
            }
        }
    }
}

/// The next transaction id. Nobody answers an indication, so it need not be hard to guess.
fn numbered(count: &mut u64) -> TransactionId {
    *count = count.wrapping_add(1);
    let mut id = [0; 12];
    id.iter_mut().zip(count.to_be_bytes()).for_each(|(to, from)| *to = from);
    TransactionId(id)
}
