//! WHIP streams as participants, and what WHEP viewers see.

use std::time::Instant;

use super::world::{Kit, World, intent};
use crate::ids::{ParticipantId, SessionId};
use crate::protocol::shared::{PeerKind, Source};
use crate::room::event::{Action, Event, Target};
use crate::sfu::egress::allocate::Wish;
use crate::units::Codec;

#[test]
fn a_stream_is_a_peer_and_one_that_takes_over_is_the_same() {
    let mut world = World::new();
    let ada = world.join("Ada");
    let (stream, first) = world.whip();
    assert!(world.picture(ada).peers.is_empty(), "not before it connects");
    world.connected(first);
    let peer = world.picture(ada).peers[&stream].clone();
    assert_eq!((peer.kind, peer.tracks.len()), (PeerKind::Stream, 2));
    let old = peer.tracks[1].id;
    world.look(ada, &[old]);
    assert_eq!(world.picture(ada).live("v"), [old]);

    let (other, second) = world.whip();
    world.connected(second);
    assert!(!world.sessions.contains_key(&first));
    assert!(!world.picture(ada).peers.contains_key(&other));
    let new = world.picture(ada).peers[&stream].tracks[1].id;
    assert_ne!(old, new);
    world.connected(second);
    world.look(ada, &[new]);
    assert_eq!(world.picture(ada).live("v"), [new]);
    world.end(second);
    assert!(world.picture(ada).peers.is_empty());
}

#[test]
fn a_viewer_of_the_stream_sees_it_and_members_only_where_it_may() {
    let mut world = World::new();
    let ada = world.join("Ada");
    let [mic, cam] = ["mic", "cam"].map(|mid| world.track(ada, mid));
    let closed = world.whep(Target::Stream { members: false });
    let open = world.whep(Target::Stream { members: true });
    assert_eq!((world.gets(closed), world.gets(open)), (vec![], vec![cam, mic]));
    let (_, session) = world.whip();
    world.connected(session);
    assert_eq!(world.gets(open), world.gets(closed));
    assert_eq!(world.gets(open).len(), 2);
    assert!(!world.gets(open).contains(&cam));
    world.end(session);
    assert_eq!((world.gets(closed), world.gets(open)), (vec![], vec![cam, mic]));
}

#[test]
fn a_viewer_follows_a_participant_or_a_track() {
    let mut world = World::new();
    let tracks = vec![
        intent("mic", Source::Mic),
        intent("cam", Source::Camera),
        intent("screen", Source::Screen),
        intent("tab", Source::ScreenAudio),
    ];
    let ada = world.join_with("Ada", &Kit { tracks, ..Kit::default() });
    let [mic, cam, screen] = ["mic", "cam", "screen"].map(|mid| world.track(ada, mid));
    let (person, track) = (world.whep(Target::Participant(ada)), world.whep(Target::Track(cam)));
    let nobody = world.whep(Target::Participant(ParticipantId(999)));
    assert_eq!((world.gets(person), world.gets(track)), (vec![screen, mic], vec![cam]));
    assert_eq!(world.gets(nobody), []);
    world.format(screen, Codec::H264);
    assert_eq!(world.gets(person), [cam, mic], "what it cannot play is no use to it");
    world.mute(ada, "cam", true);
    assert_eq!((world.gets(person), world.gets(track)), (vec![mic], vec![]));
    world.leave(ada);
    assert_eq!((world.gets(person), world.gets(track)), (vec![], vec![]));
}

#[test]
fn a_viewer_of_whoever_speaks_stays_until_somebody_else_does() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let cams = [ada, ben].map(|who| world.track(who, "cam"));
    let mics = [ada, ben].map(|who| world.track(who, "mic"));
    let viewer = world.whep(Target::Speaker);
    assert_eq!(world.gets(viewer)[0], cams[0], "somebody, while nobody spoke");
    world.levels(&[(mics[1], 90)]);
    assert_eq!(world.gets(viewer), [cams[1], mics[1]]);
    world.levels(&[(mics[1], 0)]);
    world.mute(ben, "mic", true);
    assert_eq!(world.gets(viewer), [cams[1]]);
    world.levels(&[(mics[0], 90)]);
    assert_eq!(world.gets(viewer), [cams[0], mics[0]]);
    world.handle(Event::Tick);
    assert!(world.room.check_watch(&[], Target::Speaker).is_ok());
    assert!(!world.room.has(Target::Stream { members: false }));
}

#[test]
fn a_viewer_may_choose_somebody_else_and_a_smaller_picture() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let cams = [ada, ben].map(|who| world.track(who, "cam"));
    let viewer = world.whep(Target::Participant(ada));
    assert_eq!(world.gets(viewer)[0], cams[0]);
    let watched = world.room.watched(viewer).expect("it is here");
    assert_eq!((watched.active, watched.viewers, watched.pictures.len()), (true, 1, 1));
    assert_eq!(watched.pictures[0].track, Some(cams[0]));

    world.handle(Event::Choose { session: viewer, target: Some(Target::Participant(ben)), wish: None });
    assert_eq!(world.gets(viewer)[0], cams[1]);
    let (slot, wish) = (watched.pictures[0].slot, Wish { height: 180, ..Wish::default() });
    let choose = |session| Event::Choose { session, target: None, wish: Some((slot, wish)) };
    let told = world.room.handle(Instant::now(), choose(viewer));
    assert_eq!(told, [Action::Wish { session: viewer, slot, wish }]);
    assert_eq!(world.room.handle(Instant::now(), choose(SessionId(999))), [], "a viewer that is not here");
    assert!(world.room.check_choice(viewer, Target::Participant(ParticipantId(999))).is_err());
    world.leave(ben);
    assert!(!world.room.watched(viewer).expect("it waits").active);
}
