//! Who is heard and who speaks: an order of a room's audio tracks, the loudest first, that does not flicker.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::TrackId;
use crate::units::AudioLevel;

/// How much louder (in dB) a track must be to overtake one before it while both can be heard.
const OVERTAKES_BY: u8 = 6;
/// How long somebody must be the loudest to become the one who has the floor, while the one who had it still speaks.
const TAKES_FLOOR_AFTER: Duration = Duration::from_millis(800);

/// The audio tracks of a room by how loud they are.
#[derive(Debug, Default)]
pub(super) struct Speakers {
    voices: BTreeMap<TrackId, Voice>,
    /// All tracks that were ever heard, the loudest first; of silent ones, who was heard last.
    order: Vec<TrackId>,
    floor: Option<TrackId>,
    /// Who has been louder than the one who has the floor, and since when.
    rival: Option<(TrackId, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Voice {
    level: AudioLevel,
    heard: Instant,
}

impl Speakers {
    /// Takes new levels in. What is not named is as loud as before. Only voices can have the floor: a stream or the sound of
    /// a screen would never give it back.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        levels: &[(TrackId, AudioLevel)],
        is_voice: impl Fn(TrackId) -> bool,
    ) {
        for (track, level) in levels {
            let voice = self.voices.entry(*track).or_insert_with(|| {
                self.order.push(*track);
                Voice { level: AudioLevel::SILENT, heard: now }
            });
            if level.is_audible() || voice.level.is_audible() {
                voice.heard = now;
            }
            voice.level = *level;
        }
        self.sort();
        self.give_floor(now, is_voice);
    }

    /// Keeps only those tracks that can be heard. Who has the floor keeps it when muted, until somebody else speaks.
    pub(super) fn retain(&mut self, is_there: impl Fn(TrackId) -> bool, is_heard: impl Fn(TrackId) -> bool) {
        self.voices.retain(|track, _| is_heard(*track));
        self.order.retain(|track| is_heard(*track));
        self.floor = self.floor.filter(|holder| is_there(*holder));
        self.rival = self.rival.filter(|(rival, _)| is_heard(*rival));
    }

    /// All tracks that were heard so far, the loudest first.
    pub(super) fn order(&self) -> &[TrackId] {
        &self.order
    }

    /// Those that can be heard at this moment, the loudest first.
    pub(super) fn audible(&self) -> impl Iterator<Item = (TrackId, AudioLevel)> + '_ {
        let level = |track: &TrackId| Some((*track, self.voices.get(track)?.level));
        self.order.iter().filter_map(level).filter(|(_, level)| level.is_audible())
    }

    /// Who has the floor: whoever spoke last, or has been the loudest for a while.
    pub(super) fn floor(&self) -> Option<TrackId> {
        self.floor
    }

    /// Puts the loudest first. A track moves ahead of one that can be heard only when it is clearly louder.
    fn sort(&mut self) {
        let voices = &self.voices;
        let voice = |track: &TrackId| voices.get(track).copied();
        // Audible ones keep their order among themselves; silent ones stand behind, the last heard first.
        self.order.sort_by_key(|track| {
            let heard = voice(track).map(|voice| voice.heard);
            let audible = voice(track).is_some_and(|voice| voice.level.is_audible());
            (!audible, if audible { None } else { Some(Reverse(heard)) })
        });
        let audible = self.audible().count();
        for place in 1..audible {
            let mut at = place;
            while at > 0 && self.overtakes(at, at - 1) {
                self.order.swap(at, at - 1);
                at -= 1;
            }
        }
    }

    fn overtakes(&self, behind: usize, ahead: usize) -> bool {
        let level = |place: usize| {
            let voice = self.order.get(place).and_then(|track| self.voices.get(track));
            voice.map_or(0, |voice| voice.level.0)
        };
        level(behind) >= level(ahead).saturating_add(OVERTAKES_BY)
    }

    fn give_floor(&mut self, now: Instant, is_voice: impl Fn(TrackId) -> bool) {
        let loudest = self.audible().map(|(track, _)| track).find(|track| is_voice(*track));
        let Some(loudest) = loudest else { return self.rival = None };
        let holder_speaks = self
            .floor
            .and_then(|holder| self.voices.get(&holder))
            .is_some_and(|voice| voice.level.is_audible());
        if self.floor == Some(loudest) {
            self.rival = None;
        } else if !holder_speaks {
            self.floor = Some(loudest);
            self.rival = None;
        } else {
            let since = self.rival.filter(|(rival, _)| *rival == loudest).map_or(now, |(_, since)| since);
            self.rival = Some((loudest, since));
            if now.saturating_duration_since(since) >= TAKES_FLOOR_AFTER {
                self.floor = Some(loudest);
                self.rival = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TrackId = TrackId(1);
    const B: TrackId = TrackId(2);
    const C: TrackId = TrackId(3);

    fn level(track: TrackId, level: u8) -> (TrackId, AudioLevel) {
        (track, AudioLevel(level))
    }

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn who_is_clearly_louder_comes_first_and_who_is_about_as_loud_does_not() {
        let start = Instant::now();
        let mut speakers = Speakers::default();
        speakers.hear(start, &[level(A, 80), level(B, 84), level(C, 60)], |_| true);
        assert_eq!(speakers.order(), [A, B, C]);
        speakers.hear(at(start, 200), &[level(B, 86)], |_| true);
        assert_eq!(speakers.order(), [B, A, C]);
        speakers.hear(at(start, 400), &[level(A, 90)], |_| true);
        assert_eq!(speakers.order(), [B, A, C]);
    }

    #[test]
    fn silent_ones_stand_behind_and_the_last_heard_is_the_first_of_them() {
        let start = Instant::now();
        let mut speakers = Speakers::default();
        speakers.hear(start, &[level(A, 90), level(B, 80), level(C, 40)], |_| true);
        speakers.hear(at(start, 200), &[level(B, 0)], |_| true);
        speakers.hear(at(start, 400), &[level(A, 0), level(C, 40)], |_| true);
        assert_eq!(speakers.order(), [C, A, B]);
        assert_eq!(speakers.audible().count(), 1);
        speakers.retain(|track| track != C, |track| track != C);
        assert_eq!(speakers.order(), [A, B]);
    }

    #[test]
    fn an_interjection_does_not_take_the_floor_and_a_pause_gives_it_away_only_to_a_speaker() {
        let start = Instant::now();
        let mut speakers = Speakers::default();
        speakers.hear(start, &[level(A, 80)], |_| true);
        speakers.hear(at(start, 200), &[level(B, 100)], |_| true);
        speakers.hear(at(start, 800), &[level(B, 0)], |_| true);
        speakers.hear(at(start, 1_000), &[level(B, 100)], |_| true);
        assert_eq!(speakers.floor(), Some(A), "B was loudest for 600 ms, then anew");
        speakers.hear(at(start, 1_800), &[level(B, 100)], |_| true);
        assert_eq!(speakers.floor(), Some(B));
        speakers.hear(at(start, 2_000), &[level(A, 0), level(B, 0)], |_| true);
        assert_eq!(speakers.floor(), Some(B), "silence changes nothing");
        speakers.hear(at(start, 2_200), &[level(A, 70)], |_| true);
        assert_eq!(speakers.floor(), Some(A));
    }
}
