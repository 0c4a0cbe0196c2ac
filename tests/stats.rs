//! What is told of the media of each session.

mod common;

use std::time::Duration;

use common::{Joined, World};
use sluice::sfu::CoreEvent;
use sluice::sfu::session::offer::Role;
use sluice::sfu::session::stats::SessionStats;
use sluice::units::{self, Bitrate, Format};
use str0m::format::Codec;

/// Publishes 50 frames a second of 500 bytes from the first client: 200 kbit/s.
fn publish(world: &mut World, frames: std::ops::Range<u32>) {
    for frame in frames {
        let (now, client) = (world.now, &mut world.clients[0]);
        let video = client.video;
        let mut payload = vec![0x90, 0xe0, 0x80, 0, 7, 0x20, u8::from(frame % 100 != 0)];
        payload.resize(500, 1);
        client.send(now, video, frame * 1_800, true, &payload);
        world.run(Duration::from_millis(20));
    }
}

fn of(world: &World, joined: &Joined) -> Vec<SessionStats> {
    let all = world.events.iter().filter_map(|event| match event {
        CoreEvent::Stats(stats) if stats.session == joined.session => Some((**stats).clone()),
        _ => None,
    });
    all.collect()
}

fn is_about(bitrate: Bitrate, expected: u64) -> bool {
    bitrate.0.abs_diff(expected) < expected / 20
}

#[test]
fn every_two_seconds_each_session_tells_what_flows() {
    let (mut world, publisher, viewer) = World::publisher_and_viewer(Codec::Vp8);
    publish(&mut world, 0..1_000);
    let (sent, received) = (of(&world, &publisher), of(&world, &viewer));
    assert!((8..=10).contains(&sent.len()) && (8..=10).contains(&received.len()), "in 20 seconds");

    let last = sent.last().expect("some");
    let [audio, video] = [&last.tracks[0], &last.tracks[1]];
    assert_eq!((audio.track, video.track), (publisher.tracks[0], publisher.tracks[1]));
    assert_eq!((audio.bitrate, audio.packets, audio.encodings, audio.format), (Bitrate(0), 0, 0, None));
    assert!(is_about(video.bitrate, 200_000), "{:?}", video.bitrate);
    assert!((99..=101).contains(&video.packets), "{}", video.packets);
    assert_eq!((video.encodings, video.lost), (1, 0.0));
    assert_eq!(video.format, Some(Format::new(units::Codec::Vp8, "")));
    assert!(last.slots.is_empty());
    assert_eq!(last.link, None, "nothing is sent to it");

    let last = received.last().expect("some");
    assert!(last.tracks.is_empty());
    assert_eq!((last.slots[0].slot, last.slots[0].track), (0, Some(publisher.tracks[0])));
    assert_eq!((last.slots[1].slot, last.slots[1].track), (1, Some(publisher.tracks[1])));
    assert_eq!(last.slots[0].bitrate, Bitrate(0));
    assert!(is_about(last.slots[1].bitrate, 200_000), "{:?}", last.slots[1].bitrate);
    assert_eq!((last.slots[1].lost, last.slots[1].nacks), (0.0, 0));
    let link = last.link.expect("media is sent to it");
    assert!(is_about(link.sent, 200_000), "{link:?}");
    assert!(link.lost < 0.001, "{link:?}");
    let rtt = last.rtt.expect("a viewer reports");
    assert!(rtt <= Duration::from_millis(20), "{rtt:?}");
}

#[test]
fn a_link_that_loses_shows_and_recovers() {
    let (mut world, _, viewer) = World::publisher_and_viewer(Codec::Vp8);
    publish(&mut world, 0..200);
    world.clients[1].loses = |datagram| datagram % 5 == 3;
    publish(&mut world, 200..700);
    let mut told = of(&world, &viewer).pop().expect("some");
    let (bad, link) = (told.slots.remove(1), told.link.expect("media is sent to it"));
    assert!((0.1..0.4).contains(&bad.lost) && bad.nacks > 0, "{bad:?}");
    assert!(
        (0.1..0.4).contains(&link.lost) && link.sent > bad.bitrate,
        "what is sent again counts: {link:?}"
    );
    world.clients[1].loses = |_| false;
    publish(&mut world, 700..1_200);
    let good = of(&world, &viewer).pop().expect("some").slots.remove(1);
    assert!(good.lost < 0.01 && good.nacks == 0, "{good:?}");
}

#[test]
fn who_is_not_connected_tells_nothing() {
    let mut world = World::new();
    let (place, viewer) = world.join(Role::Watch, &[Codec::Vp8]);
    world.clients[place].silent = true;
    world.run(Duration::from_secs(10));
    assert_eq!(of(&world, &viewer), []);
}
