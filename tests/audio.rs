//! What is heard: silence that is not forwarded, levels, and mute.

mod common;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::{Joined, World};
use sluice::ids::TrackId;
use sluice::sfu::CoreEvent;
use sluice::sfu::session::offer::Role;
use sluice::units::AudioLevel;
use str0m::format::Codec;

const PACKET: Duration = Duration::from_millis(20);
const SPEECH: i8 = -30;
const NOISE: i8 = -80;

/// A microphone behind the client at `place`, and the number of its next packet.
struct Microphone {
    place: usize,
    next: u32,
    /// What was told of levels, and when.
    levels: Vec<(Instant, Vec<(TrackId, AudioLevel)>)>,
}

impl Microphone {
    fn new(place: usize) -> Self {
        Self { place, next: 0, levels: Vec::new() }
    }

    /// Speaks, or is silent, for `time`. Notes what is told of levels meanwhile.
    fn record(&mut self, world: &mut World, dbov: i8, time: Duration) {
        for _ in 0..time.as_millis() / PACKET.as_millis() {
            world.clients[self.place].send_audio(world.now, self.next, dbov);
            self.next += 1;
            self.listen(world, PACKET);
        }
    }

    /// Lets time pass in steps, without a packet.
    fn listen(&mut self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while world.now < end {
            world.run(common::STEP);
            for event in world.events.extract_if(.., |event| matches!(event, CoreEvent::AudioLevels(_))) {
                if let CoreEvent::AudioLevels(levels) = event {
                    self.levels.push((world.now, levels));
                }
            }
        }
    }
}

fn sequences(world: &World, place: usize) -> Vec<u64> {
    world.clients[place].received_audio().iter().map(|packet| *packet.seq_no).collect()
}

fn without_gap(sequences: &[u64]) -> bool {
    sequences.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

fn call() -> (World, Joined, Joined, Microphone) {
    let (world, publisher, viewer) = World::publisher_and_viewer(Codec::Vp8);
    (world, publisher, viewer, Microphone::new(0))
}

#[test]
fn silence_is_not_forwarded_and_looks_like_an_encoder_that_pauses() {
    let (mut world, _, _, mut microphone) = call();
    microphone.record(&mut world, SPEECH, Duration::from_secs(1));
    microphone.record(&mut world, NOISE, Duration::from_secs(10));
    let until = world.clients[1].received_audio().len();
    assert!((100..=115).contains(&until), "a second of speech, one and a little of silence: {until}");
    microphone.record(&mut world, SPEECH, Duration::from_secs(1));

    let packets = world.clients[1].received_audio();
    assert_eq!(packets.len(), until + 50, "nothing of the speech is missing");
    assert!(without_gap(&sequences(&world, 1)));
    let first = packets[0].header.timestamp;
    for (at, packet) in packets.iter().enumerate() {
        let sent = if at < until { at } else { 550 + at - until };
        let expected = first.wrapping_add(u32::try_from(sent).unwrap() * 960);
        assert_eq!(packet.header.timestamp, expected, "packet {at}");
        assert_eq!(packet.header.marker, at == until, "packet {at}");
    }
    let counters = world.core.counters();
    assert_eq!(counters.silent, 600 - packets.len() as u64);
    assert_eq!(counters.media_packets_out, packets.len() as u64);
}

#[test]
fn levels_are_told_while_somebody_is_heard_and_silence_once() {
    let (mut world, publisher, _, mut microphone) = call();
    let track = publisher.tracks[0];
    microphone.record(&mut world, NOISE, Duration::from_secs(3));
    assert_eq!(microphone.levels, [], "nothing to tell");
    let began = world.now;
    microphone.record(&mut world, SPEECH, Duration::from_secs(3));
    let (first, _) = microphone.levels[0];
    assert!(first - began < Duration::from_millis(100), "{:?}", first - began);
    assert!((14..=16).contains(&microphone.levels.len()), "{}", microphone.levels.len());
    assert_eq!(microphone.levels.last().expect("some").1, [(track, AudioLevel(97))]);
    let many = microphone.levels.len();
    microphone.record(&mut world, NOISE, Duration::from_secs(3));
    let after: Vec<_> = microphone.levels.drain(many..).collect();
    let (last, falling) = after.split_last().expect("the silence is told");
    assert_eq!(last.1, [(track, AudioLevel::SILENT)]);
    assert!(falling.iter().all(|(_, levels)| levels[0].1 > AudioLevel::SILENT) && after.len() <= 4);
}

#[test]
fn the_loudest_comes_first_and_who_stops_sending_falls_silent() {
    let mut world = World::new();
    let joined: Vec<_> = (0..3).map(|_| world.join(Role::Publish, &[Codec::Vp8]).1).collect();
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    let mut clock = Microphone::new(0);
    let [quiet, loud, noisy] = [-50, -20, -70];
    for number in 0..100 {
        for (place, dbov) in [quiet, loud, noisy].into_iter().enumerate() {
            world.clients[place].send_audio(world.now, number, dbov);
        }
        clock.listen(&mut world, PACKET);
    }
    let order = [(joined[1].tracks[0], AudioLevel(107)), (joined[0].tracks[0], AudioLevel(77))];
    assert_eq!(clock.levels.last().expect("some").1, order);
    clock.levels.clear();
    clock.listen(&mut world, Duration::from_secs(3));
    let silent: BTreeSet<_> = clock.levels.last().expect("told").1.iter().map(|(_, level)| *level).collect();
    assert_eq!(silent, BTreeSet::from([AudioLevel::SILENT]));
    assert!(clock.levels.len() <= 4, "then there is nothing to tell");
}

#[test]
fn a_publisher_whose_packets_tell_no_level_is_always_heard() {
    let mut world = World::new();
    let (_, publisher) = world.join_bare(&[Codec::Vp8]);
    let (viewing, viewer) = world.join(Role::Watch, &[Codec::Vp8]);
    world.watch(&viewer, &publisher);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    let mut microphone = Microphone::new(0);
    microphone.record(&mut world, NOISE, Duration::from_secs(5));
    assert_eq!(sequences(&world, viewing).len(), 250);
    assert!(without_gap(&sequences(&world, viewing)));
    assert_eq!(microphone.levels.last().expect("some").1, [(publisher.tracks[0], AudioLevel(90))]);
}

#[test]
fn nothing_of_a_muted_microphone_arrives_whatever_it_sends() {
    let (mut world, publisher, _, mut microphone) = call();
    let track = publisher.tracks[0];
    microphone.record(&mut world, SPEECH, Duration::from_secs(1));
    world.clients[0].send_audio(world.now, microphone.next, SPEECH);
    microphone.next += 1;
    world.core.mute(track, true);
    let before = world.clients[1].received_audio().len();
    microphone.levels.clear();
    microphone.record(&mut world, SPEECH, Duration::from_secs(2));
    assert_eq!(world.clients[1].received_audio().len(), before);
    assert_eq!(microphone.levels.len(), 1, "its silence is told, and then nothing");
    assert_eq!(microphone.levels[0].1, [(track, AudioLevel::SILENT)]);
    assert_eq!(world.core.counters().muted, 101);

    world.core.mute(track, false);
    microphone.record(&mut world, SPEECH, Duration::from_secs(1));
    let packets = world.clients[1].received_audio();
    assert_eq!(packets.len(), before + 50);
    assert!(without_gap(&sequences(&world, 1)));
    assert!(packets[before].header.marker);
    let pause = packets[before].header.timestamp.wrapping_sub(packets[before - 1].header.timestamp) / 48;
    assert!((2_020..=2_060).contains(&pause), "the time that passed shows: {pause} ms");
}

#[test]
fn a_camera_that_comes_back_begins_with_a_key_frame() {
    let (mut world, publisher, _) = World::publisher_and_viewer(Codec::Vp8);
    let send = |world: &mut World, frame: u8, keyframe: bool| {
        let (now, client) = (world.now, &mut world.clients[0]);
        let video = client.video;
        let mut payload = vec![0x90, 0xe0, 0x80, frame, 7, 0x20, u8::from(!keyframe)];
        payload.resize(200, frame);
        client.send(now, video, u32::from(frame) * 3_000, true, &payload);
        world.run(Duration::from_millis(35));
    };
    (0..10).for_each(|frame| send(&mut world, frame, frame == 0));
    world.core.mute(publisher.tracks[1], true);
    let asked = world.clients[0].keyframe_requests;
    (10..30).for_each(|frame| send(&mut world, frame, frame == 20));
    world.clients[1].request_keyframe();
    world.run(Duration::from_secs(2));
    assert_eq!(world.clients[1].received_video().len(), 10);
    assert_eq!(world.clients[0].keyframe_requests, asked, "nobody could see it");

    world.core.mute(publisher.tracks[1], false);
    world.run(Duration::from_millis(100));
    assert_eq!(world.clients[0].keyframe_requests, asked + 1);
    (30..40).for_each(|frame| send(&mut world, frame, frame == 33));
    let video = world.clients[1].received_video();
    let frames: Vec<_> = video.iter().map(|packet| *packet.payload.last().expect("not empty")).collect();
    assert_eq!(frames, (0..10).chain(33..40).collect::<Vec<_>>());
    let numbers: Vec<_> = video.iter().map(|packet| *packet.seq_no).collect();
    assert!(without_gap(&numbers));
    assert!(video.windows(2).all(|pair| pair[1].time > pair[0].time));
}
