//! What crosses the border of a media thread. Values only, no handles: the same messages could cross a network.

use std::net::SocketAddr;
use std::sync::Arc;

use super::placement::Load;
use crate::ids::{RequestId, SessionId, TrackId, WorkerId};
use crate::net::demux::IceCredentials;
use crate::net::report::SendDrops;
use crate::net::streams::counters::StreamCounters;
use crate::sfu::CoreEvent;
use crate::sfu::counters::{Counters, Histogram};
use crate::sfu::egress::allocate::Wish;
use crate::sfu::relay::{Note, TrackHome};
use crate::sfu::session::Session;
use crate::sfu::session::channels::{ChannelKind, DataMessage};
use crate::sfu::session::restart::ClientCredentials;
use crate::turn;

/// From the control plane or another worker to a worker. Never lost, and carried out in order; the worker takes them between
/// batches.
pub enum Command {
    /// Drive this session from now on.
    Join(Box<Session>),
    /// End a session, with a goodbye to its peer.
    Leave(SessionId),
    /// Put a track behind a slot of a session, or nothing.
    Bind {
        /// The subscriber.
        session: SessionId,
        /// The slot's index in the subscriber's session.
        slot: usize,
        /// The track, of whichever worker. `None` leaves the slot empty.
        track: Option<TrackHome>,
    },
    /// How a subscriber shows what is in a slot.
    Wish {
        /// The subscriber.
        session: SessionId,
        /// The slot's index in the subscriber's session.
        slot: usize,
        /// What it makes of the track in it.
        wish: Wish,
    },
    /// Answer a later offer of a participant, with [`CoreEvent::Answered`].
    Offer {
        /// The participant's session.
        session: SessionId,
        /// What the reply shall be known by.
        request: RequestId,
        /// The SDP.
        offer: String,
    },
    /// Restart ICE on a session of WHIP or WHEP.
    Restart {
        /// The session.
        session: SessionId,
        /// What the client's checks have to show from now on.
        ice: IceCredentials,
        /// The client's credentials from now on.
        client: ClientCredentials,
    },
    /// Mute a track, or let it be heard and seen again.
    Mute {
        /// The track.
        track: TrackId,
        /// Whether nothing of it is forwarded.
        muted: bool,
    },
    /// Send a message to sessions through a data channel. Those that have not opened it are left out.
    Send {
        /// The receivers.
        to: Vec<SessionId>,
        /// Which channel.
        channel: ChannelKind,
        /// The message, shared by all of them.
        message: DataMessage,
    },
    /// The addresses at which media comes from now on: what the relay may reach.
    Media(Vec<SocketAddr>),
    /// What another worker has to say.
    Note(WorkerId, Note),
    /// End all sessions with a goodbye, then the thread.
    Stop,
}

/// From a worker to the control plane. Never lost: each session causes a handful in its life, one for each request and
/// each binding, one for each message it sends, of which it has an allowance, and one every two seconds about how it does;
/// a track whose format changes again and again causes one a second at most, and levels come five times a second for all
/// tracks together. So the queue stays short.
pub type Event = CoreEvent;

/// What a worker counted, copied out once a second. Only the newest matters: a reader may miss any number of them.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The forwarding core's counters.
    pub core: Counters,
    /// The sockets' counters.
    pub udp: UdpCounters,
    /// How long a turn of the worker's loop took, without waiting.
    pub turn_time: Histogram,
    /// What was sent to other workers.
    pub relay: RelayCounters,
    /// What happened to streams; of all workers together, as none of them has it alone.
    pub streams: Arc<StreamCounters>,
    /// What TURN did.
    pub turn: TurnCounters,
    /// How busy the worker is.
    pub load: Load,
}

/// What a worker had for other workers. What was dropped is counted as sent too.
#[derive(Debug, Clone, Copy, Default)]
pub struct RelayCounters {
    /// Media packets, once for each worker that got them.
    pub packets: u64,
    /// Those of them that found the other's queue full.
    pub packets_dropped: u64,
    /// Datagrams for sessions of another worker, handed over.
    pub datagrams: u64,
    /// Those of them that found the other's queue full.
    pub datagrams_dropped: u64,
    /// Datagrams for TURN clients of another worker, handed over.
    pub to_clients: u64,
    /// Those of them that found the other's queue full.
    pub to_clients_dropped: u64,
}

/// What TURN counted on a worker.
#[derive(Debug, Clone, Copy, Default)]
pub struct TurnCounters {
    /// Allocations at this moment.
    pub allocations: u64,
    /// What the server counted.
    pub server: turn::counters::Counters,
    /// What could not be sent to a client, as it has no connection any more.
    pub undelivered: u64,
}

/// Counters of a worker's sockets. Bytes are UDP payload.
#[derive(Debug, Clone, Copy, Default)]
pub struct UdpCounters {
    /// Datagrams received.
    pub packets_in: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub packets_out: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Datagrams that the kernel refused to send, by cause.
    pub unsent: SendDrops,
    /// System calls made to send.
    pub send_calls: u64,
}
