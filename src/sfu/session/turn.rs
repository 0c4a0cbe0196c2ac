//! What passes between a session and the core in a turn.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::channels::{ChannelKind, DataMessage};
use super::ending::EndReason;
use super::stats::SessionStats;
use crate::ids::TrackId;
use crate::net::addresses::AddressMap;
use crate::net::datagram::SendBatch;
use crate::sfu::counters::Counters;
use crate::sfu::forward::histories::Histories;
use crate::sfu::forward::packet::{EncodingIndex, Packet};
use crate::sfu::forward::target::Target;
use crate::units::Format;

/// What a session writes to while it is being driven.
pub struct Turn<'a> {
    /// The announced addresses.
    pub addresses: &'a AddressMap,
    /// Datagrams to send.
    pub batch: &'a mut SendBatch,
    /// What happened, in order.
    pub events: &'a mut Vec<SessionEvent>,
    /// What was sent a moment ago.
    pub histories: &'a Histories,
    /// For RTCP that was opened; the memory is kept.
    pub scratch: &'a mut Vec<u8>,
    /// The last [`SourceId`] that was given out.
    pub next_source: &'a mut u64,
    /// What is counted.
    pub counters: &'a mut Counters,
}

/// A packet of this turn, and what its track's subscribers can follow.
#[derive(Debug)]
pub struct TurnMedia {
    /// Its track.
    pub track: TrackId,
    /// What can be followed.
    pub target: Target,
    /// The packet.
    pub packet: Packet,
    /// The source's number of the key frame that is kept for those who come, where one is.
    pub entry: Option<u64>,
}

/// A key frame that somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// The track.
    pub track: TrackId,
    /// The encoding.
    pub encoding: EncodingIndex,
    /// Whether it is somebody who has no picture of the track at all.
    pub begins: bool,
}

/// What became of a turn's media for one session.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served {
    /// Packets sent.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Packets that no decoder could begin with.
    pub awaiting: u64,
    /// Packets that the receiver has no codec for.
    pub unplayable: u64,
    /// Packets that could not be sealed, or had nowhere to go.
    pub unsent: u64,
    /// Packets of frames that were given up, as too much waited already.
    pub given_up: u64,
    /// A key frame that is awaited.
    pub wants: Option<Want>,
    /// The format that a viewer has no codec for, which ends its session.
    pub refused: Option<Format>,
    /// When the session wants to be driven, if that is earlier now.
    pub deadline: Option<Instant>,
}

impl Served {
    /// Adds to what is counted of all sessions.
    pub fn count(&self, counters: &mut Counters) {
        counters.media_packets_out += self.packets;
        counters.media_bytes_out += self.bytes;
        counters.awaiting_keyframe += self.awaiting;
        counters.unplayable += self.unplayable;
        counters.unsent += self.unsent;
        counters.given_up += self.given_up;
    }
}

/// What a session tells the core.
#[derive(Debug)]
pub enum SessionEvent {
    /// Media can flow; the time since the offer.
    Connected(Duration),
    /// The peer proved itself on this pair.
    Path {
        /// When.
        at: Instant,
        /// The peer's address.
        remote: SocketAddr,
        /// The real local address.
        local: SocketAddr,
    },
    /// A media packet of a published track.
    Media(TrackId, Packet),
    /// The receiver behind a slot has no decoder for what the bound track is now.
    Unplayable {
        /// The index of the slot.
        slot: usize,
        /// The bound track.
        track: TrackId,
        /// Its format.
        format: Format,
    },
    /// A video slot of a participant carries another track from here on.
    Began {
        /// The index of the slot.
        slot: usize,
        /// The track.
        track: TrackId,
        /// The RTP timestamp of its first frame there.
        timestamp: u32,
    },
    /// The link does not carry what a slot shows, so that nothing is sent for it; or it does again.
    Throttled {
        /// The index of the slot.
        slot: usize,
        /// The track.
        track: TrackId,
        /// Whether nothing is sent.
        paused: bool,
    },
    /// The decoder behind a slot needs a key frame of this encoding; of the best one, if it has none.
    KeyframeWanted(TrackId, Option<EncodingIndex>),
    /// A slot is to show this encoding, which takes a key frame of it.
    Awaits {
        /// The track.
        track: TrackId,
        /// The encoding.
        encoding: EncodingIndex,
        /// Whether it shows nothing of the track yet.
        begins: bool,
    },
    /// So many more packets were asked of this publisher again.
    Nacks(u64),
    /// The client opened one of the two data channels.
    ChannelOpen(ChannelKind),
    /// The client sent a message.
    Data(ChannelKind, DataMessage),
    /// The client sends more messages than it may; some were dropped. Told once a second at most.
    DataRefused,
    /// The client takes reliable messages too slowly; some were dropped. Told once a second at most.
    DataLost,
    /// How the media flows. Told every two seconds while the session is connected.
    Stats(Box<SessionStats>),
    /// The session is over.
    Ended(EndReason),
}
