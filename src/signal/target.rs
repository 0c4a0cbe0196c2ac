//! What a viewer asks to see.

use super::error::Problem;
use crate::room::event::Target;

/// What a query asks to see: `participant=p7`, `participant=active-speaker`, `track=t12`; the stream of the room's name
/// where it asks for nothing.
pub(super) fn asked(query: &str, members: bool) -> Result<Target, Problem> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| matches!(*name, "participant" | "track"));
    named.next().map_or(Ok(Target::Stream { members }), |(name, value)| self::named(name, value, members))
}

/// A participant or a track. They are for those who may join the room.
pub(super) fn named(name: &str, value: &str, members: bool) -> Result<Target, Problem> {
    if !members {
        return Err(Problem::no_room_key());
    }
    let target = match (name, value) {
        ("participant", "active-speaker") => Some(Target::Speaker),
        ("participant", id) => id.parse().ok().map(Target::Participant),
        (_, id) => id.parse().ok().map(Target::Track),
    };
    target
        .ok_or_else(|| Problem::bad_request(format!("There is no {name} {value:?}: ids are as p7 and t12.")))
}
