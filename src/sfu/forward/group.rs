//! The group of pictures that an encoding is in: its last key frame, and what came since. Encoders that make no key frame when
//! they are asked would let whoever comes wait for the next; so those begin with the last.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::packet::Packet;

/// The most payload bytes of one group: ten seconds at 1.6 Mbit/s.
pub const MOST_BYTES: usize = 2 << 20;
/// The most packets of one group.
const MOST_PACKETS: usize = 4_096;
/// A group of which nothing came for so long is of no use: its stream has stopped.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// The packets of one source since its last key frame, by sequence number. What the network tore is missing here too, until it
/// comes late.
#[derive(Debug, Default)]
pub struct Group {
    packets: VecDeque<Packet>,
    bytes: usize,
    newest: Option<Instant>,
}

impl Group {
    /// Keeps a packet. A key frame begins the group anew; `room` is how many bytes it may have then at most, beside its own
    /// bound. One that gets too large is let go of until the next key frame.
    pub fn push(&mut self, packet: &Packet, room: usize) {
        let first = self.packets.front();
        let begins = packet.entry
            && first.is_none_or(|first| {
                packet.timestamp != first.timestamp
                    && self.packets.back().is_some_and(|last| packet.sequence > last.sequence)
            });
        if begins {
            self.clear();
        }
        let is_past = self.packets.front().map_or(!begins, |first| packet.sequence < first.sequence);
        if is_past {
            return;
        }
        let place = self.packets.partition_point(|kept| kept.sequence < packet.sequence);
        if self.packets.get(place).is_some_and(|kept| kept.sequence == packet.sequence) {
            return;
        }
        self.bytes += packet.payload.len();
        self.newest = self.newest.max(Some(packet.arrived));
        self.packets.insert(place, packet.clone());
        if self.bytes > MOST_BYTES.min(room) || self.packets.len() > MOST_PACKETS {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.packets.clear();
        self.bytes = 0;
    }

    /// The first packet of its key frame. `None` while there is no group.
    #[must_use]
    pub fn first(&self) -> Option<&Packet> {
        self.packets.front()
    }

    /// The packet that is furthest on.
    #[must_use]
    pub fn last(&self) -> Option<&Packet> {
        self.packets.back()
    }

    /// The packet with this extended sequence number.
    #[must_use]
    pub fn get(&self, sequence: u64) -> Option<&Packet> {
        self.from(sequence).next().filter(|packet| packet.sequence == sequence)
    }

    /// The packets from this extended sequence number on.
    pub fn from(&self, sequence: u64) -> impl Iterator<Item = &Packet> {
        let place = self.packets.partition_point(|kept| kept.sequence < sequence);
        self.packets.range(place..)
    }

    /// How many payload bytes it has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing came for so long that it is of no use any more.
    #[must_use]
    pub fn is_stale(&self, now: Instant) -> bool {
        self.newest.is_none_or(|newest| now.saturating_duration_since(newest) > KEPT_FOR)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sfu::forward::packet::test::audio;

    /// Packet `number` of a stream with two packets of 1,000 bytes to a picture.
    fn packet(number: u64, entry: bool) -> Packet {
        let timestamp = u32::try_from(number / 2).expect("few") * 3_000;
        Packet { entry, timestamp, payload: Arc::from(vec![0; 1_000]), ..audio(1, number, None) }
    }

    fn numbers(group: &Group) -> Vec<u64> {
        group.from(0).map(|packet| packet.sequence).collect()
    }

    #[test]
    fn a_group_is_what_came_since_the_last_key_frame_in_order() {
        let mut group = Group::default();
        for (number, entry) in
            [(1, false), (4, true), (5, false), (8, false), (7, false), (2, false), (8, false)]
        {
            group.push(&packet(number, entry), usize::MAX);
        }
        assert_eq!(numbers(&group), [4, 5, 7, 8]);
        assert_eq!(group.bytes(), 4_000);
        assert!(group.get(6).is_none() && group.get(7).is_some_and(|packet| packet.sequence == 7));
        group.push(&packet(10, true), usize::MAX);
        group.push(&packet(9, false), usize::MAX);
        group.push(&packet(11, true), usize::MAX);
        assert_eq!(numbers(&group), [10, 11], "the second packet of a key frame may look like its first");
    }

    #[test]
    fn a_group_that_gets_too_large_is_none_until_the_next_key_frame() {
        let mut group = Group::default();
        let many = MOST_BYTES as u64 / 1_000 + 10;
        (0..many).for_each(|number| group.push(&packet(number, number == 0), usize::MAX));
        assert_eq!((numbers(&group), group.bytes()), (vec![], 0));
        group.push(&packet(many + 10, true), usize::MAX);
        assert_eq!(group.bytes(), 1_000);
        (0..3).for_each(|number| group.push(&packet(many + 11 + number, false), 2_500));
        assert_eq!(numbers(&group), [0_u64; 0], "there is no room for more");
    }

    #[test]
    fn a_group_of_a_stream_that_stopped_is_stale() {
        let mut group = Group::default();
        group.push(&packet(0, true), usize::MAX);
        let arrived = packet(0, true).arrived;
        assert!(!group.is_stale(arrived + KEPT_FOR));
        assert!(group.is_stale(arrived + KEPT_FOR + Duration::from_millis(1)));
    }
}
