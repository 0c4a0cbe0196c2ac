use std::sync::Arc;

use super::*;
use crate::sfu::forward::packet::Extensions;
use crate::units::Codec;

/// A packet of an encoding, by a source of the same number.
fn packet(encoding: u8, sequence: u64, bytes: usize, entry: bool) -> Packet {
    Packet {
        source: SourceId(encoding.into()),
        encoding: EncodingIndex(encoding),
        sequence,
        timestamp: 0,
        marker: true,
        format: Format::new(Codec::Vp8, ""),
        entry,
        arrived: Instant::now(),
        captured: Instant::now(),
        extensions: Extensions::default(),
        vp8: None,
        dependency: None,
        payload: Arc::from(vec![0u8; bytes]),
    }
}

fn track() -> Track {
    Track::new(TrackId(1), SessionId(1), MediaKind::Video)
}

fn target(track: &mut Track, now: Instant, packet: &Packet) -> Option<SourceId> {
    track.receive(now, packet).map(|received| received.target)
}

#[test]
fn the_richest_encoding_is_chosen_and_asked_for_a_key_frame() {
    let start = Instant::now();
    let mut track = track();
    assert_eq!(target(&mut track, start, &packet(1, 0, 100, true)), Some(SourceId(1)));
    let mut now = start;
    for step in 1..110 {
        now += Duration::from_millis(10);
        track.receive(now, &packet(1, step, 100, false));
        track.receive(now, &packet(2, step, 900, false));
    }
    assert_eq!(track.chosen(), Some(SourceId(2)));
    assert!(track.keyframes.poll(now), "the switch needs a key frame");
    track.receive(now, &packet(2, 200, 900, true));
    assert_eq!(track.keyframes.deadline(), None);
}

#[test]
fn a_still_picture_keeps_its_place_and_a_stopped_one_loses_it() {
    let start = Instant::now();
    let mut track = track();
    let mut run = |seconds: std::ops::Range<u64>, large: usize| {
        let mut chosen = None;
        for step in seconds.start * 100..seconds.end * 100 {
            let now = start + Duration::from_millis(step * 10);
            if large > 0 {
                target(&mut track, now, &packet(2, step, large, false));
            }
            chosen = target(&mut track, now, &packet(1, step, 50, false));
        }
        chosen
    };
    assert_eq!(run(0..3, 900), Some(SourceId(2)));
    assert_eq!(
        run(3..10, 10),
        Some(SourceId(2)),
        "fewer bytes than the small one, and still the better picture"
    );
    assert_eq!(run(10..14, 0), Some(SourceId(1)));
}

#[test]
fn a_new_ssrc_of_an_encoding_replaces_the_old_one_at_once() {
    let now = Instant::now();
    let mut track = track();
    track.receive(now, &packet(1, 10, 900, true));
    track.keyframes.arrived();
    let again = Packet { source: SourceId(7), ..packet(1, 3, 900, false) };
    assert_eq!(target(&mut track, now, &again), Some(SourceId(7)));
    assert!(track.keyframes.deadline().is_some(), "its decoder cannot begin in the middle");
    assert_eq!(track.receive(now, &packet(1, 11, 900, false)), None, "late, of the old one");
}

#[test]
fn a_key_frame_that_comes_behind_its_successors_is_no_entry() {
    let now = Instant::now();
    let mut track = track();
    track.receive(now, &packet(1, 100, 900, false));
    track.receive(now, &packet(1, 102, 900, false));
    let late = track.receive(now, &packet(1, 101, 900, true)).expect("received");
    assert!(!late.entry && track.keyframes.deadline().is_some(), "the wish stays");
    assert!(track.receive(now, &packet(1, 103, 900, true)).expect("received").entry);
}

#[test]
fn alternating_formats_are_told_once_a_second() {
    let start = Instant::now();
    let mut track = track();
    let told = (0..200u64).filter(|step| {
        let codec = if step % 2 == 0 { Codec::Vp8 } else { Codec::H264 };
        let packet = Packet { format: Format::new(codec, ""), ..packet(1, *step, 100, false) };
        let received = track.receive(start + Duration::from_millis(step * 10), &packet);
        received.is_some_and(|received| received.format.is_some())
    });
    assert!((1..=3).contains(&told.count()));
}
