//! Chaos: random viewers, views, links and encoders, in virtual time. Whatever happens, some things always hold.
//!
//! `CHAOS=minutes` plays for longer than the usual 20 virtual minutes, `CHAOS_SEED=number` plays one seed alone.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of tests are small"
)]

mod climb;
mod decoder;
mod encoder;
mod judge;
#[path = "../common/link.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test uses its own part of the link")]
mod link;
mod newcomer;
mod peer;
mod people;
mod play;
mod stage;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use judge::CALM_AFTER;
use play::{Plan, Play, Tally};

/// How long one play lasts.
const LASTS: Duration = Duration::from_secs(300);
/// How many virtual minutes are played if nothing else is said. `tests/run` plays 100.
const MINUTES: u64 = 20;
/// One in so many plays may have something that takes longer than it should: str0m's random numbers are its own, so that each
/// time is the first.
const LATE_IN: usize = 5;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays all seeds, on as many threads as there are processors.
fn play_all(
    seeds: std::ops::Range<u64>,
    plan: impl Fn(u64) -> Plan + Sync,
) -> Vec<(u64, Result<Tally, String>)> {
    let next = AtomicU64::new(seeds.start);
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = Play::new(plan(seed)).run();
                    done.lock().expect("no panic").push((seed, outcome));
                }
            });
        }
    });
    done.into_inner().expect("no panic")
}

/// Plays, and says what went wrong.
fn play_well(seeds: std::ops::Range<u64>, plan: impl Fn(u64) -> Plan + Sync) -> Vec<Tally> {
    let seeds = number("CHAOS_SEED").map_or(seeds, |seed| seed..seed + 1);
    let outcomes = play_all(seeds, plan);
    let mut tallies = Vec::new();
    let mut faults = Vec::new();
    for (seed, outcome) in outcomes {
        match outcome {
            Ok(tally) => {
                println!("seed {seed}: {tally:?}");
                tallies.push(tally);
            }
            Err(fault) => faults.push(fault),
        }
    }
    assert!(faults.is_empty(), "{} plays went wrong\n{}", faults.len(), faults.join("\n\n"));
    tallies
}

#[test]
fn whatever_happens_pictures_flow_and_nothing_is_broken() {
    let count = (number("CHAOS").unwrap_or(MINUTES) * 60).div_ceil(LASTS.as_secs());
    let tallies = play_well(1..count + 1, |seed| Plan { seed, lasts: LASTS, is_calm: false });
    let late: usize = tallies.iter().map(|tally| tally.late).sum();
    assert!(
        late <= tallies.len().div_ceil(LATE_IN),
        "{late} things took too long in {} plays",
        tallies.len()
    );
    for tally in tallies {
        let enough =
            tally.frames > 3_000 && tally.switches > 20 && tally.key_frames > 50 && tally.told_off > 10;
        assert!(enough && tally.clear > LASTS / 2, "too little happened to tell: {tally:?}");
    }
}

#[test]
fn where_nothing_changes_pictures_do_not_either() {
    let lasts = Duration::from_secs(120);
    let tallies = play_well(1..11, |seed| Plan { seed, lasts, is_calm: true });
    let all: u64 = tallies.iter().map(|tally| tally.frames).sum();
    assert!(all > 6_000, "too little happened to tell: {tallies:?}");
    // Three participants with three views, and one viewer.
    let views = 10.0 * tallies.len() as f64;
    let changes = tallies.iter().flat_map(|tally| tally.changes).sum::<usize>() as f64;
    let in_a_minute = changes / views / ((lasts - CALM_AFTER).as_secs_f64() / 60.0);
    println!("{in_a_minute:.2} changes of a picture in a minute");
    assert!(in_a_minute < 1.6, "{in_a_minute} changes of a picture in a minute, and nothing else does");
}
