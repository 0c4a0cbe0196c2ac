//! One participant's peer connection: the only door to its `Rtc`, which is always drained after it was touched.

pub mod offer;
mod agreement;
mod answer;
pub mod negotiate;
pub mod renegotiate;
pub mod restart;
pub mod dtls;
mod sctp_guard;
pub mod ending;
pub mod turn;
pub mod channels;
mod messages;
pub mod stats;
mod allowance;
mod clock;
mod extensions;
mod inbound;
mod outbound;
mod feedback;
mod link;
mod behind;
mod capacity;
mod catch_up;
mod paths;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use str0m::media::{KeyframeRequestKind, Mid, Rid};
use str0m::net::{Protocol, Receive};
use str0m::{Event, IceConnectionState, Input, Output, Rtc, RtcError};

use crate::ids::{SessionId, TrackId};
use crate::net::addresses::Announced;
use crate::net::datagram::Datagram;
use crate::net::demux::{Class, Ufrag, classify};
use crate::net::streams::mark::StreamId;
use crate::sfu::counters::Links;
use crate::sfu::egress::allocate::Wish;
use crate::sfu::egress::header::HeaderTemplate;
use crate::sfu::egress::sender::Sender;
use crate::sfu::egress::{Egress, Path, PayloadType};
use crate::sfu::forward::packet::{EncodingIndex, SourceId};
use crate::sfu::forward::subscription::Subscription;
use crate::units::{Format, MediaKind};
use crate::wire::stun::{self, TransactionId};

use self::agreement::Agreement;
use self::behind::Stamps;
use self::channels::{ChannelKind, DataMessage};
use self::clock::CaptureClock;
pub use self::ending::EndReason;
use self::messages::Channels;
use self::paths::Paths;
use self::stats::{Bound, Link, Picture, Published, Stats};
pub use self::turn::{Served, SessionEvent, Turn, TurnMedia};

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
    /// The encodings that the client tells apart by their SSRCs alone.
    grouped: HashMap<u32, EncodingIndex>,
    /// What it can receive.
    pub slots: Vec<Slot>,
    /// What it gets of this turn's media: places in the turn's list, and indices of slots.
    pub work: Vec<(usize, usize)>,
    egress: Egress,
    rtc: Rtc,
    /// What later offers are held against. `None` for clients that make only one.
    agreement: Option<Agreement>,
    payload_types: Vec<PayloadType>,
    sources: HashMap<u32, Source>,
    /// How often an SSRC began to carry an encoding.
    sources_begun: usize,
    unannounced: u32,
    /// The server's addresses that the client was told.
    candidates: Announced,
    paths: Paths,
    /// The way to the client, once media can flow on it.
    link: Option<Box<link::Link>>,
    clock: CaptureClock,
    /// Packets asked for again of each section that comes in, as last read.
    nacks: HashMap<Mid, u64>,
    channels: Channels,
    stats: Stats,
    /// When the earliest report on what the slots send is due.
    next_report: Option<Instant>,
    progress: Progress,
    started: Instant,
    /// When ICE began anew, as long as no check was right since.
    unchecked: Option<Instant>,
    deadline: Instant,
}

/// A track that the session sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedTrack {
    /// The track.
    pub id: TrackId,
    /// Its section.
    pub mid: Mid,
    /// Audio or video.
    pub kind: MediaKind,
}

/// An SSRC of the publisher.
#[derive(Debug, Clone, Copy)]
struct Source {
    track: PublishedTrack,
    rid: Option<Rid>,
    encoding: EncodingIndex,
    id: SourceId,
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
    /// How the client shows it.
    pub wish: Wish,
    /// The track that the link's capacity was last given to.
    allotted_to: Option<TrackId>,
    /// When media was last sent through it as soon as it came: sound always is.
    sent: Option<Instant>,
    /// The height of the selected picture in pixels; 0 while it is not known.
    height: u16,
    /// What was given the numbers up to this one and not sent is not sent again: a key frame comes behind it.
    lost_until: Option<u64>,
    /// What became of timestamps when it caught up with a source last. None of it is sent again otherwise.
    stamps: Option<Box<Stamps>>,
    /// Whether the client receives on it. A closed slot may be opened again, with its numbering.
    pub is_open: bool,
    /// The format that could not be played, or was played since, and when the control plane was told.
    told: Option<(Format, Instant)>,
    sender: Sender,
}

impl Slot {
    /// Puts another track behind the slot, or nothing. Returns what was there before.
    pub fn bind(&mut self, track: Option<TrackId>) -> Option<TrackId> {
        self.subscription.reset();
        self.told = None;
        self.sent = None;
        self.stamps = None;
        std::mem::replace(&mut self.track, track)
    }

    /// How the headers of its packets are written.
    #[must_use]
    pub fn headers(&self) -> &HeaderTemplate {
        self.sender.headers()
    }

    /// What its statistics are made of.
    fn bound(&self) -> Bound {
        let reports = &self.sender.reports;
        Bound {
            track: self.track,
            totals: self.sender.totals(),
            lost: reports.lost(),
            rtt: reports.rtt(),
            picture: Picture {
                selection: self.subscription.current(),
                height: self.height,
                paused: self.subscription.is_paused(),
            },
        }
    }

    /// Takes note that the receiver has no decoder for what its track is now. Returns whether that is news.
    fn cannot_play(&mut self, now: Instant, format: Format) -> bool {
        // What can be played later begins with a key frame, and without a gap in the numbers.
        self.subscription.rebind();
        let is_news = self
            .told
            .is_none_or(|(told, at)| told != format && now.saturating_duration_since(at) >= TELL_EVERY);
        if is_news {
            self.told = Some((format, now));
        }
        is_news
    }
}

/// How often it is told that a slot's track cannot be played. A publisher may alternate codecs as it likes.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A connectivity check that is being answered.
#[derive(Debug, Clone, Copy)]
struct Check {
    path: Path,
    transaction: TransactionId,
    /// It carries USE-CANDIDATE (RFC 8445 section 16.1).
    nominates: bool,
}

impl Check {
    fn read(datagram: &Datagram<'_>) -> Option<Self> {
        let message = stun::Message::parse(datagram.payload).ok()?;
        Some(Self {
            path: Path { remote: datagram.source, local: datagram.local },
            transaction: message.transaction(),
            nominates: message.attribute(stun::attribute::USE_CANDIDATE).is_some(),
        })
    }
}

/// How the answer to a check that was right begins (RFC 8489 section 5).
const ANSWER: [u8; 2] = [0x01, 0x01];

/// The first byte of a STUN message is at most this (RFC 7983 section 7).
const LAST_OF_STUN: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No connectivity check has succeeded.
    New,
    /// ICE works, DTLS does not yet.
    Ice,
    /// Media can flow.
    Connected,
}

impl Session {
    fn new(
        id: SessionId,
        ufrag: Ufrag,
        rtc: Rtc,
        egress: Egress,
        payload_types: Vec<PayloadType>,
        now: Instant,
    ) -> Self {
        Self {
            id,
            ufrag,
            published: Vec::new(),
            grouped: HashMap::new(),
            slots: Vec::new(),
            work: Vec::new(),
            egress,
            rtc,
            agreement: None,
            payload_types,
            sources: HashMap::new(),
            sources_begun: 0,
            unannounced: 0,
            candidates: Announced::default(),
            paths: Paths::new(now),
            link: None,
            clock: CaptureClock::default(),
            nacks: HashMap::new(),
            channels: Channels::new(now),
            stats: Stats::new(now),
            next_report: None,
            progress: Progress::New,
            started: now,
            unchecked: None,
            deadline: now,
        }
    }

    /// When [`Self::drive`] is due.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether what its link carries is to be dealt out at once.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_short)
    }

    /// What the link asks for is not put off.
    fn hasten(&mut self) {
        if let Some(at) = self.link.as_ref().and_then(|link| link.deadline()) {
            self.deadline = self.deadline.min(at);
        }
    }

    /// When something is done that is due at `at`. Of a session that only receives nothing is urgent but what is due within a
    /// moment; so the others' work is put off a little, to be done together: waking up costs more than the work.
    fn at_leisure(&self, now: Instant, at: Instant) -> Instant {
        const TOGETHER: Duration = Duration::from_millis(50);
        if !self.is_connected() || !self.published.is_empty() || at <= now + TOGETHER {
            return at;
        }
        let since = at.saturating_duration_since(self.egress.epoch().instant);
        let over = since.as_nanos() % TOGETHER.as_nanos();
        let wait = if over == 0 { 0 } else { TOGETHER.as_nanos() - over };
        at + Duration::from_nanos(u64::try_from(wait).unwrap_or(0))
    }

    /// Whether it is of a participant, who sends, gets and negotiates as it likes.
    #[must_use]
    pub fn takes_part(&self) -> bool {
        self.agreement.is_some()
    }

    /// Whether media can flow.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.progress == Progress::Connected
    }

    /// Takes a datagram from the network.
    pub fn receive(&mut self, now: Instant, datagram: &Datagram<'_>, turn: &mut Turn<'_>) {
        if classify(datagram.payload) == Class::Rtcp && self.is_connected() {
            self.feedback(now, datagram.payload, turn);
            self.hasten();
            // str0m reads only what is said of media that comes in.
            if self.published.is_empty() {
                return;
            }
        }
        let is_check = datagram.payload.first() == Some(&0);
        if is_check && !self.paths.admit(now, datagram.source) {
            return turn.counters.malformed += 1;
        }
        let announced = turn.addresses.known_as(&self.candidates, datagram.local);
        let protocol = if StreamId::named(datagram.local).is_some() { Protocol::Tcp } else { Protocol::Udp };
        let received = Receive::new(protocol, datagram.source, announced, datagram.payload);
        let Ok(received) = received else { return turn.counters.malformed += 1 };
        self.expect_unannounced(datagram.payload);
        let check = is_check.then(|| Check::read(datagram)).flatten();
        self.step(Input::Receive(now, received), now, turn, check);
    }

    /// Lets time pass; also sends what was written.
    pub fn drive(&mut self, now: Instant, turn: &mut Turn<'_>) {
        self.report(now, turn);
        self.attend_link(now, turn);
        self.step(Input::Timeout(now), now, turn, None);
    }

    /// Sends a message to the client.
    pub fn send(&mut self, now: Instant, channel: ChannelKind, message: &DataMessage, turn: &mut Turn<'_>) {
        self.channels.send(&mut self.rtc, now, channel, message, turn);
        self.drive(now, turn);
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
        self.say_goodbye(turn);
        if self.rtc.close().is_ok() {
            self.drain(now, turn, None);
        }
    }

    fn step(&mut self, input: Input<'_>, now: Instant, turn: &mut Turn<'_>, check: Option<Check>) {
        if let Err(error) = self.rtc.handle_input(input) {
            return self.broke(&error, turn);
        }
        self.drain(now, turn, check);
        if self.progress != Progress::Connected
            && now.saturating_duration_since(self.started) >= CONNECT_WITHIN
        {
            turn.events.push(SessionEvent::Ended(self.failure()));
        } else if self.unchecked.is_some_and(|since| now.saturating_duration_since(since) >= CONNECT_WITHIN) {
            turn.events.push(SessionEvent::Ended(EndReason::TimedOut));
        }
    }

    fn broke(&self, error: &RtcError, turn: &mut Turn<'_>) {
        let what = match self.progress {
            // Which certificate it has is seen in the handshake only.
            Progress::Ice => {
                "the DTLS handshake failed; clients need an ECDSA certificate on P-256 or P-384 (GStreamer up to 1.22 has RSA)"
            }
            Progress::New | Progress::Connected => "the session broke",
        };
        tracing::warn!(session = %self.id, %error, "{what}");
        turn.events.push(SessionEvent::Ended(self.failure()));
    }

    /// What a failure at this point is called.
    fn failure(&self) -> EndReason {
        match self.progress {
            Progress::New => EndReason::IceFailed,
            Progress::Ice => EndReason::DtlsFailed,
            Progress::Connected => EndReason::Broken,
        }
    }

    fn drain(&mut self, now: Instant, turn: &mut Turn<'_>, check: Option<Check>) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    if let Some(check) = check.filter(|check| {
                        check.path.remote == transmit.destination && transmit.contents.starts_with(&ANSWER)
                    }) {
                        self.learn(now, check, turn);
                    }
                    let is_stream = transmit.proto == Protocol::Tcp;
                    let (from, to) = (transmit.source, transmit.destination);
                    let known = |local| turn.addresses.known_as(&self.candidates, local);
                    let local = self.paths.local(from, to, is_stream, known);
                    let unproved = || (!is_stream).then(|| turn.addresses.to_local(from));
                    let Some(local) = local.or_else(unproved) else { continue };
                    if transmit.contents.first().is_some_and(|first| *first > LAST_OF_STUN) {
                        self.paths.begin(now, Path { remote: transmit.destination, local });
                    }
                    turn.batch.push(local, transmit.destination, &transmit.contents);
                }
                Ok(Output::Event(event)) => self.event(event, now, turn),
                Ok(Output::Timeout(at)) => {
                    if self.channels.resume(&mut self.rtc, now, turn) {
                        continue;
                    }
                    self.tell_stats(now, turn);
                    let waits = self.progress != Progress::Connected;
                    let since = if waits { Some(self.started) } else { self.unchecked };
                    let at = since.map_or(at, |since| at.min(since + CONNECT_WITHIN));
                    self.deadline =
                        self.at_leisure(now, self.next_report.map_or(at, |report| report.min(at)));
                    self.hasten();
                    return;
                }
                Err(error) => {
                    return self.broke(&error, turn);
                }
            }
        }
    }

    /// str0m answered a connectivity check, so its integrity was right: the pair belongs to this peer.
    fn learn(&mut self, now: Instant, check: Check, turn: &mut Turn<'_>) {
        if self.progress == Progress::New {
            self.progress = Progress::Ice;
        }
        self.unchecked = None;
        let path = check.path;
        self.paths.learn(path);
        // Whoever overhears a check could send it again from elsewhere, and have the media there.
        let is_nominated = self.paths.is_original(path, check.transaction) && check.nominates;
        if is_nominated && self.paths.nominate(now, path) {
            tracing::info!(session = %self.id, "media moves to another path");
            if let Some(link) = &mut self.link {
                link.moved(now);
            }
        }
        turn.events.push(SessionEvent::Path { at: now, remote: path.remote, local: path.local });
    }

    fn event(&mut self, event: Event, now: Instant, turn: &mut Turn<'_>) {
        match event {
            Event::Connected => {
                if !self.egress.start() {
                    return turn.events.push(SessionEvent::Ended(EndReason::DtlsFailed));
                }
                self.progress = Progress::Connected;
                self.link = (self.agreement.is_some() || !self.slots.is_empty())
                    .then(|| Box::new(link::Link::new(now)));
                let took = now.saturating_duration_since(self.started);
                turn.events.push(SessionEvent::Connected(took));
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                turn.events.push(SessionEvent::Ended(EndReason::TimedOut));
            }
            Event::Closed => turn.events.push(SessionEvent::Ended(EndReason::ClosedByPeer)),
            Event::RtpPacket(packet) => self.media(packet, turn),
            Event::PeerStats(_) => self.stats.begin(),
            Event::MediaIngressStats(stats) => {
                self.stats.ingress(&stats);
                self.nacks(stats.mid, stats.nacks, turn);
            }
            Event::ChannelOpen(id, label) => self.channels.open(id, &label, turn),
            Event::ChannelData(data) => self.channels.receive(now, data, turn),
            Event::ChannelClose(id) => self.channels.close(id, turn),
            _ => {}
        }
    }

    /// What is known of the way to the client.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link.as_ref().map_or_else(Link::default, |link| Link {
            estimate: link.estimate(),
            allotted: link.allotted,
            allotted_of: link.allotted_of,
            queue: link.queue(),
        })
    }

    /// Adds the way to the client to the sum of all.
    pub fn count_link(&self, links: &mut Links) {
        let Some(link) = &self.link else { return };
        links.waiting_bytes += link.pacer.waiting();
        links.paused_slots += self.slots.iter().filter(|slot| slot.subscription.is_paused()).count() as u64;
        if let Some(estimate) = link.estimate() {
            links.estimated += 1;
            links.estimate += estimate.0 / 8;
            links.allotted += link.allotted.map_or(0, |allotted| allotted.0 / 8);
        }
    }

    /// Tells how the media flows, after str0m has told its part of it.
    fn tell_stats(&mut self, now: Instant, turn: &mut Turn<'_>) {
        if !self.stats.is_due() {
            return;
        }
        let encodings = |id| self.sources.values().filter(|source| source.track.id == id).count();
        let published = |track: &PublishedTrack| Published {
            id: track.id,
            mid: track.mid,
            encodings: encodings(track.id),
        };
        let published: Vec<_> = self.published.iter().map(published).collect();
        let slots: Vec<_> = self.slots.iter().map(Slot::bound).collect();
        let stats = self.stats.take(now, self.id, &published, &slots, self.link());
        if self.progress == Progress::Connected {
            turn.events.push(SessionEvent::Stats(Box::new(stats)));
        }
    }

    /// str0m tells totals; the core wants what is new. Encodings of one section share a total that only ever grows by
    /// the largest of them, which is near enough for a counter that shows whether links are lossy.
    fn nacks(&mut self, mid: Mid, sent: u64, turn: &mut Turn<'_>) {
        let known = self.nacks.entry(mid).or_default();
        let more = sent.saturating_sub(*known);
        if more > 0 {
            *known = sent;
            turn.events.push(SessionEvent::Nacks(more));
        }
    }
}
