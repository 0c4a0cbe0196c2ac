//! Messages between participants.

use super::world::World;
use crate::ids::ParticipantId;
use crate::protocol::client::{ClientMessage, Send};
use crate::protocol::server::ErrorCode;
use crate::room::event::Event;
use crate::sfu::session::channels::ChannelKind;

fn open(world: &mut World, who: ParticipantId, channel: ChannelKind) {
    world.handle(Event::ChannelOpen(world.session(who), channel));
}

fn came(world: &mut World, who: ParticipantId) -> Vec<String> {
    let session = world.session(who);
    let inbox = std::mem::take(&mut world.sessions.get_mut(&session).expect("a session").inbox);
    inbox.iter().map(|message| String::from_utf8_lossy(&message.bytes).into_owned()).collect()
}

#[test]
fn a_message_takes_the_channel_it_came_by_and_else_the_websocket() {
    let mut world = World::new();
    let (ada, ben, cleo) = (world.join("Ada"), world.join("Ben"), world.join("Cleo"));
    open(&mut world, ada, ChannelKind::Reliable);
    open(&mut world, ben, ChannelKind::Reliable);
    world.data(ada, ChannelKind::Reliable, r#"{"topic":"chat","body":{"text":"hi"}}"#);
    let forwarded = format!(r#"{{"from":"{ada}","topic":"chat","body":{{"text":"hi"}}}}"#);
    assert_eq!(came(&mut world, ben), [forwarded]);
    assert!(world.picture(ben).messages().is_empty(), "once is enough");
    let messages = world.picture(cleo).messages();
    assert_eq!((messages.len(), messages[0].from), (1, ada));
    assert_eq!(messages[0].body["text"], "hi");
    assert!(came(&mut world, ada).is_empty() && world.picture(ada).messages().is_empty());

    world.data(ada, ChannelKind::Lossy, r#"{"topic":"pointer","body":[1,2]}"#);
    assert!(came(&mut world, ben).is_empty(), "it has no lossy channel, and late is too late");
    assert!(world.picture(cleo).messages().is_empty());
}

#[test]
fn a_message_for_one_reaches_nobody_else() {
    let mut world = World::new();
    let (ada, ben, cleo) = (world.join("Ada"), world.join("Ben"), world.join("Cleo"));
    let text = format!(r#"{{"to":["{ben}","{ben}"],"topic":"chat","body":1}}"#);
    world.data(ada, ChannelKind::Reliable, &text);
    assert_eq!(world.picture(ben).messages().len(), 1);
    assert!(world.picture(cleo).messages().is_empty());
    let send = |to| ClientMessage::Send(Send { to: Some(to), topic: String::new(), body: 1.into() });
    world.request(ada, send(vec![cleo]));
    assert_eq!((world.picture(cleo).messages().len(), world.picture(ben).messages().len()), (1, 0));
    world.picture(ada).news();
    world.request(ada, send(vec![ParticipantId(999)]));
    assert_eq!(world.outcome(ada), Err(ErrorCode::NotFound));
}

#[test]
fn messages_have_a_form_and_a_size() {
    let mut world = World::new();
    let (ada, ben) = (world.join("Ada"), world.join("Ben"));
    world.picture(ada).news();
    world.data(ada, ChannelKind::Reliable, "hello");
    world.data(ada, ChannelKind::Reliable, &format!(r#"{{"body":"{}"}}"#, "x".repeat(65_510)));
    assert_eq!(world.picture(ada).errors(), [ErrorCode::BadMessage, ErrorCode::TooLarge]);
    for (topic, body) in [("t".repeat(65), "x".to_owned()), (String::new(), "x".repeat(70_000))] {
        world.request(ada, ClientMessage::Send(Send { to: None, topic, body: body.into() }));
        assert_eq!(world.outcome(ada), Err(ErrorCode::TooLarge));
    }
    assert!(world.picture(ben).messages().is_empty());
}
