//! Messages through data channels, whatever senders and receivers do.

mod common;

use std::time::Duration;

use common::{Joined, World};
use sluice::sfu::CoreEvent;
use sluice::sfu::session::EndReason;
use sluice::sfu::session::channels::ChannelKind::{self, Lossy, Reliable};
use sluice::sfu::session::channels::DataMessage;
use sluice::sfu::session::offer::Role;
use str0m::channel::ChannelConfig;
use str0m::format::Codec;

const SECOND: Duration = Duration::from_secs(1);

/// A world with so many viewers that have opened both channels, and no other. Viewers only, as the way of a message does
/// not depend on roles.
fn viewers(count: usize) -> (World, Vec<Joined>) {
    let mut world = World::new();
    world.labels = vec!["reliable", "lossy"];
    let joined = (0..count).map(|_| world.join(Role::Watch, &[Codec::Vp8]).1).collect();
    world.run_until("open", |world| world.clients.iter().all(|client| client.channels.len() == 2));
    world.run(SECOND / 10);
    (world, joined)
}

fn message(text: bool, bytes: &[u8]) -> DataMessage {
    DataMessage { text, bytes: bytes.into() }
}

/// What the control plane was told of messages of a session.
fn told(world: &World, of: &Joined) -> Vec<(ChannelKind, DataMessage)> {
    let messages = world.events.iter().filter_map(|event| match event {
        CoreEvent::Data { session, channel, message } if *session == of.session => {
            Some((*channel, message.clone()))
        }
        _ => None,
    });
    messages.collect()
}

fn count(world: &World, matches: impl Fn(&CoreEvent) -> bool) -> usize {
    world.events.iter().filter(|event| matches(event)).count()
}

fn ended(world: &World) -> usize {
    count(world, |event| matches!(event, CoreEvent::Ended(..)))
}

#[test]
fn what_a_client_says_is_told_with_its_channel_and_kind() {
    let (mut world, joined) = viewers(1);
    let opened: Vec<_> = world.events.iter().filter(|e| matches!(e, CoreEvent::ChannelOpen { .. })).collect();
    assert_eq!(opened.len(), 2, "{opened:?}");
    let large: Vec<u8> = (0..65_536_u32).map(|n| (n % 251) as u8).collect();
    for (label, text, bytes) in [
        ("reliable", true, "grüß dich".as_bytes()),
        ("reliable", false, &[0, 255, 1]),
        ("lossy", true, b"here"),
        ("reliable", false, &large),
        ("lossy", false, &[7; 1_100]),
    ] {
        assert!(world.clients[0].say(label, text, bytes));
        world.run(SECOND);
    }
    let expected = vec![
        (Reliable, message(true, "grüß dich".as_bytes())),
        (Reliable, message(false, &[0, 255, 1])),
        (Lossy, message(true, b"here")),
        (Reliable, message(false, &large)),
        (Lossy, message(false, &[7; 1_100])),
    ];
    assert_eq!(told(&world, &joined[0]), expected);
    let data = world.core.counters().data;
    assert_eq!((data.messages_in, data.bytes_in), (5, 11 + 3 + 4 + 65_536 + 1_100));
}

#[test]
fn a_message_reaches_all_that_it_is_for_and_nobody_else() {
    let (mut world, joined) = viewers(4);
    let large = message(false, &[9; 65_536]);
    world.tell(&[&joined[0], &joined[2]], Reliable, &message(true, "grüß euch".as_bytes()));
    world.tell(&[&joined[0], &joined[2]], Lossy, &message(false, &[1, 2]));
    world.tell(&[&joined[2]], Reliable, &large);
    world.run(SECOND);
    let both = [
        ("reliable".to_owned(), true, "grüß euch".as_bytes().to_vec()),
        ("lossy".to_owned(), false, vec![1, 2]),
    ];
    assert_eq!(world.clients[0].messages, both);
    assert_eq!(world.clients[2].messages[..2], both);
    assert_eq!(world.clients[2].messages[2], ("reliable".to_owned(), false, large.bytes.to_vec()));
    assert!(world.clients[1].messages.is_empty() && world.clients[3].messages.is_empty());
    let data = world.core.counters().data;
    assert_eq!((data.messages_out, data.bytes_out), (5, 2 * 11 + 2 * 2 + 65_536));
}

#[test]
fn reliable_messages_arrive_in_order_over_a_lossy_link() {
    let (mut world, joined) = viewers(1);
    world.clients[0].loses = |datagram| datagram % 5 == 3;
    for number in 0..100u8 {
        world.tell(&[&joined[0]], Reliable, &message(false, &[number; 700]));
        world.run(SECOND / 50);
    }
    world.run(SECOND * 20);
    let received: Vec<_> = world.clients[0].messages.iter().map(|(_, _, bytes)| bytes[0]).collect();
    assert_eq!(received, (0..100).collect::<Vec<_>>());
}

#[test]
fn lost_lossy_messages_are_not_sent_again_and_hold_nothing_up() {
    let (mut world, joined) = viewers(1);
    world.clients[0].loses = |datagram| datagram % 4 == 3;
    for number in 0..200u8 {
        world.tell(&[&joined[0]], Lossy, &message(false, &[number; 700]));
        world.run(SECOND / 50);
    }
    world.clients[0].loses = |_| false;
    world.run(SECOND * 20);
    let received: Vec<_> = world.clients[0].messages.iter().map(|(_, _, bytes)| bytes[0]).collect();
    assert!((100..199).contains(&received.len()), "{} of 200", received.len());
    world.tell(&[&joined[0]], Lossy, &message(true, b"still here"));
    world.run(SECOND);
    assert_eq!(world.clients[0].messages.last().expect("some").2, b"still here");
}

#[test]
fn a_message_above_the_limit_is_dropped_alone() {
    let mut world = World::new();
    (world.labels, world.largest_message) = (vec!["reliable", "lossy"], Some(1 << 20));
    let (_, joined) = world.join(Role::Watch, &[Codec::Vp8]);
    world.run_until("open", |world| world.clients[0].channels.len() == 2);
    assert!(world.clients[0].say("reliable", false, &[1; 65_537]));
    world.run(SECOND * 2);
    assert!(world.clients[0].say("reliable", false, &[2; 120_000]));
    world.run(SECOND * 2);
    assert!(world.clients[0].say("reliable", true, b"short"));
    world.run(SECOND);
    assert_eq!(told(&world, &joined), [(Reliable, message(true, b"short"))]);
    assert_eq!(world.core.counters().data.refused_too_large, 2);
    assert_eq!(ended(&world), 0);
}

#[test]
fn a_client_that_sends_megabytes_at_once_ends_its_own_session_alone() {
    let (mut world, _) = viewers(1);
    world.largest_message = Some(1 << 20);
    world.client_buffer = 2 << 20;
    let (place, wild) = world.join(Role::Watch, &[Codec::Vp8]);
    world.run_until("open", |world| world.clients[place].channels.len() == 2);
    assert!(world.clients[place].say("reliable", false, &vec![1; 1_000_000]));
    world.run(SECOND * 5);
    assert!(told(&world, &wild).is_empty());
    let own = |event: &CoreEvent| *event == CoreEvent::Ended(wild.session, EndReason::ClosedByPeer);
    assert_eq!((ended(&world), count(&world, own)), (1, 1));
    assert!(world.clients[0].say("reliable", true, b"unharmed"));
    world.run(SECOND);
    assert_eq!(world.core.counters().data.messages_in, 1);
}

#[test]
fn a_flood_is_cut_and_told_once_a_second() {
    let (mut world, joined) = viewers(2);
    let mut said = 0;
    for _ in 0..1_000 {
        for _ in 0..5 {
            said += usize::from(world.clients[0].say("reliable", false, &[1; 20]));
        }
        world.run(common::STEP);
    }
    assert!(said > 4_000, "the flood was none: {said}");
    world.run(SECOND);
    let passed = told(&world, &joined[0]).len();
    assert!((690..=820).contains(&passed), "200 and 100 a second for 5 s: {passed}");
    let refusals = count(&world, |event| *event == CoreEvent::DataRefused { session: joined[0].session });
    assert!((3..=6).contains(&refusals), "{refusals}");
    assert_eq!(world.core.counters().data.refused_too_many as usize, said - passed);
    assert!(world.clients[1].say("reliable", true, b"me too"));
    world.run(SECOND);
    assert_eq!(told(&world, &joined[1]).len(), 1, "others have allowances of their own");
}

#[test]
fn a_stalled_receiver_costs_a_bounded_queue_and_harms_nobody() {
    let (mut world, joined) = viewers(2);
    world.clients[0].silent = true;
    let everybody: Vec<_> = joined.iter().collect();
    for number in 0..200u8 {
        world.tell(&everybody, Reliable, &message(false, &[number; 10_000]));
        world.tell(&everybody, Lossy, &message(false, &[number; 1_000]));
        world.run(SECOND / 25);
    }
    let data = world.core.counters().data;
    // 128 KiB in str0m, 1 MiB waiting.
    assert!((70..=100).contains(&data.unsent_waiting_too_long), "{}", data.unsent_waiting_too_long);
    assert!((100..200).contains(&data.unsent_full), "{}", data.unsent_full);
    let losses = count(&world, |event| *event == CoreEvent::DataLost { session: joined[0].session });
    assert!((3..=5).contains(&losses), "{losses}");
    let of = |world: &World, place: usize, label: &str| {
        let messages = world.clients[place].messages.iter().filter(|(of, ..)| of == label);
        messages.map(|(_, _, bytes)| bytes[0]).collect::<Vec<_>>()
    };
    let all: Vec<_> = (0..200).collect();
    assert_eq!(of(&world, 1, "reliable"), all);
    assert_eq!(of(&world, 1, "lossy"), all);

    world.clients[0].silent = false;
    world.run(SECOND * 60);
    let late = of(&world, 0, "reliable");
    assert!((100..=130).contains(&late.len()), "{}", late.len());
    assert_eq!(late, all[..late.len()], "what was kept arrives, in order and without a hole");
    world.tell(&everybody, Reliable, &message(true, b"again"));
    world.run(SECOND);
    assert_eq!(world.clients[0].messages.last().expect("some").2, b"again");
}

#[test]
fn what_means_nothing_is_dropped_and_counted() {
    let mut world = World::new();
    world.labels = vec!["reliable", "games"];
    let (_, joined) = world.join(Role::Watch, &[Codec::Vp8]);
    world.run_until("open", |world| world.clients[0].channels.len() == 2);
    world.clients[0].say("games", true, b"move");
    world.clients[0].say("reliable", true, &[0xff, 0xfe]);
    world.run(SECOND);
    world.tell(&[&joined], Reliable, &message(true, b""));
    world.tell(&[&joined], Lossy, &message(true, b"nobody there"));
    world.tell(&[&joined], Reliable, &message(true, b"after the empty one"));
    world.run(SECOND);
    assert!(told(&world, &joined).is_empty());
    assert_eq!(world.clients[0].messages, [("reliable".to_owned(), true, b"after the empty one".to_vec())]);
    let data = world.core.counters().data;
    assert_eq!((data.ignored_channels, data.refused_no_channel, data.refused_malformed), (1, 1, 1));
    assert_eq!((data.unsent_refused, data.unsent_no_channel), (1, 1));
}

#[test]
fn a_client_that_opens_channels_without_end_is_sent_away() {
    let (mut world, _) = viewers(1);
    world.labels = vec!["more"; 70];
    let (place, wild) = world.join(Role::Watch, &[Codec::Vp8]);
    world.run(SECOND * 5);
    let own = |event: &CoreEvent| *event == CoreEvent::Ended(wild.session, EndReason::Broken);
    assert_eq!((ended(&world), count(&world, own)), (1, 1));
    assert!(world.clients[place].channels.len() < 70);
}

#[test]
fn a_client_that_speaks_on_a_stream_that_no_browser_uses_ends_its_own_session_alone() {
    let (mut world, joined) = viewers(2);
    let config =
        ChannelConfig { label: "far".to_owned(), negotiated: Some(2_000), ..ChannelConfig::default() };
    let far = world.clients[0].rtc.direct_api().create_data_channel(config);
    world.run(SECOND / 10);
    world.clients[0].rtc.channel(far).expect("open").write(false, b"here").expect("room");
    world.run(SECOND * 2);
    let own = |event: &CoreEvent| *event == CoreEvent::Ended(joined[0].session, EndReason::Broken);
    assert_eq!((ended(&world), count(&world, own)), (1, 1));
    assert!(world.clients[1].say("reliable", true, b"unharmed"));
    world.run(SECOND);
    assert_eq!(told(&world, &joined[1]).len(), 1);
}
