//! Whatever happens in whatever order: the truths hold, nothing panics, and after everybody left nothing is left.

use std::time::Duration;

use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

use super::world::{Kit, World, intent};
use crate::ids::{ParticipantId, SessionId, TrackId};
use crate::protocol::client::{AudioView, ClientMessage, SlotView, View};
use crate::protocol::server::{Bye, ByeCode};
use crate::protocol::shared::Source;
use crate::room::event::{Event, Target};
use crate::units::Codec;

/// Something that happens. Numbers pick among what is there, whatever that is.
#[derive(Debug, Clone)]
enum Step {
    Join { audio: usize, codec: bool, connects: bool },
    Connect(usize),
    Cut(usize),
    Resume { who: usize, media: bool },
    Leave(usize),
    Remove(usize),
    Look { who: usize, tracks: Vec<(usize, usize)>, voices: Vec<usize>, auto: bool },
    Publish { who: usize, mids: Vec<usize>, muted: bool },
    Mute { who: usize, mid: usize, muted: bool },
    Levels(Vec<(usize, u8)>),
    Format { track: usize, codec: bool },
    End(usize),
    EndAll,
    Whip,
    Whep(usize),
    Wait(u64),
    Throttle { who: usize, slot: usize, paused: bool },
    Used { track: usize, rids: Option<Vec<&'static str>> },
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0..12_usize;
    let join = (0..3_usize, any::<bool>(), any::<bool>());
    let tracks = prop::collection::vec((0..4_usize, 0..30_usize), 0..4);
    let look = (n(), tracks, prop::collection::vec(0..30_usize, 0..2), any::<bool>());
    let publish = (n(), prop::collection::vec(0..4_usize, 0..4), any::<bool>());
    prop_oneof![
        4 => join.prop_map(|(audio, codec, connects)| Step::Join { audio, codec, connects }),
        3 => n().prop_map(Step::Connect),
        2 => n().prop_map(Step::Cut),
        3 => (n(), any::<bool>()).prop_map(|(who, media)| Step::Resume { who, media }),
        1 => n().prop_map(Step::Leave),
        1 => n().prop_map(Step::Remove),
        6 => look.prop_map(|(who, tracks, voices, auto)| Step::Look { who, tracks, voices, auto }),
        3 => publish.prop_map(|(who, mids, muted)| Step::Publish { who, mids, muted }),
        3 => (n(), 0..4_usize, any::<bool>()).prop_map(|(who, mid, muted)| Step::Mute { who, mid, muted }),
        4 => prop::collection::vec((0..30_usize, 0..128_u8), 1..5).prop_map(Step::Levels),
        2 => (0..30_usize, any::<bool>()).prop_map(|(track, codec)| Step::Format { track, codec }),
        1 => n().prop_map(Step::End),
        2 => proptest::strategy::Just(Step::EndAll),
        1 => proptest::strategy::Just(Step::Whip),
        1 => n().prop_map(Step::Whep),
        3 => (n(), 0..2_usize, any::<bool>())
            .prop_map(|(who, slot, paused)| Step::Throttle { who, slot, paused }),
        3 => (0..30_usize, prop::option::of(prop::sample::subsequence(vec!["f", "h", "q"], 0..=3)))
            .prop_map(|(track, rids)| Step::Used { track, rids }),
        2 => (1..16_u64).prop_map(Step::Wait),
        1 => proptest::strategy::Just(Step::Close),
    ]
}

const MIDS: [(&str, Source); 4] =
    [("mic", Source::Mic), ("cam", Source::Camera), ("screen", Source::Screen), ("nine", Source::Mic)];

fn pick<T: Copy>(all: &[T], number: usize) -> Option<T> {
    all.get(number % all.len().max(1)).copied()
}

impl World {
    fn members(&self) -> Vec<ParticipantId> {
        self.room.members.keys().copied().collect()
    }

    fn seated(&self) -> Vec<ParticipantId> {
        self.clients.keys().copied().collect()
    }

    /// Some that are there, some that were never.
    fn any_track(&self, number: usize) -> TrackId {
        let all: Vec<_> = self.sessions.values().flat_map(|peering| peering.tracks.keys().copied()).collect();
        all.get(number).copied().unwrap_or(TrackId(number as u64))
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join { audio, codec, connects } => {
                let codecs = if codec { vec![Codec::Vp8] } else { vec![Codec::H264, Codec::Vp8] };
                let tracks = MIDS[..3].iter().map(|(mid, source)| intent(mid, *source)).collect();
                let entry =
                    self.entry("Somebody", &Kit { tracks, video_slots: 2, audio_slots: audio, codecs });
                let id = self.enter_room(entry);
                if connects {
                    self.connect(id);
                }
            }
            Step::Connect(n) => {
                let all: Vec<SessionId> = self.sessions.keys().copied().collect();
                pick(&all, n).into_iter().for_each(|session| self.connected(session));
            }
            Step::Cut(n) => pick(&self.seated(), n).into_iter().for_each(|who| self.cut(who)),
            Step::Resume { who, media } => {
                let kit = Kit::default();
                let kit = media.then_some(&kit);
                pick(&self.members(), who).into_iter().for_each(|who| self.resume(who, kit));
            }
            Step::Leave(n) => pick(&self.seated(), n).into_iter().for_each(|who| self.leave(who)),
            Step::Remove(n) => {
                let bye = Bye { code: ByeCode::Removed, message: String::new(), retry_ms: None };
                let who: Vec<_> = self.room.peers().iter().map(|peer| peer.id).collect();
                pick(&who, n).into_iter().for_each(|who| self.handle(Event::Leave(who, bye.clone())));
            }
            Step::Look { who, tracks, voices, auto } => {
                let slot = |(slot, track): (usize, usize)| SlotView {
                    mid: format!("v{slot}"),
                    track: Some(self.any_track(track)),
                    w: 0,
                    h: 0,
                    fps: None,
                    priority: None,
                };
                let slots = tracks.into_iter().map(slot).collect();
                let tracks = voices.into_iter().map(|voice| self.any_track(voice)).collect();
                let view = View { slots, audio: AudioView { tracks, auto } };
                if let Some(who) = pick(&self.seated(), who) {
                    self.request(who, ClientMessage::View(view));
                }
            }
            Step::Publish { who, mids, muted } => {
                let tracks = mids.into_iter().map(|n| {
                    let (mid, source) = MIDS[n];
                    crate::protocol::client::TrackIntent { muted, ..intent(mid, source) }
                });
                let tracks = tracks.collect();
                if let Some(who) = pick(&self.seated(), who) {
                    self.publish(who, tracks);
                }
            }
            Step::Mute { who, mid, muted } => {
                pick(&self.seated(), who).into_iter().for_each(|who| self.mute(who, MIDS[mid].0, muted));
            }
            other => self.take_media(other),
        }
    }

    fn take_media(&mut self, step: Step) {
        match step {
            Step::Levels(levels) => {
                let levels: Vec<_> =
                    levels.into_iter().map(|(n, level)| (self.any_track(n), level)).collect();
                self.levels(&levels);
            }
            Step::Format { track, codec } => {
                let track = self.any_track(track);
                let codec = if codec { Codec::Vp8 } else { Codec::H264 };
                let known = self.sessions.values().find_map(|peering| peering.tracks.get(&track));
                if known.is_none_or(|known| known.codec != Codec::Opus) {
                    self.format(track, codec);
                }
            }
            Step::End(n) => {
                let all: Vec<SessionId> = self.sessions.keys().copied().collect();
                pick(&all, n).into_iter().for_each(|session| self.end(session));
            }
            Step::EndAll => self.end_all(),
            Step::Whip => _ = self.whip(),
            Step::Whep(n) => {
                let track = self.any_track(n);
                let who = pick(&self.members(), n).unwrap_or(ParticipantId(0));
                let (alone, all) = (Target::Stream { members: false }, Target::Stream { members: true });
                let targets = [alone, all, Target::Speaker, Target::Participant(who), Target::Track(track)];
                if let Some(target) = pick(&targets, n) {
                    self.whep(target);
                }
            }
            Step::Throttle { who, slot, paused } => {
                let here = |who: &ParticipantId| self.room.session_of(*who).is_some();
                let all: Vec<_> = self.members().into_iter().filter(here).collect();
                pick(&all, who).into_iter().for_each(|who| self.throttle(who, slot, paused));
            }
            Step::Used { track, rids } => {
                let track = self.any_track(track);
                self.used(track, rids.as_deref());
            }
            Step::Wait(seconds) => self.wait(Duration::from_secs(seconds)),
            _ => {
                let bye = Bye { code: ByeCode::RoomClosed, message: String::new(), retry_ms: None };
                self.handle(Event::CloseRoom(bye));
            }
        }
    }
}

proptest! {
    #[test]
    fn the_truths_hold(steps in prop::collection::vec(step(), 1..60), ends_late: bool) {
        let mut world = World::new();
        world.ends_late = ends_late;
        for step in steps {
            world.take(step);
        }
        world.members().into_iter().for_each(|who| {
            let bye = Bye { code: ByeCode::Left, message: String::new(), retry_ms: None };
            world.handle(Event::Leave(who, bye));
        });
        while let Some(session) = world.sessions.keys().next().copied() {
            world.end(session);
        }
        assert!(world.room.is_empty());
        assert!(world.clients.is_empty());
    }
}
