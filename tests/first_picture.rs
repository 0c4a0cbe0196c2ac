//! Who comes to a stream between two key frames, whose encoder makes none when it is asked.

mod common;

use common::media::{FRAME, picture_id};
use common::{Joined, World};
use sluice::sfu::session::offer::Role;
use str0m::bwe::Bitrate;
use str0m::format::Codec;
use str0m::rtp::RtpPacket;

/// Pictures between two key frames: 4.2 s.
const GROUP: u16 = 120;
/// Packets of a key frame.
const LARGE: u8 = 30;
/// Packets of any other picture: 1.2 Mbit/s with the key frames.
const SMALL: u8 = 5;

/// An encoder that hears nobody.
struct Encoder {
    place: usize,
    next: u16,
    /// The next picture is a key frame, whenever it comes.
    is_asked: bool,
}

impl Encoder {
    /// Sends the next picture, and lets time pass until the one after.
    fn picture(&mut self, world: &mut World) {
        let (number, is_key) = (self.next, self.next.is_multiple_of(GROUP) || self.is_asked);
        self.is_asked = false;
        self.next += 1;
        let packets = if is_key { LARGE } else { SMALL };
        for part in 0..packets {
            let [high, low] = number.to_be_bytes();
            let first = if part == 0 { 0x90 } else { 0x80 };
            let mut payload = vec![first, 0xe0, 0x80 | high, low, 7, 0x20, u8::from(!is_key)];
            payload.resize(1_000, part);
            let (now, client) = (world.now, &mut world.clients[self.place]);
            let video = client.video;
            client.send(now, video, u32::from(number) * 3_150, part + 1 == packets, &payload);
        }
        world.run(FRAME);
    }

    fn pictures(&mut self, world: &mut World, count: u16) {
        (0..count).for_each(|_| self.picture(world));
    }
}

/// A world in which an encoder has sent so many pictures, and a viewer connects.
fn late(mut world: World, pictures: u16) -> (World, Encoder, Joined, usize) {
    let (place, publisher) = world.join(Role::Publish, &[Codec::Vp8]);
    world.run_until("connected", |world| world.clients[place].connected);
    let mut encoder = Encoder { place, next: 0, is_asked: false };
    encoder.pictures(&mut world, pictures);
    let (viewer, _) = come(&mut world, &mut encoder, &publisher);
    (world, encoder, publisher, viewer)
}

/// Another viewer comes, while the encoder goes on.
fn come(world: &mut World, encoder: &mut Encoder, publisher: &Joined) -> (usize, Joined) {
    let (place, viewer) = world.join(Role::Watch, &[Codec::Vp8]);
    world.watch(&viewer, publisher);
    while !world.clients[place].connected {
        encoder.picture(world);
    }
    (place, viewer)
}

/// The numbers of the pictures that a viewer has, in order, and that nothing is missing between them.
fn pictures(world: &World, place: usize) -> Vec<u16> {
    let video = sorted(world, place);
    for pair in video.windows(2) {
        assert_eq!(*pair[1].seq_no, *pair[0].seq_no + 1, "behind picture {}", picture_of(pair[0]));
        assert!(ticks(pair[1], pair[0]) < 1 << 31, "time does not go back");
    }
    let mut numbers: Vec<_> = video.into_iter().map(picture_of).collect();
    numbers.dedup();
    numbers
}

fn sorted(world: &World, place: usize) -> Vec<&RtpPacket> {
    let mut video: Vec<_> = world.clients[place]
        .received_video()
        .into_iter()
        .filter(|packet| !packet.payload.is_empty())
        .collect();
    video.sort_by_key(|packet| *packet.seq_no);
    video
}

/// What the encoder called a picture: the offset of all ids is that of the first, which is a key frame.
fn picture_of(packet: &RtpPacket) -> u16 {
    picture_id(packet)
}

fn ticks(later: &RtpPacket, earlier: &RtpPacket) -> u32 {
    later.header.timestamp.wrapping_sub(earlier.header.timestamp)
}

/// When a viewer that comes so many pictures after a key frame has a whole picture, and when all until now, in ms.
fn waits(world: &mut World, encoder: &mut Encoder, viewer: usize) -> (Option<u128>, Option<u128>) {
    let (connected, end) = (world.now, encoder.next.next_multiple_of(GROUP));
    let (mut first, mut current) = (None, None);
    while encoder.next < end && current.is_none() {
        encoder.picture(world);
        let passed = Some((world.now - connected).as_millis());
        let seen = pictures(world, viewer);
        if world.clients[viewer].received_video().len() >= LARGE.into() {
            first = first.or(passed);
        }
        if seen.last().is_some_and(|last| last - seen[0] + 1 == encoder.next % GROUP) {
            current = passed;
        }
    }
    (first, current)
}

#[test]
fn who_comes_between_key_frames_has_a_picture_at_once_and_catches_up() {
    for after in [10, 40, 80] {
        let (mut world, mut encoder, _, viewer) = late(World::new(), after);
        let (first, current) = waits(&mut world, &mut encoder, viewer);
        println!(
            "{after} pictures after a key frame: picture after {first:?} ms, current after {current:?} ms"
        );
        assert!(first.is_some_and(|first| first < 200), "{first:?} ms");
        assert!(current.is_some_and(|current| current < 1_500), "{current:?} ms");
        let caught_up = encoder.next;
        encoder.pictures(&mut world, GROUP);
        assert_eq!(world.core.counters().caught_up, 1);
        let seen = pictures(&world, viewer);
        assert_eq!(seen.last().map(|last| last - seen[0]), Some(encoder.next - 1), "nothing is left out");
        let video = sorted(&world, viewer);
        let at = |number: u16| video.iter().find(|packet| picture_of(packet) == seen[0] + number);
        let apart = |from: u16, to: u16| Some(ticks(at(to)?, at(from)?));
        let passed = apart(0, after).expect("both came") / 90;
        assert!(passed <= u32::from(after) + 35, "what is past is shown without waiting: {passed} ms");
        assert_eq!(
            apart(caught_up, caught_up + GROUP / 2),
            Some(u32::from(GROUP / 2) * 3_150),
            "then time goes on"
        );
    }
}

#[test]
fn what_gets_lost_while_a_viewer_catches_up_is_repaired() {
    let (mut world, mut encoder, _, viewer) = late(World::new(), 40);
    world.clients[viewer].loses = |number| number % 25 == 3;
    encoder.pictures(&mut world, 40);
    world.clients[viewer].loses = |_| false;
    encoder.pictures(&mut world, 30);
    let seen = pictures(&world, viewer);
    assert_eq!(seen.last().map(|last| last - seen[0]), Some(encoder.next - 1));
    let counters = world.core.counters();
    assert!(counters.caught_up == 1 && counters.resent > 10, "{counters:?}");
}

#[test]
fn a_link_that_carries_little_more_than_the_stream_has_one_picture_until_the_next_key_frame() {
    let (mut world, mut encoder, _, viewer) = late(World::new(), 30);
    while encoder.next < GROUP {
        encoder.picture(&mut world);
        let client = &mut world.clients[viewer];
        if let Some(ssrc) = client.received_video().first().map(|packet| packet.header.ssrc) {
            let mut direct = client.rtc.direct_api();
            direct.stream_rx(&ssrc).expect("it was received").request_remb(Bitrate::kbps(1_000));
        }
    }
    assert_eq!(pictures(&world, viewer).len(), 1, "the key frame, and nothing that would come too late");
    encoder.pictures(&mut world, 30);
    assert_eq!(pictures(&world, viewer).len(), 31, "all from the next key frame on");
}

#[test]
fn what_was_before_a_mute_is_shown_to_nobody() {
    let mut world = World::new();
    let (place, publisher) = world.join(Role::Publish, &[Codec::Vp8]);
    world.run_until("connected", |world| world.clients[place].connected);
    let mut encoder = Encoder { place, next: 0, is_asked: false };
    encoder.pictures(&mut world, 30);
    world.mute(&publisher, 1, true);
    encoder.pictures(&mut world, 5);
    world.mute(&publisher, 1, false);
    let (viewer, _) = come(&mut world, &mut encoder, &publisher);
    encoder.pictures(&mut world, 40);
    assert_eq!(pictures(&world, viewer), [0_u16; 0], "nobody can begin with what comes after the mute");
    while encoder.next < GROUP + 10 {
        encoder.picture(&mut world);
    }
    assert_eq!(pictures(&world, viewer).len(), 10);
}

#[test]
fn nothing_is_kept_of_an_encoder_that_makes_key_frames_when_it_is_asked() {
    let (mut world, mut encoder, publisher, _) = late(World::new(), 10);
    for count in [100, 50, 30, 20, 10] {
        let before = world.clients[encoder.place].keyframe_requests;
        come(&mut world, &mut encoder, &publisher);
        while world.clients[encoder.place].keyframe_requests == before {
            encoder.picture(&mut world);
        }
        encoder.is_asked = true;
        encoder.pictures(&mut world, count);
    }
    assert_eq!(world.core.counters().group_bytes, 0);
}

#[test]
fn who_comes_on_another_worker_is_served_as_soon_as_the_stream_is_known_there() {
    let mut world = World::of_workers(2);
    let (place, publisher) = world.join(Role::Publish, &[Codec::Vp8]);
    world.run_until("connected", |world| world.clients[place].connected);
    let mut encoder = Encoder { place, next: 0, is_asked: false };
    encoder.pictures(&mut world, 20);
    world.next_worker = 1;
    let (first, _) = come(&mut world, &mut encoder, &publisher);
    while encoder.next < GROUP + 20 {
        encoder.picture(&mut world);
    }
    assert_eq!(pictures(&world, first).len(), 20);
    let (second, _) = come(&mut world, &mut encoder, &publisher);
    let (begun, current) = waits(&mut world, &mut encoder, second);
    assert!(begun.is_some_and(|begun| begun < 200) && current.is_some_and(|current| current < 1_500));
}

#[test]
fn nothing_is_kept_on_another_worker_of_what_nobody_got_there() {
    let mut world = World::of_workers(2);
    let (place, publisher) = world.join(Role::Publish, &[Codec::Vp8]);
    world.run_until("connected", |world| world.clients[place].connected);
    let mut encoder = Encoder { place, next: 0, is_asked: false };
    world.next_worker = 1;
    let (_, joined) = come(&mut world, &mut encoder, &publisher);
    while encoder.next < GROUP + 20 {
        encoder.picture(&mut world);
    }
    world.leave(&joined);
    encoder.pictures(&mut world, 20);
    let (late, _) = come(&mut world, &mut encoder, &publisher);
    encoder.pictures(&mut world, 20);
    assert_eq!(pictures(&world, late), [0_u16; 0], "a group with a hole is none");
    encoder.pictures(&mut world, GROUP);
    let seen = pictures(&world, late);
    assert!(seen.len() > 20 && seen.last().map(|last| last - seen[0] + 1) == Some(seen.len() as u16));
}
