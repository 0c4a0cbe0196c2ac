//! CreatePermission and ChannelBind: whom an allocation lets through (RFC 8656 sections 10.2 and 12.2).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::Server;
use super::request::Granted;
use crate::turn::allocation::BindError;
use crate::turn::counters::Refused;
use crate::turn::peers::{Peer, canonical};
use crate::turn::relays::Family;
use crate::wire::channel::ChannelNumber;
use crate::wire::stun::{Message, attribute};

impl Server {
    /// All addresses of the request get a permission, or none does.
    pub(super) fn create_permission(
        &mut self,
        now: Instant,
        number: usize,
        message: &Message<'_>,
    ) -> Result<Granted, Refused> {
        let mut ips: Vec<IpAddr> = Vec::new();
        for attribute in message.attributes().filter(|it| it.kind == attribute::XOR_PEER_ADDRESS) {
            let peer = message.xor_address(attribute.value).ok_or(Refused::BadRequest)?;
            let ip = peer.ip().to_canonical();
            self.check_ip(number, ip)?;
            // What is allowed is few, so the list stays short however often it is named.
            if !ips.contains(&ip) {
                ips.push(ip);
            }
        }
        if ips.is_empty() {
            return Err(Refused::BadRequest);
        }
        self.permit(now, number, &ips)?;
        Ok(Granted::All)
    }

    pub(super) fn bind_channel(
        &mut self,
        now: Instant,
        number: usize,
        message: &Message<'_>,
    ) -> Result<Granted, Refused> {
        let channel = match message.attribute(attribute::CHANNEL_NUMBER) {
            Some(&[n0, n1, _, _]) => ChannelNumber::new(u16::from_be_bytes([n0, n1])),
            _ => None,
        };
        let channel = channel.ok_or(Refused::BadRequest)?;
        let value = message.attribute(attribute::XOR_PEER_ADDRESS).ok_or(Refused::BadRequest)?;
        let peer = canonical(message.xor_address(value).ok_or(Refused::BadRequest)?);
        self.check_ip(number, peer.ip())?;
        if !self.exists(peer) {
            return Err(Refused::Forbidden);
        }
        let (permissions, channels) = (self.limits.permissions, self.limits.channels);
        let allocation = self.table.get_mut(number).ok_or(Refused::AllocationMismatch)?;
        if !allocation.has_room(now, &[peer.ip()], permissions) {
            return Err(Refused::InsufficientCapacity);
        }
        allocation.bind(now, channel, peer, channels).map_err(|error| match error {
            BindError::Taken => Refused::BadRequest,
            BindError::Full => Refused::InsufficientCapacity,
        })?;
        allocation.permit(now, peer.ip());
        Ok(Granted::All)
    }

    /// Whether a peer is this server's media, or an allocation that lives. Of other workers' allocations it is not
    /// known whether they do; what is sent to one that does not is dropped there.
    fn exists(&self, peer: SocketAddr) -> bool {
        match self.peers.find(peer) {
            None => false,
            Some(Peer::Media) => true,
            Some(Peer::Relayed) => !self.relays.lends(peer) || self.relays.find(peer).is_some(),
        }
    }

    /// A permission is for an IP address (RFC 8656 section 9); the port is looked at when data is sent.
    fn check_ip(&self, number: usize, ip: IpAddr) -> Result<(), Refused> {
        let allocation = self.table.get(number).ok_or(Refused::AllocationMismatch)?;
        if allocation.relayed(Family::of(ip)).is_none() {
            return Err(Refused::PeerAddressFamilyMismatch);
        }
        if self.peers.has_ip(ip) { Ok(()) } else { Err(Refused::Forbidden) }
    }

    fn permit(&mut self, now: Instant, number: usize, ips: &[IpAddr]) -> Result<(), Refused> {
        let limit = self.limits.permissions;
        let allocation = self.table.get_mut(number).ok_or(Refused::AllocationMismatch)?;
        if !allocation.has_room(now, ips, limit) {
            return Err(Refused::InsufficientCapacity);
        }
        ips.iter().for_each(|ip| allocation.permit(now, *ip));
        Ok(())
    }
}
