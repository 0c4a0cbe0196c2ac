//! What a link carries: how tiles are shown, what is held back, and which encodings are used.

use std::time::Duration;

use super::picture::Seen;
use super::world::{Kit, World, intent};
use crate::protocol::client::{ClientMessage, SlotView, View};
use crate::protocol::server::PauseReason;
use crate::protocol::shared::Source;
use crate::room::event::Event;
use crate::sfu::egress::allocate::Wish;

#[test]
fn the_worker_knows_how_a_tile_is_shown() {
    let mut world = World::new();
    let ada = world.join("Ada");
    let ben = world.join_with("Ben", &Kit { tracks: vec![intent("s", Source::Screen)], ..Kit::default() });
    let screen = world.track(ben, "s");
    let session = world.session(ada);
    let mut view = |h, fps, priority| {
        let slot = SlotView { mid: "v0".to_owned(), track: Some(screen), w: 9, h, fps, priority };
        world.request(ada, ClientMessage::View(View { slots: vec![slot], ..View::default() }));
        world.sessions[&session].wishes.get(&0).copied()
    };
    let wish = Wish { height: 720, fps: 0, priority: 1, screen: true };
    assert_eq!(view(720, None, None), Some(wish));
    assert_eq!(view(720, None, Some(1)), Some(wish), "and it is not told again");
    let wish = Wish { height: u16::MAX, fps: 255, priority: 0, screen: true };
    assert_eq!(view(100_000, Some(300), Some(0)), Some(wish));
}

#[test]
fn a_slot_that_the_link_does_not_carry_says_so_and_stays_bound() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let (cam, session) = (world.track(ben, "cam"), world.session(ada));
    world.look(ada, &[cam]);
    world.throttle(ada, 0, true);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Paused(cam, PauseReason::Bandwidth));
    assert_eq!(world.sessions[&session].bound.get(&0), Some(&cam));
    world.throttle(ada, 0, false);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Live(cam));
    world.throttle(ada, 0, true);
    world.sessions.get_mut(&session).expect("a session").throttled.clear();
    world.handle(Event::Began { session, slot: 0, track: cam, timestamp: 99 });
    assert_eq!(world.picture(ada).slot("v0"), Seen::Live(cam), "what comes is not held back");
    world.throttle(ada, 0, true);
    world.mute(ben, "cam", true);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Paused(cam, PauseReason::Muted));
    world.mute(ben, "cam", false);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Live(cam), "what is bound anew begins anew");
    world.look(ada, &[]);
    world.handle(Event::Throttled { session, slot: 0, track: cam, paused: true });
    assert_eq!(world.picture(ada).slot("v0"), Seen::Empty, "that came too late");
}

#[test]
fn an_encoding_is_wanted_at_once_and_unwanted_within_two_seconds() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let cam = world.track(ada, "cam");
    world.look(ben, &[cam]);
    world.used(cam, Some(&["q"]));
    world.wait(Duration::from_millis(500));
    assert_eq!(world.picture(ada).rids.get("cam"), None, "not at once");
    world.wait(Duration::from_secs(1));
    assert_eq!(world.picture(ada).rids["cam"], ["q"]);
    world.used(cam, Some(&["f"]));
    assert_eq!(
        world.picture(ada).rids["cam"],
        ["f", "q"],
        "what is needed comes at once, the rest goes later"
    );
    world.wait(Duration::from_millis(1_500));
    assert_eq!(world.picture(ada).rids["cam"], ["f"]);
    world.used(cam, None);
    assert_eq!(world.picture(ada).rids.get("cam"), None);
    world.used(cam, Some(&["q"]));
    world.wait(Duration::from_secs(2));
    world.cut(ada);
    world.resume(ada, None);
    assert_eq!(world.picture(ada).rids["cam"], ["q"], "who resumes is told again");
}
