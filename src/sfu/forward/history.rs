//! The packets of an encoding that were forwarded a moment ago, for subscribers that lost them.
//!
//! One history serves all subscribers of an encoding: a packet is kept once, whoever may ask for it. Packets stand in the
//! order in which they came, so that what is too old or too much leaves at the front, whatever its number; a table leads
//! from a sequence number to the packet. Nothing depends on the distance of two sequence numbers: holes cost nothing,
//! latecomers fill them, and a publisher that leaps through its numbers loses only its own history.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::packet::{Packet, SourceId};

/// What a history holds at most; the tightest of the three decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Packets. At most 2^30 count.
    pub packets: usize,
    /// Payload bytes of all packets together.
    pub bytes: usize,
    /// Time since a packet arrived.
    pub age: Duration,
}

impl Default for Limits {
    /// One second at 8 Mbit/s, with margin.
    ///
    /// 8 Mbit/s are 1,000,000 bytes a second: 833 packets of 1,200 bytes, more where an encoder cuts smaller. Two seconds,
    /// because a browser asks again every round trip, and what comes after two seconds comes too late for any picture.
    fn default() -> Self {
        Self { packets: 2_048, bytes: 3 << 19, age: Duration::from_secs(2) }
    }
}

/// The recent packets of one encoding.
///
/// Packets of a former source stay until they are too old, as far as the new one's numbers leave them their place in the
/// table: a viewer that lost the last packet before a restart of the publisher may still get it, and nobody has to look for
/// the seam. None is ever taken for one of another source.
#[derive(Debug)]
pub struct History {
    limits: Limits,
    /// In the order of arrival.
    packets: VecDeque<Packet>,
    /// The number, by order of arrival and modulo 2^32, of the first of `packets`.
    first: u32,
    /// Numbers by order of arrival, at the place that the sequence number has modulo the length, a power of two. What stands
    /// here may be long gone or of another sequence number: the packet itself tells.
    places: Vec<u32>,
    bytes: usize,
}

/// Tables begin with this many places: enough for a second of sound.
const FEWEST_PLACES: usize = 64;

/// More packets than that would not have a number each.
const MOST_PACKETS: usize = 1 << 30;

impl History {
    /// An empty history, which costs no memory until the first packet comes.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { packets: limits.packets.min(MOST_PACKETS), ..limits };
        Self { limits, packets: VecDeque::new(), first: 0, places: Vec::new(), bytes: 0 }
    }

    /// Keeps a packet, and lets go of what is too old or too much. One that is here already is not kept twice.
    pub fn push(&mut self, now: Instant, packet: &Packet) {
        if self.get(packet.source, packet.sequence).is_some() {
            return;
        }
        let Limits { packets, bytes, .. } = self.limits;
        let size = packet.payload.len();
        // What it takes the place of goes first, so that a full history does not grow for a moment and stay as large.
        let (Some(packets), Some(bytes)) = (packets.checked_sub(1), bytes.checked_sub(size)) else { return };
        self.trim(now, packets, bytes);
        self.bytes += size;
        self.packets.push_back(packet.clone());
        // Twice the places that sequential numbers need: as many packets again may be missing between them.
        if self.packets.len() * 2 > self.places.len() {
            self.seat_all((self.packets.len() * 2).next_power_of_two().max(FEWEST_PLACES));
        } else {
            self.seat(packet.sequence, self.packets.len() - 1);
        }
    }

    /// The packet of a source with this extended sequence number, if it is still here.
    #[must_use]
    pub fn get(&self, source: SourceId, sequence: u64) -> Option<&Packet> {
        let number = self.places.get(self.place(sequence))?;
        let packet = self.packets.get(number.wrapping_sub(self.first) as usize)?;
        (packet.source == source && packet.sequence == sequence).then_some(packet)
    }

    /// Lets go of what is too old, and of memory that is not used any more. To be called now and then, about once a second:
    /// a track that was stopped pushes nothing, and so would keep what it has.
    pub fn expire(&mut self, now: Instant) {
        self.trim(now, self.limits.packets, self.limits.bytes);
        let used = self.packets.len();
        if used == 0 {
            self.packets = VecDeque::new();
            self.places = Vec::new();
        } else if used * 8 < self.packets.capacity() {
            // An eighth, so that what comes in waves does not allocate with each of them.
            self.packets.shrink_to(used * 2);
            self.places = Vec::new();
            self.seat_all((used * 4).next_power_of_two().max(FEWEST_PLACES));
        }
    }

    /// How many packets are kept.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.packets.len()
    }

    /// How many payload bytes are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets go of what is too old, and of as much as it takes to hold no more than so many packets and bytes.
    fn trim(&mut self, now: Instant, packets: usize, bytes: usize) {
        while let Some(oldest) = self.packets.front() {
            let stays = self.packets.len() <= packets
                && self.bytes <= bytes
                && now.saturating_duration_since(oldest.arrived) <= self.limits.age;
            if stays {
                return;
            }
            self.bytes -= oldest.payload.len();
            self.packets.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// Where the table speaks of a sequence number. Beyond its end while there is no table.
    fn place(&self, sequence: u64) -> usize {
        // Only the low bits matter.
        sequence as usize & self.places.len().saturating_sub(1)
    }

    /// Lets the table lead to the packet at `index`, which has this sequence number.
    fn seat(&mut self, sequence: u64, index: usize) {
        let place = self.place(sequence);
        if let Some(number) = self.places.get_mut(place) {
            // There are at most `MOST_PACKETS`.
            *number = self.first.wrapping_add(index as u32);
        }
    }

    /// Makes a table of so many places for all packets. Of two that have the same place, the one that came later gets it.
    fn seat_all(&mut self, places: usize) {
        self.places.clear();
        self.places.resize(places, self.first);
        for index in 0..self.packets.len() {
            let sequence = self.packets.get(index).map_or(0, |packet| packet.sequence);
            self.seat(sequence, index);
        }
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
