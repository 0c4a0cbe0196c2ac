//! Habits of encoders that spoil a stream for those who watch. Whoever runs the encoder is told of each, once for a source.

use std::fmt;
use std::time::{Duration, Instant};

use super::packet::Packet;

/// What an encoder should do otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// It sends frames in another order than they are shown in (B-frames), for which WebRTC has no place.
    NoBFrames,
    /// Its key frames are so far apart, and it makes none when it is asked: so long may whoever loses the picture have to wait.
    KeyframesSooner(Duration),
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBFrames => f.write_str(
                "The encoder sends B-frames, which browsers show in the wrong order or not at all. Turn them off: in OBS, set \
                 B-frames to 0 in Settings > Output (x264: bframes=0, or the tune zerolatency).",
            ),
            Self::KeyframesSooner(apart) => write!(
                f,
                "Key frames are {} s apart, and the encoder makes none when it is asked: who loses the picture may wait for \
                 so long. In OBS, set Keyframe Interval to 1 s in Settings > Output (FFmpeg: -g with the frames of one second).",
                apart.as_secs(),
            ),
        }
    }
}

/// Key frames that are further apart make people wait for too long.
const APART: Duration = Duration::from_secs(4);
/// An encoder that was asked for so long in vain does not listen.
const IN_VAIN: Duration = Duration::from_secs(2);
/// So many pictures before those that they are sent behind are no accident.
const BACKWARDS: u8 = 3;
/// What is further back, in ticks of the video clock, is a clock that was set anew: 1 s.
const FURTHEST_BACK: u32 = 90_000;

/// What is known of the encoder behind a source.
#[derive(Debug, Default)]
pub(super) struct Habits {
    /// The timestamp of the newest picture, and of the one that is shown last.
    newest: Option<(u32, u32)>,
    backwards: u8,
    /// The timestamp of the last key frame, and when it came.
    keyframe: Option<(u32, Instant)>,
    told_of_keyframes: bool,
}

impl Habits {
    /// Looks at a packet that is newer than all before. `asked` is since when a key frame is asked for.
    #[inline]
    pub(super) fn note(&mut self, packet: &Packet, asked: Option<Instant>) -> Option<Advice> {
        if packet.entry && self.keyframe.is_none_or(|(timestamp, _)| timestamp != packet.timestamp) {
            return self.keyframe(packet, asked);
        }
        match &mut self.newest {
            Some((newest, _)) if *newest == packet.timestamp => None,
            Some((newest, last)) => {
                *newest = packet.timestamp;
                let back = last.wrapping_sub(packet.timestamp);
                if back.cast_signed() < 0 || back > FURTHEST_BACK {
                    *last = packet.timestamp;
                    return None;
                }
                let before = self.backwards;
                self.backwards = before.saturating_add(1);
                (before + 1 == BACKWARDS).then_some(Advice::NoBFrames)
            }
            None => {
                self.newest = Some((packet.timestamp, packet.timestamp));
                None
            }
        }
    }

    #[cold]
    fn keyframe(&mut self, packet: &Packet, asked: Option<Instant>) -> Option<Advice> {
        self.newest = Some((packet.timestamp, packet.timestamp));
        let last = self.keyframe.replace((packet.timestamp, packet.arrived));
        let since = |moment: Instant| packet.arrived.saturating_duration_since(moment);
        let apart = last.map(|(_, at)| since(at)).filter(|apart| *apart > APART)?;
        let in_vain = asked.is_some_and(|asked| since(asked) >= IN_VAIN);
        if !in_vain || std::mem::replace(&mut self.told_of_keyframes, true) {
            return None;
        }
        Some(Advice::KeyframesSooner(apart))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sfu::forward::packet::test::audio;
    use crate::units::{Codec, Format};

    fn video(sequence: u64, entry: bool) -> Packet {
        Packet { format: Format::new(Codec::H264, ""), entry, ..audio(1, sequence, None) }
    }

    /// What is said of pictures at these timestamps in units of 3,000 ticks, each of two packets.
    fn advice_on(pictures: &[u32]) -> Vec<Advice> {
        let mut habits = Habits::default();
        let mut sequence = 0;
        let mut told = Vec::new();
        for (place, picture) in pictures.iter().enumerate() {
            for _ in 0..2 {
                sequence += 1;
                let mut packet = video(sequence, place == 0);
                packet.timestamp = (u32::MAX - 10_000).wrapping_add(picture * 3_000);
                told.extend(habits.note(&packet, None));
            }
        }
        told
    }

    #[test]
    fn b_frames_are_seen_once_and_not_where_there_are_none() {
        assert_eq!(advice_on(&[0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11]), [Advice::NoBFrames]);
        assert_eq!(advice_on(&(0..40).collect::<Vec<_>>()), []);
        assert_eq!(advice_on(&[0, 1, 2, 4_000, 4_001, 3, 4, 5, 6, 7]), [], "a clock that was set anew");
    }

    #[test]
    fn key_frames_far_apart_are_told_of_when_somebody_asked_in_vain() {
        let began = video(0, true).arrived;
        let after = |seconds: u64| began + Duration::from_secs(seconds);
        let run = |every: u64, asked: Option<u64>| {
            let mut habits = Habits::default();
            let mut told = Vec::new();
            for number in 0..4 {
                let mut packet = video(number, true);
                packet.timestamp = u32::try_from(number * every).unwrap() * 90_000;
                packet.arrived = after(number * every);
                let asked = asked.and_then(|lead| packet.arrived.checked_sub(Duration::from_secs(lead)));
                told.extend(habits.note(&packet, asked));
            }
            told
        };
        assert_eq!(run(10, Some(3)), [Advice::KeyframesSooner(Duration::from_secs(10))], "once");
        assert_eq!(run(10, None), [], "nobody had to wait");
        assert_eq!(run(10, Some(0)), [], "it was made when it was asked for");
        assert_eq!(run(2, Some(2)), [], "two seconds are well");
    }

    #[test]
    fn advice_is_a_sentence_that_says_what_to_do() {
        let text = Advice::KeyframesSooner(Duration::from_millis(8_400)).to_string();
        assert!(
            text.starts_with("Key frames are 8 s apart,") && text.contains("Keyframe Interval to 1 s"),
            "{text}"
        );
        assert!(Advice::NoBFrames.to_string().contains("B-frames to 0"));
    }
}
