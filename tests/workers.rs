//! Several workers are as good as one: the same scenes, played with all sessions on one worker and spread over several,
//! give every subscriber the same packets.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::media::{FRAME, numbers, publish, vp8};
use common::{Joined, World};
use sluice::ids::WorkerId;
use sluice::sfu::forward::packet::EncodingIndex;
use sluice::sfu::relay::Note;
use sluice::sfu::session::offer::Role;
use str0m::format::Codec;

const VP8: &[Codec] = &[Codec::Vp8];
const SOUND: usize = 0;
const PICTURE: usize = 1;

/// What a subscriber sees of a packet: number, time, marker and payload.
type Seen = (u64, u32, bool, Vec<u8>);

/// Whether two plays gave a subscriber the same packet. Where one source follows another, time goes on by the publishers'
/// own clocks, of which the server learns by reports; str0m draws when they come. That is worth some milliseconds.
fn is_same(one: &Seen, other: &Seen) -> bool {
    const SOME_MS: u32 = 900;
    let apart = one.1.wrapping_sub(other.1).cast_signed().unsigned_abs();
    (one.0, one.2, &one.3) == (other.0, other.2, &other.3) && apart <= SOME_MS
}

/// What each client received, by the place of the section in its offer.
fn seen(world: &World) -> Vec<BTreeMap<usize, Vec<Seen>>> {
    let of = |client: &common::Client| {
        let known: Vec<_> =
            [client.audio, client.video].into_iter().chain(client.slots.iter().copied()).collect();
        let mut sections: BTreeMap<_, Vec<Seen>> = BTreeMap::new();
        for (mid, packet) in client.received_by_section() {
            let header = &packet.header;
            let seen = (*packet.seq_no, header.timestamp, header.marker, packet.payload.to_vec());
            // The one section of a participant that is not among them is its slot for sound.
            let place = known.iter().position(|known| *known == mid).unwrap_or(known.len());
            sections.entry(place).or_default().push(seen);
        }
        sections
    };
    world.clients.iter().map(of).collect()
}

/// Numbers that look random and are the same each time (the step of Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

/// Who stands where in the play.
struct Cast {
    world: World,
    joined: Vec<Joined>,
    /// The next frame of each client, and the requests for key frames that it has answered.
    frames: Vec<(u8, usize)>,
}

impl Cast {
    /// Five participants and three viewers, spread over the workers one by one.
    fn gather(workers: u8) -> Self {
        let mut world = World::of_workers(workers);
        let mut joined = Vec::new();
        for place in 0..8_u8 {
            // Not where their datagrams arrive, which goes by the place.
            world.next_worker = (place / 2) % workers;
            let role = if place < 5 { Role::Join } else { Role::Watch };
            joined.push(world.join(role, VP8).1);
        }
        world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
        // Handshakes take their own time; the play begins in silence.
        world.run(Duration::from_secs(1));
        let frames = vec![(0, 0); world.clients.len()];
        Self { world, joined, frames }
    }

    /// Lets a participant send a frame, a key frame where one was asked for, and a packet of sound.
    fn send(&mut self, place: usize) {
        let (now, client) = (self.world.now, &mut self.world.clients[place]);
        let (number, answered) = &mut self.frames[place];
        *number = number.wrapping_add(1);
        let keyframe = client.keyframe_requests > *answered;
        *answered = client.keyframe_requests;
        let (video, timestamp) = (client.video, u32::from(*number) * 3_150);
        client.send(now, video, timestamp, true, &vp8(keyframe, u16::from(*number), *number));
        client.send_audio(now, (*number).into(), if *number % 50 < 30 { -20 } else { -127 });
    }

    fn act(&mut self, dice: &mut Dice) {
        let (one, other) = (dice.below(5), dice.below(5));
        match dice.below(12) {
            0..=4 => {
                let (viewer, slot) = (self.joined[dice.below(5)].clone(), dice.below(3));
                let track = usize::from(slot != SOUND);
                self.world.bind(&viewer, slot, &self.joined[other].clone(), track);
            }
            5..=7 => {
                let viewer = self.joined[5 + dice.below(3)].clone();
                let publisher = self.joined[one].clone();
                self.world.bind(&viewer, SOUND, &publisher, SOUND);
                self.world.bind(&viewer, PICTURE, &publisher, PICTURE);
            }
            8 | 9 => {
                let muted = dice.below(2) == 0;
                self.world.mute(&self.joined[one].clone(), dice.below(2), muted);
            }
            10 => {
                let (client, audio) = (&mut self.world.clients[one], dice.below(2) == 0);
                let mid = if audio { client.audio } else { client.video };
                client.change_ssrc(mid);
            }
            _ => {
                if !self.world.clients[other].received_video().is_empty() {
                    self.world.clients[other].request_keyframe();
                }
            }
        }
    }
}

fn play(workers: u8, seed: u64) -> Vec<BTreeMap<usize, Vec<Seen>>> {
    let (mut cast, mut dice) = (Cast::gather(workers), Dice(seed));
    for round in 0..400 {
        if round % 7 == 0 {
            cast.act(&mut dice);
        }
        if round == 300 {
            let leaving = cast.joined[4].clone();
            cast.world.leave(&leaving);
        }
        for place in 0..if round < 300 { 5 } else { 4 } {
            cast.send(place);
        }
        cast.world.run(FRAME);
    }
    if workers > 1 {
        let cores = cast.world.others.iter().chain([&cast.world.core]);
        let relayed: u64 = cores.map(|core| core.counters().relayed_packets_in).sum();
        assert!(relayed > 500, "only {relayed} packets crossed: the play is too small to tell");
    }
    seen(&cast.world)
}

#[test]
fn several_workers_give_every_subscriber_what_one_gives() {
    for seed in [1, 2, 3] {
        let one = play(1, seed);
        let packets: usize = one.iter().flat_map(|client| client.values().map(Vec::len)).sum();
        assert!(packets > 2_000, "only {packets} packets in the play");
        for workers in [2, 3] {
            let several = play(workers, seed);
            for (place, (several, one)) in several.iter().zip(&one).enumerate() {
                assert!(several.keys().eq(one.keys()), "client {place}, {workers} workers, seed {seed}");
                for ((section, one), several) in one.iter().zip(several.values()) {
                    let first = several.iter().zip(one).position(|(several, one)| !is_same(several, one));
                    assert_eq!(
                        (several.len(), first),
                        (one.len(), None),
                        "client {place}, section {section}, {workers} workers, seed {seed}"
                    );
                }
            }
        }
    }
}

/// A publisher on the first worker and viewers on the second, all connected.
fn far_viewers(count: usize) -> (World, Joined, Vec<Joined>) {
    let mut world = World::of_workers(2);
    let (_, publisher) = world.join(Role::Publish, VP8);
    world.next_worker = 1;
    let viewers: Vec<_> = (0..count).map(|_| world.join(Role::Watch, VP8).1).collect();
    viewers.iter().for_each(|viewer| world.watch(viewer, &publisher));
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    (world, publisher, viewers)
}

#[test]
fn a_packet_crosses_once_for_all_viewers_of_a_worker_and_not_for_none() {
    let (mut world, publisher, viewers) = far_viewers(3);
    publish(&mut world, 0, 0..20, 0);
    for place in 1..=3 {
        assert_eq!(numbers(&world, place), (0..20).collect::<Vec<_>>());
    }
    assert_eq!(world.core.counters().relayed_packets_out, 20);
    assert_eq!(world.others[0].counters().subscriptions, 6);
    viewers.iter().take(2).for_each(|viewer| world.leave(viewer));
    publish(&mut world, 0, 20..30, 20);
    assert_eq!(world.core.counters().relayed_packets_out, 30, "one is left");
    world.leave(&viewers[2]);
    publish(&mut world, 0, 30..40, 30);
    assert_eq!(world.core.counters().relayed_packets_out, 30, "nobody is");
    let (_, late) = world.join(Role::Watch, VP8);
    world.watch(&late, &publisher);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    publish(&mut world, 0, 40..50, 40);
    assert_eq!(numbers(&world, 4), (40..50).collect::<Vec<_>>(), "and then somebody again");
}

#[test]
fn a_crowd_on_another_worker_asks_for_one_key_frame() {
    let (mut world, ..) = far_viewers(5);
    world.run(Duration::from_secs(1));
    publish(&mut world, 0, 0..10, 0);
    world.run(Duration::from_secs(1));
    let before = world.clients[0].keyframe_requests;
    (1..=5).for_each(|place| world.clients[place].request_keyframe());
    world.run(Duration::from_millis(100));
    assert_eq!(world.clients[0].keyframe_requests, before + 1);
}

#[test]
fn a_track_that_ended_is_taken_from_subscribers_of_all_workers() {
    let (mut world, publisher, viewers) = far_viewers(2);
    publish(&mut world, 0, 0..5, 0);
    world.leave(&publisher);
    world.run(FRAME);
    assert_eq!(world.others[0].counters().subscriptions, 0);
    // Whoever binds it all the same, as the news were still on their way, gets nothing and harms nobody.
    world.watch(&viewers[0], &publisher);
    world.run(FRAME);
    let (again, restarted) = {
        world.next_worker = 0;
        world.join(Role::Publish, VP8)
    };
    world.run_until("connected", |world| world.clients[again].connected);
    viewers.iter().for_each(|viewer| world.watch(viewer, &restarted));
    publish(&mut world, again, 100..110, 5);
    for place in [1, 2] {
        let expected: Vec<_> = (0..5).chain(100..110).collect();
        assert_eq!(numbers(&world, place), expected);
    }
    let video = world.clients[1].received_video();
    assert!(video.windows(2).all(|pair| *pair[1].seq_no == *pair[0].seq_no + 1), "one stream to its decoder");
}

#[test]
fn packets_lost_between_workers_are_lost_there_and_nowhere_else() {
    let (mut world, publisher, _) = far_viewers(1);
    world.next_worker = 0;
    let (near, viewer) = world.join(Role::Watch, VP8);
    world.watch(&viewer, &publisher);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    world.relay_loses = |number| number % 10 == 4;
    publish(&mut world, 0, 0..50, 0);
    assert_eq!(numbers(&world, near), (0..50).collect::<Vec<_>>());
    let kept: Vec<_> = (0..50).filter(|number| number % 10 != 3).collect();
    assert_eq!(numbers(&world, 1), kept);
    let video = world.clients[1].received_video();
    assert_eq!(*video[49 - 5].seq_no - *video[0].seq_no, 49, "the gaps show");
}

#[test]
fn a_key_frame_lost_between_workers_is_asked_for_again() {
    let (mut world, ..) = far_viewers(1);
    world.relay_loses = |number| number == 1;
    publish(&mut world, 0, 0..5, 0);
    assert_eq!(numbers(&world, 1), [0; 0], "nothing to begin with");
    let before = world.clients[0].keyframe_requests;
    publish(&mut world, 0, 5..6, 5);
    world.run(Duration::from_secs(1));
    for frame in 10..40u8 {
        let (now, client) = (world.now, &mut world.clients[0]);
        let video = client.video;
        let keyframe = client.keyframe_requests > before;
        client.send(now, video, u32::from(frame) * 3_150, true, &vp8(keyframe, frame.into(), frame));
        world.run(FRAME);
    }
    assert!(numbers(&world, 1).len() > 10, "{:?}", numbers(&world, 1));
}

#[test]
fn a_key_frame_that_is_on_its_way_is_not_asked_for_again() {
    let (mut world, publisher, _) = far_viewers(1);
    publish(&mut world, 0, 0..10, 0);
    world.run(Duration::from_secs(1));
    let before = world.clients[0].keyframe_requests;
    for (seen, requests) in [(0, 0), (1, 1)] {
        let note = Note::Keyframe {
            track: publisher.tracks[PICTURE],
            encoding: EncodingIndex(0),
            begins: true,
            seen,
        };
        world.core.note(world.now, WorkerId(1), note);
        world.run(Duration::from_millis(100));
        assert_eq!(world.clients[0].keyframe_requests, before + requests, "with {seen} of 1 key frames seen");
    }
}
