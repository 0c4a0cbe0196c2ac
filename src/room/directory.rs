//! Who is where: rooms by name, sessions by id, and the unguessable resources by which HTTP clients name sessions.
//!
//! The maps are concurrent; every method takes what it needs in one short visit and gives values back, so that no
//! guard outlives it.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;

use super::room::{Action, Room, WatchError};
use crate::ids::{RoomName, SessionId, TrackId, WorkerId};
use crate::sfu::session::negotiate::{AnsweredSlot, AnsweredTrack};
use crate::units::Format;

/// How long an ended session still answers to DELETE: OBS closes DTLS first and deletes afterwards.
const TOMBSTONE: Duration = Duration::from_secs(30);

/// The name of a session in a URL: 128 random bits as 32 hexadecimal digits. Who knows it may end the session
/// (RFC 9725 section 5 asks for that many), so it must come from a cryptographic generator and stay out of logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceId(u128);

impl ResourceId {
    /// A resource out of random bytes.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(random))
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResourceId(..)")
    }
}

/// A text that is no resource id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAResource;

impl FromStr for ResourceId {
    type Err = NotAResource;

    fn from_str(text: &str) -> Result<Self, NotAResource> {
        let plain =
            text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        u128::from_str_radix(text, 16).ok().filter(|_| plain).map(Self).ok_or(NotAResource)
    }
}

/// Whether a session publishes or watches: the two have different URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// WHIP.
    Publish,
    /// WHEP.
    Watch,
}

/// A session as HTTP sees it.
#[derive(Clone)]
pub struct Resource {
    /// The session.
    pub session: SessionId,
    /// The room in its URL.
    pub room: RoomName,
    /// Which side it is on.
    pub side: Side,
    /// The entity tag of its ICE session (RFC 9725 section 4.3.1), without quotes.
    pub etag: String,
    /// The client's ICE user fragments and passwords: others in a PATCH mean a restart.
    pub remote_credentials: Vec<(String, String)>,
    ended: Option<Instant>,
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("session", &self.session)
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

impl Resource {
    /// A resource of a live session.
    #[must_use]
    pub fn new(
        session: SessionId,
        room: RoomName,
        side: Side,
        etag: String,
        remote: Vec<(String, String)>,
    ) -> Self {
        Self { session, room, side, etag, remote_credentials: remote, ended: None }
    }

    /// Whether the session is still there; a tombstone is not.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.ended.is_none()
    }
}

#[derive(Debug, Clone)]
struct Home {
    room: RoomName,
    worker: WorkerId,
    resource: ResourceId,
    connected: bool,
}

/// The directory of this process.
#[derive(Debug, Default)]
pub struct Directory {
    rooms: DashMap<RoomName, Room>,
    sessions: DashMap<SessionId, Home>,
    tracks: DashMap<TrackId, SessionId>,
    resources: DashMap<ResourceId, Resource>,
    connecting: AtomicUsize,
}

/// How many rooms there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Rooms with anybody in them.
    pub rooms: u64,
    /// Rooms with a publisher on air.
    pub streams: u64,
}

impl Directory {
    /// Enters a publisher.
    pub fn publish(&self, id: ResourceId, resource: Resource, worker: WorkerId, tracks: Vec<AnsweredTrack>) {
        for track in &tracks {
            self.tracks.insert(track.id, resource.session);
        }
        self.rooms.entry(resource.room.clone()).or_default().publish(resource.session, tracks);
        self.enter(id, resource, worker);
    }

    /// Enters a viewer.
    ///
    /// # Errors
    /// As [`Room::watch`]; then nothing was entered.
    pub fn watch(
        &self,
        id: ResourceId,
        resource: Resource,
        worker: WorkerId,
        slots: Vec<AnsweredSlot>,
    ) -> Result<Vec<Action>, WatchError> {
        let mut room = self.rooms.get_mut(&resource.room).ok_or(WatchError::NotLive)?;
        let actions = room.watch(resource.session, slots)?;
        drop(room);
        self.enter(id, resource, worker);
        Ok(actions)
    }

    fn enter(&self, id: ResourceId, resource: Resource, worker: WorkerId) {
        let home = Home { room: resource.room.clone(), worker, resource: id, connected: false };
        self.connecting.fetch_add(1, Ordering::Relaxed);
        self.sessions.insert(resource.session, home);
        self.resources.insert(id, resource);
    }

    /// Whether somebody publishes to the room.
    #[must_use]
    pub fn is_live(&self, room: &RoomName) -> bool {
        self.rooms.get(room).is_some_and(|room| room.is_live())
    }

    /// The resource of a URL, live or a tombstone.
    #[must_use]
    pub fn resource(&self, id: ResourceId) -> Option<Resource> {
        self.resources.get(&id).map(|resource| resource.clone())
    }

    /// The worker that drives a session.
    #[must_use]
    pub fn worker(&self, session: SessionId) -> Option<WorkerId> {
        self.sessions.get(&session).map(|home| home.worker)
    }

    /// A session's media can flow.
    #[must_use]
    pub fn connected(&self, session: SessionId) -> Vec<Action> {
        if let Some(mut home) = self.sessions.get_mut(&session).filter(|home| !home.connected) {
            home.connected = true;
            self.connecting.fetch_sub(1, Ordering::Relaxed);
        }
        self.in_room_of(session, |room| room.connected(session))
    }

    /// A track has this format.
    pub fn format(&self, track: TrackId, format: Format) {
        let Some(publisher) = self.tracks.get(&track).map(|session| *session) else { return };
        self.in_room_of(publisher, |room| {
            room.format(track, format);
            Vec::new()
        });
    }

    /// A session is gone. Its URL answers for a while longer.
    #[must_use]
    pub fn ended(&self, now: Instant, session: SessionId) -> Vec<Action> {
        let actions = self.in_room_of(session, |room| room.ended(session));
        let Some((_, home)) = self.sessions.remove(&session) else { return actions };
        if !home.connected {
            self.connecting.fetch_sub(1, Ordering::Relaxed);
        }
        self.rooms.remove_if(&home.room, |_, room| room.is_empty());
        self.tracks.retain(|_, publisher| *publisher != session);
        if let Some(mut resource) = self.resources.get_mut(&home.resource) {
            resource.ended = Some(now);
        }
        let fresh = |ended: Instant| now.saturating_duration_since(ended) < TOMBSTONE;
        self.resources.retain(|_, resource| resource.ended.is_none_or(fresh));
        actions
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many of them have not got ICE and DTLS through yet.
    #[must_use]
    pub fn connecting(&self) -> usize {
        self.connecting.load(Ordering::Relaxed)
    }

    /// Counts the rooms.
    #[must_use]
    pub fn census(&self) -> Census {
        let streams = self.rooms.iter().filter(|room| room.is_live()).count();
        Census { rooms: self.rooms.len() as u64, streams: streams as u64 }
    }

    fn in_room_of(&self, session: SessionId, visit: impl FnOnce(&mut Room) -> Vec<Action>) -> Vec<Action> {
        let name = self.sessions.get(&session).map(|home| home.room.clone());
        let room = name.and_then(|name| self.rooms.get_mut(&name));
        room.map(|mut room| visit(&mut room)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Codec;

    fn resource(session: u64, room: &RoomName) -> Resource {
        Resource::new(SessionId(session), room.clone(), Side::Publish, "tag".into(), Vec::new())
    }

    #[test]
    fn an_ended_session_leaves_a_tombstone_and_no_room() {
        let directory = Directory::default();
        let (start, room) = (Instant::now(), "live".parse::<RoomName>().expect("a name"));
        let id = ResourceId::new([7; 16]);
        let format = Format::new(Codec::Vp8, "");
        let track = AnsweredTrack { id: TrackId(1), mid: "0".into(), kind: Codec::Vp8.kind(), format };
        directory.publish(id, resource(1, &room), WorkerId(0), vec![track]);
        assert_eq!(directory.connecting(), 1);
        assert_eq!(directory.connected(SessionId(1)), []);
        assert_eq!(directory.connecting(), 0);
        assert_eq!((directory.is_live(&room), directory.census().streams), (true, 1));

        assert_eq!(directory.ended(start, SessionId(1)), []);
        assert_eq!(directory.census(), Census::default());
        assert!(directory.tracks.is_empty());
        assert!(directory.resource(id).is_some_and(|resource| !resource.is_live()));

        let other = ResourceId::new([8; 16]);
        directory.publish(other, resource(2, &room), WorkerId(0), vec![]);
        let _ = directory.ended(start + TOMBSTONE, SessionId(2));
        assert_eq!(directory.connecting(), 0, "it ended without having connected");
        assert!(directory.resource(id).is_none(), "tombstones do not pile up");
    }

    #[test]
    fn resource_ids_are_exact() {
        let id = ResourceId::new([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "abc", &"A".repeat(32), &"+".repeat(32), &format!("{id}0")] {
            assert_eq!(bad.parse::<ResourceId>(), Err(NotAResource), "{bad:?}");
        }
    }
}
