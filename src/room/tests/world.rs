//! A room with its clients and its worker, in virtual time. Every step ends with a look whether all fits together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::picture::Picture;
use crate::ids::{ParticipantId, SessionId, TrackId};
use crate::protocol::client::{ClientMessage, Leave, Mute, SlotView, TrackIntent, Tracks, View};
use crate::protocol::server::{ErrorCode, Limits, Reply, ServerMessage, Welcome};
use crate::protocol::shared::Source;
use crate::room::event::{Action, Entry, Event, Media, Target};
use crate::room::room::Room;
use crate::sfu::egress::PayloadType;
use crate::sfu::egress::allocate::Wish;
use crate::sfu::session::channels::{ChannelKind, DataMessage};
use crate::sfu::session::negotiate::{AnsweredSlot, AnsweredTrack};
use crate::units::{AudioLevel, Codec, Format, MediaKind};

/// What a client's offer holds.
#[derive(Debug, Clone)]
pub(super) struct Kit {
    /// Sections that are sent: `mic`, `cam` and so on.
    pub(super) tracks: Vec<TrackIntent>,
    pub(super) video_slots: usize,
    pub(super) audio_slots: usize,
    /// What it decodes; its own pictures have the first of these.
    pub(super) codecs: Vec<Codec>,
}

impl Default for Kit {
    fn default() -> Self {
        let tracks = vec![intent("mic", Source::Mic), intent("cam", Source::Camera)];
        Self { tracks, video_slots: 3, audio_slots: 2, codecs: vec![Codec::Vp8] }
    }
}

pub(super) fn intent(mid: &str, source: Source) -> TrackIntent {
    TrackIntent { mid: mid.to_owned(), source, label: None, muted: false }
}

/// A session as its worker knows it.
#[derive(Debug)]
pub(super) struct Peering {
    pub(super) tracks: BTreeMap<TrackId, Format>,
    pub(super) slots: Vec<AnsweredSlot>,
    pub(super) connected: bool,
    pub(super) bound: BTreeMap<usize, TrackId>,
    pub(super) wishes: BTreeMap<usize, Wish>,
    /// Slots whose track the link does not carry.
    pub(super) throttled: BTreeSet<usize>,
    pub(super) inbox: Vec<DataMessage>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) room: Room,
    pub(super) now: Instant,
    /// Those with a WebSocket.
    pub(super) clients: BTreeMap<ParticipantId, Picture>,
    /// Those whose WebSocket the room closed, as they were then.
    pub(super) former: BTreeMap<ParticipantId, Picture>,
    pub(super) sessions: BTreeMap<SessionId, Peering>,
    pub(super) muted: BTreeSet<TrackId>,
    pub(super) forgotten: BTreeSet<ParticipantId>,
    /// Sessions that end as soon as the worker comes to it.
    pub(super) ending: Vec<SessionId>,
    pub(super) ends_late: bool,
    next: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            room: Room::default(),
            now: Instant::now(),
            clients: BTreeMap::new(),
            former: BTreeMap::new(),
            sessions: BTreeMap::new(),
            muted: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            ending: Vec::new(),
            ends_late: false,
            next: 1,
        }
    }

    /// Lets the room handle an event, carries its actions out, and looks at the result.
    pub(super) fn handle(&mut self, event: Event) {
        let actions = self.room.handle(self.now, event);
        actions.into_iter().for_each(|action| self.carry_out(action));
        if !self.ends_late {
            self.end_all();
        }
        self.check();
    }

    /// The worker ends what it was told to.
    pub(super) fn end_all(&mut self) {
        while let Some(session) = self.ending.pop() {
            self.end(session);
        }
    }

    /// A session ends.
    pub(super) fn end(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        let actions = self.room.handle(self.now, Event::Ended(session));
        actions.into_iter().for_each(|action| self.carry_out(action));
        self.check();
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Bind { session, slot, track } => self.bind(session, slot, track),
            Action::Wish { session, slot, wish } => {
                let peering = self.sessions.get_mut(&session).expect("a session that is there");
                let before = peering.wishes.insert(slot, wish);
                assert_ne!(before, Some(wish), "what did not change is not told again");
            }
            Action::Mute { session, track, muted } => {
                let peering = self.sessions.get(&session).expect("a session that is there");
                assert!(peering.tracks.contains_key(&track), "{track} is not one of {session}");
                if muted {
                    self.muted.insert(track)
                } else {
                    self.muted.remove(&track)
                };
            }
            Action::Data { to, message, .. } => {
                for session in to {
                    let peering = self.sessions.get_mut(&session).expect("a session that is there");
                    peering.inbox.push(message.clone());
                }
            }
            Action::Offer { session, .. } => assert!(self.sessions.contains_key(&session)),
            Action::Tell { to, reply } => {
                for participant in to {
                    if let Some(client) = self.clients.get_mut(&participant) {
                        client.hear(&reply);
                    }
                }
            }
            Action::HangUp(participant) => {
                let client = self.clients.remove(&participant);
                self.former.extend(client.map(|client| (participant, client)));
            }
            Action::Forget(participant) => assert!(self.forgotten.insert(participant)),
            Action::Close(session) => self.ending.push(session),
        }
    }

    fn bind(&mut self, session: SessionId, slot: usize, track: Option<TrackId>) {
        let there: BTreeSet<_> = self.sessions.values().flat_map(|peering| peering.tracks.keys()).collect();
        assert!(track.is_none_or(|track| there.contains(&track)), "{track:?} is not there");
        let peering = self.sessions.get_mut(&session).expect("only sessions that are there get bindings");
        assert!(peering.slots.iter().any(|known| known.index == slot), "{session} has no slot {slot}");
        peering.throttled.remove(&slot);
        let before = match track {
            Some(track) => peering.bound.insert(slot, track),
            None => peering.bound.remove(&slot),
        };
        assert_ne!(before, track, "what did not change is not bound again");
    }

    fn mint(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A peer connection by this offer, not connected yet.
    pub(super) fn negotiate(&mut self, kit: &Kit) -> Media {
        let number = self.mint();
        let session = SessionId(number);
        let tracks = tracks(number, kit);
        let slots = slots(kit);
        self.enter(session, &tracks, &slots);
        Media { session, tracks, slots }
    }

    fn enter(&mut self, id: SessionId, tracks: &[AnsweredTrack], slots: &[AnsweredSlot]) {
        let tracks = tracks.iter().map(|track| (track.id, track.format)).collect();
        let slots = slots.to_vec();
        let (bound, inbox) = (BTreeMap::new(), Vec::new());
        let (wishes, throttled) = (BTreeMap::new(), BTreeSet::new());
        self.sessions
            .insert(id, Peering { tracks, slots, connected: false, bound, wishes, throttled, inbox });
    }

    pub(super) fn entry(&mut self, name: &str, kit: &Kit) -> Entry {
        let participant = ParticipantId(self.mint());
        Entry {
            participant,
            name: Some(name.to_owned()),
            meta: serde_json::Map::new(),
            media: Some(self.negotiate(kit)),
            tracks: kit.tracks.clone(),
            request: Some(1),
            welcome: Box::new(blank_welcome()),
        }
    }

    /// Somebody joins, or resumes, and gets a WebSocket. Sessions that the room did not take are gone.
    pub(super) fn enter_room(&mut self, entry: Entry) -> ParticipantId {
        let participant = entry.participant;
        let session = entry.media.as_ref().map(|media| media.session);
        self.clients.insert(participant, Picture::default());
        self.former.remove(&participant);
        let actions = self.room.handle(self.now, Event::Join(entry));
        if let Some(session) = session.filter(|_| self.room.session_of(participant) != session) {
            self.sessions.remove(&session);
        }
        actions.into_iter().for_each(|action| self.carry_out(action));
        if !self.ends_late {
            self.end_all();
        }
        self.check();
        participant
    }

    pub(super) fn join_with(&mut self, name: &str, kit: &Kit) -> ParticipantId {
        let entry = self.entry(name, kit);
        let participant = self.enter_room(entry);
        self.connect(participant);
        participant
    }

    /// Somebody with a microphone and a camera, three slots for video and two for audio, whose media flows.
    pub(super) fn join(&mut self, name: &str) -> ParticipantId {
        self.join_with(name, &Kit::default())
    }

    pub(super) fn resume(&mut self, participant: ParticipantId, kit: Option<&Kit>) {
        let mut entry = self.entry("", kit.unwrap_or(&Kit::default()));
        (entry.participant, entry.name) = (participant, None);
        if kit.is_none() {
            entry.tracks.clear();
            let unused = entry.media.take().expect("an entry has media");
            self.sessions.remove(&unused.session);
        }
        self.enter_room(entry);
    }

    pub(super) fn session(&self, participant: ParticipantId) -> SessionId {
        self.room.session_of(participant).expect("a participant with a peer connection")
    }

    /// The media of a participant begins to flow.
    pub(super) fn connect(&mut self, participant: ParticipantId) {
        self.connected(self.session(participant));
    }

    pub(super) fn connected(&mut self, session: SessionId) {
        self.sessions.get_mut(&session).expect("a session that is there").connected = true;
        self.handle(Event::Connected(session));
    }

    /// The WebSocket of a participant breaks.
    pub(super) fn cut(&mut self, participant: ParticipantId) {
        self.clients.remove(&participant);
        self.handle(Event::SocketLost(participant));
    }

    pub(super) fn request(&mut self, participant: ParticipantId, message: ClientMessage) {
        self.handle(Event::Request { participant, id: Some(7), message });
    }

    pub(super) fn leave(&mut self, participant: ParticipantId) {
        self.request(participant, ClientMessage::Leave(Leave {}));
    }

    pub(super) fn publish(&mut self, participant: ParticipantId, tracks: Vec<TrackIntent>) {
        self.request(participant, ClientMessage::Tracks(Tracks { tracks }));
    }

    pub(super) fn mute(&mut self, participant: ParticipantId, mid: &str, muted: bool) {
        self.request(participant, ClientMessage::Mute(Mute { mid: mid.to_owned(), muted }));
    }

    /// A participant looks at these tracks, in its slots `v0`, `v1` and so on.
    pub(super) fn look(&mut self, participant: ParticipantId, tracks: &[TrackId]) {
        let show = |(place, track): (usize, &TrackId)| SlotView {
            mid: format!("v{place}"),
            track: Some(*track),
            w: 640,
            h: 360,
            fps: None,
            priority: None,
        };
        let slots = tracks.iter().enumerate().map(show).collect();
        self.request(participant, ClientMessage::View(View { slots, ..View::default() }));
    }

    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(500);
            self.handle(Event::Tick);
        }
    }

    /// The worker tells that a participant's link does not carry what is in a slot, or does again.
    pub(super) fn throttle(&mut self, participant: ParticipantId, slot: usize, paused: bool) {
        let session = self.session(participant);
        let peering = self.sessions.get_mut(&session).expect("a session that is there");
        let Some(track) = peering.bound.get(&slot).copied() else { return };
        if paused {
            peering.throttled.insert(slot);
        } else {
            peering.throttled.remove(&slot);
        }
        self.handle(Event::Throttled { session, slot, track, paused });
    }

    /// The worker tells which encodings of a track anybody gets.
    pub(super) fn used(&mut self, track: TrackId, rids: Option<&[&str]>) {
        let rids = rids.map(|rids| rids.iter().map(|rid| (*rid).to_owned()).collect());
        self.handle(Event::Used(track, rids));
    }

    pub(super) fn levels(&mut self, levels: &[(TrackId, u8)]) {
        self.now += Duration::from_millis(200);
        let levels = levels.iter().map(|(track, level)| (*track, AudioLevel(*level))).collect();
        self.handle(Event::Levels(levels));
    }

    pub(super) fn format(&mut self, track: TrackId, codec: Codec) {
        let format = format(codec);
        for peering in self.sessions.values_mut() {
            peering.tracks.entry(track).and_modify(|known| *known = format);
        }
        self.handle(Event::Format(track, format));
    }

    pub(super) fn whip(&mut self) -> (ParticipantId, SessionId) {
        let (participant, number) = (ParticipantId(self.mint()), self.mint());
        let session = SessionId(number);
        let tracks = tracks(number, &Kit::default());
        self.enter(session, &tracks, &[]);
        self.handle(Event::Publish { participant, session, tracks });
        (participant, session)
    }

    pub(super) fn whep(&mut self, target: Target) -> SessionId {
        let session = SessionId(self.mint());
        let slots = slots(&Kit { video_slots: 1, audio_slots: 1, ..Kit::default() });
        self.enter(session, &[], &slots);
        self.handle(Event::Watch { session, slots, target });
        self.connected(session);
        session
    }

    pub(super) fn data(&mut self, from: ParticipantId, channel: ChannelKind, text: &str) {
        let message = DataMessage { text: true, bytes: Arc::from(text.as_bytes()) };
        self.handle(Event::Data(self.session(from), channel, message));
    }

    pub(super) fn picture(&mut self, participant: ParticipantId) -> &mut Picture {
        self.clients.get_mut(&participant).expect("a client with a WebSocket")
    }

    /// The track that a participant sends in a section.
    pub(super) fn track(&self, participant: ParticipantId, mid: &str) -> TrackId {
        let own = &self.clients.get(&participant).expect("a client").own_tracks;
        own.iter().find(|own| own.mid == mid).expect("a section that is sent").track
    }

    /// What a session gets.
    pub(super) fn gets(&self, session: SessionId) -> Vec<TrackId> {
        let peering = self.sessions.get(&session).expect("a session that is there");
        peering.bound.values().copied().collect()
    }

    /// What answered the last request of a participant.
    pub(super) fn outcome(&mut self, participant: ParticipantId) -> Result<(), ErrorCode> {
        let news = self.picture(participant).news();
        let answers: Vec<Reply> = news.into_iter().filter(|reply| reply.re == Some(7)).collect();
        assert_eq!(answers.len(), 1, "each request is answered once");
        match &answers[0].message {
            ServerMessage::Error(error) => Err(error.code),
            _ => Ok(()),
        }
    }
}

fn tracks(number: u64, kit: &Kit) -> Vec<AnsweredTrack> {
    let track = |(place, intent): (usize, &TrackIntent)| {
        let kind = intent.source.kind();
        let codec = kit.codecs.first().copied().filter(|_| kind == MediaKind::Video).unwrap_or(Codec::Opus);
        let id = TrackId(number * 64 + place as u64);
        AnsweredTrack { id, mid: intent.mid.clone(), kind, format: format(codec) }
    };
    kit.tracks.iter().enumerate().map(track).collect()
}

pub(super) fn slots(kit: &Kit) -> Vec<AnsweredSlot> {
    let types = |codecs: &[Codec]| -> Vec<PayloadType> {
        codecs
            .iter()
            .zip(96..)
            .map(|(codec, number)| PayloadType { number, format: format(*codec) })
            .collect()
    };
    let video = (0..kit.video_slots).map(|n| (format!("v{n}"), MediaKind::Video, types(&kit.codecs)));
    let audio = (0..kit.audio_slots).map(|n| (format!("a{n}"), MediaKind::Audio, types(&[Codec::Opus])));
    let slot = |(index, (mid, kind, payload_types))| AnsweredSlot { index, mid, kind, payload_types };
    video.chain(audio).enumerate().map(slot).collect()
}

pub(super) fn format(codec: Codec) -> Format {
    let fmtp = if codec == Codec::H264 { "profile-level-id=42e01f;packetization-mode=1" } else { "" };
    Format::new(codec, fmtp)
}

fn blank_welcome() -> Welcome {
    let limits = Limits { message_bytes: 0, messages_per_second: 0, data_bytes: 0, resume_ms: 0, ping_ms: 0 };
    Welcome {
        v: 1,
        room: "test".to_owned(),
        you: ParticipantId(0),
        name: String::new(),
        resume_token: String::new(),
        resumed: false,
        sdp: None,
        tracks: Vec::new(),
        slots: Vec::new(),
        peers: Vec::new(),
        ice_servers: Vec::new(),
        limits,
    }
}
