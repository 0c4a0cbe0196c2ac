//! The unguessable names by which clients own something here: session resources, and resume tokens.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::ids::{RoomName, SessionId};
use crate::turn::bucket::{Bucket, Rate};
use crate::wire::fragment::Transport;
use crate::wire::sdp::{Sdp, Section};

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

/// Kinds of events, one bit each; which bit is which is the business of who tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Events(pub u8);

/// How many streams of events the client of a session may have at one time.
const MOST_STREAMS: usize = 4;

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
    /// What a restart is answered with, but for the credentials.
    pub transport: Transport,
    /// The mids of the sections of the offer, in their order.
    pub sections: Vec<String>,
    /// Whether its client may see the participants of the room.
    pub members: bool,
    /// The streams of events that its client made, each by its number.
    pub event_streams: Vec<(u32, Events)>,
    /// The fragment that its last ICE restart was answered with, for a client to which the answer got lost.
    pub restarted: Option<String>,
    restarts: Option<Bucket>,
    choices: Option<Bucket>,
    next_stream: u32,
    /// Who is being told events.
    listeners: Arc<AtomicUsize>,
    ended: Option<Instant>,
}

/// How often a client may restart ICE: each makes all pairs of addresses anew.
const RESTARTS: Rate = Rate { per_second: 1, burst: 5 };
/// How often a viewer may choose another picture or layer: a person by hand, a player by its size.
const CHOICES: Rate = Rate { per_second: 5, burst: 20 };

/// A client that is being told events, until this is dropped.
#[derive(Debug)]
pub struct Listening(Arc<AtomicUsize>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
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
        let transport = Transport::default();
        Self {
            session,
            room,
            side,
            etag,
            remote_credentials: remote,
            transport,
            sections: Vec::new(),
            members: false,
            event_streams: Vec::new(),
            restarted: None,
            restarts: None,
            choices: None,
            next_stream: 1,
            listeners: Arc::default(),
            ended: None,
        }
    }

    /// With what its answer tells of the transport and of the sections.
    #[must_use]
    pub fn with(self, answer: &Sdp<'_>) -> Self {
        let mid = |section: &Section<'_>| section.mid().unwrap_or_default().to_owned();
        let sections = answer.sections.iter().map(mid).collect();
        Self { transport: Transport::of(answer), sections, ..self }
    }

    /// Makes a stream of events. `None` when there are too many.
    pub(super) fn add_stream(&mut self, events: Events) -> Option<u32> {
        let number = self.next_stream;
        let is_free = self.event_streams.len() < MOST_STREAMS;
        is_free.then(|| {
            self.event_streams.push((number, events));
            self.next_stream += 1;
            number
        })
    }

    /// Whether ICE may be restarted again already. It counts as restarted.
    pub(super) fn may_restart(&mut self, now: Instant) -> bool {
        self.restarts.get_or_insert_with(|| Bucket::full(RESTARTS, now)).take(RESTARTS, now, 1)
    }

    /// Whether a viewer may choose again already. It counts as chosen.
    pub(super) fn may_choose(&mut self, now: Instant) -> bool {
        self.choices.get_or_insert_with(|| Bucket::full(CHOICES, now)).take(CHOICES, now, 1)
    }

    /// A client listens to events, whichever stream they are of. `None` when as many do as may.
    #[must_use]
    pub fn listen(&self) -> Option<Listening> {
        let before = self.listeners.fetch_add(1, Ordering::Relaxed);
        // Dropped at once, it is taken back.
        Some(Listening(self.listeners.clone())).filter(|_| before < MOST_STREAMS)
    }

    /// Whether the session is still there; a tombstone is not.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.ended.is_none()
    }

    /// The session is gone.
    pub(super) fn end(&mut self, now: Instant) {
        self.ended = Some(now);
    }

    /// Since when it is gone.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.ended
    }
}

/// What resumes a participant after a broken connection, in the form of a [`ResourceId`]. Who knows it is that
/// participant, so it stays out of logs and URLs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResumeToken(ResourceId);

impl ResumeToken {
    /// A token out of random bytes.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(ResourceId::new(random))
    }
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeToken(..)")
    }
}

impl FromStr for ResumeToken {
    type Err = NotAResource;

    fn from_str(text: &str) -> Result<Self, NotAResource> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_ids_are_exact() {
        let id = ResourceId::new([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "abc", &"A".repeat(32), &"+".repeat(32), &format!("{id}0")] {
            assert_eq!(bad.parse::<ResourceId>(), Err(NotAResource), "{bad:?}");
        }
    }
}
