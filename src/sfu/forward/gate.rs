//! Keeps the silence of an audio track from being forwarded.
//!
//! What is left out leaves no gap in the numbers of what is forwarded, and the timestamps go on with the time that
//! passed: to receivers it is an encoder that pauses in silence (DTX, RFC 7587 section 3.1.3). It happens once for the
//! track, before the numbering of each subscriber, so that a silent track costs them nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::packet::{Packet, SourceId};

/// A track that was not heard for so long is silent. Longer than the pauses of a speaker, so that no pause ends in the
/// cut of a soft first sound, and long enough for receivers to hear the silence that they go on with.
const SILENT_AFTER: Duration = Duration::from_secs(1);

/// How many stretches are remembered: each is a second at least, and packets that are later than that are too late for
/// any jitter buffer.
const MOST_STRETCHES: usize = 3;

/// The gate of one track.
#[derive(Debug, Default)]
pub struct Gate {
    source: Option<SourceId>,
    /// The highest sequence number of the source.
    highest: u64,
    /// When the track was last heard.
    heard: Option<Instant>,
    /// What was forwarded of the source, the oldest first. The last one goes on while it has no end.
    stretches: VecDeque<Stretch>,
}

/// Packets of a source that are forwarded, from one pause to the next.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: u64,
    /// The first number that is not forwarded any more.
    until: Option<u64>,
    /// How many numbers were left out before it.
    left_out: u64,
}

impl Gate {
    /// Whether a packet is to be forwarded; its sequence number is the one among those that are, then. `audible` says
    /// whether the packet, or the track of late, is above silence.
    pub fn pass(&mut self, packet: &mut Packet, audible: bool) -> bool {
        if self.source != Some(packet.source) {
            self.begin(packet);
        }
        if packet.sequence < self.highest {
            return self.late(packet);
        }
        let before = std::mem::replace(&mut self.highest, packet.sequence);
        let heard = *self.heard.get_or_insert(packet.arrived);
        if audible {
            self.heard = Some(packet.arrived);
        }
        let long_silent = packet.arrived.saturating_duration_since(heard) >= SILENT_AFTER;
        let Some(last) = self.stretches.back_mut() else { return false };
        match last.until {
            None if audible || !long_silent => {}
            None => {
                last.until = Some(before + 1);
                return false;
            }
            Some(_) if !audible => return false,
            Some(until) => {
                let left_out = last.left_out + (packet.sequence - until);
                self.stretches.push_back(Stretch { from: packet.sequence, until: None, left_out });
                if self.stretches.len() > MOST_STRETCHES {
                    self.stretches.pop_front();
                }
                // The first packet after a silence (RFC 3551 section 4.1).
                packet.marker = true;
            }
        }
        self.late(packet)
    }

    /// Lets nothing through until the track is heard again.
    pub fn close(&mut self) {
        if let Some(last) = self.stretches.back_mut() {
            last.until.get_or_insert(self.highest + 1);
        }
    }

    /// Another source stands behind the track, with numbers of its own.
    fn begin(&mut self, packet: &mut Packet) {
        packet.marker |= self.stretches.back().is_some_and(|last| last.until.is_some());
        *self = Self { source: Some(packet.source), highest: packet.sequence, ..Self::default() };
        self.stretches.push_back(Stretch { from: packet.sequence, until: None, left_out: 0 });
    }

    /// Gives a packet the number that was kept free for it, if its stretch is forwarded.
    fn late(&self, packet: &mut Packet) -> bool {
        let number = packet.sequence;
        let holds = |s: &&Stretch| s.from <= number && s.until.is_none_or(|until| number < until);
        let Some(stretch) = self.stretches.iter().rev().find(holds) else { return false };
        packet.sequence = number - stretch.left_out;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::sfu::forward::level::{Meter, SILENCE};
    use crate::sfu::forward::packet::test::audio;
    use crate::sfu::forward::rewrite::Rewriter;
    use crate::units::AudioLevel;

    /// Passes packet `number` of a track; what it is called among those that are forwarded, and its marker.
    fn pass(gate: &mut Gate, number: u64, audible: bool) -> Option<(u64, bool)> {
        let mut packet = audio(1, number, None);
        gate.pass(&mut packet, audible).then_some((packet.sequence, packet.marker))
    }

    #[test]
    fn silence_is_forwarded_for_a_second_and_what_follows_it_at_once() {
        let mut gate = Gate::default();
        let forwarded = (100..200).filter(|number| pass(&mut gate, *number, *number < 110).is_some()).count();
        assert_eq!(forwarded, 10 + 49);
        assert_eq!(pass(&mut gate, 200, true), Some((159, true)), "the marker begins a talkspurt");
        assert_eq!(pass(&mut gate, 201, true), Some((160, false)));
        assert_eq!(pass(&mut gate, 202, false), Some((161, false)), "a pause between words");
    }

    #[test]
    fn losses_in_speech_stay_visible_and_those_in_silence_do_not() {
        let mut gate = Gate::default();
        pass(&mut gate, 100, true);
        assert_eq!(pass(&mut gate, 103, true), Some((103, false)));
        assert_eq!(pass(&mut gate, 102, true), Some((102, false)), "in the place kept for it");
        assert_eq!(pass(&mut gate, 190, false), None);
        assert_eq!(pass(&mut gate, 300, true), Some((104, true)));
        assert_eq!(pass(&mut gate, 299, true), None, "older than its talkspurt, and without a place");
        assert_eq!(pass(&mut gate, 101, true), Some((101, false)));
    }

    #[test]
    fn a_closed_gate_waits_to_hear_something() {
        let mut gate = Gate::default();
        pass(&mut gate, 100, true);
        gate.close();
        assert_eq!(pass(&mut gate, 101, false), None);
        assert_eq!(pass(&mut gate, 150, true), Some((101, true)));
    }

    proptest! {
        /// Any sound, any losses, small disorder: receivers see an encoder that pauses.
        #[test]
        fn numbers_have_no_gap_of_ours_and_time_is_right(
            seed in prop::collection::vec((any::<bool>(), 1..120u64, 0..4u8), 1..20),
            first in 0..70_000u64,
        ) {
            let (mut meter, mut gate, mut rewriter) = (Meter::default(), Gate::default(), Rewriter::new(5, 9));
            let mut arrivals = Vec::new();
            let mut number = first;
            for (loud, length, trouble) in seed {
                for at in 0..length {
                    // One in eight is lost, or changes places with the next.
                    let lost = trouble == 1 && at % 8 == 3;
                    let late = u64::from(trouble == 2 && at % 8 == 3) * 3;
                    if !lost {
                        arrivals.push((number * 2 + late, audio(1, number, Some(if loud { -30 } else { -90 }))));
                    }
                    number += 1;
                }
            }
            arrivals.sort_by_key(|(order, _)| *order);
            let (mut seen, mut last) = (HashSet::new(), None);
            let mut highest = None;
            for (_, mut packet) in arrivals {
                let (sequence, timestamp) = (packet.sequence, packet.timestamp);
                let in_order = highest.is_none_or(|highest| sequence > highest);
                highest = highest.max(Some(sequence));
                let level = packet.extensions.audio_level.map(AudioLevel::from_dbov);
                meter.note(&packet);
                let loud = level > Some(SILENCE);
                let passed = gate.pass(&mut packet, loud || meter.is_loud());
                prop_assert!(passed || !loud || !in_order, "{sequence} is audible and was left out");
                if !passed {
                    continue;
                }
                if rewriter.source().is_none() {
                    rewriter.switch(&packet);
                }
                let Some(out) = rewriter.rewrite(&packet) else { continue };
                prop_assert!(seen.insert(out.sequence), "{} twice", out.sequence);
                prop_assert_eq!(out.timestamp.wrapping_sub(timestamp), 9_u32.wrapping_sub(audio(1, first, None).timestamp));
                if in_order {
                    if let Some((before, out_before)) = last {
                        let gap = if packet.marker { 1 } else { sequence - before };
                        prop_assert_eq!(out.sequence - out_before, gap);
                    }
                    last = Some((sequence, out.sequence));
                }
            }
        }
    }
}
