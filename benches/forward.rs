//! What it costs the core to take packets in, and to forward each to each subscriber: time, and allocations.
//!
//! `cargo bench --bench forward [-- WORD]` (only the cases whose name has the word). Clients are real str0m peers that
//! connected by ICE and DTLS; measured are the stages of the core's turn, from the publisher's datagrams to the last
//! sealed datagram in the batch. No sockets, no system calls.
//!
//! Subscribers who do not listen leave the media alone: then the core has the processor's caches to itself between turns,
//! which is what the forward stage is judged by. Those who do listen decrypt everything and send feedback, in the same
//! thread: forwarding then finds the caches cold, and the receive stage shows what feedback costs.

#[path = "../tests/common/mod.rs"]
mod common;
mod stream;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::Stage;
use common::profile::{Profile, offer_only};
use sluice::sfu::session::offer::Role;
use stream::Stream;

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: all calls go to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often each case is measured. The median counts.
const ROUNDS: usize = 7;
/// Packets and subscribers of a round, about.
const FORWARDED: usize = 20_000;

/// What the turns of a round took, all together.
#[derive(Default)]
struct Spent {
    time: [Duration; 3],
    allocations: [u64; 3],
    forwarded: u64,
    bytes: u64,
}

impl Spent {
    fn nanos(&self, stage: Stage) -> f64 {
        self.time[stage as usize].as_nanos() as f64 / self.forwarded as f64
    }

    fn allocations(&self, stage: Stage) -> f64 {
        self.allocations[stage as usize] as f64 / self.forwarded as f64
    }
}

/// Turns of the core, with a frame of `burst` packets each. The publishers take turns: the first `publishers` of them.
fn round(stream: &mut Stream, case: &Case, turns: usize, clock: Duration) -> Spent {
    let mut spent = Spent::default();
    let before = stream.world.core.counters();
    for turn in 0..turns {
        stream.send(turn % case.publishers, false, case.burst);
        stream.pass(turn);
        stream.world.turn_in_stages(|stage, run| {
            let (allocations, began) = (ALLOCATIONS.load(Ordering::Relaxed), Instant::now());
            run();
            spent.time[stage as usize] += began.elapsed().saturating_sub(clock);
            spent.allocations[stage as usize] += ALLOCATIONS.load(Ordering::Relaxed) - allocations;
        });
        stream.world.deliver();
        stream.forget();
    }
    let after = stream.world.core.counters();
    spent.forwarded = after.media_packets_out - before.media_packets_out;
    spent.bytes = after.media_bytes_out - before.media_bytes_out;
    spent
}

/// What is sent, and who takes it in.
struct Case {
    name: String,
    publishers: usize,
    subscribers: usize,
    burst: u16,
}

/// Measures one case and prints its line.
fn measure(stream: &mut Stream, case: &Case) {
    let Case { name, subscribers, burst, .. } = case;
    let turns = (FORWARDED / subscribers / usize::from(*burst)).clamp(30, 1_000);
    let clock = clock();
    round(stream, case, turns / 4 + 1, clock);
    let rounds: Vec<Spent> = (0..ROUNDS).map(|_| round(stream, case, turns, clock)).collect();
    for round in &rounds {
        let expected = turns * usize::from(*burst) * subscribers;
        assert_eq!(round.forwarded, expected as u64, "{name}: every packet reaches every subscriber");
    }
    let middle = |of: &dyn Fn(&Spent) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        (all[ROUNDS / 2], all[0], all[ROUNDS - 1])
    };
    let (forward, least, most) = middle(&|round| round.nanos(Stage::Forward));
    let (receive, _, _) = middle(&|round| round.nanos(Stage::Receive));
    let (drive, _, _) = middle(&|round| round.nanos(Stage::Drive));
    let (allocations, _, _) = middle(&|round| round.allocations(Stage::Forward));
    let (elsewhere, _, _) =
        middle(&|round| round.allocations(Stage::Receive) + round.allocations(Stage::Drive));
    let bytes = rounds[0].bytes / rounds[0].forwarded;
    println!(
        "{name:<22} {subscribers:>5} {burst:>6} {:>9} | {forward:>7.0} ({least:>5.0} to {most:>6.0}) {allocations:>7.2} \
         | {receive:>7.0} {drive:>6.0} {elsewhere:>7.2} | {bytes:>7}",
        if stream.is_listening { "yes" } else { "no" }
    );
}

/// What reading the clock twice adds to a measured time.
fn clock() -> Duration {
    let mut all: Vec<Duration> = (0..1_001).map(|_| Instant::now().elapsed()).collect();
    all.sort();
    all[500]
}

/// One publisher, and viewers who come in stages.
fn viewers(name: &str, profile: Profile, is_listening: bool, counts: &[usize]) {
    offer_only(profile);
    let mut stream = Stream::new(1, is_listening);
    for count in counts {
        stream.with_viewers(*count);
        for burst in [1, 4] {
            let case = Case { name: name.to_owned(), publishers: 1, subscribers: *count, burst };
            measure(&mut stream, &case);
        }
    }
}

/// Participants with 30 slots of which one is bound, then all. The publishers of the bound ones take turns.
fn slots(name: &str) {
    const SLOTS: usize = 30;
    const PARTICIPANTS: usize = 50;
    offer_only(Profile::Aes128Gcm);
    let mut stream = Stream::new(SLOTS, false);
    stream.world.video_slots = SLOTS;
    let joined: Vec<_> = (0..PARTICIPANTS).map(|_| stream.subscriber(Role::Join)).collect();
    for bound in [1, SLOTS] {
        for participant in &joined {
            // The first slot is for sound.
            for slot in 0..bound {
                let video = stream.video(slot);
                stream.world.core.bind(participant.session, 1 + slot, video);
            }
        }
        stream.settled();
        for burst in [1, 4] {
            let name = format!("{name}, {bound} bound");
            measure(&mut stream, &Case { name, publishers: bound, subscribers: PARTICIPANTS, burst });
        }
    }
}

/// Measures and prints the cases of one name.
type Run<'a> = &'a dyn Fn(&str);

fn main() {
    // Cargo adds --bench.
    let word = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    println!(
        "nanoseconds and allocations per packet and subscriber: median of {ROUNDS} rounds (least to most)"
    );
    println!(
        "{:<22} {:>5} {:>6} {:>9} | {:>7} {:<17} {:>7} | {:>7} {:>6} {:>7} | {:>7}",
        "case",
        "subs",
        "burst",
        "listening",
        "forward",
        "",
        "allocs",
        "receive",
        "drive",
        "allocs",
        "payload"
    );
    let all = [1, 10, 50, 200, 500];
    let cases: [(&str, Run<'_>); 5] = [
        ("AES-128-GCM", &|name| viewers(name, Profile::Aes128Gcm, false, &all)),
        ("AES-256-GCM", &|name| viewers(name, Profile::Aes256Gcm, false, &all)),
        ("AES-128-CM", &|name| viewers(name, Profile::Aes128CmSha1, false, &[50])),
        ("30 slots", &slots),
        ("listening", &|name| viewers(name, Profile::Aes128Gcm, true, &all)),
    ];
    for (name, run) in cases.into_iter().filter(|(name, _)| name.contains(&word)) {
        run(name);
    }
}
