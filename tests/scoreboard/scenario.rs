//! The links that senders are judged on.

use std::time::Duration;

use crate::link::{Loss, Profile};

/// One of them.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) link: Profile,
    /// The way back, on which feedback travels.
    pub(crate) back: Profile,
    /// How many senders share it.
    pub(crate) senders: usize,
    /// Whether a flow that behaves like TCP shares it too.
    pub(crate) has_tcp: bool,
    /// Whether senders have a few encodings instead of an encoder that sends any rate.
    pub(crate) has_encodings: bool,
    /// What senders begin with, bit/s.
    pub(crate) start: u64,
    pub(crate) lasts: Duration,
    /// Whether the targets for steady links hold.
    pub(crate) is_steady: bool,
    /// Whether the targets for steps hold.
    pub(crate) has_steps: bool,
}

impl Scenario {
    /// When the link changes, and whether it gets better.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (Duration, bool)> {
        self.link.rate.windows(2).map(|pair| (pair[1].0, pair[1].1 > pair[0].1))
    }
}

/// A rate from each of these seconds on.
fn rates(steps: &[(u64, u64)]) -> Vec<(Duration, u64)> {
    steps.iter().map(|(at, kilobits)| (Duration::from_secs(*at), kilobits * 1_000)).collect()
}

fn of(name: &'static str, steps: &[(u64, u64)]) -> Scenario {
    Scenario {
        name,
        link: Profile { rate: rates(steps), queue: 75_000, ..Profile::default() },
        back: Profile::default(),
        senders: 1,
        has_tcp: false,
        has_encodings: false,
        start: 300_000,
        lasts: Duration::from_secs(40),
        is_steady: false,
        has_steps: false,
    }
}

/// What a phone in a moving car gets, kbit/s, each for 2 s.
const LTE: [u64; 20] = [
    1_800, 2_600, 3_400, 3_000, 2_100, 1_400, 900, 1_200, 2_200, 3_800, 4_200, 2_900, 1_700, 700, 500, 900,
    1_600, 2_400, 3_100, 2_700,
];

pub(crate) fn all() -> Vec<Scenario> {
    let milli = Duration::from_millis;
    let steady = |name| Scenario { is_steady: true, ..of(name, &[(0, 2_000)]) };
    let lossy = |name, loss| {
        let steady = steady(name);
        Scenario { link: Profile { loss, ..steady.link.clone() }, ..steady }
    };
    let delayed = |name, delay, jitter| {
        let steady = steady(name);
        Scenario {
            link: Profile { delay, jitter, ..steady.link.clone() },
            back: Profile { delay, ..Profile::default() },
            ..steady
        }
    };
    let random = |part| Loss { good: part, bad: part, to_bad: 0.0, to_good: 0.0 };
    let answered = |name, back| Scenario { back, ..steady(name) };
    let shuffled = steady("shuffled-packets");
    let link = Profile { reordered: 0.05, duplicated: 0.05, ..shuffled.link.clone() };
    let shuffled = Scenario { link, ..shuffled };
    let lte: Vec<(u64, u64)> = (0..).step_by(2).zip(LTE).collect();
    vec![
        steady("steady"),
        Scenario { has_steps: true, ..of("steps", &[(0, 2_500), (15, 500), (25, 2_500)]) },
        of("periodic", &[(0, 4_000), (10, 1_000), (20, 4_000), (30, 1_000)]),
        lossy("random-loss", random(0.1)),
        lossy("burst-loss", Loss { good: 0.0, bad: 0.6, to_bad: 0.005, to_good: 0.15 }),
        delayed("long-way", milli(150), Duration::ZERO),
        Scenario { is_steady: false, ..delayed("jitter", milli(25), milli(100)) },
        Scenario { senders: 4, ..of("four-share", &[(0, 4_000)]) },
        Scenario { has_tcp: true, ..of("beside-tcp", &[(0, 4_000)]) },
        Scenario { start: 150_000, is_steady: true, ..of("slow-start", &[(0, 2_000)]) },
        of("lte", &lte),
        Scenario {
            has_encodings: true,
            has_steps: true,
            ..of("encodings", &[(0, 3_000), (15, 400), (25, 3_000)])
        },
        answered("lost-feedback", Profile { loss: random(0.3), ..Profile::default() }),
        answered(
            "shuffled-feedback",
            Profile { reordered: 0.2, held: milli(150), duplicated: 0.2, ..Profile::default() },
        ),
        shuffled,
    ]
}
