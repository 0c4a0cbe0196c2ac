//! What the core tells the control plane.

use crate::ids::{RequestId, SessionId, TrackId};
use crate::sfu::forward::habits::Advice;
use crate::sfu::session::EndReason;
use crate::sfu::session::channels::{ChannelKind, DataMessage};
use crate::sfu::session::offer::OfferError;
use crate::sfu::session::renegotiate::Renegotiated;
use crate::sfu::session::stats::SessionStats;
use crate::units::{AudioLevel, Format};

/// What the core tells the control plane.
#[derive(Debug, Clone, PartialEq)]
pub enum CoreEvent {
    /// Media can flow.
    Connected(SessionId),
    /// A track is received for the first time, or in another format than before.
    TrackFormat(TrackId, Format),
    /// A track's encoder does something that spoils it for viewers. Told once for each source and habit.
    Advice(TrackId, Advice),
    /// A participant's later offer was answered or refused.
    Answered {
        /// The participant's session.
        session: SessionId,
        /// Which request this is the reply to.
        request: RequestId,
        /// The answer with all tracks and slots of the session, or why there is none.
        outcome: Result<Renegotiated, OfferError>,
    },
    /// A participant has no decoder for what a slot's track is now. Told once for each binding, and again when the format
    /// changes; the rest of the session goes on.
    Unplayable {
        /// The participant's session.
        session: SessionId,
        /// The index of the slot.
        slot: usize,
        /// The bound track.
        track: TrackId,
        /// The track's format.
        format: Format,
    },
    /// A video slot of a participant shows another track from here on.
    Began {
        /// The participant's session.
        session: SessionId,
        /// The index of the slot.
        slot: usize,
        /// The track.
        track: TrackId,
        /// The RTP timestamp of the track's first frame in this slot.
        timestamp: u32,
    },
    /// A participant's link does not carry what a slot shows, so that nothing is sent for it now; or it does again. The slot
    /// stays bound. Told when it changes.
    Throttled {
        /// The participant's session.
        session: SessionId,
        /// The index of the slot.
        slot: usize,
        /// The bound track.
        track: TrackId,
        /// Whether nothing is sent.
        paused: bool,
    },
    /// Which encodings of a video track anybody gets, or is about to get. Told when it changes.
    Used {
        /// The track.
        track: TrackId,
        /// The `rid`s of those encodings (RFC 8851), sorted. `None` where all of them are used, and for a track whose encodings
        /// have no names.
        rids: Option<Vec<String>>,
    },
    /// How loud the audio tracks are that can be heard, the loudest first, and which have just fallen silent. Told every
    /// 200 ms at most, and only while there is something to tell.
    AudioLevels(Vec<(TrackId, AudioLevel)>),
    /// A client opened one of its data channels: it can be sent messages on it.
    ChannelOpen {
        /// The client's session.
        session: SessionId,
        /// Which of the two.
        channel: ChannelKind,
    },
    /// A client sent a message on a data channel.
    Data {
        /// The client's session.
        session: SessionId,
        /// Which of the two.
        channel: ChannelKind,
        /// The message.
        message: DataMessage,
    },
    /// A client sends more messages than it may, and some were dropped. Told once a second at most.
    DataRefused {
        /// The client's session.
        session: SessionId,
    },
    /// A client takes reliable messages too slowly, and some for it were dropped. Told once a second at most.
    DataLost {
        /// The client's session.
        session: SessionId,
    },
    /// How the media of a session flows. Told every two seconds of every connected session.
    Stats(Box<SessionStats>),
    /// A session is gone, and its tracks with it.
    Ended(SessionId, EndReason),
}
