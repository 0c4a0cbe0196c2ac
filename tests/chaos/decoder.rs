//! A model of a decoder of VP8 behind one slot: it puts frames together, waits for what is missing, and shows what it can.
//! It knows what a real one knows, the numbers in the payload descriptors. What each frame really needs is held against
//! that: where the numbers say yes and the truth says no, a broken frame would have been shown.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use sluice::wire::vp8::Descriptor;

use crate::encoder::{FrameId, Told};

/// How long it waits for what is missing before it asks for a key frame, and before it asks again.
const PATIENCE: Duration = Duration::from_millis(400);
/// How many frames it remembers to have decoded.
const REMEMBERED: usize = 64;

#[derive(Debug, Clone)]
struct Piece {
    timestamp: u32,
    marker: bool,
    vp8: Descriptor,
    told: Told,
}

/// A frame that was shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) told: Told,
}

#[derive(Debug, Default)]
pub(crate) struct Decoder {
    waiting: BTreeMap<u64, Piece>,
    /// The number of the next packet.
    next: Option<u64>,
    decoded: VecDeque<FrameId>,
    /// Of the last frame that was decoded.
    last: Option<Last>,
    /// Since when nothing could be shown though something came.
    stuck: Option<Instant>,
    asked: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    picture: u16,
    tl0: u8,
    timestamp: u32,
    /// The upper temporal layer was taken up, and nothing of it is missing since.
    has_upper: bool,
}

impl Decoder {
    /// Takes a packet in. Returns the frames that are shown then.
    ///
    /// # Errors
    /// What is wrong with what was sent.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        sequence: u64,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Result<Vec<Shown>, String> {
        let vp8 = Descriptor::parse(payload).ok_or("a payload that is no VP8")?;
        let told = Told::read(payload);
        let next = *self.next.get_or_insert(sequence);
        if sequence < next {
            return Ok(Vec::new());
        }
        if let Some(before) = self.waiting.get(&sequence)
            && before.told != told
        {
            return Err(format!("number {sequence} was used twice: {:?} and {told:?}", before.told));
        }
        self.waiting.insert(sequence, Piece { timestamp, marker, vp8, told });
        let (mut shown, mut is_lost) = (Vec::new(), false);
        while let Some(frame) = self.take_frame() {
            let decoded = self.decode(&frame)?;
            is_lost |= decoded.is_none();
            shown.extend(decoded);
        }
        if !shown.is_empty() {
            self.stuck = None;
        } else if is_lost || !self.waiting.is_empty() {
            self.stuck.get_or_insert(now);
        }
        Ok(shown)
    }

    /// Whether it asks for a key frame now, which counts as asked.
    pub(crate) fn asks(&mut self, now: Instant) -> bool {
        let late = |since: Instant| now.saturating_duration_since(since) > PATIENCE;
        let asks = self.stuck.is_some_and(late) && self.asked.is_none_or(late);
        if asks {
            self.asked = Some(now);
        }
        asks
    }

    /// The next whole frame: the one whose turn it is, else a key frame further on. What is no frame, as its beginning or
    /// its end was left out at a switch, is nothing to it.
    fn take_frame(&mut self) -> Option<Vec<Piece>> {
        let next = self.next?;
        let keys = self.waiting.range(next..).filter(|(_, piece)| piece.vp8.keyframe);
        let found = [next].into_iter().chain(keys.map(|(sequence, _)| *sequence));
        let (from, end) = found.filter_map(|from| self.whole(from)).next()?;
        self.waiting = self.waiting.split_off(&from);
        self.next = Some(end + 1);
        Some((from..=end).filter_map(|sequence| self.waiting.remove(&sequence)).collect())
    }

    /// The numbers of the first and the last packet of the frame that ends first from this number on, if nothing is missing.
    fn whole(&self, from: u64) -> Option<(u64, u64)> {
        let (mut begin, mut sequence) = (from, from);
        loop {
            let piece = self.waiting.get(&sequence)?;
            if piece.vp8.begins_frame {
                begin = sequence;
            }
            if piece.marker {
                return Some((begin, sequence));
            }
            sequence += 1;
        }
    }

    fn decode(&mut self, frame: &[Piece]) -> Result<Option<Shown>, String> {
        let Some(first) = frame.first() else { return Ok(None) };
        let told = first.told;
        let is_one = frame.iter().enumerate().all(|(place, piece)| {
            piece.told == Told { place: place as u8, ..told } && piece.timestamp == first.timestamp
        });
        if !first.vp8.begins_frame {
            return Ok(None);
        }
        if !is_one || frame.len() != usize::from(told.count) {
            let pieces: Vec<_> = frame.iter().map(|piece| piece.told).collect();
            return Err(format!("packets of different frames stand in one: {pieces:?}"));
        }
        let picture = first.vp8.picture_id.ok_or("no picture id")?.value;
        let tl0 = first.vp8.tl0_pic_idx.ok_or("no TL0PICIDX")?;
        let is_upper = first.vp8.temporal > 0;
        if let Some(last) = self.last
            && last.timestamp.wrapping_sub(first.timestamp) < 1 << 31
        {
            let (from, to) = (last.timestamp, first.timestamp);
            return Err(format!("time goes from {from}, {:?}, to {to}, {told:?}", self.decoded.back()));
        }
        let is_key = first.vp8.keyframe;
        if !is_key && !self.can_decode(first, picture, tl0) {
            return Ok(None);
        }
        for needed in told.needs.iter().filter(|needed| **needed != u32::MAX) {
            let id = FrameId { number: *needed, ..told.id };
            if !self.decoded.contains(&id) {
                return Err(format!(
                    "a broken frame: {told:?} needs {needed}, after {:?}",
                    self.decoded.back()
                ));
            }
        }
        let goes_on = |last: Last| !is_key && last.has_upper && picture == (last.picture + 1) & 0x7fff;
        let has_upper = is_upper || self.last.is_some_and(goes_on);
        self.last = Some(Last { picture, tl0, timestamp: first.timestamp, has_upper });
        self.decoded.push_back(told.id);
        if self.decoded.len() > REMEMBERED {
            self.decoded.pop_front();
        }
        Ok(Some(Shown { told }))
    }

    /// Whether the numbers say that all is there that a frame needs.
    fn can_decode(&self, frame: &Piece, picture: u16, tl0: u8) -> bool {
        let Some(last) = self.last else { return false };
        let follows = picture == (last.picture + 1) & 0x7fff;
        if frame.vp8.temporal == 0 {
            return tl0 == last.tl0.wrapping_add(1);
        }
        tl0 == last.tl0 && (frame.vp8.sync || follows && last.has_upper)
    }
}
