//! Participants of a room, who publish and receive in one session: whose media they get, and what becomes of it when
//! slots are bound to others and sessions are negotiated anew.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::media::{FRAME, ended, h264, number, numbers, publish, vp8};
use common::{Joined, World};
use sluice::ids::TrackId;
use sluice::sfu::CoreEvent;
use sluice::sfu::session::EndReason;
use sluice::sfu::session::offer::OfferError;
use sluice::units;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind};
use str0m::rtp::RtpPacket;

/// The slot for sound is the first, as its section is.
const SOUND: usize = 0;
const PICTURE: usize = 1;

const VP8: &[Codec] = &[Codec::Vp8];
const H264: &[Codec] = &[Codec::H264];
const BOTH: &[Codec] = &[Codec::Vp8, Codec::H264];

fn sound(joined: &Joined) -> Option<TrackId> {
    joined.tracks.first().copied()
}

fn picture(joined: &Joined) -> Option<TrackId> {
    joined.tracks.get(1).copied()
}

/// The packets that came through the first video slot of a client.
fn on_screen(world: &World, place: usize) -> Vec<&RtpPacket> {
    let client = &world.clients[place];
    client.received_on(client.slots[0])
}

/// Lets a client send the frame of this number, a key frame if one was asked for since `seen` requests.
fn send(world: &mut World, place: usize, codec: Codec, frame: u8, seen: &mut usize) {
    let (now, client) = (world.now, &mut world.clients[place]);
    let (video, keyframe) = (client.video, client.keyframe_requests > *seen);
    *seen = client.keyframe_requests;
    let payload = match codec {
        Codec::Vp8 => vp8(keyframe, frame.into(), frame),
        _ => h264(keyframe, frame),
    };
    client.send(now, video, u32::from(frame) * 3_150, true, &payload);
}

fn is_without_gaps(packets: &[&RtpPacket]) -> bool {
    packets.windows(2).all(|pair| *pair[1].seq_no == *pair[0].seq_no + 1)
}

fn unplayable(world: &World) -> Vec<(usize, TrackId, units::Codec)> {
    let told = world.events.iter().filter_map(|event| match event {
        CoreEvent::Unplayable { slot, track, format, .. } => Some((*slot, *track, format.codec)),
        _ => None,
    });
    told.collect()
}

#[test]
fn two_participants_see_and_hear_each_other_and_know_whom() {
    let (mut world, joined) = World::participants(&[VP8, VP8]);
    for (viewer, publisher) in [(0, 1), (1, 0)] {
        world.core.bind(joined[viewer].session, SOUND, sound(&joined[publisher]));
        world.core.bind(joined[viewer].session, PICTURE, picture(&joined[publisher]));
    }
    publish(&mut world, 0, 0..20, 0);
    publish(&mut world, 1, 100..120, 0);
    for place in [0, 1] {
        let (now, client) = (world.now, &mut world.clients[place]);
        let audio = client.audio;
        client.send(now, audio, 0, false, &[0xfc, 0xff, 0xfe]);
    }
    world.run(FRAME);
    assert_eq!(numbers(&world, 0), (100..120).collect::<Vec<_>>());
    assert_eq!(numbers(&world, 1), (0..20).collect::<Vec<_>>());
    for (viewer, publisher) in [(0, 1), (1, 0)] {
        let picture = picture(&joined[publisher]).expect("published").csrc();
        let sound = sound(&joined[publisher]).expect("published").csrc();
        let seen = on_screen(&world, viewer);
        assert_eq!(seen.len(), 20);
        assert!(seen.iter().all(|packet| (packet.header.csrc_count, packet.header.csrc[0]) == (1, picture)));
        let received = world.clients[viewer].received.iter();
        let heard = received.filter(|packet| packet.header.csrc[0] == sound).count();
        assert_eq!(heard, 1, "and it is sound, which came once");
    }
}

#[test]
fn a_slot_goes_from_codec_to_codec_without_a_gap_and_with_one_key_frame_each() {
    let (mut world, joined) = World::participants(&[VP8, H264, BOTH]);
    let viewer = joined[2].session;
    let (mut seen, mut frame) = ([0, 0], 0);
    for round in 0..8 {
        let shown = round % 2;
        for _ in 0..3 {
            world.core.bind(viewer, PICTURE, picture(&joined[shown]));
        }
        for _ in 0..12 {
            frame += 1;
            send(&mut world, 0, Codec::Vp8, frame, &mut seen[0]);
            send(&mut world, 1, Codec::H264, frame, &mut seen[1]);
            world.run(FRAME);
        }
    }
    let packets = on_screen(&world, 2);
    assert!(packets.len() > 8 * 9, "only {} of {}", packets.len(), 8 * 12);
    assert!(is_without_gaps(&packets));
    assert!(packets.windows(2).all(|pair| pair[1].time > pair[0].time), "time moves on");
    let whose = |packet: &&RtpPacket| packet.header.csrc[0];
    let turns = packets.chunk_by(|one, other| whose(one) == whose(other)).count();
    assert_eq!(turns, 8, "what is no longer bound stops at once");
    let payload_types = packets.iter().map(|packet| *packet.header.payload_type);
    assert_eq!(payload_types.collect::<std::collections::BTreeSet<_>>().len(), 2);
    let requests = world.clients[0].keyframe_requests + world.clients[1].keyframe_requests;
    assert!((8..=10).contains(&requests), "{requests} requests for 8 changes");
    assert_eq!(world.core.counters().unplayable, 0);
}

#[test]
fn binding_what_is_bound_already_interrupts_nothing() {
    let (mut world, joined) = World::participants(&[VP8, VP8]);
    world.core.bind(joined[1].session, PICTURE, picture(&joined[0]));
    publish(&mut world, 0, 0..5, 0);
    let before = world.clients[0].keyframe_requests;
    for frame in 5..10 {
        world.core.bind(joined[1].session, PICTURE, picture(&joined[0]));
        send(&mut world, 0, Codec::Vp8, frame, &mut usize::MAX.clone());
        world.run(FRAME);
    }
    assert_eq!(numbers(&world, 1), (0..10).collect::<Vec<_>>());
    assert_eq!(world.clients[0].keyframe_requests, before);
}

#[test]
fn an_empty_slot_is_silent_at_once() {
    let (mut world, joined) = World::participants(&[VP8, VP8]);
    world.core.bind(joined[1].session, PICTURE, picture(&joined[0]));
    publish(&mut world, 0, 0..5, 0);
    send(&mut world, 0, Codec::Vp8, 5, &mut usize::MAX.clone());
    world.drive_clients();
    world.core.bind(joined[1].session, PICTURE, None);
    world.run(FRAME);
    assert_eq!(numbers(&world, 1), [0, 1, 2, 3, 4]);
}

#[test]
fn slots_are_added_while_media_flows_and_nothing_is_lost() {
    let (mut world, joined) = World::participants(&[VP8, VP8]);
    world.core.bind(joined[1].session, PICTURE, picture(&joined[0]));
    publish(&mut world, 0, 0..20, 0);
    let mut added = Vec::new();
    let offer = world.clients[1].offer(|change| {
        let slot = |_| change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        added.extend((0..3).map(slot));
    });
    // Frames are on their way when the offer comes, and when the answer comes back.
    let mut seen = usize::MAX;
    send(&mut world, 0, Codec::Vp8, 20, &mut seen);
    world.drive_clients();
    let answered = world.offer(&joined[1], &offer).expect("it is there").expect("a good offer");
    send(&mut world, 0, Codec::Vp8, 21, &mut seen);
    world.run(FRAME);
    world.clients[1].accept(&answered.answer);
    send(&mut world, 0, Codec::Vp8, 22, &mut seen);
    world.run(FRAME);
    assert_eq!(numbers(&world, 1), (0..23).collect::<Vec<_>>());
    assert!(is_without_gaps(&on_screen(&world, 1)));
    assert_eq!(answered.tracks.iter().map(|track| track.id).collect::<Vec<_>>(), joined[1].tracks);
    assert_eq!(answered.slots.iter().map(|slot| slot.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(answered.slots[3].mid, added[0].to_string());

    world.core.bind(joined[1].session, 5, picture(&joined[0]));
    publish(&mut world, 0, 30..40, 30);
    assert_eq!(on_screen(&world, 1).len(), 33, "the first goes on");
    assert_eq!(world.clients[1].received_on(added[2]).len(), 10, "and a new one shows the same");
}

#[test]
fn an_ice_restart_brings_the_media_to_another_network() {
    let (mut world, joined) = World::participants(&[VP8, VP8]);
    world.core.bind(joined[1].session, PICTURE, picture(&joined[0]));
    publish(&mut world, 0, 0..20, 0);

    // Who only watches: what came while it moved is lost, and asked for again.
    let offer = world.clients[1].moves(SocketAddr::from(([172, 16, 0, 9], 40_000)));
    let answered = world.offer(&joined[1], &offer).expect("it is there").expect("a good offer");
    publish(&mut world, 0, 20..22, 20);
    assert_eq!(numbers(&world, 1).len(), 20, "the old network is gone");
    world.clients[1].accept(&answered.answer);
    publish(&mut world, 0, 22..60, 22);
    let mut shown = numbers(&world, 1);
    shown.sort_unstable();
    assert_eq!(shown, (0..60).collect::<Vec<_>>(), "what it missed was sent again");

    // Who publishes: nobody hears of it but by the frames that were lost on the way.
    let offer = world.clients[0].moves(SocketAddr::from(([172, 16, 0, 8], 40_000)));
    let answered = world.offer(&joined[0], &offer).expect("it is there").expect("a good offer");
    world.clients[0].accept(&answered.answer);
    publish(&mut world, 0, 60..90, 60);
    assert_eq!(numbers(&world, 1).last(), Some(&89));
    assert!(world.clients.iter().all(|client| client.connected && !client.closed));
    assert_eq!(world.core.counters().sessions, 2);
}

#[test]
fn a_restart_that_never_comes_about_ends_the_session() {
    let (mut world, joined) = World::participants(&[VP8, VP8]);
    let offer = world.clients[1].moves(SocketAddr::from(([172, 16, 0, 9], 40_000)));
    world.offer(&joined[1], &offer).expect("it is there").expect("a good offer");
    world.clients[1].silent = true;
    world.run(Duration::from_secs(31));
    assert_eq!(ended(&world, &joined[1]), Some(EndReason::TimedOut));
    assert!(world.clients[0].connected && !world.clients[0].closed);
}

#[test]
fn a_refused_offer_changes_nothing() {
    let (mut world, joined) = World::participants(&[VP8, VP8]);
    world.core.bind(joined[1].session, PICTURE, picture(&joined[0]));
    publish(&mut world, 0, 0..5, 0);
    let good = world.clients[1].offer(|change| {
        change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    });
    let value = |name: &str| {
        let (_, rest) = good.split_once(name).expect("it is in there");
        rest.split_once("\r\n").expect("a line").0.to_owned()
    };
    let impostor = good.replace(&value("a=fingerprint:"), &format!("sha-256 {}", ["00"; 32].join(":")));
    let shorter =
        good.rsplit_once("m=video").and_then(|(first, _)| first.rsplit_once("m=video")).expect("videos").0;
    let swapped = good.replace(&world.clients[1].slots[0].to_string(), "other");
    let other_role = good.replace("a=setup:actpass", "a=setup:passive");
    let foreign = good.replace("VP8/90000", "VP7/90000");
    let refuse = |world: &mut World, offer: &str| {
        world.offer(&joined[1], offer).expect("it is there").expect_err("refused")
    };
    assert_eq!(refuse(&mut world, &impostor), OfferError::OtherCertificate);
    for offer in [shorter, &swapped, &other_role, &foreign, "nonsense", ""] {
        let error = refuse(&mut world, offer);
        assert_ne!(error, OfferError::OtherCertificate, "{offer}");
    }
    publish(&mut world, 0, 5..10, 5);
    assert_eq!(numbers(&world, 1), (0..10).collect::<Vec<_>>());
    assert_eq!(world.core.counters().sessions, 2);
    let answered = world.offer(&joined[1], &good).expect("it is there").expect("a good offer");
    assert_eq!(answered.slots.len(), 4, "as if nothing had been");
    world.core.bind(joined[1].session, 4, picture(&joined[0]));
    assert_eq!(world.core.counters().subscriptions, 1, "no such slot");
}

#[test]
fn a_section_rests_lives_again_and_is_stopped() {
    let (mut world, joined) = World::participants(&[VP8, VP8]);
    let track = picture(&joined[0]);
    world.core.bind(joined[1].session, PICTURE, track);
    publish(&mut world, 0, 0..5, 0);
    let video = world.clients[0].video;
    let negotiate = |world: &mut World, direction: Option<Direction>| {
        let offer = world.clients[0].offer(|change| match direction {
            Some(direction) => change.set_direction(video, direction),
            None => change.stop_media(video),
        });
        let answered = world.offer(&joined[0], &offer).expect("it is there").expect("a good offer");
        world.clients[0].accept(&answered.answer);
        answered.tracks.iter().map(|track| track.id).collect::<Vec<_>>()
    };
    assert_eq!(negotiate(&mut world, Some(Direction::Inactive)), [joined[0].tracks[0]]);
    let counters = world.core.counters();
    assert_eq!((counters.tracks, counters.subscriptions), (3, 0), "its subscribers are let go");

    assert_eq!(negotiate(&mut world, Some(Direction::SendOnly)), joined[0].tracks, "with the id it had");
    world.core.bind(joined[1].session, PICTURE, track);
    publish(&mut world, 0, 5..10, 5);
    assert_eq!(numbers(&world, 1), (0..10).collect::<Vec<_>>());
    assert!(is_without_gaps(&on_screen(&world, 1)));

    assert_eq!(negotiate(&mut world, None), [joined[0].tracks[0]]);
    let counters = world.core.counters();
    assert_eq!((counters.tracks, counters.subscriptions), (3, 0));
}

#[test]
fn a_slot_that_cannot_play_its_track_is_told_of_once_and_harms_no_other() {
    let (mut world, joined) = World::participants(&[VP8, H264, VP8]);
    let viewer = &joined[2];
    world.core.bind(viewer.session, PICTURE, picture(&joined[0]));
    world.core.bind(viewer.session, PICTURE + 1, picture(&joined[1]));
    let (mut seen, mut frame) = ([0, 0], 0);
    let mut run = |world: &mut World| {
        for _ in 0..40 {
            frame += 1;
            send(world, 0, Codec::Vp8, frame, &mut seen[0]);
            send(world, 1, Codec::H264, frame, &mut seen[1]);
            world.run(FRAME);
        }
    };
    run(&mut world);
    let refused = |slot| (slot, picture(&joined[1]).expect("published"), units::Codec::H264);
    assert_eq!(unplayable(&world), [refused(PICTURE + 1)]);
    assert_eq!(world.core.counters().unplayable, 40);
    assert!(on_screen(&world, 2).len() > 35);
    assert!(world.clients[1].keyframe_requests <= 2, "nobody could make anything of more key frames");

    world.core.bind(viewer.session, PICTURE, picture(&joined[1]));
    run(&mut world);
    assert_eq!(unplayable(&world), [refused(PICTURE + 1), refused(PICTURE)]);
    world.core.bind(viewer.session, PICTURE, picture(&joined[0]));
    run(&mut world);
    world.core.bind(viewer.session, PICTURE + 1, None);
    world.core.bind(viewer.session, PICTURE + 1, picture(&joined[1]));
    run(&mut world);
    assert_eq!(unplayable(&world)[2..], [refused(PICTURE + 1)], "once for each time that it is bound");
    let packets = on_screen(&world, 2);
    assert!(packets.len() > 110 && is_without_gaps(&packets), "{} packets", packets.len());
    assert_eq!(ended(&world, viewer), None);
    let late = packets.iter().filter(|packet| number(packet) > 80).count();
    assert!(late > 75, "it goes on where it can: {late}");
}
