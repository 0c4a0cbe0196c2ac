//! Coming in, being told who is there, changing, and what is refused.

use std::time::Duration;

use super::world::{Kit, World, intent};
use crate::protocol::client::{ClientMessage, Ping, Update};
use crate::protocol::server::{ByeCode, ErrorCode, ServerMessage};
use crate::protocol::shared::{PeerState, Source};
use crate::protocol::{MAX_LABEL, MAX_META, MAX_NAME};

#[test]
fn a_newcomer_hears_who_is_there_and_the_others_hear_of_the_newcomer() {
    let mut world = World::new();
    let ada = world.join("Ada");
    let ben = world.join("Ben");
    assert!(matches!(world.picture(ben).news()[0].message, ServerMessage::Welcome(_)));
    assert_eq!(world.picture(ben).peers[&ada].name, "Ada");
    assert_eq!(world.picture(ada).peers[&ben].name, "Ben");
    let sources: Vec<_> = world.picture(ada).peers[&ben].tracks.iter().map(|track| track.source).collect();
    assert_eq!(sources, [Source::Mic, Source::Camera]);
    assert!(!world.picture(ben).resumed);
}

#[test]
fn others_see_what_is_published_muted_and_renamed() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let mut cam = intent("cam", Source::Camera);
    cam.label = Some(" Desk\ncamera ".to_owned());
    world.publish(ada, vec![cam]);
    let peer = world.picture(ben).peers[&ada].clone();
    assert_eq!(peer.tracks.len(), 1);
    assert_eq!(peer.tracks[0].label.as_deref(), Some("Desk camera"));
    world.mute(ada, "cam", true);
    assert!(world.picture(ben).peers[&ada].tracks[0].muted);
    assert!(world.muted.contains(&world.track(ada, "cam")), "and the worker holds it back");
    world.picture(ben).news();
    world.mute(ada, "cam", true);
    assert_eq!(world.picture(ben).news(), [], "nothing changed, and nothing is told");
    let update = Update { name: Some("Augusta".to_owned()), meta: None };
    world.request(ada, ClientMessage::Update(update));
    assert_eq!(world.picture(ben).peers[&ada].name, "Augusta");
    world.picture(ada).news();
    world.request(ada, ClientMessage::Ping(Ping { ts: 1.5 }));
    assert_eq!(world.outcome(ada), Ok(()));
}

#[test]
fn what_does_not_fit_the_offer_is_refused_and_changes_nothing() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    for (tracks, code) in [
        (vec![intent("nine", Source::Camera)], ErrorCode::NotFound),
        (vec![intent("mic", Source::Camera)], ErrorCode::NotFound),
        (vec![intent("cam", Source::Camera), intent("cam", Source::Screen)], ErrorCode::BadMessage),
    ] {
        world.picture(ada).news();
        world.publish(ada, tracks);
        assert_eq!(world.outcome(ada), Err(code));
        assert_eq!(world.picture(ben).peers[&ada].tracks.len(), 2);
    }
    world.mute(ada, "nine", true);
    assert_eq!(world.outcome(ada), Err(ErrorCode::NotFound));
}

#[test]
fn names_labels_and_metadata_have_a_size() {
    let mut world = World::new();
    let (ada, ben) = (world.join(&"a".repeat(200)), world.join("\u{200b}"));
    assert_eq!(world.picture(ada).name.len(), MAX_NAME);
    assert_eq!(world.picture(ben).name, "Guest");
    let mut cam = intent("cam", Source::Camera);
    cam.label = Some("l".repeat(200));
    world.publish(ada, vec![cam]);
    let label = world.picture(ben).peers[&ada].tracks[0].label.clone();
    assert_eq!(label.map(|label| label.len()), Some(MAX_LABEL));
    let large = serde_json::Map::from_iter([("x".to_owned(), "y".repeat(MAX_META).into())]);
    let update = Update { name: Some("Other".to_owned()), meta: Some(large.clone()) };
    world.picture(ada).news();
    world.request(ada, ClientMessage::Update(update));
    assert_eq!(world.outcome(ada), Err(ErrorCode::TooLarge));
    assert_ne!(world.picture(ada).name, "Other");

    let mut entry = world.entry("Cleo", &Kit::default());
    entry.meta = large;
    let cleo = world.enter_room(entry);
    assert_eq!(world.former[&cleo].bye(), Some(ByeCode::Refused));
    assert!(!world.room.has_member(cleo) && world.forgotten.contains(&cleo));
    assert_eq!(world.picture(ada).peers.len(), 1);
}

#[test]
fn a_join_that_is_refused_changes_nothing_for_anybody() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let session = world.session(ada);
    let cam = world.track(ada, "cam");
    world.look(ben, &[cam]);
    world.cut(ada);
    let mut entry = world.entry("Eve", &Kit::default());
    (entry.participant, entry.tracks) = (ada, vec![intent("nine", Source::Mic)]);
    world.enter_room(entry);
    assert_eq!(world.former[&ada].bye(), Some(ByeCode::Refused));
    assert!(!world.forgotten.contains(&ada), "it may try again");
    assert_eq!(world.session(ada), session);
    assert_eq!(world.picture(ben).peers[&ada].name, "Ada");
    assert_eq!(world.picture(ben).live("v"), [cam], "its media goes on");
}

#[test]
fn a_socket_that_comes_back_finds_everything_as_it_is() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let cam = world.track(ada, "cam");
    world.look(ben, &[cam]);
    world.cut(ben);
    world.wait(Duration::from_secs(1));
    assert_eq!(world.picture(ada).state_of(ben), Some(PeerState::Here), "too short to be told");
    world.wait(Duration::from_secs(1));
    assert_eq!(world.picture(ada).state_of(ben), Some(PeerState::Reconnecting));
    let cleo = world.join("Cleo");
    let session = world.session(ben);
    let bound = world.sessions[&session].bound.clone();
    world.resume(ben, None);
    assert!(world.picture(ben).resumed);
    assert_eq!(world.picture(ben).name, "Ben");
    assert_eq!(world.picture(ben).live("v"), [cam]);
    assert!(world.picture(ben).peers.contains_key(&cleo), "it came meanwhile");
    assert_eq!(
        (world.session(ben), &world.sessions[&session].bound),
        (session, &bound),
        "no gap in the media"
    );
    assert_eq!(world.picture(ada).state_of(ben), Some(PeerState::Here), "at once");
}

#[test]
fn new_media_take_the_place_of_the_old() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let (old, session) = (world.track(ada, "cam"), world.session(ada));
    world.look(ben, &[old]);
    world.resume(ada, Some(&Kit::default()));
    assert!(!world.sessions.contains_key(&session), "the old session was ended");
    let new = world.track(ada, "cam");
    assert_ne!(old, new);
    world.connect(ada);
    assert_eq!(world.picture(ben).live("v"), []);
    world.look(ben, &[new]);
    assert_eq!(world.picture(ben).live("v"), [new]);
}

#[test]
fn who_mutes_without_a_socket_is_muted_by_resuming() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let mic = world.track(ada, "mic");
    assert_eq!(world.picture(ben).live("a"), [mic]);
    world.cut(ada);
    let mut entry = world.entry("", &Kit::default());
    let unused = entry.media.take().expect("media").session;
    world.sessions.remove(&unused);
    entry.participant = ada;
    entry.tracks[0].muted = true;
    world.enter_room(entry);
    assert_eq!(world.picture(ben).live("a"), []);
    assert!(world.muted.contains(&mic));
}
