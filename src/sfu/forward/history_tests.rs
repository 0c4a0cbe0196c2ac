use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::sfu::forward::layer::LayerFacts;
use crate::sfu::forward::packet::{EncodingIndex, Extensions};
use crate::units::{Codec, Format};

const SOURCE: SourceId = SourceId(1);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn packet(source: SourceId, sequence: u64, arrived: Instant, bytes: usize) -> Packet {
    Packet {
        source,
        encoding: EncodingIndex(0),
        sequence,
        timestamp: 0,
        marker: false,
        format: Format::new(Codec::Vp8, ""),
        entry: false,
        arrived,
        captured: arrived,
        extensions: Extensions::default(),
        vp8: None,
        dependency: None,
        layer: LayerFacts::default(),
        payload: Arc::from(vec![0; bytes]),
    }
}

/// Sends packets of 1,200 bytes at a bitrate, beginning with `sequence`, and returns the number behind the last one.
fn stream(history: &mut History, from: Instant, time: Duration, mbit: u64, sequence: u64) -> u64 {
    let count = mbit * 1_000_000 / 8 / 1_200 * u64::try_from(time.as_millis()).expect("short") / 1_000;
    for number in 0..count {
        let now = from + time * u32::try_from(number).expect("few") / u32::try_from(count).expect("few");
        history.push(now, &packet(SOURCE, sequence + number, now, 1_200));
    }
    sequence + count
}

#[test]
fn whatever_a_viewer_lost_within_the_last_second_is_there_up_to_8_mbit() {
    let start = Instant::now();
    for mbit in [1, 2, 8] {
        let mut history = History::new(Limits::default());
        let end = stream(&mut history, start, ms(10_000), mbit, 65_000);
        let second = mbit * 1_000_000 / 8 / 1_200;
        for sequence in end - second..end {
            let found = history.get(SOURCE, sequence).map(|packet| packet.sequence);
            assert_eq!(found, Some(sequence), "{mbit} Mbit/s");
        }
        assert!(history.get(SOURCE, end).is_none());
        assert!(history.get(SOURCE, end - 2 * second - 2).is_none(), "nothing is kept for ever");
        let Limits { packets, bytes, .. } = Limits::default();
        assert!(history.packets() <= packets && history.bytes() <= bytes);
    }
}

#[test]
fn a_latecomer_fills_its_hole() {
    let (start, mut history) = (Instant::now(), History::new(Limits::default()));
    for sequence in [10, 11, 14, 12] {
        history.push(start, &packet(SOURCE, sequence, start, 100));
    }
    let there = |sequence| history.get(SOURCE, sequence).is_some();
    assert_eq!([10, 11, 12, 13, 14].map(there), [true, true, true, false, true]);
}

#[test]
fn a_packet_that_comes_twice_is_kept_once() {
    let (start, mut history) = (Instant::now(), History::new(Limits::default()));
    for _ in 0..1_000 {
        history.push(start, &packet(SOURCE, 7, start, 100));
    }
    assert_eq!((history.packets(), history.bytes()), (1, 100));
}

#[test]
fn a_publisher_that_restarts_with_the_same_numbers_is_never_mixed_up() {
    let (start, mut history) = (Instant::now(), History::new(Limits::default()));
    for source in [1, 2] {
        for sequence in 100..200 {
            history.push(
                start,
                &packet(SourceId(source), sequence, start, usize::try_from(source).expect("small")),
            );
        }
    }
    for sequence in 100..200 {
        assert_eq!(history.get(SourceId(2), sequence).map(|packet| packet.payload.len()), Some(2));
        assert!(history.get(SourceId(1), sequence).is_none_or(|packet| packet.payload.len() == 1));
    }
    // As a rule the numbers are others, and then the end of the old source is still there.
    for sequence in 10_300..10_340 {
        history.push(start, &packet(SourceId(3), sequence, start, 3));
    }
    assert!((160..200).all(|sequence| history.get(SourceId(2), sequence).is_some()));
}

#[test]
fn memory_comes_with_use_and_goes_with_it() {
    let (start, mut history) = (Instant::now(), History::new(Limits::default()));
    let memory = |history: &History| (history.packets.capacity(), history.places.capacity());
    assert_eq!(memory(&history), (0, 0), "an idle track costs nothing");
    let held = packet(SOURCE, 0, start, 500);
    history.push(start, &held);
    assert!(memory(&history).0 <= 8, "one packet does not cost a thousand");

    let end = stream(&mut history, start, ms(5_000), 8, 1);
    let full = memory(&history);
    let end = stream(&mut history, start + ms(5_000), ms(60_000), 8, end);
    assert_eq!(memory(&history), full, "a steady stream allocates nothing");

    let quiet = start + ms(68_000);
    history.push(quiet, &packet(SOURCE, end, quiet, 500));
    history.expire(quiet);
    assert!(memory(&history).0 < 100, "{:?}", memory(&history));
    assert!(history.get(SOURCE, end).is_some(), "what is young stays");

    history.expire(quiet + ms(2_001));
    assert_eq!((memory(&history), history.bytes()), ((0, 0), 0));
    assert_eq!(Arc::strong_count(&held.payload), 1, "payloads are given back");
    history.push(quiet, &packet(SOURCE, end + 1, quiet, 500));
    assert!(history.get(SOURCE, end + 1).is_some(), "and it begins again");
}

#[test]
fn leaps_through_the_numbers_cost_no_more_than_a_steady_stream() {
    let (start, mut history) = (Instant::now(), History::new(Limits::default()));
    let mut sequence = 1_u64;
    for number in 0..100_000_u64 {
        sequence = sequence.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (number % 60));
        history.push(start, &packet(SOURCE, sequence, start, 10));
        assert!(history.get(SOURCE, sequence).is_some(), "the last one is always there");
    }
    assert!(history.packets.capacity() <= 4_096 && history.places.len() <= 4_096);
    let end = stream(&mut history, start, ms(100), 8, 5_000_000);
    assert!((5_000_000..end).all(|sequence| history.get(SOURCE, sequence).is_some()), "it recovers at once");
}

#[test]
fn a_history_that_may_hold_nothing_holds_nothing() {
    let start = Instant::now();
    for limits in [
        Limits { packets: 0, ..Limits::default() },
        Limits { bytes: 0, ..Limits::default() },
        Limits { packets: usize::MAX, bytes: 99, age: Duration::MAX },
    ] {
        let mut history = History::new(limits);
        for sequence in 0..10 {
            history.push(start, &packet(SOURCE, sequence, start, 100));
        }
        assert_eq!((history.packets(), history.bytes()), (0, 0), "{limits:?}");
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// After so many milliseconds, a packet that many numbers from the newest, of a source, with a size.
    Push(u64, i64, u64, usize),
    /// Old ones go.
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    let distance = prop_oneof![8 => Just(1), 3 => -20..20_i64, 1 => any::<i64>().prop_map(|leap| leap >> 20)];
    let source = prop_oneof![30 => Just(1), 1 => 2..4_u64];
    prop_oneof![
        40 => (0..20_u64, distance, source, 0..300_usize).prop_map(|(wait, by, source, size)| {
            Step::Push(wait, by, source, size)
        }),
        1 => Just(Step::Expire),
    ]
}

proptest! {
    #[test]
    fn it_never_lies_and_never_holds_too_much(steps in prop::collection::vec(step(), 1..400)) {
        let limits = Limits { packets: 50, bytes: 4_000, age: ms(300) };
        let (mut now, mut history) = (Instant::now(), History::new(limits));
        let (mut newest, mut seen) = (1_u64 << 50, BTreeSet::new());
        for step in steps {
            match step {
                Step::Expire => history.expire(now),
                Step::Push(wait, by, source, size) => {
                    now += ms(wait);
                    newest = newest.wrapping_add_signed(by);
                    history.push(now, &packet(SourceId(source), newest, now, size));
                    seen.insert((source, newest));
                    prop_assert!(history.get(SourceId(source), newest).is_some());
                }
            }
            prop_assert!(history.packets() <= limits.packets && history.bytes() <= limits.bytes);
            prop_assert_eq!(history.bytes(), history.packets.iter().map(|packet| packet.payload.len()).sum::<usize>());
        }
        for (source, sequence) in seen {
            if let Some(found) = history.get(SourceId(source), sequence) {
                prop_assert_eq!((found.source, found.sequence), (SourceId(source), sequence));
            }
        }
    }

    #[test]
    fn what_is_young_is_there_whatever_order_it_came_in(
        order in Just((0..400_u64).collect::<Vec<_>>()).prop_shuffle(),
        begin in any::<u32>(),
        lost in prop::collection::btree_set(0..400_u64, 0..150),
    ) {
        let (now, mut history) = (Instant::now(), History::new(Limits::default()));
        for number in order.iter().filter(|number| !lost.contains(number)) {
            history.push(now, &packet(SOURCE, u64::from(begin) + number, now, 1_200));
        }
        for number in 0..400 {
            let there = history.get(SOURCE, u64::from(begin) + number).is_some();
            prop_assert_eq!(there, !lost.contains(&number));
        }
    }
}
