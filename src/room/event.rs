//! What a room hears, and what it wants done.

use crate::ids::{ParticipantId, SessionId, TrackId};
use crate::protocol::client::{ClientMessage, TrackIntent};
use crate::protocol::server::{Bye, Reply, Welcome};
use crate::sfu::egress::allocate::Wish;
use crate::sfu::session::channels::{ChannelKind, DataMessage};
use crate::sfu::session::negotiate::{AnsweredSlot, AnsweredTrack};
use crate::sfu::session::offer::OfferError;
use crate::sfu::session::renegotiate::Renegotiated;
use crate::sfu::session::stats::SessionStats;
use crate::units::{AudioLevel, Format};

/// A peer connection as a room sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// The session.
    pub session: SessionId,
    /// What it can publish.
    pub tracks: Vec<AnsweredTrack>,
    /// What it can receive.
    pub slots: Vec<AnsweredSlot>,
}

/// Somebody who joins.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its id: a new one, or that of the participant that is resumed.
    pub participant: ParticipantId,
    /// Its name and metadata; a resumed participant keeps its own where these are missing.
    pub name: Option<String>,
    /// What the application keeps with it.
    pub meta: serde_json::Map<String, serde_json::Value>,
    /// Its peer connection. Only a resumed participant may go on with the one it has.
    pub media: Option<Media>,
    /// What it publishes.
    pub tracks: Vec<TrackIntent>,
    /// The `id` of its join.
    pub request: Option<u32>,
    /// The welcome, to which the room adds what only it knows.
    pub welcome: Box<Welcome>,
}

/// What a WHEP viewer wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The WHIP stream. While there is none, the participants as with `Speaker`, if the viewer may see them.
    Stream {
        /// Whether it may.
        members: bool,
    },
    /// Whoever speaks.
    Speaker,
    /// One participant.
    Participant(ParticipantId),
    /// One track.
    Track(TrackId),
}

/// What happens to a room.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Somebody joins, or resumes.
    Join(Entry),
    /// A participant asks for something.
    Request {
        /// Who.
        participant: ParticipantId,
        /// The number of the request.
        id: Option<u32>,
        /// What.
        message: ClientMessage,
    },
    /// A participant's WebSocket broke.
    SocketLost(ParticipantId),
    /// A participant leaves, or is made to.
    Leave(ParticipantId, Bye),
    /// Everybody is made to leave.
    CloseRoom(Bye),
    /// A later offer of a participant was answered, or refused.
    Answered {
        /// Its session.
        session: SessionId,
        /// The `id` of the request.
        re: Option<u32>,
        /// The answer, and all tracks and slots from now on.
        outcome: Result<Renegotiated, OfferError>,
    },
    /// A WHIP publisher's offer was answered.
    Publish {
        /// The publisher, as a participant.
        participant: ParticipantId,
        /// Its session.
        session: SessionId,
        /// Its tracks.
        tracks: Vec<AnsweredTrack>,
    },
    /// A WHEP viewer's offer was answered.
    Watch {
        /// Its session.
        session: SessionId,
        /// Its slots.
        slots: Vec<AnsweredSlot>,
        /// What it wants to see.
        target: Target,
    },
    /// A WHEP viewer chooses what it sees, or how large.
    Choose {
        /// Its session.
        session: SessionId,
        /// What it wants to see from now on, if that is something else.
        target: Option<Target>,
        /// The index of a slot, and what the viewer makes of what is in it.
        wish: Option<(usize, Wish)>,
    },
    /// A session's media can flow.
    Connected(SessionId),
    /// A session is gone.
    Ended(SessionId),
    /// A track turned out to have this format.
    Format(TrackId, Format),
    /// A slot's receiver has no decoder for what its track has become.
    Unplayable(SessionId, TrackId, Format),
    /// A video slot shows another track from here on.
    Began {
        /// The session of the slot.
        session: SessionId,
        /// The slot.
        slot: usize,
        /// The track.
        track: TrackId,
        /// The RTP timestamp of its first frame there.
        timestamp: u32,
    },
    /// A participant's link does not carry what a slot shows, or does again.
    Throttled {
        /// The session of the slot.
        session: SessionId,
        /// The slot.
        slot: usize,
        /// The track.
        track: TrackId,
        /// Whether nothing is sent.
        paused: bool,
    },
    /// The encodings of a track that anybody gets, by `rid`, sorted; all of them, where there is no list.
    Used(TrackId, Option<Vec<String>>),
    /// A data channel opened.
    ChannelOpen(SessionId, ChannelKind),
    /// A message came through a data channel.
    Data(SessionId, ChannelKind, DataMessage),
    /// A session sends more through its data channels than it may.
    DataRefused(SessionId),
    /// Messages for a session were lost, as it does not take them.
    DataLost(SessionId),
    /// How loud audio tracks are: all that can be heard, and those that just fell silent.
    Levels(Vec<(TrackId, AudioLevel)>),
    /// How a session does.
    Stats(Box<SessionStats>),
    /// Time passes.
    Tick,
}

/// What the room wants done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Put a track behind a slot, or nothing.
    Bind {
        /// The subscriber.
        session: SessionId,
        /// The slot.
        slot: usize,
        /// The track.
        track: Option<TrackId>,
    },
    /// Let the worker know how a subscriber shows what is in a slot.
    Wish {
        /// The subscriber.
        session: SessionId,
        /// The slot.
        slot: usize,
        /// What it makes of the track in it.
        wish: Wish,
    },
    /// Forward nothing of a track, or go on with it.
    Mute {
        /// The publisher.
        session: SessionId,
        /// The track.
        track: TrackId,
        /// Whether it is muted.
        muted: bool,
    },
    /// Send a message through data channels.
    Data {
        /// The receivers.
        to: Vec<SessionId>,
        /// Which channel.
        channel: ChannelKind,
        /// The message.
        message: DataMessage,
    },
    /// Answer a later offer.
    Offer {
        /// Whose.
        session: SessionId,
        /// The number of the request.
        request: Option<u32>,
        /// The offer.
        sdp: String,
    },
    /// Tell participants something.
    Tell {
        /// Those who have a WebSocket at this moment.
        to: Vec<ParticipantId>,
        /// What.
        reply: Reply,
    },
    /// Close a participant's WebSocket; what it was told before still arrives.
    HangUp(ParticipantId),
    /// Forget a participant: its resume token is void.
    Forget(ParticipantId),
    /// End a session.
    Close(SessionId),
}
