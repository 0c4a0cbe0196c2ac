//! Keeps what a subscriber receives continuous, whatever happens to the source.
//!
//! A decoder behind one SSRC must never learn that publishers restart, encodings switch or tracks replace each
//! other: sequence numbers go on, timestamps advance by the time that passed, VP8 picture ids and the frame numbers of
//! dependency descriptors go on. Gaps that the network tore stay visible, so that the subscriber's jitter buffer sees what
//! the server saw.
//!
//! All of it is addition: a source's packets are in [stretches](super::stretch) with the same offsets. The latest
//! stretches are remembered, so that what a subscriber asks for again gets the numbers that it had.

use std::time::{Duration, Instant};

use super::packet::{Packet, SourceId};
use super::stretch::{Offsets, Stretch, Stretches};
pub use super::stretch::{Rewritten, Sent};
use super::used::Used;
use crate::wire::{dependency, vp8};

/// The numbering of one subscription.
///
/// A sequence number is given to one packet of one source and never again: [`Self::rewrite`] gives each number once, and
/// [`Sent::numbers`] gives a packet the numbers that it had. So a packet that is sent again under the same SSRC is the same
/// packet, as long as everything else in it is the same, header extensions included; where it is not, the cipher demands
/// another SSRC (RTX, RFC 4588).
#[derive(Debug)]
pub struct Rewriter {
    first: (u16, u32),
    current: Option<Current>,
    earlier: Stretches,
    /// The source before the current one, and the number behind its last.
    previous: Option<(SourceId, u64)>,
    used: Used,
}

/// The source that is being followed, and where it is.
#[derive(Debug)]
struct Current {
    /// The stretch that goes on.
    stretch: Stretch,
    /// One more than the highest sequence number of the source so far.
    next: u64,
    /// The fields that the source's packets had so far: their offsets are settled.
    fields: u8,
    /// The picture id of the newest frame, as the source counts.
    picture: Option<u16>,
    /// The picture id of the newest frame, if it was left out.
    left_out: Option<u16>,
    last: Last,
}

/// The newest of what the subscriber got, in its own numbers, whatever source it was of.
#[derive(Debug, Clone, Copy)]
struct Last {
    timestamp: u32,
    /// When the first packet with that timestamp arrived, and how old it was then.
    arrived: Instant,
    age: Duration,
    /// How far timestamps are ahead of what they should be, as they could not go back.
    ahead: Duration,
    vp8: vp8::Numbers,
    frame_number: Option<u16>,
    structure: Option<dependency::Structure>,
}

/// What a new source's first frame is apart from the old source's last, at least.
const ONE_FRAME: Duration = Duration::from_millis(20);
/// And at most: timestamps that advance by more than half of their range, 6.6 hours of video, seem to go back.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// Capture times of two sources that differ more in age than that are not of one clock.
const SAME_CLOCK: Duration = Duration::from_millis(500);
/// Timestamps of one source that are so far from the time that passed were set anew.
const LEAP: Duration = Duration::from_secs(10);
/// What needs no second look: ten seconds of audio, five of video.
const SMALL_STEP: u32 = 480_000;

/// The fields of a packet that have offsets.
const SHORT_ID: u8 = 1;
const LONG_ID: u8 = 2;
const TL0_PIC_IDX: u8 = 4;
const KEY_IDX: u8 = 8;
const DEPENDENCY: u8 = 16;

impl Rewriter {
    /// Begins with random numbers (RFC 3550 section 5.1); the sequence number is cut to 15 bits.
    #[must_use]
    pub fn new(sequence: u16, timestamp: u32) -> Self {
        Self {
            first: (sequence & 0x7fff, timestamp),
            current: None,
            earlier: Stretches::default(),
            previous: None,
            used: Used::default(),
        }
    }

    /// The source that is being followed.
    #[must_use]
    pub fn source(&self) -> Option<SourceId> {
        self.current.as_ref().map(|current| current.stretch.source)
    }

    /// Whether a packet may be a late one of the source before this one, with a number kept free for it.
    #[must_use]
    pub fn owes(&self, packet: &Packet) -> bool {
        self.previous.is_some_and(|(source, next)| packet.source == source && packet.sequence < next)
    }

    /// Follows the source of `packet` from this packet on.
    pub fn switch(&mut self, packet: &Packet) {
        let (sequence, last) = match self.current.take() {
            None => (u64::from(self.first.0), Last::new(self.first.1, packet)),
            Some(old) => {
                self.previous = Some((old.stretch.source, old.next));
                let sequence = old.next.wrapping_add(old.stretch.offsets.sequence);
                self.earlier.push(Stretch { until: old.next, ..old.stretch });
                (sequence, old.last.resumed(packet))
            }
        };
        let offsets = Offsets::new(
            sequence.wrapping_sub(packet.sequence),
            last.timestamp.wrapping_sub(packet.timestamp),
        );
        self.current = Some(Current {
            stretch: Stretch { source: packet.source, from: packet.sequence, until: u64::MAX, offsets },
            next: packet.sequence,
            fields: 0,
            picture: None,
            left_out: None,
            last,
        });
    }

    /// The numbers of a packet: the next ones for a new packet of the followed source, those that were kept free for a late
    /// one. `None` for a packet that has none: one from before it was followed, one that was left out or belongs to a frame
    /// that was, and one that had its number already.
    pub fn rewrite(&mut self, packet: &Packet) -> Option<Rewritten> {
        let current = self.current.as_mut()?;
        if packet.source != current.stretch.source || packet.sequence < current.next {
            return self.late(packet);
        }
        if current.left_out.is_some() && current.left_out == picture_id(packet) {
            self.skip(packet);
            return None;
        }
        let fields = fields(packet);
        if fields & !current.fields != 0
            && let Some(ended) = current.meet_new(packet, fields)
        {
            self.earlier.push(ended);
        }
        let mut out = current.stretch.offsets.apply(packet);
        if out.timestamp.wrapping_sub(current.last.timestamp) > SMALL_STEP
            && current.last.leaps(packet, out.timestamp)
        {
            self.earlier.push(current.resume(packet));
            out.timestamp = current.last.timestamp;
        }
        current.note(packet, &out);
        self.used.claim(out.sequence).then_some(out)
    }

    /// Leaves a packet out, and the frame that it is of: what follows goes on without a gap. The whole frame is to be left
    /// out then. False when it comes too late for that: then its number stays free, and sending the packet fills the gap.
    pub fn skip(&mut self, packet: &Packet) -> bool {
        let Some(current) = &mut self.current else { return false };
        if packet.source != current.stretch.source || packet.sequence < current.next {
            return false;
        }
        // What was lost before this packet may still come, and keeps its place.
        self.earlier.push(current.split(packet.sequence));
        let stretch = &mut current.stretch;
        stretch.from = packet.sequence + 1;
        stretch.offsets.sequence = stretch.offsets.sequence.wrapping_sub(1);
        current.next = packet.sequence + 1;
        let picture = picture_id(packet);
        if picture.is_some() && picture != current.picture {
            stretch.offsets.picture_id = stretch.offsets.picture_id.wrapping_sub(1);
            current.left_out = picture;
            current.picture = picture;
        }
        true
    }

    /// From this packet on, which is new, pictures end with this spatial layer.
    pub fn end_pictures_with(&mut self, packet: &Packet, spatial: u8) {
        if let Some(current) = self.current.as_mut().filter(|current| current.stretch.offsets.top != spatial)
        {
            self.earlier.push(current.split(packet.sequence));
            current.stretch.offsets.top = spatial;
        }
    }

    /// Whether a packet of the followed source is newer than all that came.
    #[must_use]
    pub fn is_new(&self, packet: &Packet) -> bool {
        self.current.as_ref().is_some_and(|current| packet.sequence >= current.next)
    }

    /// Which packet the subscriber was sent with this sequence number, the latest one with these 16 bits. `None` for a
    /// number that was not used, and for one that is too long ago.
    #[must_use]
    pub fn sent(&self, sequence: u16) -> Option<Sent> {
        let number = self.used.find(sequence)?;
        self.earlier.sent(number, &self.current.as_ref()?.stretch)
    }

    #[cold]
    fn late(&mut self, packet: &Packet) -> Option<Rewritten> {
        let offsets = match &mut self.current {
            Some(current) if current.stretch.holds(packet) => {
                current.meet(packet, fields(packet) & !current.widths());
                current.stretch.offsets
            }
            _ => self.earlier.of(packet)?.offsets,
        };
        let out = offsets.apply(packet);
        self.used.claim(out.sequence).then_some(out)
    }
}

impl Current {
    /// Ends the stretch before a packet, and begins a new one with it. Returns the one that ended.
    fn split(&mut self, sequence: u64) -> Stretch {
        let ended = Stretch { until: sequence, ..self.stretch };
        self.stretch.from = sequence;
        ended
    }

    /// Gives timestamps that were set anew an offset of their own. Returns the stretch that ended.
    #[cold]
    fn resume(&mut self, packet: &Packet) -> Stretch {
        let ended = self.split(packet.sequence);
        self.last = self.last.resumed(packet);
        self.stretch.offsets.timestamp = self.last.timestamp.wrapping_sub(packet.timestamp);
        ended
    }

    /// [`Self::meet`] for a new packet. Returns the stretch that ended, if picture ids are of another width from now on:
    /// earlier packets keep the offset of theirs.
    #[cold]
    fn meet_new(&mut self, packet: &Packet, fields: u8) -> Option<Stretch> {
        let other_width = self.widths() & fields & !self.fields != 0;
        let ended = other_width.then(|| self.split(packet.sequence));
        self.meet(packet, fields);
        ended
    }

    /// The widths of picture ids that are not to be met by late packets, as another is in use.
    fn widths(&self) -> u8 {
        if self.fields & (SHORT_ID | LONG_ID) == 0 { 0 } else { SHORT_ID | LONG_ID }
    }

    /// Lets fields that the source did not have before go on from where the subscriber saw them last.
    fn meet(&mut self, packet: &Packet, fields: u8) {
        let (offsets, last) = (&mut self.stretch.offsets, &self.last);
        let new = fields & !self.fields;
        self.fields |= new;
        if let Some(vp8) = &packet.vp8 {
            if let (Some(id), Some(last)) = (vp8.picture_id, last.vp8.picture_id)
                && new & (SHORT_ID | LONG_ID) != 0
            {
                offsets.picture_id = last.wrapping_add(1).wrapping_sub(id.value);
            }
            if let (Some(index), Some(last)) = (vp8.tl0_pic_idx, last.vp8.tl0_pic_idx)
                && new & TL0_PIC_IDX != 0
            {
                offsets.tl0_pic_idx = last.wrapping_add(1).wrapping_sub(index);
            }
            if let (Some(index), Some(last)) = (vp8.key_idx, last.vp8.key_idx)
                && new & KEY_IDX != 0
            {
                offsets.key_idx = last.wrapping_add(1).wrapping_sub(index);
            }
            let width = new & (SHORT_ID | LONG_ID);
            if width != 0 {
                self.fields = self.fields & !(SHORT_ID | LONG_ID) | width;
            }
        }
        if let Some(descriptor) = &packet.dependency
            && new & DEPENDENCY != 0
        {
            if let Some(last) = last.frame_number {
                offsets.frame_number = last.wrapping_add(1).wrapping_sub(descriptor.frame_number);
            }
            // Templates begin behind the last ones, so that nothing of the old source can be read with them.
            let id = descriptor.structure.map_or(descriptor.template_id, |structure| structure.id);
            offsets.template = last.structure.map_or(0, |last| last.next_id().wrapping_sub(id));
        }
    }

    /// Takes note of the newest packet.
    #[inline]
    fn note(&mut self, packet: &Packet, out: &Rewritten) {
        self.next = packet.sequence + 1;
        let last = &mut self.last;
        // Frames that are shown before those that they are sent behind do not count.
        if out.timestamp.wrapping_sub(last.timestamp).cast_signed() > 0 {
            last.timestamp = out.timestamp;
            last.arrived = packet.arrived;
            last.age = age(packet);
        }
        if let (Some(vp8), Some(descriptor)) = (&out.vp8, &packet.vp8) {
            if let Some(id) = descriptor.picture_id {
                self.picture = Some(id.value);
                self.left_out = None;
                last.vp8.picture_id = vp8.picture_id;
            }
            last.vp8.tl0_pic_idx = vp8.tl0_pic_idx.or(last.vp8.tl0_pic_idx);
            last.vp8.key_idx = vp8.key_idx.or(last.vp8.key_idx);
        }
        if let (Some(numbers), Some(descriptor)) = (&out.dependency, &packet.dependency) {
            last.frame_number = Some(numbers.frame_number);
            if let Some(structure) = descriptor.structure {
                last.structure = Some(structure.shifted(numbers.template_shift));
            }
        }
    }
}

impl Last {
    fn new(timestamp: u32, packet: &Packet) -> Self {
        Self {
            timestamp,
            arrived: packet.arrived,
            age: age(packet),
            ahead: Duration::ZERO,
            vp8: vp8::Numbers::default(),
            frame_number: None,
            structure: None,
        }
    }

    /// Goes on with a packet whose own timestamp says nothing: by the time between the two captures where both are known
    /// well enough, which keeps sound and picture together, and by that between the arrivals otherwise.
    fn resumed(mut self, packet: &Packet) -> Self {
        let passed = packet.arrived.saturating_duration_since(self.arrived);
        let age = age(packet);
        let (due, paid) = if age.abs_diff(self.age) <= SAME_CLOCK {
            (passed + self.age, age + self.ahead)
        } else {
            (passed, Duration::ZERO)
        };
        let step = due.saturating_sub(paid).clamp(ONE_FRAME, LONGEST_PAUSE);
        self.ahead = (step + paid).saturating_sub(due);
        self.timestamp = self.timestamp.wrapping_add(ticks(step, packet));
        self.arrived = packet.arrived;
        self.age = age;
        self
    }

    /// Whether a source's own timestamp is out of all proportion to the time that passed. Frames that are shown before
    /// those that they are sent behind go back a little.
    #[cold]
    fn leaps(&self, packet: &Packet, timestamp: u32) -> bool {
        let step = timestamp.wrapping_sub(self.timestamp).cast_signed();
        let passed = packet.arrived.saturating_duration_since(self.arrived);
        let leap = ticks(LEAP, packet);
        if step < 0 {
            return step.unsigned_abs() > leap || passed > LONGEST_PAUSE;
        }
        passed > LONGEST_PAUSE || step.unsigned_abs().abs_diff(ticks(passed, packet)) > leap
    }
}

/// How long before its arrival a packet was captured.
fn age(packet: &Packet) -> Duration {
    packet.arrived.saturating_duration_since(packet.captured)
}

/// A time in units of the packet's clock.
fn ticks(time: Duration, packet: &Packet) -> u32 {
    let ticks = time.as_micros() * u128::from(packet.format.codec.clock_rate()) / 1_000_000;
    u32::try_from(ticks).unwrap_or(u32::MAX)
}

fn picture_id(packet: &Packet) -> Option<u16> {
    packet.vp8.and_then(|vp8| vp8.picture_id).map(|id| id.value)
}

/// Which fields a packet has.
#[inline]
fn fields(packet: &Packet) -> u8 {
    let mut fields = 0;
    if let Some(vp8) = &packet.vp8 {
        fields |= vp8.picture_id.map_or(0, |id| if id.long { LONG_ID } else { SHORT_ID });
        fields |= if vp8.tl0_pic_idx.is_some() { TL0_PIC_IDX } else { 0 };
        fields |= if vp8.key_idx.is_some() { KEY_IDX } else { 0 };
    }
    fields | if packet.dependency.is_some() { DEPENDENCY } else { 0 }
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "rewrite_model_tests.rs"]
mod model_tests;
