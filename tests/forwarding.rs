//! What subscribers receive, whatever publishers and networks do.

mod common;

use std::time::Duration;

use common::media::{FRAME, ended, numbers, picture_id, publish, vp8};
use common::{STEP, World};
use sluice::sfu::CoreEvent;
use sluice::sfu::session::EndReason;
use sluice::sfu::session::offer::Role;
use sluice::units::{self, MediaKind};
use str0m::format::Codec;

#[test]
fn a_viewer_gets_every_packet_in_order() {
    let (mut world, ..) = World::publisher_and_viewer(Codec::Vp8);
    publish(&mut world, 0, 0..60, 0);
    assert_eq!(numbers(&world, 1), (0..60).collect::<Vec<_>>());
    let counters = world.core.counters();
    assert_eq!((counters.media_packets_in, counters.media_packets_out), (60, 60));
    assert_eq!((counters.unknown_media, counters.malformed, counters.unplayable), (0, 0, 0));
}

#[test]
fn sound_reaches_the_viewer_too() {
    let (mut world, ..) = World::publisher_and_viewer(Codec::Vp8);
    for step in 0..20u32 {
        let (now, client) = (world.now, &mut world.clients[0]);
        let audio = client.audio;
        client.send(now, audio, step * 960, false, &[0xfc, 0xff, 0xfe]);
        world.run(Duration::from_millis(20));
    }
    assert_eq!(world.clients[1].received.len(), 20);
}

#[test]
fn late_viewers_ask_for_a_key_frame_together() {
    let (mut world, publisher, _) = World::publisher_and_viewer(Codec::Vp8);
    publish(&mut world, 0, 0..10, 0);
    let before = world.clients[0].keyframe_requests;
    let late: Vec<_> = (0..5).map(|_| world.join(Role::Watch, &[Codec::Vp8])).collect();
    late.iter().for_each(|(_, viewer)| world.watch(viewer, &publisher));
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    // Delta frames go on; the publisher may answer or not.
    for frame in 10..14 {
        let (now, client) = (world.now, &mut world.clients[0]);
        let video = client.video;
        client.send(now, video, u32::from(frame) * 3_150, true, &vp8(false, u16::from(frame), frame));
        world.run(FRAME);
    }
    assert_eq!(world.clients[0].keyframe_requests - before, 1, "five viewers make one request");
    publish(&mut world, 0, 20..25, 20);
    for (place, _) in late {
        let seen = numbers(&world, place);
        assert!(
            seen[0] == 0 && seen.ends_with(&[20, 21, 22, 23, 24]),
            "from one key frame to another: {seen:?}"
        );
    }
    assert_eq!(numbers(&world, 1).len(), 10 + 4 + 5, "the first viewer sees all of it");
}

#[test]
fn a_restarted_publisher_continues_the_stream_of_its_viewers() {
    let (mut world, publisher, viewer) = World::publisher_and_viewer(Codec::Vp8);
    publish(&mut world, 0, 0..30, 0x7ff0);
    let (again, restarted) = world.join(Role::Publish, &[Codec::Vp8]);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    world.watch(&viewer, &restarted);
    world.leave(&publisher);
    world.run(Duration::from_millis(700));
    publish(&mut world, again, 100..130, 5);

    let video = world.clients[1].received_video();
    assert_eq!(video.len(), 60, "nothing is lost");
    let one_source = video.iter().all(|packet| packet.header.ssrc == video[0].header.ssrc);
    assert!(one_source, "the decoder sees one stream");
    for pair in video.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1);
        assert!(pair[1].time > pair[0].time, "time moves on");
        assert_eq!(picture_id(pair[1]), (picture_id(pair[0]) + 1) & 0x7fff);
    }
    let gap = (video[30].header.timestamp.wrapping_sub(video[29].header.timestamp)) / 90;
    assert!((700..1_500).contains(&gap), "the pause of about 0.7 s shows in the timestamps: {gap} ms");
    assert!(ended(&world, &publisher) == Some(EndReason::Requested) && world.clients[0].closed);
}

#[test]
fn a_viewers_loss_is_repaired_from_here() {
    let (mut world, ..) = World::publisher_and_viewer(Codec::Vp8);
    world.clients[1].loses = |datagram| datagram % 10 == 3;
    publish(&mut world, 0, 0..100, 0);
    world.clients[1].loses = |_| false;
    world.run(Duration::from_secs(1));
    let mut seen = numbers(&world, 1);
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() >= 98, "only {} of 100 frames arrived", seen.len());
}

#[test]
fn a_viewers_wish_for_a_key_frame_reaches_the_publisher() {
    let (mut world, ..) = World::publisher_and_viewer(Codec::Vp8);
    publish(&mut world, 0, 0..30, 0);
    let before = world.clients[0].keyframe_requests;
    world.clients[1].request_keyframe();
    world.run(Duration::from_millis(100));
    assert_eq!(world.clients[0].keyframe_requests, before + 1);
}

#[test]
fn a_goodbye_is_heard_on_both_sides() {
    let (mut world, publisher, viewer) = World::publisher_and_viewer(Codec::Vp8);
    world.leave(&viewer);
    assert!(world.clients[1].closed, "the viewer hears DTLS close_notify");
    assert!(!world.clients[0].closed);

    world.clients[0].rtc.close().expect("it can close");
    world.run(STEP * 4);
    assert_eq!(ended(&world, &publisher), Some(EndReason::ClosedByPeer));
    let counters = world.core.counters();
    assert_eq!((counters.sessions, counters.tracks, counters.subscriptions), (0, 0, 0));
}

#[test]
fn nothing_piles_up_for_a_viewer_that_is_still_connecting() {
    let mut world = World::new();
    let (_, publisher) = world.join(Role::Publish, &[Codec::Vp8]);
    world.run_until("connected", |world| world.clients[0].connected);
    let (place, viewer) = world.join(Role::Watch, &[Codec::Vp8]);
    world.watch(&viewer, &publisher);
    world.clients[place].silent = true;
    publish(&mut world, 0, 0..100, 0);
    assert_eq!(world.core.counters().media_packets_out, 0);
    assert_eq!(world.clients[0].keyframe_requests, 0, "nobody can see a key frame yet");
    world.clients[place].silent = false;
    world.run_until("connected", |world| world.clients[place].connected);
    world.run(FRAME);
    assert_eq!(world.clients[place].received.len(), 0, "what came before is past");
    assert_eq!(world.clients[0].keyframe_requests, 1);
    publish(&mut world, 0, 100..110, 100);
    assert_eq!(numbers(&world, place), (100..110).collect::<Vec<_>>());
}

#[test]
fn a_burst_that_fills_the_batch_several_times_reaches_everybody() {
    let mut world = World::new();
    let (_, publisher) = world.join(Role::Publish, &[Codec::Vp8]);
    let viewers: Vec<_> = (0..30).map(|_| world.join(Role::Watch, &[Codec::Vp8])).collect();
    viewers.iter().for_each(|(_, viewer)| world.watch(viewer, &publisher));
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    // Sound, as pictures would wait for the pace of the links.
    for frame in 0..50 {
        let (now, client) = (world.now, &mut world.clients[0]);
        let audio = client.audio;
        client.send(now, audio, u32::from(frame) * 960, true, &[frame; 1_100]);
    }
    world.run(Duration::from_millis(50));
    assert!(world.parts > 0, "the burst was too small to tell");
    for (place, _) in viewers {
        let heard: Vec<u8> = world.clients[place].received.iter().map(|packet| packet.payload[0]).collect();
        assert_eq!(heard, (0..50).collect::<Vec<_>>(), "viewer {place}");
    }
}

#[test]
fn a_publisher_that_announces_neither_ssrc_nor_mid_is_understood() {
    let mut world = World::new();
    let (_, publisher) = world.join_bare(&[Codec::Vp8]);
    let (viewing, viewer) = world.join(Role::Watch, &[Codec::Vp8]);
    world.watch(&viewer, &publisher);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    publish(&mut world, 0, 0..20, 0);
    assert_eq!(numbers(&world, viewing), (0..20).collect::<Vec<_>>());
}

#[test]
fn an_encoder_that_changes_its_ssrc_is_followed_at_once() {
    let (mut world, ..) = World::publisher_and_viewer(Codec::Vp8);
    publish(&mut world, 0, 0..20, 0);
    let client = &mut world.clients[0];
    let video = client.video;
    client.change_ssrc(video);
    publish(&mut world, 0, 20..40, 20);
    assert_eq!(numbers(&world, 1), (0..40).collect::<Vec<_>>());
}

#[test]
fn a_client_that_never_connects_is_forgotten() {
    let mut world = World::new();
    let (place, viewer) = world.join(Role::Watch, &[Codec::Vp8]);
    world.clients[place].silent = true;
    world.run(Duration::from_secs(29));
    assert_eq!(ended(&world, &viewer), None);
    world.run(Duration::from_secs(2));
    assert_eq!(ended(&world, &viewer), Some(EndReason::IceFailed));
    assert_eq!(world.core.counters().sessions, 0);
}

#[test]
fn a_client_whose_network_is_gone_times_out() {
    let (mut world, _, viewer) = World::publisher_and_viewer(Codec::Vp8);
    world.clients[1].silent = true;
    world.run(Duration::from_secs(25));
    assert_eq!(ended(&world, &viewer), Some(EndReason::TimedOut));
}

#[test]
fn a_viewer_without_the_new_codec_is_sent_away_to_ask_again() {
    let (mut world, publisher, viewer) = World::publisher_and_viewer(Codec::Vp8);
    publish(&mut world, 0, 0..5, 0);
    let (again, other) = world.join(Role::Publish, &[Codec::H264]);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    world.watch(&viewer, &other);
    world.leave(&publisher);
    let (now, client) = (world.now, &mut world.clients[again]);
    let video = client.video;
    client.send(now, video, 0, true, &[0x67, 1, 2, 3]);
    world.run(STEP * 4);
    assert_eq!(ended(&world, &viewer), Some(EndReason::Unplayable));
    assert!(world.clients[1].closed);
    let format = world.events.iter().rev().find_map(|event| match event {
        CoreEvent::TrackFormat(_, format) => Some(*format),
        _ => None,
    });
    assert_eq!(
        format.map(|format| (format.codec, format.codec.kind())),
        Some((units::Codec::H264, MediaKind::Video))
    );
}

#[test]
fn a_publisher_that_goes_to_and_fro_between_two_ssrcs_is_closed() {
    let (mut world, publisher, _) = World::publisher_and_viewer(Codec::Vp8);
    let video = world.clients[0].video;
    let direct = world.clients[0].rtc.direct_api();
    let ssrcs = [(); 2].map(|()| (direct.new_ssrc(), direct.new_ssrc()));
    for turn in 0..600_u32 {
        if ended(&world, &publisher).is_some() {
            break;
        }
        let (main, resend) = ssrcs[turn as usize % 2];
        let (now, client) = (world.now, &mut world.clients[0]);
        client.rtc.direct_api().reset_stream_tx(video, None, main, Some(resend)).expect("it sends");
        client.send(now, video, turn * 450, true, &vp8(true, 0, 0));
        world.step();
        world.now += STEP;
    }
    assert_eq!(ended(&world, &publisher), Some(EndReason::Broken), "each change costs everybody memory");
}

#[test]
fn encodings_in_a_group_of_ssrcs_are_told_apart() {
    const GROUP: [u32; 3] = [9_000, 5_000, 7_000];
    let mut world = World::new();
    world.grouped = GROUP.to_vec();
    let (_, publisher) = world.join(Role::Publish, &[Codec::Vp8]);
    world.grouped.clear();
    let (viewing, viewer) = world.join(Role::Watch, &[Codec::Vp8]);
    world.watch(&viewer, &publisher);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    for frame in 0..120_u8 {
        for (place, ssrc) in (0_u8..).zip(GROUP) {
            let (now, client) = (world.now, &mut world.clients[0]);
            let mut payload = vp8(frame % 20 == 0, frame.into(), place);
            payload.resize(200 + 400 * usize::from(place), place);
            client.send_in(now, ssrc, u32::from(frame) * 3_150, true, &payload);
        }
        world.run(FRAME);
    }
    assert_eq!(ended(&world, &publisher), None);
    let track = publisher.tracks[1];
    let ladder = world.core.ladder_of(track).expect("it is published");
    let encodings: Vec<_> = ladder.rungs.iter().map(|rung| rung.selection.encoding.0).collect();
    assert!([0, 1, 2].iter().all(|encoding| encodings.contains(encoding)), "{encodings:?}");
    let shown = numbers(&world, viewing);
    let changes = shown.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(
        shown.len() >= 115 && changes <= 2,
        "one picture for each of 120, of one encoding after another: {shown:?}"
    );
    assert_eq!(shown.last(), Some(&2), "the best of them in the end");
    assert!(world.clients[0].keyframe_requests <= 3, "{}", world.clients[0].keyframe_requests);
}
