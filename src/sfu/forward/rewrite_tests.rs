use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::sfu::forward::packet::Extensions;
use crate::units::Format;

fn packet(source: u64, sequence: u64, timestamp: u32, arrived: Instant) -> Packet {
    Packet {
        source: SourceId(source),
        sequence,
        timestamp,
        marker: true,
        format: Format::new(Codec::H264, ""),
        entry: false,
        arrived,
        extensions: Extensions::default(),
        payload: Arc::from([1u8].as_slice()),
    }
}

fn vp8(source: u64, sequence: u64, picture_id: u16, tl0: u8, arrived: Instant) -> Packet {
    let [high, low] = picture_id.to_be_bytes();
    let payload = [0x90, 0xe0, 0x80 | high, low, tl0, 0x20, 0x00];
    let format = Format::new(Codec::Vp8, "");
    Packet { format, payload: Arc::from(payload.as_slice()), ..packet(source, sequence, 0, arrived) }
}

#[test]
fn a_restarted_publisher_goes_on_where_the_old_one_stopped() {
    let start = Instant::now();
    let mut rewriter = Rewriter::new(65_535, 1_000);
    let first = packet(1, 500, 90_000, start);
    rewriter.switch(&first);
    assert_eq!(rewriter.rewrite(&first), Some(Rewritten { sequence: 32_767, timestamp: 1_000, vp8: None }));
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
    assert_eq!(rewriter.rewrite(&packet(1, 105, 0, now)).map(|r| r.sequence), Some(4), "103 may still come");
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

proptest! {
    /// Whatever sources follow one another, every sequence number is used once and none goes back at a switch.
    #[test]
    fn numbers_never_repeat(first: u16, runs in prop::collection::vec((0u64..1 << 40, 1u64..50, any::<u32>()), 1..20)) {
        let now = Instant::now();
        let mut rewriter = Rewriter::new(first, 0);
        let mut last = None;
        for (source, (begin, length, timestamp)) in runs.into_iter().enumerate() {
            rewriter.switch(&packet(source as u64, begin, timestamp, now));
            for offset in 0..length {
                let out = rewriter.rewrite(&packet(source as u64, begin + offset, timestamp, now)).expect("follows");
                prop_assert!(last.is_none_or(|last| out.sequence == last + 1));
                last = Some(out.sequence);
            }
        }
    }
}
