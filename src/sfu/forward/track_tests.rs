use std::sync::Arc;

use super::*;
use crate::sfu::forward::layer::LayerFacts;
use crate::sfu::forward::packet::{Extensions, vp8_descriptor};
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
        layer: LayerFacts::default(),
        payload: Arc::from(vec![0u8; bytes]),
    }
}

fn track() -> Track {
    Track::new(TrackId(1), SessionId(1), MediaKind::Video, false)
}

/// The source of the best encoding, once a packet is received.
fn best(track: &mut Track, now: Instant, mut packet: Packet) -> Option<SourceId> {
    track.receive(now, &mut packet)?;
    track.chosen()
}

fn receive(track: &mut Track, now: Instant, mut packet: Packet) -> Option<(Packet, Received)> {
    let received = track.receive(now, &mut packet)?;
    Some((packet, received))
}

#[test]
fn the_richest_encoding_is_the_best() {
    let start = Instant::now();
    let mut track = track();
    assert_eq!(best(&mut track, start, packet(1, 0, 100, true)), Some(SourceId(1)));
    let mut now = start;
    for step in 1..110 {
        now += Duration::from_millis(10);
        receive(&mut track, now, packet(1, step, 100, false));
        receive(&mut track, now, packet(2, step, 900, false));
    }
    assert_eq!(track.chosen(), Some(SourceId(2)));
}

#[test]
fn key_frames_are_asked_of_those_encodings_that_somebody_waits_for() {
    let now = Instant::now();
    let mut track = track();
    for encoding in [1, 2, 3] {
        receive(&mut track, now, packet(encoding, 10, 100, true));
    }
    track.want_keyframe(Some(EncodingIndex(2)), false);
    track.want_keyframe(Some(EncodingIndex(2)), true);
    track.want_keyframe(Some(EncodingIndex(3)), false);
    assert_eq!(track.poll_keyframes(now).collect::<Vec<_>>(), [SourceId(2), SourceId(3)]);
    assert_eq!(track.poll_keyframes(now).count(), 0, "asked already");
    receive(&mut track, now, packet(2, 11, 100, true));
    assert!(track.awaits_keyframes(), "another encoding's key frame is not what the third one is asked for");
    receive(&mut track, now, packet(3, 11, 100, true));
    assert!(!track.awaits_keyframes());
}

/// The one key frame that was there before counts as well.
#[test]
fn an_encoder_is_advised_as_soon_as_somebody_has_waited_for_its_second_key_frame() {
    let start = Instant::now();
    let (mut track, mut advice) = (track(), Vec::new());
    for step in 0..200_u32 {
        let now = start + Duration::from_millis(100) * step;
        if step == 10 {
            track.want_keyframe(Some(EncodingIndex(1)), true);
        }
        track.poll_keyframes(now).for_each(drop);
        let sent = packet(1, step.into(), 100, step % 80 == 0);
        let sent = Packet { timestamp: step * 9_000, arrived: now, captured: now, ..sent };
        advice.extend(receive(&mut track, now, sent).and_then(|(_, received)| received.advice));
    }
    assert_eq!(advice, [Advice::KeyframesSooner(Duration::from_secs(8))]);
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
                best(&mut track, now, packet(2, step, large, false));
            }
            chosen = best(&mut track, now, packet(1, step, 50, false));
        }
        chosen
    };
    assert_eq!(run(0..3, 900), Some(SourceId(2)));
    let still = run(3..10, 10);
    assert_eq!(still, Some(SourceId(2)), "fewer bytes than the small one, and still the better picture");
    assert_eq!(run(10..13, 0), Some(SourceId(1)));
}

#[test]
fn a_new_ssrc_of_an_encoding_replaces_the_old_one_at_once() {
    let now = Instant::now();
    let mut track = track();
    receive(&mut track, now, packet(1, 10, 900, true));
    let again = Packet { source: SourceId(7), ..packet(1, 3, 900, false) };
    assert_eq!(best(&mut track, now, again), Some(SourceId(7)));
    assert!(receive(&mut track, now, packet(1, 11, 900, false)).is_none(), "late, of the old one");
}

#[test]
fn a_key_frame_that_comes_behind_its_successors_is_no_entry() {
    let now = Instant::now();
    let mut track = track();
    receive(&mut track, now, packet(1, 100, 900, false));
    receive(&mut track, now, packet(1, 102, 900, false));
    track.want_keyframe(None, true);
    let (late, _) = receive(&mut track, now, packet(1, 101, 900, true)).expect("received");
    assert!(!late.entry && track.awaits_keyframes(), "the wish stays");
    assert!(receive(&mut track, now, packet(1, 103, 900, true)).expect("received").0.entry);
}

#[test]
fn alternating_formats_are_told_once_a_second() {
    let start = Instant::now();
    let mut track = track();
    let told = (0..200u64).filter(|step| {
        let codec = if step % 2 == 0 { Codec::Vp8 } else { Codec::H264 };
        let packet = Packet { format: Format::new(codec, ""), ..packet(1, *step, 100, false) };
        let received = receive(&mut track, start + Duration::from_millis(step * 10), packet);
        received.is_some_and(|(_, received)| received.format.is_some())
    });
    assert!((1..=3).contains(&told.count()));
}

/// A packet of VP8 with a temporal layer.
fn layered(encoding: u8, number: u32, bytes: usize, temporal: u8) -> Packet {
    let mut payload = vec![0x90, 0x20, temporal << 6, 1];
    payload.resize(bytes, 0);
    Packet {
        timestamp: number * 3_000,
        vp8: vp8_descriptor(Codec::Vp8, &payload),
        payload: Arc::from(payload),
        ..packet(encoding, number.into(), 0, number == 0)
    }
}

#[test]
fn the_ladder_has_each_encoding_with_its_layers_and_what_they_cost() {
    let start = Instant::now();
    let mut track = track();
    let mut run = |frames: std::ops::Range<u32>, large: bool| {
        for frame in frames {
            let now = start + Duration::from_millis(u64::from(frame) * 1_000 / 30);
            let temporal = [0, 2, 1, 2][frame as usize % 4];
            if large {
                receive(&mut track, now, layered(2, frame, 4_000, temporal));
            }
            receive(&mut track, now, layered(1, frame, 400, temporal));
        }
        track.ladder().rungs.clone()
    };
    let rungs = run(0..90, true);
    let told: Vec<_> =
        rungs.iter().map(|rung| (rung.selection.encoding.0, rung.selection.temporal)).collect();
    assert_eq!(told, [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2)]);
    for (rung, (kbit, fps)) in rungs.iter().zip([(24, 7), (48, 15), (96, 30), (480, 15), (960, 30)]) {
        assert!((rung.bitrate.0 / 1_000).abs_diff(kbit) <= kbit / 5, "{rung:?}");
        assert!(rung.fps.abs_diff(fps) <= 3, "{rung:?}");
    }
    let without: Vec<_> = run(90..160, false).iter().map(|rung| rung.selection.encoding.0).collect();
    assert_eq!(without, [1, 1, 1], "what stopped is not there");
    assert_eq!(run(160..190, true).len(), 5, "and is again soon after it came back");
}

/// An encoding that nobody uses may fall silent. It has to stay on the ladder, at what it cost: else nobody would ever ask for
/// it again, or everybody for a picture that seems to be had for nothing.
#[test]
fn an_encoding_that_sleeps_can_be_chosen_and_one_that_does_not_wake_up_cannot() {
    let start = Instant::now();
    let mut track = track();
    let mut run = |milliseconds: std::ops::Range<u64>, large: &dyn Fn(u64) -> usize, used: u8| {
        for step in milliseconds.step_by(10) {
            let now = start + Duration::from_millis(step);
            receive(&mut track, now, packet(0, step, 100, false));
            if large(step) > 0 {
                receive(&mut track, now, packet(1, step, large(step), false));
            }
            if step % 200 == 0 {
                track.use_only(now, used);
            }
        }
        track
            .ladder()
            .rungs
            .iter()
            .map(|rung| (rung.selection.encoding.0, rung.bitrate.0 / 1_000))
            .collect::<Vec<_>>()
    };
    let both = [(0, 80), (1, 720)];
    assert_eq!(run(0..3_000, &|_| 900, 3), both);
    // It fades out, and then there is nothing of it.
    assert_eq!(run(3_000..3_600, &|step| usize::from(step % 100 == 0) * 50, 1), both);
    assert_eq!(run(3_600..20_000, &|_| 0, 1), both);
    assert_eq!(run(20_000..22_000, &|_| 0, 3), both, "it may take a moment");
    assert_eq!(run(22_000..26_000, &|_| 0, 3), both[..1], "it does not come");
}

/// Lets three encodings flow for a while, the largest has the lowest number. Returns the next step.
fn simulcast(track: &mut Track, start: Instant, steps: std::ops::Range<u64>, encodings: &[(u8, usize)]) {
    for step in steps {
        let now = start + Duration::from_millis(step * 20);
        for (encoding, bytes) in encodings {
            let packet = Packet { timestamp: step as u32, ..packet(*encoding, step, *bytes, step == 0) };
            receive(track, now, packet);
        }
    }
}

#[test]
fn an_encoding_that_did_not_wake_is_not_offered_again_at_once() {
    let start = Instant::now();
    let mut track = track();
    let three = [(2, 100), (1, 300), (0, 900)];
    simulcast(&mut track, start, 0..200, &three);
    // The publisher's own link no longer carries the largest, and viewers turn to the middle one.
    simulcast(&mut track, start, 200..400, &three[..2]);
    assert_eq!(track.ladder().rungs.len(), 2, "it is gone");
    let at = |step: u64| start + Duration::from_millis(step * 20);
    track.use_only(at(400), 0b110);
    simulcast(&mut track, start, 400..500, &three[..2]);
    assert_eq!(track.ladder().rungs.len(), 2, "nobody had a reason to believe that it can be had");
}

/// The encodings on a ladder, the worst first.
fn encodings(track: &Track) -> Vec<u8> {
    track.ladder().rungs.iter().map(|rung| rung.selection.encoding.0).collect()
}

#[test]
fn an_encoding_that_pauses_for_a_moment_is_not_to_be_had_for_nothing() {
    let start = Instant::now();
    let mut track = track();
    for step in (0..4_400).step_by(10) {
        let now = start + Duration::from_millis(step);
        receive(&mut track, now, packet(0, step, 100, false));
        if step < 3_000 {
            receive(&mut track, now, packet(1, step, 900, false));
        }
    }
    assert_eq!(encodings(&track), [0, 1], "nothing is cheaper than nothing: the small one would have to go");
    assert!(track.ladder().rungs.iter().all(|rung| rung.bitrate.0 > 0));
}

/// The publisher was told that one encoding is enough, and then that one stops: nothing comes at all, and nobody would ever
/// hear of the other one.
#[test]
fn an_encoding_that_stops_is_missed_though_nothing_comes_of_the_others() {
    let start = Instant::now();
    let mut track = track();
    for step in (0..3_000).step_by(10) {
        let now = start + Duration::from_millis(step);
        receive(&mut track, now, packet(0, step, 100, false));
        receive(&mut track, now, packet(1, step, 900, false));
    }
    let at = |millis| start + Duration::from_millis(millis);
    track.use_only(at(3_000), 1);
    assert!(!track.refresh(at(4_000)));
    assert_eq!(encodings(&track), [0, 1]);
    assert!(track.refresh(at(4_600)) && !track.refresh(at(4_800)));
    assert_eq!(encodings(&track), [1]);
}

#[test]
fn who_watches_a_large_picture_keeps_it_when_all_encodings_come_back() {
    let start = Instant::now();
    let mut track = track();
    let both = [(1, 100), (2, 900)];
    simulcast(&mut track, start, 0..300, &both);
    let at = |step: u64| start + Duration::from_millis(step * 10);
    let large = EncodingIndex(2);
    let (_, first) = receive(&mut track, at(800), packet(1, 900, 100, true)).expect("received");
    assert_eq!(first.target.following(large), large, "it comes a moment later");
    // It does not: then the small one is better than nothing.
    let mut last = first;
    for step in 801..920 {
        last = receive(&mut track, at(step), packet(1, 100 + step, 100, false)).expect("received").1;
    }
    assert_eq!(last.target.following(large), EncodingIndex(1));
}
