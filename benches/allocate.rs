//! What a round of allocation costs: 50 subscribers with 25 tracks each, on links that waver.
//!
//! `cargo bench --bench allocate`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use sluice::sfu::egress::allocate::{Allocator, Request, Wish};
use sluice::sfu::forward::ladder::{Ladder, Rung, Selection};
use sluice::sfu::forward::packet::EncodingIndex;
use sluice::units::Bitrate;

const SUBSCRIBERS: usize = 50;
const TRACKS: usize = 25;

/// Three encodings with three temporal layers each.
fn ladder() -> Ladder {
    let rung = |encoding: u8, temporal: u8| {
        let full = [150_000_u64, 500_000, 1_700_000][usize::from(encoding)];
        Rung {
            selection: Selection { encoding: EncodingIndex(encoding), spatial: 0, temporal },
            bitrate: Bitrate(full * [5, 7, 10][usize::from(temporal)] / 10),
            height: 180 << encoding,
            fps: [8, 15, 30][usize::from(temporal)],
        }
    };
    Ladder { rungs: (0..9).map(|place| rung(place / 3, place % 3)).collect() }
}

fn allocate(criterion: &mut Criterion) {
    let ladders: Vec<_> = (0..TRACKS).map(|_| ladder()).collect();
    let wish = Wish { height: 720, ..Wish::default() };
    let requests: Vec<_> = ladders
        .iter()
        .enumerate()
        .map(|(slot, ladder)| Request { slot, ladder, wish, current: None })
        .collect();
    let mut subscribers: Vec<_> =
        (0..SUBSCRIBERS).map(|_| (Allocator::default(), requests.clone())).collect();
    let (mut now, mut out, mut round) = (Instant::now(), Vec::new(), 0_u64);
    criterion.bench_function("a round of 50 subscribers x 25 tracks", |bencher| {
        bencher.iter(|| {
            now += Duration::from_millis(100);
            round += 1;
            let budget = Bitrate(10_000_000 + round % 16 * 500_000);
            for (allocator, requests) in &mut subscribers {
                allocator.allocate(now, black_box(budget), requests, &mut out);
                for (request, (_, chosen)) in requests.iter_mut().zip(&out) {
                    request.current = *chosen;
                }
            }
        });
    });
}

criterion_group!(benches, allocate);
criterion_main!(benches);
