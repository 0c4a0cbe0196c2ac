//! Keeps what a subscriber receives continuous, whatever happens to the source.
//!
//! A decoder behind one SSRC must never learn that publishers restart, encodings switch or tracks replace each
//! other: sequence numbers go on, timestamps advance by the time that passed, VP8 picture ids go on. Gaps that the
//! network tore stay visible, so that the subscriber's jitter buffer sees what the server saw.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::packet::{Packet, SourceId};
use crate::units::Codec;
use crate::wire::vp8::Descriptor;

/// What a packet carries towards one subscriber instead of its own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// Extended sequence number. Begins below 32,768, as SRTP's roll-over counter begins at zero.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// VP8 descriptor fields, for VP8.
    pub vp8: Option<Vp8Numbers>,
}

/// VP8 numbers towards one subscriber (RFC 7741 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vp8Numbers {
    /// 15 bits; the writer cuts it to 7 where the source uses the short form.
    pub picture_id: Option<u16>,
    /// The running number of base-layer frames.
    pub tl0_pic_idx: Option<u8>,
    /// 5 bits.
    pub key_idx: Option<u8>,
}

/// The numbering of one subscription.
#[derive(Debug)]
pub struct Rewriter {
    first: (u16, u32),
    current: Option<Current>,
}

/// The source that is being followed, and what separates its numbers from ours.
#[derive(Debug)]
struct Current {
    source: SourceId,
    /// From which sequence number of the source on which offset leads to ours; the oldest first. Each packet that was
    /// left out begins a new stretch. What came before the first is not ours, or too late.
    stretches: VecDeque<(u64, i64)>,
    /// Highest sequence number of the source so far.
    highest: u64,
    timestamp_offset: u32,
    last_timestamp: u32,
    last_arrived: Instant,
    vp8: Vp8Offsets,
}

#[derive(Debug, Clone, Copy, Default)]
struct Vp8Offsets {
    picture_id: u16,
    tl0_pic_idx: u8,
    key_idx: u8,
    last: Vp8Numbers,
}

/// What a new source's first frame is apart from the old source's last, when less time passed than that.
const ONE_FRAME: Duration = Duration::from_millis(20);

/// How many stretches are remembered: packets that are later than that are too late for any jitter buffer.
const MOST_STRETCHES: usize = 32;

impl Rewriter {
    /// Begins with random numbers (RFC 3550 section 5.1); the sequence number is cut to 15 bits.
    #[must_use]
    pub fn new(sequence: u16, timestamp: u32) -> Self {
        Self { first: (sequence & 0x7fff, timestamp), current: None }
    }

    /// The source that is being followed.
    #[must_use]
    pub fn source(&self) -> Option<SourceId> {
        self.current.as_ref().map(|current| current.source)
    }

    /// Follows the source of `packet` from this packet on.
    pub fn switch(&mut self, packet: &Packet) {
        let (sequence, timestamp, vp8) = match &self.current {
            None => (u64::from(self.first.0), self.first.1, Vp8Offsets::default()),
            Some(old) => {
                let passed = packet.arrived.saturating_duration_since(old.last_arrived).max(ONE_FRAME);
                let ticks = passed.as_micros() * u128::from(packet.format.codec.clock_rate()) / 1_000_000;
                // Timestamps wrap; so may the ticks of a pause of half a day.
                let ticks = u32::try_from(ticks & u128::from(u32::MAX)).unwrap_or_default();
                (old.out_highest() + 1, old.last_timestamp.wrapping_add(ticks), old.vp8)
            }
        };
        self.current = Some(Current {
            source: packet.source,
            stretches: VecDeque::from([(
                packet.sequence,
                sequence.cast_signed() - packet.sequence.cast_signed(),
            )]),
            highest: packet.sequence,
            timestamp_offset: timestamp.wrapping_sub(packet.timestamp),
            last_timestamp: timestamp,
            last_arrived: packet.arrived,
            vp8: vp8.rebased(packet),
        });
    }

    /// The numbers of a packet of the followed source; `None` for one from before the switch.
    pub fn rewrite(&mut self, packet: &Packet) -> Option<Rewritten> {
        let current = self.current.as_mut()?;
        let sequence = current.out(packet.sequence)?;
        let timestamp = packet.timestamp.wrapping_add(current.timestamp_offset);
        if packet.sequence >= current.highest {
            current.highest = packet.sequence;
            current.last_timestamp = timestamp;
            current.last_arrived = packet.arrived;
        }
        let vp8 = (packet.format.codec == Codec::Vp8).then(|| current.vp8.rewrite(packet)).flatten();
        Some(Rewritten { sequence, timestamp, vp8 })
    }

    /// Leaves a packet out without a gap where that is possible: only behind the highest that was sent.
    pub fn skip(&mut self, packet: &Packet) {
        if let Some(current) = &mut self.current
            && packet.sequence == current.highest + 1
        {
            current.highest = packet.sequence;
            let offset = current.stretches.back().map_or(0, |(_, offset)| *offset);
            current.stretches.push_back((packet.sequence + 1, offset - 1));
            if current.stretches.len() > MOST_STRETCHES {
                current.stretches.pop_front();
            }
        }
    }
}

impl Current {
    /// Our number for one of the source. A late packet gets the number that was kept free for it, never one that was
    /// used: a number twice would be a nonce twice.
    fn out(&self, sequence: u64) -> Option<u64> {
        let stretch = self.stretches.iter().rev().find(|(from, _)| *from <= sequence);
        stretch.map(|(_, offset)| sequence.wrapping_add_signed(*offset))
    }

    /// The last number that is taken: behind a packet that was left out, the one before it.
    fn out_highest(&self) -> u64 {
        let offset = self.stretches.back().map_or(0, |(_, offset)| *offset);
        self.highest.wrapping_add_signed(offset)
    }
}

impl Vp8Offsets {
    /// Offsets that let a new source's first frame follow the old source's last.
    fn rebased(mut self, packet: &Packet) -> Self {
        let descriptor = match packet.format.codec {
            Codec::Vp8 => Descriptor::parse(&packet.payload).unwrap_or_default(),
            _ => return self,
        };
        if let (Some(id), Some(last)) = (descriptor.picture_id, self.last.picture_id) {
            self.picture_id = last.wrapping_add(1).wrapping_sub(id.value);
        }
        if let (Some(index), Some(last)) = (descriptor.tl0_pic_idx, self.last.tl0_pic_idx) {
            self.tl0_pic_idx = last.wrapping_add(1).wrapping_sub(index);
        }
        if let (Some(index), Some(last)) = (descriptor.key_idx, self.last.key_idx) {
            self.key_idx = last.wrapping_add(1).wrapping_sub(index);
        }
        self
    }

    fn rewrite(&mut self, packet: &Packet) -> Option<Vp8Numbers> {
        let descriptor = Descriptor::parse(&packet.payload)?;
        let numbers = Vp8Numbers {
            picture_id: descriptor.picture_id.map(|id| id.value.wrapping_add(self.picture_id) & 0x7fff),
            tl0_pic_idx: descriptor.tl0_pic_idx.map(|index| index.wrapping_add(self.tl0_pic_idx)),
            key_idx: descriptor.key_idx.map(|index| index.wrapping_add(self.key_idx) & 0x1f),
        };
        self.last = Vp8Numbers {
            picture_id: numbers.picture_id.or(self.last.picture_id),
            tl0_pic_idx: numbers.tl0_pic_idx.or(self.last.tl0_pic_idx),
            key_idx: numbers.key_idx.or(self.last.key_idx),
        };
        Some(numbers)
    }
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
