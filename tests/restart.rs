//! ICE restarts of publishers and viewers, who make no second offer (RFC 9725 section 4.3.3).

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::World;
use common::media::{ended, numbers, publish};
use sluice::sfu::session::EndReason;
use str0m::format::Codec;

/// An address in another network than the one where clients begin.
fn elsewhere(host: u8) -> SocketAddr {
    SocketAddr::from(([172, 16, 0, host], 40_000))
}

#[test]
fn a_viewer_that_moves_to_another_network_misses_nothing() {
    let (mut world, _, viewer) = World::publisher_and_viewer(Codec::Vp8);
    publish(&mut world, 0, 0..20, 0);
    let offer = world.clients[1].moves(elsewhere(9));
    let answer = world.restart(&viewer, 1, &offer);
    publish(&mut world, 0, 20..22, 20);
    assert_eq!(numbers(&world, 1).len(), 20, "the old network is gone");
    world.clients[1].accept(&answer);
    publish(&mut world, 0, 22..60, 22);
    let mut shown = numbers(&world, 1);
    shown.sort_unstable();
    assert_eq!(shown, (0..60).collect::<Vec<_>>(), "what it missed was sent again");
    assert!(world.clients.iter().all(|client| client.connected && !client.closed));
}

#[test]
fn a_publisher_that_moves_to_another_network_is_seen_and_asked_for_key_frames() {
    let (mut world, publisher, _) = World::publisher_and_viewer(Codec::Vp8);
    publish(&mut world, 0, 0..20, 0);
    let offer = world.clients[0].moves(elsewhere(8));
    let answer = world.restart(&publisher, 0, &offer);
    world.clients[0].accept(&answer);
    publish(&mut world, 0, 20..60, 20);
    assert_eq!(numbers(&world, 1).last(), Some(&59));
    let before = world.clients[0].keyframe_requests;
    world.clients[1].request_keyframe();
    world.run(Duration::from_secs(1));
    assert!(
        world.clients[0].keyframe_requests > before,
        "what the server itself sends goes to the new network"
    );
}

#[test]
fn old_credentials_are_worth_nothing_after_a_restart() {
    let (mut world, _, viewer) = World::publisher_and_viewer(Codec::Vp8);
    let offer = world.clients[1].moves(elsewhere(9));
    // The client never hears of the new ones, and goes on to check with the old.
    let _ = world.restart(&viewer, 1, &offer);
    world.run(Duration::from_secs(31));
    assert_eq!(ended(&world, &viewer), Some(EndReason::TimedOut));
    assert!(world.clients[0].connected && !world.clients[0].closed);
}

#[test]
fn restarts_without_a_check_do_not_keep_a_session() {
    let (mut world, _, viewer) = World::publisher_and_viewer(Codec::Vp8);
    for (host, seconds) in [(9, 20), (10, 11)] {
        let offer = world.clients[1].moves(elsewhere(host));
        let _ = world.restart(&viewer, 1, &offer);
        world.run(Duration::from_secs(seconds));
    }
    assert_eq!(ended(&world, &viewer), Some(EndReason::TimedOut), "31 s without a check");
}
