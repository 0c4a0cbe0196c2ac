//! A world in virtual time: one forwarding core, or several that know each other, and clients that are str0m peers, joined by perfect wires.
//!
//! str0m draws random numbers of its own, so that runs are not equal bit by bit; what is asserted are outcomes.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test is a crate of its own and uses its own part of the world"
)]

pub mod media;
pub mod profile;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sluice::ids::{RequestId, SessionId, TrackId, WorkerId};
use sluice::net::addresses::AddressMap;
use sluice::net::datagram::{Datagram, SendBatch};
use sluice::net::demux::{IceCredentials, Route, Ufrag};
use sluice::sfu::relay::{Relayed, TrackHome};
use sluice::sfu::session::channels::{ChannelKind, DataMessage};
use sluice::sfu::session::dtls::Identity;
use sluice::sfu::session::negotiate::{Answered, Endpoint, NewSession, answer};
use sluice::sfu::session::offer::{OfferError, Role};
use sluice::sfu::session::renegotiate::Renegotiated;
use sluice::sfu::session::restart::ClientCredentials;
use sluice::sfu::{Core, CoreEvent};
use sluice::wire::ntp::{Epoch, NtpTime};
use str0m::change::{SdpAnswer, SdpApi, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::format::Codec;
use str0m::media::{Direction, ExtensionValues, KeyframeRequestKind, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionMap, RtpPacket, RtpWrite, SeqNo};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// One step of time.
pub const STEP: Duration = Duration::from_millis(5);

const FIRST_SEQUENCE: u64 = 1_000;

/// A participant's own end.
pub struct Client {
    pub rtc: Rtc,
    pub address: SocketAddr,
    pub audio: Mid,
    pub video: Mid,
    /// The audio section that receives: another one for participants only.
    pub audio_slot: Mid,
    /// The video sections of a participant that receive.
    pub slots: Vec<Mid>,
    pub connected: bool,
    pub closed: bool,
    /// Received media, in the order of arrival.
    pub received: Vec<RtpPacket>,
    /// The section of each.
    sections: Vec<Mid>,
    pub keyframe_requests: usize,
    /// Open data channels, by label.
    pub channels: Vec<(String, ChannelId)>,
    /// Received messages: the label of the channel, whether it was text, and the bytes.
    pub messages: Vec<(String, bool, Vec<u8>)>,
    /// Silenced clients neither send nor receive: the network is gone.
    pub silent: bool,
    /// Deaf clients take in everything but media.
    pub deaf: bool,
    /// Datagrams to the client that get lost: those whose running number this says yes to.
    pub loses: fn(usize) -> bool,
    arrived: usize,
    outgoing: Vec<Vec<u8>>,
    pending: Option<SdpPendingOffer>,
    /// The last answer.
    answer: String,
    sequence: u64,
}

/// The world.
pub struct World {
    pub core: Core,
    /// The cores of further workers. The datagrams of a client arrive at the worker of its place, whichever holds its
    /// session.
    pub others: Vec<Core>,
    /// The worker that takes whoever joins next.
    pub next_worker: u8,
    restarts: u8,
    /// Packets between workers that get lost: those whose running number this says yes to.
    pub relay_loses: fn(usize) -> bool,
    relayed: usize,
    homes: HashMap<SessionId, WorkerId>,
    /// When the world began.
    pub began: Instant,
    pub now: Instant,
    pub clients: Vec<Client>,
    pub events: Vec<CoreEvent>,
    endpoint: Endpoint,
    batch: SendBatch,
    /// On the way from the clients to the core.
    wire: Vec<(SocketAddr, Vec<u8>)>,
    sessions: u64,
    /// The header extensions of clients who join from now on.
    pub extensions: ExtensionMap,
    /// The data channels that clients open who join from now on.
    pub labels: Vec<&'static str>,
    /// The largest message that they believe the server takes, instead of what it says.
    pub largest_message: Option<usize>,
    /// How much they keep of what they have not sent yet, in bytes.
    pub client_buffer: usize,
    /// How many sections for video of others participants offer who join from now on.
    pub video_slots: usize,
    /// Publishers who join from now on announce encodings with these SSRCs, in a group (`a=ssrc-group:SIM`).
    pub grouped: Vec<u32>,
    /// Whether clients who join from now on know retransmission streams (RFC 4588).
    pub resends: bool,
    /// How often a turn's forwarding stopped to let a full batch leave.
    pub parts: usize,
    /// What the server sent to each client, by its place; recorded when there is a list.
    pub sniffed: Option<Vec<(usize, Vec<u8>)>>,
}

/// A stage of the core's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// All datagrams are taken in.
    Receive,
    /// Timers run.
    Drive,
    /// Subscribers are served.
    Forward,
}

pub fn server_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 3478))
}

impl World {
    pub fn new() -> Self {
        let candidates = vec![server_address()].into();
        let map = AddressMap::new(vec![server_address()], &[server_address().ip()]);
        let identity = Identity::generate().expect("a certificate");
        let now = Instant::now();
        let epoch = Epoch { instant: now, ntp: NtpTime::since_1970(Duration::from_secs(1_700_000_000)) };
        Self {
            core: Core::new(map),
            others: Vec::new(),
            next_worker: 0,
            restarts: 0,
            relay_loses: |_| false,
            relayed: 0,
            homes: HashMap::new(),
            began: now,
            now,
            clients: Vec::new(),
            events: Vec::new(),
            endpoint: Endpoint { identity, candidates, epoch },
            batch: SendBatch::new(),
            wire: Vec::new(),
            sessions: 0,
            extensions: ExtensionMap::standard(),
            labels: Vec::new(),
            largest_message: None,
            client_buffer: 128 * 1024,
            video_slots: 2,
            grouped: Vec::new(),
            resends: true,
            parts: 0,
            sniffed: None,
        }
    }

    /// A world with so many workers.
    pub fn of_workers(count: u8) -> Self {
        let map = || AddressMap::new(vec![server_address()], &[server_address().ip()]);
        let others = (1..count).map(|worker| Core::on(WorkerId(worker), map())).collect();
        Self { others, ..Self::new() }
    }

    /// The core that holds a session.
    fn home(&mut self, session: SessionId) -> &mut Core {
        let worker = self.homes.get(&session).copied().unwrap_or(WorkerId(0));
        self.core_of(worker).expect("there is such a worker")
    }

    fn core_of(&mut self, worker: WorkerId) -> Option<&mut Core> {
        match worker.0.checked_sub(1) {
            None => Some(&mut self.core),
            Some(other) => self.others.get_mut(usize::from(other)),
        }
    }

    fn workers(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..=u8::try_from(self.others.len()).expect("few workers")).map(WorkerId)
    }

    /// Binds a track of one client to a slot of another, whichever workers hold them.
    pub fn bind(&mut self, viewer: &Joined, slot: usize, publisher: &Joined, track: usize) {
        let worker = self.homes.get(&publisher.session).copied().expect("it joined");
        let track = publisher.tracks.get(track).map(|track| TrackHome { track: *track, worker });
        self.home(viewer.session).bind_any(viewer.session, slot, track);
        self.tell_notes();
    }

    /// Mutes a track, or lets it be heard and seen again.
    pub fn mute(&mut self, publisher: &Joined, track: usize, muted: bool) {
        self.home(publisher.session).mute(publisher.tracks[track], muted);
    }

    /// A client that offers one audio and one video section with these video codecs. Returns its place and what was
    /// answered, with the session already taken over by the core.
    pub fn join(&mut self, role: Role, video: &[Codec]) -> (usize, Joined) {
        self.join_as(role, video, false)
    }

    /// A publisher that announces no SSRCs and knows no header extensions.
    pub fn join_bare(&mut self, video: &[Codec]) -> (usize, Joined) {
        self.join_as(Role::Publish, video, true)
    }

    fn join_as(&mut self, role: Role, video: &[Codec], bare: bool) -> (usize, Joined) {
        let place = self.clients.len();
        let make = ClientConfig {
            extensions: if bare { ExtensionMap::empty() } else { self.extensions.clone() },
            labels: &self.labels,
            buffer: self.client_buffer,
            video_slots: self.video_slots,
        };
        let (mut client, offer) = Client::new(self.now, place, role, video, &make);
        let kept = |line: &&str| !(bare && (line.starts_with("a=ssrc") || line.starts_with("a=extmap:")));
        let offer: String = offer.lines().filter(kept).flat_map(|line| [line, "\r\n"]).collect();
        let offer = if self.resends { offer } else { without_resends(&offer) };
        let offer = if self.grouped.is_empty() { offer } else { with_group(&offer, &self.grouped) };
        let answered = self.answer(&offer, role);
        let line = |size: usize| format!("a=max-message-size:{size}\r\n");
        let answer = self
            .largest_message
            .map_or(answered.answer.clone(), |size| answered.answer.replace(&line(65_536), &line(size)));
        client.accept(&answer);
        for ssrc in &self.grouped {
            // str0m sends one stream without a name. These names are for itself: they are not offered.
            let (mut direct, name) = (client.rtc.direct_api(), ssrc.to_string());
            direct.declare_stream_tx((*ssrc).into(), None, client.video, Some(name.as_str().into()));
        }
        self.clients.push(client);
        let joined = Joined {
            session: answered.session.id,
            tracks: answered.tracks.iter().map(|track| track.id).collect(),
            slots: answered.slots.len(),
        };
        self.homes.insert(joined.session, WorkerId(self.next_worker));
        let now = self.now;
        self.home(joined.session).join(now, answered.session);
        (place, joined)
    }

    fn answer(&mut self, offer: &str, role: Role) -> Answered {
        self.sessions += 1;
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.sessions.to_be_bytes());
        let new = NewSession {
            id: SessionId(self.sessions),
            ice: IceCredentials {
                ufrag: Ufrag::mint(WorkerId(self.next_worker), random),
                password: format!("{:0>24}", self.sessions),
            },
            first_track: TrackId(self.sessions * 64),
            seed: self.sessions.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        answer(offer, role, &new, &self.endpoint, self.now).expect("a good offer")
    }

    /// Binds all tracks of a publisher to the slots of a viewer, in order.
    pub fn watch(&mut self, viewer: &Joined, publisher: &Joined) {
        for slot in 0..viewer.slots {
            self.bind(viewer, slot, publisher, slot);
        }
    }

    /// Lets `time` pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            self.step();
        }
    }

    /// Lets time pass until `done`, at most 20 s.
    pub fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_secs(20);
        while !done(self) {
            assert!(self.now < end, "after 20 s still not: {what}");
            self.now += STEP;
            self.step();
        }
    }

    /// One turn of everything.
    pub fn step(&mut self) {
        self.drive_clients();
        self.turn_core();
        self.exchange();
        self.events.extend(self.core.take_events());
        for other in &mut self.others {
            self.events.extend(other.take_events());
        }
        self.deliver();
    }

    /// Lets time pass at the clients. What they send waits for [`Self::turn_core`].
    pub fn drive_clients(&mut self) {
        self.drive_first_clients(self.clients.len());
    }

    /// The same for those who joined first, so many of them.
    pub fn drive_first_clients(&mut self, count: usize) {
        for client in self.clients.iter_mut().take(count) {
            client.drive(self.now);
            self.wire.extend(client.outgoing.drain(..).map(|payload| (client.address, payload)));
        }
    }

    /// A turn of the core, as a worker makes it.
    pub fn turn_core(&mut self) {
        for (source, payload) in std::mem::take(&mut self.wire) {
            self.feed(source, &payload);
        }
        self.core.drive(self.now, &mut self.batch);
        for other in &mut self.others {
            other.drive(self.now, &mut self.batch);
        }
        self.forward();
    }

    /// A turn of the first core, whose stages `around` runs, so that it can measure them.
    pub fn turn_in_stages(&mut self, mut around: impl FnMut(Stage, &mut dyn FnMut())) {
        let wire = std::mem::take(&mut self.wire);
        around(Stage::Receive, &mut || {
            wire.iter().for_each(|(source, payload)| self.feed(*source, payload));
        });
        around(Stage::Drive, &mut || self.core.drive(self.now, &mut self.batch));
        let mut is_more = true;
        while is_more {
            around(Stage::Forward, &mut || is_more = self.core.forward(self.now, &mut self.batch));
            if is_more {
                self.parts += 1;
                self.deliver();
            }
        }
    }

    fn forward(&mut self) {
        let (now, mut batch) = (self.now, std::mem::take(&mut self.batch));
        for worker in self.workers() {
            while self.core_of(worker).expect("there").forward(now, &mut batch) {
                self.parts += 1;
                assert!(batch.bytes() < 3 << 19, "{} bytes in one part", batch.bytes());
                std::mem::swap(&mut batch, &mut self.batch);
                self.deliver();
                std::mem::swap(&mut batch, &mut self.batch);
            }
        }
        self.batch = batch;
    }

    /// Takes to each core what the others have for it, until nobody has anything left to say.
    pub fn exchange(&mut self) {
        if self.others.is_empty() {
            return;
        }
        loop {
            let mut packets: Vec<(WorkerId, Vec<Relayed>)> = Vec::new();
            for from in self.workers() {
                let core = self.core_of(from).expect("there");
                packets.extend(core.relays().map(|(to, packets)| (to, std::mem::take(packets))));
            }
            if !self.tell_notes() && packets.is_empty() {
                return;
            }
            for (to, mut packets) in packets {
                packets.retain(|_| {
                    self.relayed += 1;
                    !(self.relay_loses)(self.relayed)
                });
                self.core_of(to).expect("there").relayed(packets);
            }
            self.forward();
        }
    }

    /// Takes the notes of all cores to the others. Returns whether there were any.
    fn tell_notes(&mut self) -> bool {
        let (now, mut notes) = (self.now, Vec::new());
        for from in self.workers() {
            let core = self.core_of(from).expect("there");
            notes.extend(core.take_notes().map(|(to, note)| (from, to, note)));
        }
        for (from, to, note) in &notes {
            self.core_of(*to).expect("there").note(now, *from, note.clone());
        }
        !notes.is_empty()
    }

    fn feed(&mut self, source: SocketAddr, payload: &[u8]) {
        let datagram = Datagram { source, local: server_address(), payload };
        let [.., place] = match source {
            SocketAddr::V4(source) => source.ip().octets(),
            SocketAddr::V6(_) => unreachable!("clients have IPv4 addresses"),
        };
        let count = u8::try_from(self.others.len() + 1).expect("few workers");
        let (arrival, now, mut batch) = (WorkerId(place % count), self.now, std::mem::take(&mut self.batch));
        let core = self.core_of(arrival).expect("there");
        match core.demux().route(&datagram) {
            Route::Session(id) => core.receive(now, id, &datagram, &mut batch),
            Route::Elsewhere(worker) => {
                let core = self.core_of(worker).expect("there");
                if let Route::Session(id) = core.demux().route(&datagram) {
                    core.receive_from(now, arrival, id, &datagram, &mut batch);
                }
            }
            _ => {}
        }
        self.batch = batch;
        // What was just proved holds for the next datagram.
        self.tell_notes();
    }

    /// Takes to clients what the core wants sent.
    pub fn deliver(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let by_address: HashMap<SocketAddr, usize> =
            self.clients.iter().enumerate().map(|(place, client)| (client.address, place)).collect();
        for outgoing in batch.iter() {
            assert_eq!(outgoing.local, server_address(), "sent from the address it was received on");
            if let Some(place) = by_address.get(&outgoing.destination) {
                if let Some(sniffed) = &mut self.sniffed {
                    sniffed.push((*place, outgoing.payload.to_vec()));
                }
                self.clients[*place].receive(self.now, outgoing.payload);
            }
        }
        self.batch = batch;
        self.batch.clear();
    }

    /// Ends a session from the server's side.
    pub fn leave(&mut self, joined: &Joined) {
        let (now, mut batch) = (self.now, std::mem::take(&mut self.batch));
        self.home(joined.session).leave(now, joined.session, &mut batch);
        self.batch = batch;
        self.deliver();
        let events: Vec<_> = self.home(joined.session).take_events().collect();
        self.events.extend(events);
        self.exchange();
    }

    /// What an ICE restart is given.
    fn restarted(&mut self) -> IceCredentials {
        self.restarts += 1;
        let worker = self.core.demux().worker();
        IceCredentials::mint(worker, [self.restarts; 10], [self.restarts; 24])
    }

    /// Sends a later offer of a participant. Returns what was answered; nothing when the session is gone.
    pub fn offer(&mut self, joined: &Joined, offer: &str) -> Option<Result<Renegotiated, OfferError>> {
        let request = RequestId(7);
        let ice = self.restarted();
        self.core.offer(self.now, joined.session, request, offer, &ice, &mut self.batch);
        self.deliver();
        let mut answered = None;
        for event in self.core.take_events() {
            match event {
                CoreEvent::Answered { session, request: of, outcome } => {
                    assert_eq!((session, of), (joined.session, request));
                    answered = Some(outcome);
                }
                other => self.events.push(other),
            }
        }
        answered
    }

    /// Restarts ICE as a PATCH does, with the credentials of an offer that the client made. Returns the answer that the
    /// client puts together from that.
    pub fn restart(&mut self, joined: &Joined, place: usize, offer: &str) -> String {
        let ice = self.restarted();
        let value = |text: &str, name: &str| {
            let (_, rest) = text.split_once(name).expect("it is in there");
            rest.split_once("\r\n").expect("a line").0.to_owned()
        };
        let client =
            ClientCredentials { ufrag: value(offer, "a=ice-ufrag:"), password: value(offer, "a=ice-pwd:") };
        self.core.restart(self.now, joined.session, &ice, client, &mut self.batch);
        self.deliver();
        let before = &self.clients[place].answer;
        let (ufrag, password) = (value(before, "a=ice-ufrag:"), value(before, "a=ice-pwd:"));
        before.replace(&ufrag, ice.ufrag.as_str()).replace(&password, &ice.password)
    }

    /// Participants with these video codecs, all connected. Each publishes sound and video, and has a slot for sound and
    /// two for video.
    pub fn participants(codecs: &[&[Codec]]) -> (Self, Vec<Joined>) {
        let mut world = Self::new();
        let joined = codecs.iter().map(|codecs| world.join(Role::Join, codecs).1).collect();
        world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
        (world, joined)
    }

    /// Sends a message from the server's side, as a worker does.
    pub fn tell(&mut self, to: &[&Joined], channel: ChannelKind, message: &DataMessage) {
        for joined in to {
            self.core.send(self.now, joined.session, channel, message, &mut self.batch);
        }
        self.deliver();
        self.events.extend(self.core.take_events());
    }

    /// A publisher and a viewer that watches it, both connected.
    pub fn publisher_and_viewer(codec: Codec) -> (Self, Joined, Joined) {
        let mut world = Self::new();
        let (_, publisher) = world.join(Role::Publish, &[codec]);
        let (_, viewer) = world.join(Role::Watch, &[codec]);
        world.watch(&viewer, &publisher);
        world.run_until("connected", |world| world.clients.iter().all(|client| client.connected));
        (world, publisher, viewer)
    }
}

/// An offer without the payload types that resend others.
fn without_resends(offer: &str) -> String {
    let is_resend = |line: &str| line.starts_with("a=rtpmap:") && line.to_lowercase().contains(" rtx/");
    let number = |line: &str| line.split([':', ' ']).nth(1).map(str::to_owned);
    let numbers: Vec<_> = offer.lines().filter(|line| is_resend(line)).filter_map(number).collect();
    let about = |line: &str| {
        let named =
            line.starts_with("a=rtpmap:") || line.starts_with("a=fmtp:") || line.starts_with("a=rtcp-fb:");
        named && number(line).is_some_and(|number| numbers.contains(&number))
    };
    let cut = |line: &str| -> String {
        let words = line.split(' ').enumerate();
        let kept = words.filter(|(place, word)| *place < 3 || !numbers.iter().any(|number| number == word));
        kept.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
    };
    let lines = offer.lines().filter(|line| !about(line));
    lines.map(|line| if line.starts_with("m=video") { cut(line) } else { line.to_owned() } + "\r\n").collect()
}

/// An offer whose section for video, the last one, announces these SSRCs, and no others.
fn with_group(offer: &str, grouped: &[u32]) -> String {
    let (before, video) = offer.split_at(offer.rfind("m=video").expect("it has one"));
    let is_left_out = |line: &str| line.starts_with("a=ssrc") || line.contains(":rtp-stream-id");
    let kept = video.lines().filter(|line| !is_left_out(line));
    let names: Vec<_> = grouped.iter().map(u32::to_string).collect();
    let group = format!("a=ssrc-group:SIM {}", names.join(" "));
    let announced = names.iter().map(|name| format!("a=ssrc:{name} cname:x"));
    let lines = before.lines().chain(kept).map(str::to_owned).chain([group]).chain(announced);
    lines.map(|line| line + "\r\n").collect()
}

/// What a join came to.
#[derive(Debug, Clone)]
pub struct Joined {
    pub session: SessionId,
    pub tracks: Vec<TrackId>,
    pub slots: usize,
}

fn channel_config(label: &str) -> ChannelConfig {
    let lossy = label == "lossy";
    let reliability =
        if lossy { Reliability::MaxRetransmits { retransmits: 0 } } else { Reliability::Reliable };
    ChannelConfig { label: label.to_owned(), ordered: !lossy, reliability, ..ChannelConfig::default() }
}

/// What else a client is made with.
struct ClientConfig<'a> {
    extensions: ExtensionMap,
    labels: &'a [&'a str],
    buffer: usize,
    video_slots: usize,
}

impl Client {
    fn new(
        now: Instant,
        place: usize,
        role: Role,
        video: &[Codec],
        make: &ClientConfig<'_>,
    ) -> (Self, String) {
        let mut config = RtcConfig::new()
            .set_rtp_mode(true)
            .set_extension_map(make.extensions.clone())
            .set_sctp_max_buffered_amount(make.buffer)
            .clear_codecs()
            .enable_opus(true, false);
        for codec in video {
            config = match codec {
                Codec::Vp8 => config.enable_vp8(true),
                Codec::Vp9 => config.enable_vp9(true),
                Codec::H264 => config.enable_h264(true),
                Codec::Av1 => config.enable_av1(true),
                other => panic!("no {other:?} here"),
            };
        }
        let mut rtc = config.build(now);
        let [high, low] = u16::try_from(place).expect("few clients").to_be_bytes();
        let address = SocketAddr::from(([10, 0, high, low], 50_000));
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        let direction = if role == Role::Watch { Direction::RecvOnly } else { Direction::SendOnly };
        let mut change = rtc.sdp_api();
        let audio = change.add_media(MediaKind::Audio, direction, None, None, None);
        let video = change.add_media(MediaKind::Video, direction, None, None, None);
        let (mut audio_slot, mut slots) = (audio, Vec::new());
        if role == Role::Join {
            audio_slot = change.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
            let slot = |_| change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
            slots.extend((0..make.video_slots).map(slot));
        }
        for label in make.labels {
            change.add_channel_with_config(channel_config(label));
        }
        let (offer, pending) = change.apply().expect("something to offer");
        let client = Self {
            rtc,
            address,
            audio,
            video,
            audio_slot,
            slots,
            connected: false,
            closed: false,
            received: Vec::new(),
            sections: Vec::new(),
            keyframe_requests: 0,
            channels: Vec::new(),
            messages: Vec::new(),
            silent: false,
            deaf: false,
            loses: |_| false,
            arrived: 0,
            outgoing: Vec::new(),
            pending: Some(pending),
            answer: String::new(),
            sequence: FIRST_SEQUENCE,
        };
        (client, offer.to_sdp_string())
    }

    /// Makes another offer. It is open until [`Self::accept`].
    pub fn offer(&mut self, change: impl FnOnce(&mut SdpApi<'_>)) -> String {
        let mut api = self.rtc.sdp_api();
        change(&mut api);
        let (offer, pending) = api.apply().expect("something to offer");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// Goes to another network: nothing of the old one arrives any more. Returns the offer that restarts ICE from there.
    pub fn moves(&mut self, address: SocketAddr) -> String {
        self.address = address;
        self.rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        self.offer(|change| {
            change.ice_restart(true);
        })
    }

    pub fn accept(&mut self, answer: &str) {
        answer.clone_into(&mut self.answer);
        let answer = SdpAnswer::from_sdp_string(answer).expect("a valid answer");
        let pending = self.pending.take().expect("an offer is open");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("an acceptable answer");
    }

    fn receive(&mut self, now: Instant, payload: &[u8]) {
        self.arrived += 1;
        let is_media = matches!(payload, [128..=191, kind, ..] if !(64..96).contains(&(kind & 0x7f)));
        if self.silent || (self.deaf && is_media) || (self.loses)(self.arrived) {
            return;
        }
        let receive = Receive::new(Protocol::Udp, server_address(), self.address, payload)
            .expect("the server sends no garbage");
        self.rtc.handle_input(Input::Receive(now, receive)).expect("no error");
        self.poll();
    }

    fn drive(&mut self, now: Instant) {
        if self.silent {
            return;
        }
        self.rtc.handle_input(Input::Timeout(now)).expect("no error");
        self.poll();
    }

    fn poll(&mut self) {
        loop {
            match self.rtc.poll_output().expect("no error") {
                Output::Timeout(_) => break,
                Output::Transmit(transmit) => {
                    let mut datagram = transmit.contents.to_vec();
                    profile::patch_datagram(&mut datagram);
                    self.outgoing.push(datagram);
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::Closed) => self.closed = true,
                Output::Event(Event::RtpPacket(packet)) => {
                    let mut direct = self.rtc.direct_api();
                    let stream = direct.stream_rx(&packet.header.ssrc).expect("it was received");
                    self.sections.push(stream.mid());
                    self.received.push(packet);
                }
                Output::Event(Event::KeyframeRequest(_)) => self.keyframe_requests += 1,
                Output::Event(Event::ChannelOpen(id, label)) => self.channels.push((label, id)),
                Output::Event(Event::ChannelData(data)) => {
                    let label = self.channels.iter().find(|(_, id)| *id == data.id).expect("open").0.clone();
                    self.messages.push((label, !data.binary, data.data));
                }
                Output::Event(_) => {}
            }
        }
    }

    /// Writes a media packet; it leaves with the next step.
    pub fn send(&mut self, now: Instant, mid: Mid, timestamp: u32, marker: bool, payload: &[u8]) {
        self.send_with(now, mid, timestamp, marker, payload, ExtensionValues::default());
    }

    /// Writes a media packet that says this in its header extensions.
    pub fn send_with(
        &mut self,
        now: Instant,
        mid: Mid,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
        values: ExtensionValues,
    ) {
        self.sequence += 1;
        let pt = self.payload_type(mid);
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(mid, None).expect("it sends");
        let rtp = RtpWrite::new(pt, SeqNo::from(self.sequence), timestamp, now, payload)
            .marker(marker)
            .ext_vals(values)
            .nackable(true);
        stream.write_rtp(rtp);
    }

    /// Writes a packet of the stream with this SSRC.
    pub fn send_in(&mut self, now: Instant, ssrc: u32, timestamp: u32, marker: bool, payload: &[u8]) {
        self.sequence += 1;
        let pt = self.payload_type(self.video);
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx(&ssrc.into()).expect("declared");
        let rtp = RtpWrite::new(pt, SeqNo::from(self.sequence), timestamp, now, payload).marker(marker);
        stream.write_rtp(rtp);
    }

    /// Writes 20 ms of Opus whose packet says how loud it is.
    pub fn send_audio(&mut self, now: Instant, number: u32, dbov: i8) {
        self.sequence += 1;
        let (mid, pt) = (self.audio, self.payload_type(self.audio));
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(mid, None).expect("it sends");
        let levels = ExtensionValues {
            audio_level: Some(dbov),
            voice_activity: Some(dbov > -60),
            ..ExtensionValues::default()
        };
        let sequence = SeqNo::from(self.sequence);
        let rtp = RtpWrite::new(pt, sequence, number * 960, now, &[0xfc, 1, 2][..]).ext_vals(levels);
        stream.write_rtp(rtp);
    }

    /// Writes a message; it leaves with the next step. Returns whether there was room for it.
    pub fn say(&mut self, label: &str, text: bool, bytes: &[u8]) -> bool {
        let id = self.channels.iter().find(|(known, _)| known == label).expect("open").1;
        self.rtc.channel(id).expect("open").write(!text, bytes).expect("it may")
    }

    /// Goes on with a new SSRC, as some encoders do when they are reconfigured.
    pub fn change_ssrc(&mut self, mid: Mid) {
        let mut direct = self.rtc.direct_api();
        let ssrc = direct.new_ssrc();
        let rtx = direct.new_ssrc();
        direct.reset_stream_tx(mid, None, ssrc, Some(rtx)).expect("it sends");
        self.sequence += 20_000;
    }

    /// How many packets were written so far.
    pub fn sent_packets(&self) -> u32 {
        u32::try_from(self.sequence - FIRST_SEQUENCE).expect("tests are short")
    }

    fn payload_type(&self, mid: Mid) -> Pt {
        self.rtc.media(mid).and_then(|media| media.remote_pts().first().copied()).expect("negotiated")
    }

    /// Asks again for what gets lost of the video that comes, though it would come in the same stream.
    pub fn asks_again(&mut self) {
        let ssrc = self.received_video().last().expect("video").header.ssrc;
        self.rtc.direct_api().stream_rx(&ssrc).expect("received").suppress_nack(false);
    }

    /// Asks for a key frame, as a decoder does that lost its reference.
    pub fn request_keyframe(&mut self) {
        let ssrc = self
            .received
            .iter()
            .rev()
            .find(|packet| packet.header.payload_type != self.opus())
            .expect("video");
        let ssrc = ssrc.header.ssrc;
        let mut direct = self.rtc.direct_api();
        direct.stream_rx(&ssrc).expect("received").request_keyframe(KeyframeRequestKind::Pli);
    }

    fn opus(&self) -> Pt {
        let found = self.rtc.codec_config().find(|params| params.spec().codec == Codec::Opus);
        found.expect("always there").pt()
    }

    /// The received packets of the section with sound.
    pub fn received_audio(&self) -> Vec<&RtpPacket> {
        self.received.iter().filter(|packet| packet.header.payload_type == self.opus()).collect()
    }

    /// The received packets of one section.
    pub fn received_on(&self, mid: Mid) -> Vec<&RtpPacket> {
        let packets = self.received.iter().zip(&self.sections);
        packets.filter(|(_, section)| **section == mid).map(|(packet, _)| packet).collect()
    }

    /// All received packets, with the section of each.
    pub fn received_by_section(&self) -> impl Iterator<Item = (Mid, &RtpPacket)> {
        self.sections.iter().copied().zip(&self.received)
    }

    /// The received packets of all video sections.
    pub fn received_video(&self) -> Vec<&RtpPacket> {
        self.received.iter().filter(|packet| packet.header.payload_type != self.opus()).collect()
    }
}
