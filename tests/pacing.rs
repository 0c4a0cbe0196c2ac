//! What waits at the server leaves at its pace, whatever else happens to the session.

mod common;

use std::time::Duration;

use common::{Joined, World};
use sluice::sfu::CoreEvent;
use sluice::sfu::session::offer::Role;
use str0m::format::Codec;
use str0m::rtp::ExtensionMap;

/// A picture of VP8 in so many packets.
fn picture(world: &mut World, place: usize, number: u16, packets: usize) {
    let [high, low] = number.to_be_bytes();
    for part in 0..packets {
        let first = if part == 0 { 0x90 } else { 0x80 };
        let is_inter = u8::from(number != 0 && packets == 1);
        let mut payload = vec![first, 0xe0, 0x80 | high, low, 7, 0x20, is_inter];
        payload.resize(1_100, 1);
        let (now, client) = (world.now, &mut world.clients[place]);
        let video = client.video;
        client.send(now, video, u32::from(number) * 3_000, part + 1 == packets, &payload);
    }
}

/// How long the last picture takes until all of its packets have come.
fn took(world: &mut World, viewer: usize) -> Duration {
    for number in 0..60 {
        picture(world, 0, number, 1);
        world.run(Duration::from_millis(35));
    }
    world.run(Duration::from_millis(100));
    let before = world.clients[viewer].received_video().len();
    picture(world, 0, 60, 100);
    let began = world.now;
    world.run_until("all of the picture", |world| {
        world.clients[viewer].received_video().len() >= before + 100
    });
    world.now - began
}

#[test]
fn a_large_key_frame_leaves_at_the_pace_towards_a_viewer() {
    let (mut world, _, _) = World::publisher_and_viewer(Codec::Vp8);
    let took = took(&mut world, 1);
    // 115 kB at 2.5 times the 1 Mbit/s that is known of the link.
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[test]
fn a_large_key_frame_leaves_at_the_pace_towards_a_participant() {
    let (mut world, joined) = World::participants(&[&[Codec::Vp8], &[Codec::Vp8]]);
    let [publisher, viewer]: [Joined; 2] = joined.try_into().expect("two");
    world.bind(&viewer, 1, &publisher, 1);
    let took = took(&mut world, 1);
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[test]
fn a_new_binding_is_not_sent_what_its_link_is_not_taken_to_carry() {
    for offset in 0..4 {
        let (mut world, joined) = World::participants(&[&[Codec::Vp8], &[Codec::Vp8]]);
        let [publisher, viewer]: [Joined; 2] = joined.try_into().expect("two");
        let mut number = 0;
        let mut publish = |world: &mut World, times: u16| {
            for _ in 0..times {
                // 4.4 Mbit/s, of a link of which nothing is known yet.
                picture(world, 0, number, 25);
                number += 1;
                world.run(Duration::from_millis(50));
            }
        };
        publish(&mut world, 60 + offset);
        world.bind(&viewer, 1, &publisher, 1);
        publish(&mut world, 4);
        assert_eq!(world.clients[1].received_video().len(), 0, "bound {offset} pictures later");
    }
}

/// Shows a picture of 4.4 Mbit/s, and nothing else, to a participant whose link carries anything. Returns how many of the last
/// 40 pictures came, in packets.
fn alone_on_the_link(mut world: World) -> usize {
    let joined = [(); 2].map(|()| world.join(Role::Join, &[Codec::Vp8]).1);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    let [publisher, viewer] = joined;
    let mut before = 0;
    for number in 0..300 {
        match number {
            60 => world.bind(&viewer, 1, &publisher, 1),
            260 => before = world.clients[1].received_video().len(),
            _ => (),
        }
        picture(&mut world, 0, number, 25);
        world.run(Duration::from_millis(50));
    }
    world.clients[1].received_video().len() - before
}

#[test]
fn a_picture_that_a_link_is_not_taken_to_carry_is_tried_where_nothing_else_can_be() {
    assert_eq!(alone_on_the_link(World::new()), 40 * 25);
}

#[test]
fn so_it_is_where_nothing_can_be_padded() {
    let mut world = World::new();
    world.resends = false;
    assert!(alone_on_the_link(world) > 0);
}

#[test]
fn so_it_is_where_nobody_tells_what_arrives() {
    let mut world = World::new();
    world.extensions = ExtensionMap::empty();
    assert!(alone_on_the_link(world) > 0);
}

#[test]
fn a_viewer_who_reports_losses_alone_is_sent_no_more_than_its_link_carries() {
    let mut world = World::new();
    world.extensions = ExtensionMap::empty();
    // What was lost and came again would count as received.
    world.resends = false;
    let joined = [(); 2].map(|()| world.join(Role::Join, &[Codec::Vp8]).1);
    world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
    let [publisher, viewer] = joined;
    world.bind(&viewer, 1, &publisher, 1);
    let mut number = 0;
    let mut publish = |world: &mut World, seconds: u16| {
        let before = world.clients[1].received_video().len();
        for _ in 0..seconds * 20 {
            // 0.7 Mbit/s.
            picture(world, 0, number, 4);
            number += 1;
            world.run(Duration::from_millis(50));
        }
        world.clients[1].received_video().len() - before
    };
    publish(&mut world, 10);
    assert_eq!(publish(&mut world, 5), 400, "while nothing gets lost, all of it comes");
    world.clients[1].loses = |datagram| datagram % 2 == 0;
    world.events.clear();
    // It reports every 5 s.
    publish(&mut world, 7);
    let is_throttled = |event: &CoreEvent| matches!(event, CoreEvent::Throttled { paused: true, .. });
    assert!(world.events.iter().any(is_throttled), "every other packet gets lost, and all are sent");
}
