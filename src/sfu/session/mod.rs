//! One participant's peer connection: the only door to its `Rtc`, which is always drained after it was touched.

pub mod offer;
mod answer;
pub mod negotiate;
pub mod dtls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::media::{KeyframeRequestKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpPacket;
use str0m::{Event, IceConnectionState, Input, Output, Rtc};

use crate::ids::{SessionId, TrackId};
use crate::net::addresses::AddressMap;
use crate::net::datagram::{Datagram, SendBatch};
use crate::net::demux::{MAX_ADDRESSES, Ufrag};
use crate::sfu::egress::{PayloadType, Sender};
use crate::sfu::forward::packet::{Extensions, Packet, SourceId, is_entry};
use crate::sfu::forward::rewrite::Rewritten;
use crate::sfu::forward::subscription::Subscription;
use crate::units::{Format, MediaKind};

/// A client that does not get through within this time never will: browsers give up after 15 to 30 s.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// A peer connection.
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The user fragment by which its connectivity checks are told.
    pub ufrag: Ufrag,
    /// What it publishes.
    pub published: Vec<PublishedTrack>,
    /// What it can receive.
    pub slots: Vec<Slot>,
    rtc: Rtc,
    payload_types: Vec<PayloadType>,
    sources: HashMap<u32, Source>,
    paths: Vec<Path>,
    nacks: HashMap<Mid, Nacks>,
    progress: Progress,
    started: Instant,
    deadline: Instant,
}

/// A track that the session sends.
#[derive(Debug, Clone, Copy)]
pub struct PublishedTrack {
    /// The track.
    pub id: TrackId,
    /// Its section.
    pub mid: Mid,
    /// Audio or video.
    pub kind: MediaKind,
}

/// A section to which a track can be bound.
#[derive(Debug)]
pub struct Slot {
    /// Audio or video.
    pub kind: MediaKind,
    /// The bound track.
    pub track: Option<TrackId>,
    /// Which source is followed, and the numbering.
    pub subscription: Subscription,
    sender: Sender,
}

/// An SSRC of the publisher.
#[derive(Debug, Clone, Copy)]
struct Source {
    track: PublishedTrack,
    id: SourceId,
}

/// An address pair on which the peer proved itself: `local` is the real local address behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Path {
    remote: SocketAddr,
    local: SocketAddr,
}

/// Packets asked for again on one section, as last read.
#[derive(Debug, Clone, Copy, Default)]
struct Nacks {
    received: u64,
    sent: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No connectivity check has succeeded.
    New,
    /// ICE works, DTLS does not yet.
    Ice,
    /// Media can flow.
    Connected,
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
    /// The decoder behind a slot needs a key frame.
    KeyframeWanted(TrackId),
    /// So many more packets were asked for again.
    Nacks {
        /// By this subscriber.
        received: u64,
        /// Of this publisher.
        sent: u64,
    },
    /// The session is over.
    Ended(EndReason),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The client sent DTLS close_notify.
    ClosedByPeer,
    /// The client or the server asked for it (DELETE, replaced, shutdown).
    Requested,
    /// Nothing was heard on any path for 15 s.
    TimedOut,
    /// No connectivity check arrived or none was right.
    IceFailed,
    /// ICE worked, the DTLS handshake did not.
    DtlsFailed,
    /// The stream now has a format that this viewer cannot decode.
    Unplayable,
    /// A protocol error or a bug in this session alone.
    Broken,
}

impl EndReason {
    /// All reasons, for metrics.
    pub const ALL: [Self; 7] = [
        Self::ClosedByPeer,
        Self::Requested,
        Self::TimedOut,
        Self::IceFailed,
        Self::DtlsFailed,
        Self::Unplayable,
        Self::Broken,
    ];

    /// The reason as a metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClosedByPeer => "closed_by_peer",
            Self::Requested => "requested",
            Self::TimedOut => "timed_out",
            Self::IceFailed => "ice_failed",
            Self::DtlsFailed => "dtls_failed",
            Self::Unplayable => "unplayable",
            Self::Broken => "broken",
        }
    }
}

impl Session {
    fn new(
        id: SessionId,
        ufrag: Ufrag,
        rtc: Rtc,
        payload_types: Vec<PayloadType>,
        published: Vec<PublishedTrack>,
        slots: Vec<Slot>,
        now: Instant,
    ) -> Self {
        Self {
            id,
            ufrag,
            published,
            slots,
            rtc,
            payload_types,
            sources: HashMap::new(),
            paths: Vec::new(),
            nacks: HashMap::new(),
            progress: Progress::New,
            started: now,
            deadline: now,
        }
    }

    /// When [`Self::drive`] is due.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Takes a datagram from the network.
    pub fn receive(&mut self, now: Instant, datagram: &Datagram<'_>, turn: &mut Turn<'_>) {
        let announced = turn.addresses.to_announced(datagram.local);
        let received = Receive::new(Protocol::Udp, datagram.source, announced, datagram.payload);
        let Ok(received) = received else { return turn.malformed += 1 };
        let path = Path { remote: datagram.source, local: datagram.local };
        let is_check = datagram.payload.first() == Some(&0);
        self.step(Input::Receive(now, received), now, turn, is_check.then_some(path));
    }

    /// Lets time pass; also sends what was written.
    pub fn drive(&mut self, now: Instant, turn: &mut Turn<'_>) {
        self.step(Input::Timeout(now), now, turn, None);
    }

    /// Sends a packet through a slot. It leaves with the next [`Self::drive`].
    ///
    /// # Errors
    /// The format, when the viewer cannot decode it.
    pub fn send(&mut self, slot: usize, packet: &Packet, numbers: Rewritten) -> Result<(), Format> {
        let Some(slot) = self.slots.get_mut(slot) else { return Ok(()) };
        slot.sender.send(&mut self.rtc, packet, numbers).map_err(|refused| refused.0)
    }

    /// Asks the publisher for a key frame of one source. It leaves with the next [`Self::drive`].
    pub fn request_keyframe(&mut self, source: SourceId) {
        let ssrc = self.sources.iter().find(|(_, known)| known.id == source).map(|(ssrc, _)| *ssrc);
        let stream = ssrc.map(Into::into);
        if let Some(ssrc) = stream
            && let Some(stream) = self.rtc.direct_api().stream_rx(&ssrc)
        {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    /// Says goodbye: RTCP BYE and DTLS close_notify (RFC 9725 section 4.2: the end is to be told at once).
    pub fn close(&mut self, now: Instant, turn: &mut Turn<'_>) {
        if self.rtc.close().is_ok() {
            self.drain(now, turn, None);
        }
    }

    fn step(&mut self, input: Input<'_>, now: Instant, turn: &mut Turn<'_>, check: Option<Path>) {
        if let Err(error) = self.rtc.handle_input(input) {
            tracing::warn!(session = %self.id, %error, "the session broke");
            return turn.events.push(SessionEvent::Ended(self.failure()));
        }
        self.drain(now, turn, check);
        if self.progress != Progress::Connected
            && now.saturating_duration_since(self.started) >= CONNECT_WITHIN
        {
            turn.events.push(SessionEvent::Ended(self.failure()));
        }
    }

    /// What a failure at this point is called.
    fn failure(&self) -> EndReason {
        match self.progress {
            Progress::New => EndReason::IceFailed,
            Progress::Ice => EndReason::DtlsFailed,
            Progress::Connected => EndReason::Broken,
        }
    }

    fn drain(&mut self, now: Instant, turn: &mut Turn<'_>, check: Option<Path>) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    if let Some(path) = check.filter(|path| path.remote == transmit.destination) {
                        self.learn(now, path, turn);
                    }
                    let local = self.local_for(transmit.destination);
                    let local = local.unwrap_or_else(|| turn.addresses.to_local(transmit.source));
                    turn.batch.push(local, transmit.destination, &transmit.contents);
                }
                Ok(Output::Event(event)) => self.event(event, now, turn),
                Ok(Output::Timeout(at)) => {
                    let patience = self.started + CONNECT_WITHIN;
                    let waits = self.progress != Progress::Connected;
                    self.deadline = if waits { at.min(patience) } else { at };
                    return;
                }
                Err(error) => {
                    tracing::warn!(session = %self.id, %error, "the session broke");
                    return turn.events.push(SessionEvent::Ended(self.failure()));
                }
            }
        }
    }

    /// str0m answered a connectivity check, so its integrity was right: the pair belongs to this peer.
    fn learn(&mut self, now: Instant, path: Path, turn: &mut Turn<'_>) {
        if self.progress == Progress::New {
            self.progress = Progress::Ice;
        }
        self.paths.retain(|known| known.remote != path.remote);
        if self.paths.len() >= MAX_ADDRESSES {
            self.paths.remove(0);
        }
        self.paths.push(path);
        turn.events.push(SessionEvent::Path { at: now, remote: path.remote, local: path.local });
    }

    fn local_for(&self, remote: SocketAddr) -> Option<SocketAddr> {
        self.paths.iter().find(|path| path.remote == remote).map(|path| path.local)
    }

    fn event(&mut self, event: Event, now: Instant, turn: &mut Turn<'_>) {
        match event {
            Event::Connected => {
                self.progress = Progress::Connected;
                let took = now.saturating_duration_since(self.started);
                turn.events.push(SessionEvent::Connected(took));
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                turn.events.push(SessionEvent::Ended(EndReason::TimedOut));
            }
            Event::Closed => turn.events.push(SessionEvent::Ended(EndReason::ClosedByPeer)),
            Event::RtpPacket(packet) => self.media(packet, turn),
            Event::KeyframeRequest(request) => {
                let slot = self.slots.iter().find(|slot| slot.sender.mid() == request.mid);
                if let Some(track) = slot.and_then(|slot| slot.track) {
                    turn.events.push(SessionEvent::KeyframeWanted(track));
                }
            }
            Event::MediaEgressStats(stats) => self.nacks(stats.mid, Some(stats.nacks), None, turn),
            Event::MediaIngressStats(stats) => self.nacks(stats.mid, None, Some(stats.nacks), turn),
            _ => {}
        }
    }

    /// str0m tells totals; the core wants what is new. Encodings of one section share a total that only ever grows by
    /// the largest of them, which is near enough for a counter that shows whether links are lossy.
    fn nacks(&mut self, mid: Mid, received: Option<u64>, sent: Option<u64>, turn: &mut Turn<'_>) {
        let known = self.nacks.entry(mid).or_default();
        let before = *known;
        known.received = known.received.max(received.unwrap_or_default());
        known.sent = known.sent.max(sent.unwrap_or_default());
        let (received, sent) = (known.received - before.received, known.sent - before.sent);
        if received + sent > 0 {
            turn.events.push(SessionEvent::Nacks { received, sent });
        }
    }

    fn media(&mut self, packet: RtpPacket, turn: &mut Turn<'_>) {
        let number = *packet.header.payload_type;
        let payload_type = self.payload_types.iter().find(|pt| pt.number == number);
        let Some((payload_type, source)) = payload_type.copied().zip(self.source(&packet, turn)) else {
            return turn.unknown_media += 1;
        };
        let extensions = &packet.header.ext_vals;
        let media = Packet {
            source: source.id,
            sequence: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            format: payload_type.format,
            entry: is_entry(payload_type.format.codec, &packet.payload),
            arrived: packet.timestamp,
            extensions: Extensions {
                audio_level: extensions.audio_level,
                voice_activity: extensions.voice_activity,
                orientation: extensions.video_orientation.map(|orientation| orientation as u8),
            },
            payload: packet.payload,
        };
        turn.events.push(SessionEvent::Media(source.track.id, media));
    }

    fn source(&mut self, packet: &RtpPacket, turn: &mut Turn<'_>) -> Option<Source> {
        let ssrc = packet.header.ssrc;
        if let Some(source) = self.sources.get(&ssrc) {
            return Some(*source);
        }
        let mid = self.rtc.direct_api().stream_rx(&ssrc)?.mid();
        let track = *self.published.iter().find(|track| track.mid == mid)?;
        *turn.next_source += 1;
        let source = Source { track, id: SourceId(*turn.next_source) };
        self.sources.insert(*ssrc, source);
        Some(source)
    }
}

/// What a session writes to while it is being driven.
pub struct Turn<'a> {
    /// The announced addresses.
    pub addresses: &'a AddressMap,
    /// Datagrams to send.
    pub batch: &'a mut SendBatch,
    /// What happened, in order.
    pub events: &'a mut Vec<SessionEvent>,
    /// The last [`SourceId`] that was given out.
    pub next_source: &'a mut u64,
    /// Datagrams that were none of DTLS, STUN and SRTP after all.
    pub malformed: u64,
    /// RTP packets of sources or payload types that were not negotiated.
    pub unknown_media: u64,
}
