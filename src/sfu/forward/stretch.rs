//! Stretches of a source whose packets are apart from what the subscriber gets by the same offsets.

use std::collections::VecDeque;

use super::packet::{Packet, SourceId};
use crate::wire::{dependency, vp8};

/// What a packet carries towards one subscriber instead of its own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// Extended sequence number. Begins below 32,768, as SRTP's roll-over counter begins at zero.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// The marker bit: the end of the picture, as the subscriber gets it.
    pub marker: bool,
    /// What the VP8 payload descriptor is to say, for VP8: see [`vp8::Descriptor::patch`].
    pub vp8: Option<vp8::Numbers>,
    /// What the dependency descriptor is to say, where there is one: see [`dependency::patch`].
    pub dependency: Option<dependency::Numbers>,
}

/// What is added to the numbers of a source. All of it wraps at the width of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offsets {
    /// The highest spatial layer that the subscriber gets: with it, pictures end.
    pub(super) top: u8,
    pub(super) sequence: u64,
    pub(super) timestamp: u32,
    pub(super) picture_id: u16,
    pub(super) frame_number: u16,
    pub(super) tl0_pic_idx: u8,
    pub(super) key_idx: u8,
    pub(super) template: u8,
}

impl Offsets {
    /// Those of a source whose sequence numbers and timestamps are so far away, the other fields being as they are.
    pub(super) fn new(sequence: u64, timestamp: u32) -> Self {
        Self {
            top: u8::MAX,
            sequence,
            timestamp,
            picture_id: 0,
            frame_number: 0,
            tl0_pic_idx: 0,
            key_idx: 0,
            template: 0,
        }
    }

    /// The numbers that a packet gets.
    #[inline]
    pub(super) fn apply(&self, packet: &Packet) -> Rewritten {
        let vp8 = packet.vp8.map(|vp8| vp8::Numbers {
            picture_id: vp8.picture_id.map(|id| id.value.wrapping_add(self.picture_id) & id.mask()),
            tl0_pic_idx: vp8.tl0_pic_idx.map(|index| index.wrapping_add(self.tl0_pic_idx)),
            key_idx: vp8.key_idx.map(|index| index.wrapping_add(self.key_idx) & 0x1f),
        });
        let dependency = packet.dependency.map(|descriptor| dependency::Numbers {
            frame_number: descriptor.frame_number.wrapping_add(self.frame_number),
            template_shift: self.template,
        });
        Rewritten {
            sequence: packet.sequence.wrapping_add(self.sequence),
            timestamp: packet.timestamp.wrapping_add(self.timestamp),
            marker: packet.marker || packet.layer.ends && packet.layer.spatial == self.top,
            vp8,
            dependency,
        }
    }
}

/// Packets of a source, from one sequence number to another, with their offsets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) source: SourceId,
    /// The first sequence number of the source, and the one behind the last.
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) offsets: Offsets,
}

impl Stretch {
    pub(super) fn holds(&self, packet: &Packet) -> bool {
        self.source == packet.source && (self.from..self.until).contains(&packet.sequence)
    }

    /// The packet of the source that got this number of ours.
    fn sent(&self, number: u64) -> Option<Sent> {
        let sequence = number.wrapping_sub(self.offsets.sequence);
        let holds = (self.from..self.until).contains(&sequence);
        holds.then_some(Sent { source: self.source, sequence, offsets: self.offsets })
    }
}

/// How many stretches are remembered. A new one begins with each switch, and with each run of packets that is left out:
/// that is a second when layers are left out of each of 60 pictures a second.
const MOST: usize = 64;

/// The stretches of a subscription, the oldest first, whatever their sources. No number of ours is in two of them.
#[derive(Debug, Default)]
pub(super) struct Stretches(VecDeque<Stretch>);

impl Stretches {
    pub(super) fn push(&mut self, stretch: Stretch) {
        if stretch.from >= stretch.until {
            return;
        }
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(stretch);
    }

    /// The stretch that a packet is in.
    pub(super) fn of(&self, packet: &Packet) -> Option<&Stretch> {
        self.0.iter().rev().find(|stretch| stretch.holds(packet))
    }

    /// Which packet got this number; `current` is the stretch that goes on.
    pub(super) fn sent(&self, number: u64, current: &Stretch) -> Option<Sent> {
        current.sent(number).or_else(|| self.0.iter().rev().find_map(|stretch| stretch.sent(number)))
    }
}

/// A packet that a subscriber was sent, named as its source names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The source.
    pub source: SourceId,
    /// The sequence number of the source, extended.
    pub sequence: u64,
    offsets: Offsets,
}

impl Sent {
    /// The numbers with which the packet was sent. `None` when `packet` is another one.
    #[must_use]
    pub fn numbers(&self, packet: &Packet) -> Option<Rewritten> {
        let is_it = (packet.source, packet.sequence) == (self.source, self.sequence);
        is_it.then(|| self.offsets.apply(packet))
    }
}
