//! One track on its way to one participant.

use super::packet::{Packet, SourceId};
use super::rewrite::{Rewriter, Rewritten, Sent};

/// The state of one slot of a subscriber: which source it follows, and its numbering, which outlives sources.
#[derive(Debug)]
pub struct Subscription {
    rewriter: Rewriter,
    following: bool,
}

/// What becomes of a packet for one subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it with these numbers.
    Forward(Rewritten),
    /// It is of an encoding that this subscriber does not follow, or older than its entry point.
    Unwanted,
    /// The decoder cannot begin here: a key frame is needed.
    AwaitsEntry,
}

impl Subscription {
    /// Begins with random numbers, see [`Rewriter::new`].
    #[must_use]
    pub fn new(sequence: u16, timestamp: u32) -> Self {
        Self { rewriter: Rewriter::new(sequence, timestamp), following: false }
    }

    /// Another track stands behind the slot now: nothing is forwarded until a decoder can begin with it.
    pub fn rebind(&mut self) {
        self.following = false;
    }

    /// Whether the subscriber has no picture yet, or none of the track it is bound to.
    #[must_use]
    pub fn awaits_entry(&self) -> bool {
        !self.following
    }

    /// Which packet the subscriber was sent with this sequence number, see [`Rewriter::sent`].
    #[must_use]
    pub fn sent(&self, sequence: u16) -> Option<Sent> {
        self.rewriter.sent(sequence)
    }

    /// Judges a packet of the track behind the slot. `target` is the source that the subscriber shall follow; while
    /// a switch to it waits for a key frame, the old source goes on.
    pub fn accept(&mut self, packet: &Packet, target: SourceId) -> Verdict {
        let current = self.rewriter.source().filter(|_| self.following);
        // Padding that a publisher sends to probe its own link says nothing to a decoder.
        let is_padding = packet.payload.is_empty();
        if current != Some(packet.source) {
            // The last of a source comes behind the first of the next, now and then.
            if current.is_some() && self.rewriter.owes(packet) {
                return self.rewriter.rewrite(packet).map_or(Verdict::Unwanted, Verdict::Forward);
            }
            if packet.source != target || is_padding {
                return Verdict::Unwanted;
            }
            if !packet.entry {
                return if current.is_some() { Verdict::Unwanted } else { Verdict::AwaitsEntry };
            }
            self.rewriter.switch(packet);
            self.following = true;
        }
        // Padding that comes late is a gap already, which it fills.
        if is_padding && self.rewriter.skip(packet) {
            return Verdict::Unwanted;
        }
        self.rewriter.rewrite(packet).map_or(Verdict::Unwanted, Verdict::Forward)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::sfu::forward::packet::{EncodingIndex, Extensions};
    use crate::units::{Codec, Format};

    fn video(source: u64, sequence: u64, entry: bool) -> Packet {
        Packet {
            source: SourceId(source),
            encoding: EncodingIndex(0),
            sequence,
            timestamp: 0,
            marker: true,
            format: Format::new(Codec::H264, ""),
            entry,
            arrived: Instant::now(),
            captured: Instant::now(),
            extensions: Extensions::default(),
            vp8: None,
            dependency: None,
            payload: Arc::from([1u8].as_slice()),
        }
    }

    fn forwarded(verdict: Verdict) -> Option<u64> {
        match verdict {
            Verdict::Forward(rewritten) => Some(rewritten.sequence),
            _ => None,
        }
    }

    #[test]
    fn a_viewer_begins_with_a_key_frame() {
        let mut subscription = Subscription::new(0, 0);
        assert_eq!(subscription.accept(&video(1, 5, false), SourceId(1)), Verdict::AwaitsEntry);
        assert_eq!(forwarded(subscription.accept(&video(1, 6, true), SourceId(1))), Some(0));
        assert_eq!(forwarded(subscription.accept(&video(1, 7, false), SourceId(1))), Some(1));
    }

    #[test]
    fn a_switch_of_encodings_waits_for_its_key_frame_and_shows_the_old_one_until_then() {
        let mut subscription = Subscription::new(0, 0);
        subscription.accept(&video(1, 6, true), SourceId(1));
        assert_eq!(subscription.accept(&video(2, 100, false), SourceId(2)), Verdict::Unwanted);
        assert_eq!(forwarded(subscription.accept(&video(1, 7, false), SourceId(2))), Some(1));
        assert_eq!(forwarded(subscription.accept(&video(2, 101, true), SourceId(2))), Some(2));
        assert_eq!(subscription.accept(&video(1, 8, false), SourceId(2)), Verdict::Unwanted);
    }

    #[test]
    fn after_rebinding_nothing_old_and_nothing_broken_is_shown() {
        let mut subscription = Subscription::new(0, 0);
        subscription.accept(&video(1, 6, true), SourceId(1));
        subscription.rebind();
        assert!(subscription.awaits_entry());
        assert_eq!(subscription.accept(&video(9, 1, false), SourceId(9)), Verdict::AwaitsEntry);
        assert_eq!(forwarded(subscription.accept(&video(9, 2, true), SourceId(9))), Some(1));
    }

    #[test]
    fn the_last_packet_of_the_old_encoding_fills_its_gap_behind_the_switch() {
        let mut subscription = Subscription::new(0, 0);
        subscription.accept(&video(1, 6, true), SourceId(1));
        subscription.accept(&video(1, 8, false), SourceId(1));
        assert_eq!(forwarded(subscription.accept(&video(2, 100, true), SourceId(2))), Some(3));
        assert_eq!(forwarded(subscription.accept(&video(1, 7, false), SourceId(2))), Some(1));
        assert_eq!(subscription.accept(&video(1, 7, false), SourceId(2)), Verdict::Unwanted, "a copy");
        assert_eq!(subscription.accept(&video(1, 9, false), SourceId(2)), Verdict::Unwanted);
    }

    #[test]
    fn padding_that_comes_late_fills_its_gap() {
        let mut subscription = Subscription::new(0, 0);
        subscription.accept(&video(1, 6, true), SourceId(1));
        subscription.accept(&video(1, 8, false), SourceId(1));
        let padding = Packet { payload: Arc::from([].as_slice()), ..video(1, 7, false) };
        assert_eq!(forwarded(subscription.accept(&padding, SourceId(1))), Some(1));
    }

    #[test]
    fn padding_is_left_out_without_a_gap() {
        let mut subscription = Subscription::new(0, 0);
        subscription.accept(&video(1, 6, true), SourceId(1));
        let padding = Packet { payload: Arc::from([].as_slice()), ..video(1, 7, false) };
        assert_eq!(subscription.accept(&padding, SourceId(1)), Verdict::Unwanted);
        assert_eq!(forwarded(subscription.accept(&video(1, 8, false), SourceId(1))), Some(1));
    }
}
