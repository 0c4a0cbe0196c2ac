//! Views and slots: what is asked for, what comes, and why something does not.

use std::time::Duration;

use super::picture::Seen;
use super::world::{Kit, World, intent, slots};
use crate::ids::TrackId;
use crate::protocol::client::{ClientMessage, SlotView, View};
use crate::protocol::server::{ErrorCode, PauseReason};
use crate::protocol::shared::Source;
use crate::room::event::Event;
use crate::sfu::session::negotiate::AnsweredTrack;
use crate::sfu::session::renegotiate::Renegotiated;
use crate::units::{Codec, MediaKind};

#[test]
fn a_view_is_bound_and_told_and_pages_without_moving_what_stays() {
    let mut world = World::new();
    let ada = world.join("Ada");
    let others: Vec<_> = (0..5).map(|_| world.join("Other")).collect();
    let cams: Vec<_> = others.iter().map(|other| world.track(*other, "cam")).collect();
    assert_eq!(world.picture(ada).live("v"), [], "nothing before the first view");
    world.look(ada, &cams[..3]);
    assert_eq!(world.picture(ada).live("v"), cams[..3]);
    world.picture(ada).news();
    world.look(ada, &[cams[3], cams[1]]);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Live(cams[3]));
    assert_eq!(world.picture(ada).slot("v1"), Seen::Live(cams[1]));
    assert_eq!(world.picture(ada).slot("v2"), Seen::Empty);
    assert_eq!(world.picture(ada).news().len(), 2, "one message of slots, and the ok");
}

#[test]
fn nonsense_is_harmless_and_too_much_is_refused() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let mic = world.track(ben, "mic");
    world.look(ada, &[mic, TrackId(u64::MAX)]);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Paused(mic, PauseReason::Codec));
    assert_eq!(world.picture(ada).slot("v1"), Seen::Paused(TrackId(u64::MAX), PauseReason::Gone));
    world.picture(ada).news();
    let slot = SlotView { mid: "x".to_owned(), track: Some(mic), w: 0, h: 0, fps: None, priority: None };
    let slots = vec![slot; 129];
    world.request(ada, ClientMessage::View(View { slots, ..View::default() }));
    assert_eq!(world.outcome(ada), Err(ErrorCode::TooLarge));
}

#[test]
fn a_slot_says_why_nothing_comes_and_goes_on_by_itself() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let (cam, mic) = (world.track(ben, "cam"), world.track(ben, "mic"));
    world.look(ada, &[cam]);
    world.mute(ben, "cam", true);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Paused(cam, PauseReason::Muted));
    world.mute(ben, "cam", false);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Live(cam));
    world.format(cam, Codec::H264);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Paused(cam, PauseReason::Codec));
    world.format(cam, Codec::Vp8);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Live(cam));
    world.publish(ben, vec![intent("mic", Source::Mic)]);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Paused(cam, PauseReason::Gone));
    world.publish(ben, vec![intent("cam", Source::Camera)]);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Live(cam));
    assert_eq!(world.picture(ada).owner(mic), None);
    let entry = world.entry("Cleo", &Kit::default());
    let cleo = world.enter_room(entry);
    let cam = world.track(cleo, "cam");
    world.look(ada, &[cam]);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Paused(cam, PauseReason::Connecting));
    world.connect(cleo);
    assert_eq!(world.picture(ada).slot("v0"), Seen::Live(cam));
}

#[test]
fn a_picture_that_nobody_watches_need_not_be_sent_until_somebody_does() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let cam = world.track(ada, "cam");
    world.wait(Duration::from_millis(500));
    assert!(world.picture(ada).unwanted.is_empty(), "not at once");
    world.wait(Duration::from_secs(1));
    assert!(world.picture(ada).unwanted.contains("cam"));
    assert!(!world.picture(ada).unwanted.contains("mic"), "that is about pictures");
    world.look(ben, &[cam]);
    assert!(world.picture(ada).unwanted.is_empty());
    world.look(ben, &[]);
    world.wait(Duration::from_millis(500));
    world.look(ben, &[cam]);
    world.wait(Duration::from_secs(6));
    assert!(world.picture(ada).unwanted.is_empty());
}

#[test]
fn a_resumed_client_knows_what_is_wanted() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let cam = world.track(ada, "cam");
    world.cut(ada);
    world.wait(Duration::from_secs(6));
    world.resume(ada, None);
    assert!(world.picture(ada).unwanted.contains("cam"));
    world.cut(ada);
    world.look(ben, &[cam]);
    world.resume(ada, None);
    assert!(world.picture(ada).unwanted.is_empty(), "somebody began to watch meanwhile");
}

#[test]
fn what_is_published_anew_counts_as_wanted_again() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let cam = world.track(ada, "cam");
    world.wait(Duration::from_secs(6));
    assert!(world.picture(ada).unwanted.contains("cam"));
    world.publish(ada, Vec::new());
    world.publish(ada, vec![intent("cam", Source::Camera)]);
    assert!(world.picture(ada).unwanted.is_empty());
    world.look(ben, &[cam]);
    assert!(world.picture(ada).unwanted.is_empty());
}

/// A later offer that closes the first video slot, opens another, and begins with another codec for the camera.
#[test]
fn a_later_offer_moves_nothing_that_stays() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let cleo = world.join_with("Cleo", &Kit { codecs: vec![Codec::H264], ..Kit::default() });
    let (session, cam, mine) = (world.session(ada), world.track(ben, "cam"), world.track(ada, "cam"));
    world.format(mine, Codec::H264);
    world.look(ada, &[mine, cam]);
    world.look(cleo, &[mine]);
    assert_eq!(world.picture(cleo).live("v"), [mine]);
    let voices = world.picture(ada).live("a");

    let mut open = slots(&Kit { video_slots: 4, ..Kit::default() });
    for slot in &mut open {
        // The sound keeps its indices, and what is new comes behind it.
        slot.index = match (slot.kind, slot.index) {
            (MediaKind::Video, 3) => 5,
            (MediaKind::Video, index) => index,
            (MediaKind::Audio, index) => index - 1,
        };
    }
    open.remove(0);
    let format = super::world::format(Codec::Vp8);
    let cam_track = AnsweredTrack { id: mine, mid: "cam".to_owned(), kind: MediaKind::Video, format };
    let peering = world.sessions.get_mut(&session).expect("a session");
    (peering.slots, peering.bound) =
        (open.clone(), peering.bound.clone().into_iter().filter(|(i, _)| *i != 0).collect());
    let own_mic = TrackId(session.0 * 64);
    peering.tracks.remove(&own_mic);
    let outcome = Renegotiated { answer: String::new(), tracks: vec![cam_track], slots: open };
    world.picture(ada).news();
    world.handle(Event::Answered { session, re: Some(7), outcome: Ok(outcome) });
    assert_eq!(world.picture(ada).slot("v1"), Seen::Live(cam));
    assert_eq!(world.picture(ada).live("a"), voices);
    assert_eq!(world.picture(cleo).live("v"), [mine], "it is what comes that counts, not what was offered");
    assert_eq!(world.picture(ben).peers[&ada].tracks.len(), 1, "the microphone was closed");
    world.look(ada, &[cam, cam, cam, cam]);
    assert_eq!(world.picture(ada).live("v"), [cam; 3]);
    assert_eq!(world.sessions[&session].bound.get(&5), Some(&cam));
    let began = Event::Began { session, slot: 5, track: cam, timestamp: 99 };
    world.picture(ada).news();
    world.handle(began);
    assert_eq!(world.picture(ada).news().len(), 1);
}
