//! Who takes part: cameras, viewers, and what each shows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sluice::ids::WorkerId;
use sluice::sfu::egress::allocate::Wish;
use sluice::sfu::session::offer::Role;
use sluice::sfu::session::stats::SessionStats;

use crate::decoder::{Decoder, Shown};
use crate::encoder::Encoder;
use crate::link::{Loss, Profile, Random};
use crate::peer::VIDEO_SLOTS;
use crate::world::Joined;

/// What stands behind a slot for video.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The seat that it is to show.
    pub(crate) wants: Option<usize>,
    /// Whether that seat's track is bound.
    pub(crate) is_bound: bool,
    pub(crate) wish: Wish,
    pub(crate) decoder: Decoder,
    /// The last frame that was shown, and when.
    pub(crate) shown: Option<(Instant, Shown)>,
    /// Since when nothing stands in the way of a picture.
    pub(crate) clear_since: Option<Instant>,
    /// Before this it cannot be known that something stands in the way.
    pub(crate) not_before: Option<Instant>,
    /// When another encoding, or layer, was shown than before.
    pub(crate) switches: VecDeque<Instant>,
}

impl View {
    /// What it shows changed: the picture may take its time.
    pub(crate) fn touch(&mut self) {
        self.clear_since = None;
    }
}

/// Somebody's present connection.
pub(crate) struct Person {
    pub(crate) place: usize,
    pub(crate) joined: Joined,
    pub(crate) encoder: Option<Encoder>,
    pub(crate) next_sound: Instant,
    pub(crate) sounds: u32,
    pub(crate) is_connected: bool,
    pub(crate) connected_at: Instant,
    pub(crate) is_muted: bool,
    /// The slot for sound first.
    pub(crate) sound: Option<usize>,
    pub(crate) views: Vec<View>,
    /// What was told last of what flows.
    pub(crate) stats: Option<Box<SessionStats>>,
    pub(crate) rates: Vec<(Duration, u64)>,
    /// Since when more is sent than the link carries, and when that was so last.
    pub(crate) crowded_since: Option<Instant>,
    pub(crate) crowded_at: Option<Instant>,
    /// What the core told of its encodings, and since when; `None` for all.
    pub(crate) used: (Instant, Option<Vec<String>>),
    /// Since when each encoding flows, and when the newest frame of it was sent that anybody got.
    pub(crate) flows_since: [Option<Instant>; 3],
    pub(crate) got: [Option<Instant>; 3],
    /// When a key frame of each encoding was asked for last, and when the last key frame was sent.
    pub(crate) asked: [Option<Instant>; 3],
}

impl Person {
    /// What the link carries at a time of the play, bit/s.
    pub(crate) fn rate(&self, at: Duration) -> u64 {
        self.rates.iter().rev().find(|(from, _)| *from <= at).map_or(u64::MAX, |(_, rate)| *rate)
    }
}

/// A place in the play, which somebody takes, leaves, and takes again.
pub(crate) struct Seat {
    pub(crate) role: Role,
    pub(crate) worker: WorkerId,
    pub(crate) person: Option<Person>,
    /// When somebody comes back.
    pub(crate) back_at: Option<Instant>,
    pub(crate) profile: Profile,
}

impl Seat {
    pub(crate) fn new(
        role: Role,
        worker: WorkerId,
        lasts: Duration,
        random: &mut Random,
        is_calm: bool,
    ) -> Self {
        let profile = if role == Role::Publish { Profile::default() } else { link(lasts, random, is_calm) };
        Self { role, worker, person: None, back_at: None, profile }
    }

    pub(crate) fn views(&self) -> Vec<View> {
        let count = match self.role {
            Role::Publish => 0,
            Role::Watch => 1,
            Role::Join => VIDEO_SLOTS,
        };
        (0..count).map(|_| View::default()).collect()
    }
}

/// A link whose rate changes now and then: between what carries next to nothing, and more than all that there is.
fn link(lasts: Duration, random: &mut Random, is_calm: bool) -> Profile {
    const RATES: [u64; 7] = [160_000, 250_000, 350_000, 500_000, 800_000, 1_500_000, 4_000_000];
    let mut rate = Vec::new();
    let mut at = Duration::ZERO;
    while at < lasts {
        let least = usize::from(is_calm);
        let place = least + random.number() as usize % (RATES.len() - least);
        rate.push((at, RATES[place] * (80 + random.number() % 40) / 100));
        at += if is_calm { lasts } else { Duration::from_millis(4_000 + random.number() % 26_000) };
    }
    let loss = match random.number() % 4 {
        0 => Loss { good: 0.02, bad: 0.02, ..Loss::default() },
        1 => Loss { good: 0.0, bad: 0.3, to_bad: 0.003, to_good: 0.2 },
        _ => Loss::default(),
    };
    Profile {
        delay: Duration::from_millis(5 + random.number() % 60),
        jitter: Duration::from_millis(random.number() % 20),
        loss: if is_calm { Loss::default() } else { loss },
        rate,
        queue: 10_000 + random.number() as usize % 10_000,
        ..Profile::default()
    }
}
