//! How loud an audio track is, from what its packets say (RFC 6464), smoothed.

use std::time::{Duration, Instant};

use super::packet::{Packet, SourceId};
use crate::units::AudioLevel;

/// What is not louder is silence: -60 dBov. A whisper into a poor microphone is about -55; the noise of a quiet room,
/// and what noise suppression leaves of any room, lie below.
pub const SILENCE: AudioLevel = AudioLevel(67);
/// What tracks count as whose packets say nothing of their level: -37 dBov, an ordinary voice. They are heard when they
/// are alone, and do not win against who speaks up.
const UNTOLD: AudioLevel = AudioLevel(90);
/// Time constant while it gets louder: two packets of 20 ms bring the level most of the way, so that a speaker is known
/// within a syllable, and the click of a key is not taken for one.
const ATTACK: Duration = Duration::from_millis(30);
/// Time constant while it gets quieter: the pauses between words do not make a speaker fall silent.
const RELEASE: Duration = Duration::from_millis(300);
/// What passes before the first packet, and the most that counts as passed between two.
const ONE_PACKET: Duration = Duration::from_millis(20);
const LONGEST_STEP: Duration = Duration::from_secs(1);
/// A track of which nothing came for so long is silent. Encoders that pause in silence (DTX) send a packet every 400 ms.
const GONE_AFTER: Duration = Duration::from_millis(500);

/// The level meter of one track.
///
/// The level follows the packets exponentially, by their RTP timestamps: late and bursty arrival does not change it.
#[derive(Debug, Default)]
pub struct Meter {
    /// 0 to 127, as [`AudioLevel`].
    smoothed: f32,
    /// Whether the track's packets carry levels.
    told: bool,
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    source: SourceId,
    timestamp: u32,
    arrived: Instant,
}

impl Meter {
    /// Takes a packet into account.
    pub fn note(&mut self, packet: &Packet) {
        let Some(passed) = self.passed(packet) else { return };
        self.last =
            Some(Last { source: packet.source, timestamp: packet.timestamp, arrived: packet.arrived });
        let Some(level) = packet.extensions.audio_level.map(AudioLevel::from_dbov) else {
            if !self.told {
                self.smoothed = f32::from(UNTOLD.0);
            }
            return;
        };
        self.told = true;
        let level = f32::from(level.0);
        let constant = if level > self.smoothed { ATTACK } else { RELEASE };
        self.smoothed += (level - self.smoothed) * (1.0 - (-passed.div_duration_f32(constant)).exp());
    }

    /// The smoothed level; [`AudioLevel::SILENT`] for all that is not above [`SILENCE`], and for a track that has
    /// stopped.
    #[must_use]
    pub fn level(&self, now: Instant) -> AudioLevel {
        let fresh = |last: Last| now.saturating_duration_since(last.arrived) < GONE_AFTER;
        if !self.last.is_some_and(fresh) || !self.is_loud() {
            return AudioLevel::SILENT;
        }
        #[expect(clippy::cast_sign_loss, reason = "a mean of values from 0 to 127")]
        AudioLevel(self.smoothed.round() as u8)
    }

    /// Whether the smoothed level is above [`SILENCE`].
    #[must_use]
    pub fn is_loud(&self) -> bool {
        self.smoothed > f32::from(SILENCE.0)
    }

    /// Forgets all: the track was muted.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The time since the last packet, by timestamps. `None` for a packet that comes behind its successors.
    fn passed(&self, packet: &Packet) -> Option<Duration> {
        let Some(last) = self.last.filter(|last| last.source == packet.source) else {
            return Some(ONE_PACKET);
        };
        let ticks = packet.timestamp.wrapping_sub(last.timestamp).cast_signed();
        let rate = f64::from(packet.format.codec.clock_rate());
        let passed = Duration::from_secs_f64(f64::from(ticks.unsigned_abs()) / rate);
        match ticks {
            1.. => Some(passed.min(LONGEST_STEP)),
            // A clock that was set back; else the track would be late for ever.
            _ if passed > LONGEST_STEP => Some(ONE_PACKET),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sfu::forward::packet::test::audio;

    /// Notes packets of one level, 20 ms apart, and returns the level after each.
    fn levels(meter: &mut Meter, from: &mut u64, count: u64, dbov: Option<i8>) -> Vec<u8> {
        let levels = (*from..*from + count).map(|number| {
            let packet = audio(1, number, dbov);
            meter.note(&packet);
            meter.level(packet.arrived).0
        });
        let levels = levels.collect();
        *from += count;
        levels
    }

    #[test]
    fn a_voice_is_heard_within_a_syllable_and_lasts_through_its_pauses() {
        let (mut meter, mut at) = (Meter::default(), 0);
        assert!(levels(&mut meter, &mut at, 50, Some(-80)).iter().all(|level| *level == 0));
        let speech = levels(&mut meter, &mut at, 50, Some(-30));
        assert!(speech[3] > 90 && speech[49] == 97, "{speech:?}");
        assert!(speech.is_sorted());
        let pause = levels(&mut meter, &mut at, 10, Some(-127));
        assert!(pause.iter().filter(|level| **level > 0).count() >= 5, "{pause:?}");
        let silence = levels(&mut meter, &mut at, 50, Some(-127));
        assert_eq!(silence[20..], [0; 30]);
    }

    #[test]
    fn one_click_is_no_voice() {
        let (mut meter, mut at) = (Meter::default(), 0);
        levels(&mut meter, &mut at, 50, Some(-127));
        assert_eq!(levels(&mut meter, &mut at, 1, Some(-20)), [0]);
        assert_eq!(levels(&mut meter, &mut at, 5, Some(-127)), [0; 5]);
    }

    #[test]
    fn a_track_that_tells_no_level_counts_while_it_comes() {
        let (mut meter, mut at) = (Meter::default(), 0);
        assert_eq!(levels(&mut meter, &mut at, 3, None), [UNTOLD.0; 3]);
        let last = audio(1, at - 1, None).arrived;
        assert_eq!(meter.level(last + GONE_AFTER - Duration::from_millis(1)), UNTOLD);
        assert_eq!(meter.level(last + GONE_AFTER), AudioLevel::SILENT);
    }

    #[test]
    fn late_packets_and_clocks_that_jump_do_no_harm() {
        let (mut meter, mut at) = (Meter::default(), 1_000);
        levels(&mut meter, &mut at, 50, Some(-30));
        meter.note(&audio(1, at - 5, Some(-127)));
        assert_eq!(meter.level(audio(1, at, None).arrived).0, 97, "late");
        let mut early = 0;
        levels(&mut meter, &mut early, 100, Some(-127));
        assert_eq!(meter.level(audio(1, early, None).arrived), AudioLevel::SILENT, "set back by 20 s");
        let mut other = audio(2, 5, Some(-30));
        for _ in 0..5 {
            other.timestamp = other.timestamp.wrapping_add(960);
            meter.note(&other);
        }
        assert!(meter.level(other.arrived).0 > 90, "another source has other timestamps");
    }
}
