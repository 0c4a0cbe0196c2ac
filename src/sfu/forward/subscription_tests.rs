use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::sfu::forward::layer::LayerFacts;
use crate::sfu::forward::packet::{EncodingIndex, Extensions, SourceId};
use crate::units::{Codec, Format};

fn video(source: u64, sequence: u64, entry: bool) -> Packet {
    Packet {
        source: SourceId(source),
        encoding: EncodingIndex(source as u8),
        sequence,
        timestamp: 0,
        marker: true,
        format: Format::new(Codec::H264, ""),
        entry,
        arrived: Instant::now(),
        captured: Instant::now(),
        extensions: Extensions::default(),
        vp8: None,
        dependency: None,
        layer: LayerFacts::default(),
        payload: Arc::from([1u8].as_slice()),
    }
}

fn to(encoding: u8) -> Target {
    Target::only(EncodingIndex(encoding))
}

fn forwarded(verdict: Verdict) -> Option<u64> {
    match verdict {
        Verdict::Forward(rewritten) => Some(rewritten.sequence),
        _ => None,
    }
}

#[test]
fn a_viewer_begins_with_a_key_frame() {
    let mut subscription = Subscription::new(0, 0);
    assert_eq!(subscription.accept(&video(1, 5, false), &to(1)), Verdict::AwaitsEntry);
    assert_eq!(forwarded(subscription.accept(&video(1, 6, true), &to(1))), Some(0));
    assert_eq!(forwarded(subscription.accept(&video(1, 7, false), &to(1))), Some(1));
}

#[test]
fn a_switch_of_encodings_waits_for_its_key_frame_and_shows_the_old_one_until_then() {
    let mut subscription = Subscription::new(0, 0);
    subscription.accept(&video(1, 6, true), &to(1));
    let better = both([true, true]);
    assert_eq!(subscription.accept(&video(2, 100, false), &better), Verdict::AwaitsSwitch);
    assert_eq!(forwarded(subscription.accept(&video(1, 7, false), &better)), Some(1));
    assert_eq!(forwarded(subscription.accept(&video(2, 101, true), &better)), Some(2));
    assert_eq!(subscription.accept(&video(1, 8, false), &better), Verdict::Unwanted);
}

#[test]
fn after_rebinding_nothing_old_and_nothing_broken_is_shown() {
    let mut subscription = Subscription::new(0, 0);
    subscription.accept(&video(1, 6, true), &to(1));
    subscription.rebind();
    assert!(subscription.awaits_entry());
    assert_eq!(subscription.accept(&video(9, 1, false), &to(9)), Verdict::AwaitsEntry);
    assert_eq!(forwarded(subscription.accept(&video(9, 2, true), &to(9))), Some(1));
}

#[test]
fn the_last_packet_of_the_old_encoding_fills_its_gap_behind_the_switch() {
    let mut subscription = Subscription::new(0, 0);
    subscription.accept(&video(1, 6, true), &to(1));
    subscription.accept(&video(1, 8, false), &to(1));
    assert_eq!(forwarded(subscription.accept(&video(2, 100, true), &to(2))), Some(3));
    assert_eq!(forwarded(subscription.accept(&video(1, 7, false), &to(2))), Some(1));
    assert_eq!(subscription.accept(&video(1, 7, false), &to(2)), Verdict::Unwanted, "a copy");
    assert_eq!(subscription.accept(&video(1, 9, false), &to(2)), Verdict::Unwanted);
}

#[test]
fn padding_that_comes_late_fills_its_gap() {
    let mut subscription = Subscription::new(0, 0);
    subscription.accept(&video(1, 6, true), &to(1));
    subscription.accept(&video(1, 8, false), &to(1));
    let padding = Packet { payload: Arc::from([].as_slice()), ..video(1, 7, false) };
    assert_eq!(forwarded(subscription.accept(&padding, &to(1))), Some(1));
}

#[test]
fn padding_is_left_out_without_a_gap() {
    let mut subscription = Subscription::new(0, 0);
    subscription.accept(&video(1, 6, true), &to(1));
    let padding = Packet { payload: Arc::from([].as_slice()), ..video(1, 7, false) };
    assert_eq!(subscription.accept(&padding, &to(1)), Verdict::Unwanted);
    assert_eq!(forwarded(subscription.accept(&video(1, 8, false), &to(1))), Some(1));
}

fn select(encoding: u8) -> Option<Selection> {
    Some(Selection { encoding: EncodingIndex(encoding), spatial: 0, temporal: 0 })
}

fn both(flowing: [bool; 2]) -> Target {
    Target::of(&[(EncodingIndex(1), flowing[0]), (EncodingIndex(2), flowing[1])], EncodingIndex(2))
}

#[test]
fn who_is_paused_gets_nothing_and_comes_back_with_a_key_frame() {
    let mut subscription = Subscription::new(0, 0);
    subscription.accept(&video(1, 6, true), &to(1));
    subscription.select(None);
    assert_eq!(subscription.accept(&video(1, 7, true), &to(1)), Verdict::Unwanted);
    assert_eq!((subscription.current(), subscription.wants_keyframe_of()), (None, None));
    subscription.select(select(1));
    assert_eq!(subscription.wants_keyframe_of(), Some(EncodingIndex(1)));
    assert_eq!(subscription.accept(&video(1, 8, false), &to(1)), Verdict::AwaitsEntry);
    assert_eq!(forwarded(subscription.accept(&video(1, 9, true), &to(1))), Some(1), "without a gap");
    assert_eq!(subscription.current(), select(1));
}

#[test]
fn an_encoding_that_stopped_is_replaced_until_it_is_back() {
    let mut subscription = Subscription::new(0, 0);
    subscription.select(select(2));
    assert_eq!(forwarded(subscription.accept(&video(2, 6, true), &both([true, true]))), Some(0));
    assert_eq!(subscription.accept(&video(1, 50, true), &both([true, true])), Verdict::Unwanted);
    let without = both([true, false]);
    let verdict = subscription.accept(&video(1, 51, false), &without);
    assert_eq!(verdict, Verdict::AwaitsEntry, "the last picture of what stopped is none");
    assert_eq!(subscription.wants_keyframe_of(), Some(EncodingIndex(1)));
    assert_eq!(forwarded(subscription.accept(&video(1, 52, true), &without)), Some(1));
    assert_eq!(subscription.accept(&video(2, 7, false), &both([true, true])), Verdict::AwaitsSwitch);
    assert_eq!(forwarded(subscription.accept(&video(1, 53, false), &both([true, true]))), Some(2));
    assert_eq!(forwarded(subscription.accept(&video(2, 8, true), &both([true, true]))), Some(3));
}

#[test]
fn another_track_begins_with_the_best_that_there_is() {
    let mut subscription = Subscription::new(0, 0);
    subscription.select(select(1));
    subscription.reset();
    assert_eq!(subscription.follows(&both([true, true])), Some(EncodingIndex(2)));
    subscription.select(select(1));
    subscription.rebind();
    assert_eq!(subscription.follows(&both([true, true])), Some(EncodingIndex(1)), "the same track goes on");
}

#[test]
fn an_encoding_that_is_left_ends_at_once_and_one_that_stays_does_not() {
    let mut subscription = Subscription::new(0, 0);
    let target = both([true, true]);
    subscription.select(select(2));
    subscription.accept(&video(2, 6, true), &target);
    assert!(!subscription.leave(), "it is the one that is selected");
    subscription.select(select(1));
    assert!(subscription.leave());
    assert_eq!(subscription.accept(&video(2, 7, false), &target), Verdict::Unwanted);
    assert_eq!(subscription.accept(&video(1, 50, false), &target), Verdict::AwaitsEntry);
    assert_eq!(forwarded(subscription.accept(&video(1, 51, true), &target)), Some(1));
    assert_eq!(subscription.entered(), 1, "nobody needs what was before that");
    subscription.accept(&video(1, 52, false), &target);
    assert_eq!(subscription.entered(), 1);
}

#[test]
fn until_the_switch_fewer_pictures_of_the_old_encoding_do() {
    let mut subscription = Subscription::new(0, 0);
    let target = both([true, true]);
    let layered = |sequence, entry, temporal| Packet {
        timestamp: sequence as u32 * 3_000,
        layer: LayerFacts { temporal, begins: true, ends: true, sync: true, ..LayerFacts::default() },
        ..video(2, sequence, entry)
    };
    subscription.select(Some(Selection { encoding: EncodingIndex(2), spatial: 0, temporal: 2 }));
    subscription.accept(&layered(6, true, 0), &target);
    assert!(forwarded(subscription.accept(&layered(7, false, 1), &target)).is_some());
    subscription.select(select(1));
    subscription.ease();
    assert_eq!(forwarded(subscription.accept(&layered(8, false, 1), &target)), None);
    assert_eq!(forwarded(subscription.accept(&layered(9, false, 0), &target)), Some(2));
    assert_eq!(forwarded(subscription.accept(&video(1, 50, true), &target)), Some(3), "the switch");
}

#[test]
fn who_cannot_make_use_of_spatial_layers_gets_the_lowest_only() {
    let mut subscription = Subscription::new(0, 0);
    subscription.limit(0);
    let layered = |sequence, entry, spatial| Packet {
        timestamp: sequence as u32 / 2 * 3_000,
        marker: spatial == 1,
        layer: LayerFacts { spatial, top: 1, begins: true, ends: true, ..LayerFacts::default() },
        ..video(1, sequence, entry)
    };
    let Verdict::Forward(lowest) = subscription.accept(&layered(6, true, 0), &to(1)) else { panic!() };
    assert!(lowest.marker, "the picture ends with it");
    assert_eq!(subscription.accept(&layered(7, false, 1), &to(1)), Verdict::Unwanted, "no key frame helps");
    assert!(subscription.has_left(&layered(7, false, 1)) && !subscription.has_left(&layered(6, true, 0)));
    assert_eq!(forwarded(subscription.accept(&layered(8, false, 0), &to(1))), Some(1));
    subscription.select(Some(Selection { encoding: EncodingIndex(1), spatial: 1, temporal: 0 }));
    assert_eq!(subscription.accept(&layered(9, false, 1), &to(1)), Verdict::Unwanted);
}
