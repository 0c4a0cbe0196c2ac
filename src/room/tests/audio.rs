//! Who is heard.

use super::world::{Kit, World, intent};
use crate::ids::{ParticipantId, TrackId};
use crate::protocol::client::{AudioView, ClientMessage, View};
use crate::protocol::shared::Source;

fn crowd(world: &mut World, count: usize) -> (ParticipantId, Vec<ParticipantId>, Vec<TrackId>) {
    let ada = world.join("Ada");
    let others: Vec<_> = (0..count).map(|_| world.join("Other")).collect();
    let mics = others.iter().map(|other| world.track(*other, "mic")).collect();
    (ada, others, mics)
}

fn listen(world: &mut World, who: ParticipantId, tracks: &[TrackId], auto: bool) {
    let audio = AudioView { tracks: tracks.to_vec(), auto };
    world.request(who, ClientMessage::View(View { audio, ..View::default() }));
}

#[test]
fn whoever_can_be_heard_gets_a_slot_with_the_next_levels() {
    let mut world = World::new();
    let (ada, others, mics) = crowd(&mut world, 6);
    for pair in [[0, 1], [4, 5], [2, 3], [5, 0]] {
        let all: Vec<_> = (0..6).map(|n| (mics[n], if pair.contains(&n) { 90 } else { 0 })).collect();
        world.levels(&all);
        let mut heard = world.picture(ada).live("a");
        heard.sort_unstable();
        let mut expected = pair.map(|n| mics[n]);
        expected.sort_unstable();
        assert_eq!(heard, expected);
        let mut speakers = world.picture(ada).speakers.clone();
        speakers.sort_unstable();
        let mut expected = pair.map(|n| others[n]);
        expected.sort_unstable();
        assert_eq!(speakers, expected);
    }
}

#[test]
fn the_loudest_are_heard_and_what_is_heard_does_not_jump_between_slots() {
    let mut world = World::new();
    let (ada, _, mics) = crowd(&mut world, 4);
    world.levels(&[(mics[0], 90), (mics[1], 80), (mics[2], 60)]);
    let before = (world.picture(ada).slot("a0"), world.picture(ada).slot("a1"));
    world.levels(&[(mics[0], 80), (mics[1], 95)]);
    assert_eq!((world.picture(ada).slot("a0"), world.picture(ada).slot("a1")), before);
    world.levels(&[(mics[3], 120)]);
    assert!(world.picture(ada).live("a").contains(&mics[3]));
    assert!(world.picture(ada).live("a").contains(&mics[1]));
}

#[test]
fn a_voice_that_was_asked_for_stays_and_without_auto_nobody_else_comes() {
    let mut world = World::new();
    let (ada, _, mics) = crowd(&mut world, 4);
    let own = world.track(ada, "mic");
    listen(&mut world, ada, &[own, mics[3]], true);
    world.levels(&[(mics[0], 120), (mics[1], 110), (own, 127)]);
    let heard = world.picture(ada).live("a");
    assert!(heard.contains(&mics[3]) && heard.contains(&mics[0]) && heard.len() == 2, "{heard:?}");
    listen(&mut world, ada, &[own, mics[2]], false);
    assert_eq!(world.picture(ada).live("a"), [mics[2]]);
}

#[test]
fn who_is_muted_neither_speaks_nor_takes_a_slot() {
    let mut world = World::new();
    let (ada, others, mics) = crowd(&mut world, 3);
    world.levels(&[(mics[0], 120), (mics[1], 110), (mics[2], 100)]);
    world.mute(others[0], "mic", true);
    world.levels(&[(mics[0], 127), (mics[1], 110), (mics[2], 100)]);
    let mut heard = world.picture(ada).live("a");
    heard.sort_unstable();
    assert_eq!(heard, mics[1..]);
    assert_eq!(world.picture(ada).speakers, others[1..]);
}

#[test]
fn the_sound_of_a_screen_is_heard_and_nobody_is_said_to_speak_twice() {
    let mut world = World::new();
    let tracks =
        vec![intent("mic", Source::Mic), intent("tab", Source::ScreenAudio), intent("second", Source::Mic)];
    let (ada, ben) = (world.join("Ada"), world.join_with("Ben", &Kit { tracks, ..Kit::default() }));
    let [mic, tab, second] = ["mic", "tab", "second"].map(|mid| world.track(ben, mid));
    world.levels(&[(tab, 120)]);
    assert!(world.picture(ada).live("a").contains(&tab));
    assert!(world.picture(ada).speakers.is_empty());
    world.levels(&[(tab, 120), (mic, 90), (second, 90)]);
    assert_eq!(world.picture(ada).speakers, [ben]);
}
