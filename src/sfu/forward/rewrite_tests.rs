use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::sfu::forward::layer::LayerFacts;
use crate::sfu::forward::packet::{EncodingIndex, Extensions, vp8_descriptor};
use crate::units::{Codec, Format};

fn packet(source: u64, sequence: u64, timestamp: u32, arrived: Instant) -> Packet {
    Packet {
        source: SourceId(source),
        encoding: EncodingIndex(0),
        sequence,
        timestamp,
        marker: true,
        format: Format::new(Codec::H264, ""),
        entry: false,
        arrived,
        captured: arrived,
        extensions: Extensions::default(),
        vp8: None,
        dependency: None,
        layer: LayerFacts::default(),
        payload: Arc::from([1u8].as_slice()),
    }
}

fn vp8(source: u64, sequence: u64, picture_id: u16, tl0: u8, arrived: Instant) -> Packet {
    let [high, low] = picture_id.to_be_bytes();
    let payload = [0x90, 0xe0, 0x80 | high, low, tl0, 0x20, 0x00];
    let format = Format::new(Codec::Vp8, "");
    let vp8 = vp8_descriptor(Codec::Vp8, &payload);
    Packet { format, payload: Arc::from(payload.as_slice()), vp8, ..packet(source, sequence, 0, arrived) }
}

#[test]
fn a_restarted_publisher_goes_on_where_the_old_one_stopped() {
    let start = Instant::now();
    let mut rewriter = Rewriter::new(65_535, 1_000);
    let first = packet(1, 500, 90_000, start);
    rewriter.switch(&first);
    let out = Rewritten { sequence: 32_767, timestamp: 1_000, marker: true, vp8: None, dependency: None };
    assert_eq!(rewriter.rewrite(&first), Some(out));
    let second = packet(1, 501, 93_000, start + Duration::from_millis(33));
    assert_eq!(rewriter.rewrite(&second).map(|r| (r.sequence, r.timestamp)), Some((32_768, 4_000)));

    let restarted = packet(2, 7, 4_000_000_000, start + Duration::from_millis(1_033));
    rewriter.switch(&restarted);
    // One second passed: 90,000 ticks of the video clock.
    assert_eq!(rewriter.rewrite(&restarted).map(|r| (r.sequence, r.timestamp)), Some((32_769, 94_000)));
}

#[test]
fn losses_stay_visible_and_reordering_stays_in_place() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(0, 0);
    rewriter.switch(&packet(1, 100, 0, now));
    let out = [100, 103, 102, 104]
        .map(|sequence| rewriter.rewrite(&packet(1, sequence, 0, now)).map(|r| r.sequence));
    assert_eq!(out, [Some(0), Some(3), Some(2), Some(4)]);
    assert_eq!(rewriter.rewrite(&packet(1, 99, 0, now)), None, "older than the switch");
}

#[test]
fn a_skipped_packet_leaves_no_gap() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(0, 0);
    rewriter.switch(&packet(1, 100, 0, now));
    rewriter.rewrite(&packet(1, 100, 0, now));
    rewriter.skip(&packet(1, 101, 0, now));
    assert_eq!(rewriter.rewrite(&packet(1, 102, 0, now)).map(|r| r.sequence), Some(1));
    rewriter.skip(&packet(1, 104, 0, now));
    let mut out = |sequence| rewriter.rewrite(&packet(1, sequence, 0, now)).map(|r| r.sequence);
    assert_eq!(out(105), Some(3), "103 may still come");
    assert_eq!((out(103), out(104), out(101)), (Some(2), None, None), "and what was left out never");
}

#[test]
fn vp8_picture_ids_go_on_over_a_restart() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(0, 0);
    let old = vp8(1, 10, 0x7fff, 255, now);
    rewriter.switch(&old);
    let numbers = rewriter.rewrite(&old).and_then(|r| r.vp8).expect("vp8");
    assert_eq!((numbers.picture_id, numbers.tl0_pic_idx), (Some(0x7fff), Some(255)));
    let new = vp8(2, 900, 0x1234, 77, now);
    rewriter.switch(&new);
    let numbers = rewriter.rewrite(&new).and_then(|r| r.vp8).expect("vp8");
    assert_eq!((numbers.picture_id, numbers.tl0_pic_idx), (Some(0), Some(0)));
}

#[test]
fn a_late_packet_behind_a_skipped_one_gets_its_own_number() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(0, 0);
    rewriter.switch(&packet(1, 100, 0, now));
    let mut out = |sequence| rewriter.rewrite(&packet(1, sequence, 0, now)).map(|r| r.sequence);
    assert_eq!((out(100), out(102)), (Some(0), Some(2)));
    rewriter.skip(&packet(1, 103, 0, now));
    let mut out = |sequence| rewriter.rewrite(&packet(1, sequence, 0, now)).map(|r| r.sequence);
    assert_eq!((out(101), out(104)), (Some(1), Some(3)));
}

#[test]
fn time_is_right_however_often_a_subscriber_goes_to_and_fro() {
    let start = Instant::now() + Duration::from_secs(60);
    let mut rewriter = Rewriter::new(0, 0);
    let mut last = 0;
    for turn in 0..=40u64 {
        // One of the sources takes 300 ms more to get here, which is more than the time between two turns.
        let arrived = start + Duration::from_millis(100 * turn);
        let captured = arrived - Duration::from_millis(if turn % 2 == 0 { 20 } else { 320 });
        let packet = Packet { captured, ..packet(turn % 2, 100 + turn, 7, arrived) };
        rewriter.switch(&packet);
        last = rewriter.rewrite(&packet).expect("sent").timestamp;
    }
    assert_eq!(last, 40 * 100 * 90, "by the time of capture, to the tick");
}

#[test]
fn what_is_asked_for_again_has_the_numbers_that_it_had() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(0x7fff, 0);
    let old = vp8(1, 10, 100, 5, now);
    rewriter.switch(&old);
    let first = rewriter.rewrite(&old).expect("sent");
    let new = vp8(2, 900, 7, 7, now);
    rewriter.switch(&new);
    rewriter.rewrite(&new);
    let sent = rewriter.sent(0x7fff).expect("known");
    assert_eq!((sent.source, sent.sequence), (SourceId(1), 10));
    assert_eq!(sent.numbers(&old), Some(first));
    assert_eq!(sent.numbers(&new), None, "another packet");
    assert_eq!(rewriter.sent(0x8000).map(|sent| sent.source), Some(SourceId(2)));
    assert_eq!(rewriter.sent(0x8001), None, "not sent yet");
    assert_eq!(rewriter.sent(0x7ffe), None, "from before the first");
    assert_eq!(rewriter.rewrite(&new), None, "no number twice");
}

/// What a source does to one packet after another.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// How far the number is from the last: loss and reordering.
    jump: i64,
    padding: bool,
    switch: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let jump = prop_oneof![6 => Just(1i64), 1 => 2i64..5, 1 => -5i64..0];
    let parts = (jump, prop::bool::weighted(0.2), prop::bool::weighted(0.05));
    parts.prop_map(|(jump, padding, switch)| Step { jump, padding, switch })
}

proptest! {
    /// Whatever sources do, no number is used twice: each would be a nonce of the cipher used twice.
    #[test]
    fn numbers_never_repeat(first: u16, steps in prop::collection::vec(step(), 1..400)) {
        let now = Instant::now();
        let mut rewriter = Rewriter::new(first, 0);
        let (mut source, mut sequence) = (0, 10_000i64);
        rewriter.switch(&packet(source, 10_000, 0, now));
        let (mut seen, mut used) = (std::collections::HashSet::new(), std::collections::HashSet::new());
        for step in steps {
            sequence += step.jump;
            source += u64::from(step.switch);
            let packet = packet(source, sequence.cast_unsigned(), 0, now);
            if step.switch {
                rewriter.switch(&packet);
                seen.clear();
            }
            // SRTP's replay window lets each number of a source through once.
            if !seen.insert(sequence) {
                continue;
            }
            if step.padding && !step.switch {
                rewriter.skip(&packet);
            } else if let Some(out) = rewriter.rewrite(&packet) {
                prop_assert!(used.insert(out.sequence), "{} twice", out.sequence);
            }
        }
    }
}
