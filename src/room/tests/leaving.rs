//! Going away: on purpose, by accident, and by order.

use std::time::Duration;

use super::picture::Seen;
use super::world::{Kit, World};
use crate::protocol::RESUME_WITHIN;
use crate::protocol::server::{Bye, ByeCode, ErrorCode, PauseReason};
use crate::protocol::shared::PeerState;
use crate::room::event::Event;

fn bye(code: ByeCode) -> Bye {
    Bye { code, message: "Go.".to_owned(), retry_ms: None }
}

#[test]
fn who_leaves_is_gone_at_once_with_all_that_it_sent() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let (cam, session) = (world.track(ada, "cam"), world.session(ada));
    world.look(ben, &[cam]);
    world.leave(ada);
    assert_eq!(world.former[&ada].bye(), Some(ByeCode::Left));
    assert!(world.forgotten.contains(&ada), "its token is void");
    assert!(!world.sessions.contains_key(&session));
    assert!(world.picture(ben).peers.is_empty());
    assert_eq!(world.picture(ben).slot("v0"), Seen::Paused(cam, PauseReason::Gone));
    world.leave(ben);
    assert!(world.room.is_empty());
}

#[test]
fn who_does_not_come_back_in_time_is_gone() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    world.cut(ada);
    world.wait(RESUME_WITHIN - Duration::from_secs(1));
    assert_eq!(world.picture(ben).state_of(ada), Some(PeerState::Reconnecting));
    world.wait(Duration::from_secs(1));
    assert_eq!(world.picture(ben).state_of(ada), None);
    assert!(world.forgotten.contains(&ada));
}

#[test]
fn who_comes_back_begins_a_new_time() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    for _ in 0..3 {
        world.cut(ada);
        world.wait(RESUME_WITHIN - Duration::from_secs(1));
        world.resume(ada, None);
    }
    assert_eq!(world.picture(ben).state_of(ada), Some(PeerState::Here));
}

#[test]
fn lost_media_are_told_and_renewed_or_the_end() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let cam = world.track(ada, "cam");
    world.look(ben, &[cam]);
    world.end(world.session(ada));
    assert_eq!(world.picture(ada).errors(), [ErrorCode::Media]);
    assert_eq!(world.picture(ben).slot("v0"), Seen::Paused(cam, PauseReason::Gone));
    assert!(world.picture(ben).peers[&ada].tracks.is_empty(), "they do not come back under these ids");
    world.wait(Duration::from_secs(2));
    assert_eq!(world.picture(ben).state_of(ada), Some(PeerState::Reconnecting));

    world.resume(ada, None);
    assert_eq!(world.former[&ada].bye(), Some(ByeCode::Refused), "there is nothing to go on with");
    world.resume(ada, Some(&Kit::default()));
    assert_eq!(world.picture(ben).peers[&ada].tracks.len(), 2);
    assert_eq!(world.picture(ben).state_of(ada), Some(PeerState::Here));

    world.end(world.session(ada));
    world.wait(RESUME_WITHIN);
    assert_eq!(world.former[&ada].bye(), Some(ByeCode::Timeout));
    assert!(world.picture(ben).peers.is_empty());
}

#[test]
fn a_participant_is_removed_and_a_room_closed() {
    let mut world = World::new();
    let (ada, ben, cleo) = (world.join("Ada"), world.join("Ben"), world.join("Cleo"));
    world.handle(Event::Leave(ben, bye(ByeCode::Removed)));
    assert_eq!(world.former[&ben].bye(), Some(ByeCode::Removed));
    assert_eq!(world.picture(ada).peers.len(), 1);
    let (stream, session) = world.whip();
    world.connected(session);
    world.whep(crate::room::event::Target::Stream { members: true });
    world.handle(Event::CloseRoom(bye(ByeCode::RoomClosed)));
    for gone in [ada, cleo] {
        assert_eq!(world.former[&gone].bye(), Some(ByeCode::RoomClosed));
        assert!(world.forgotten.contains(&gone));
    }
    assert!(world.room.is_empty() && world.sessions.is_empty(), "{stream} and its viewer, too");
}

#[test]
fn events_that_come_too_late_change_nothing() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    let (session, mic) = (world.session(ada), world.track(ada, "mic"));
    world.ends_late = true;
    world.leave(ada);
    world.picture(ben).news();
    world.handle(Event::Connected(session));
    world.handle(Event::SocketLost(ada));
    world.handle(Event::Leave(ada, bye(ByeCode::Left)));
    world.levels(&[(mic, 90)]);
    world.end_all();
    assert_eq!(world.picture(ben).news(), []);
}
