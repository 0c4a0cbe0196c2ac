//! One room as a plain state machine: events in, actions out. No sockets, no clock, no locks.
//!
//! What each slot carries is not changed event by event but worked out anew ([`plan`]) whenever anything changed that
//! it depends on; the difference to before is what workers and clients are told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::event::{Action, Entry, Event, Media, Target};
use super::participant::{Participant, Shown, UNWANTED_AFTER};
use super::plan::{self, Catalog, Known};
use super::speakers::Speakers;
use super::stream::Stream;
use super::viewers::{self, Offered, Viewers, WatchError};
use crate::ids::{ParticipantId, SessionId, TrackId};
use crate::protocol::server;
use crate::protocol::server::{
    Answer, Bye, ByeCode, Error, ErrorCode, PeerQuality, Peers, Quality, QualityLevel, Reply, ServerMessage,
    Slots, Speaker, Want, Wanted,
};
use crate::protocol::shared::{Peer, Source};
use crate::sfu::session::negotiate::AnsweredSlot;
use crate::sfu::session::offer::OfferError;
use crate::sfu::session::renegotiate::Renegotiated;
use crate::sfu::session::stats::SessionStats;
use crate::units::{AudioLevel, Format, MediaKind};

/// How many of those who speak at once are told.
const MOST_SPEAKERS: usize = 5;

/// A room: its participants, the WHIP stream of its name, and whoever watches by WHEP.
#[derive(Debug, Default)]
pub struct Room {
    pub(super) members: BTreeMap<ParticipantId, Participant>,
    pub(super) stream: Stream,
    viewers: Viewers,
    speakers: Speakers,
    told_speakers: Vec<ParticipantId>,
    /// Participants of whom the others are to be told.
    changed: BTreeSet<ParticipantId>,
    gone: Vec<ParticipantId>,
    /// Whether what slots carry is to be worked out anew.
    unsettled: bool,
    pub(super) out: Vec<Action>,
}

impl Room {
    /// Takes in what happened, and tells what is to be done about it.
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Action> {
        match event {
            Event::Join(entry) => self.join(now, entry),
            Event::Request { participant, id, message } => self.request(participant, id, message),
            Event::SocketLost(participant) => self.socket_lost(now, participant),
            Event::Leave(participant, bye) => self.leave(participant, bye),
            Event::CloseRoom(bye) => self.close(&bye),
            Event::Answered { session, re, outcome } => self.answered(session, re, outcome),
            Event::Publish { participant, session, tracks } => {
                self.stream.publish(participant, session, tracks);
            }
            Event::Watch { session, slots, target } => self.watch(session, slots, target),
            Event::Connected(session) => self.connected(session),
            Event::Ended(session) => self.ended(now, session),
            Event::Format(track, format) | Event::Unplayable(_, track, format) => self.format(track, format),
            Event::Began { session, slot, track, timestamp } => self.began(session, slot, track, timestamp),
            Event::ChannelOpen(session, channel) => {
                if let Some((_, member)) = self.member_of(session)
                    && let Some(link) = &mut member.link
                {
                    link.opened(channel);
                }
            }
            Event::Data(session, channel, message) => self.data(session, channel, &message),
            Event::DataRefused(session) => self.tell_session(session, ErrorCode::Rate, DATA_REFUSED),
            Event::DataLost(session) => self.tell_session(session, ErrorCode::DataLost, DATA_LOST),
            Event::Levels(levels) => self.levels(now, &levels),
            Event::Stats(stats) => self.stats(&stats),
            Event::Tick => self.tick(now),
        }
        if self.unsettled {
            self.settle(now);
        }
        self.tell_changes();
        std::mem::take(&mut self.out)
    }

    /// Whether a viewer could be shown what it wants.
    ///
    /// # Errors
    /// When there is nothing of it, or the viewer has no decoder for it.
    pub fn check_watch(&self, slots: &[AnsweredSlot], target: Target) -> Result<(), WatchError> {
        viewers::check(slots, &self.shown(target))
    }

    /// Whether there is anything to watch.
    #[must_use]
    pub fn has(&self, target: Target) -> bool {
        !self.shown(target).is_empty()
    }

    /// Whether a WHIP publisher is on air.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.stream.on_air().is_some()
    }

    /// Whether the room can be forgotten.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.stream.is_empty() && self.viewers.len() == 0
    }

    /// Whether a participant is here, connected or not.
    #[must_use]
    pub fn has_member(&self, participant: ParticipantId) -> bool {
        self.members.contains_key(&participant)
    }

    /// How many participants joined.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// Everybody in the room, as the others see them.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        let members = self.members.iter().map(|(id, member)| member.peer(*id));
        self.stream.peer().into_iter().chain(members).collect()
    }

    /// The sessions of a participant; one at most, except for a stream whose next publisher is connecting.
    #[must_use]
    pub fn session_of(&self, participant: ParticipantId) -> Option<SessionId> {
        let member = self.members.get(&participant).and_then(Participant::session);
        let stream =
            || self.stream.on_air().filter(|air| air.participant == participant).map(|air| air.session);
        member.or_else(stream)
    }

    fn join(&mut self, now: Instant, entry: Entry) {
        let Entry { participant: id, name, meta, media, tracks, request, mut welcome } = entry;
        welcome.resumed = self.members.contains_key(&id);
        if let Err(refusal) = self.enter(id, name.as_deref(), meta, media, &tracks) {
            self.refuse(id, request, refusal);
            self.out.push(Action::HangUp(id));
            if !welcome.resumed {
                self.members.remove(&id);
                self.out.push(Action::Forget(id));
            }
            return self.socket_lost(now, id);
        }
        let Some(member) = self.members.get_mut(&id) else { return };
        member.socket_lost = None;
        welcome.you = id;
        welcome.name.clone_from(&member.name);
        if let Some(link) = &member.link {
            (welcome.tracks, welcome.slots) = (link.own_tracks(), link.own_slots());
        }
        let bind = member.link.as_ref().map(|link| link.bindings()).unwrap_or_default();
        welcome.peers = self.peers().into_iter().filter(|peer| peer.id != id).collect();
        self.tell(vec![id], request, ServerMessage::Welcome(welcome));
        if !bind.is_empty() {
            self.tell(vec![id], None, ServerMessage::Slots(Slots { bind }));
        }
        if !self.told_speakers.is_empty() {
            let speaking = self.speaking(&self.catalog());
            self.tell(vec![id], None, speakers_message(&speaking));
        }
        let doing_worse = self
            .members
            .iter()
            .map(|(peer, member)| PeerQuality { peer: *peer, level: member.quality.level() });
        let peers: Vec<_> = doing_worse.filter(|quality| quality.level != QualityLevel::Good).collect();
        if !peers.is_empty() {
            self.tell(vec![id], None, ServerMessage::Quality(Quality { peers }));
        }
        self.changed.insert(id);
        self.unsettled = true;
    }

    fn enter(
        &mut self,
        id: ParticipantId,
        name: Option<&str>,
        meta: serde_json::Map<String, serde_json::Value>,
        media: Option<Media>,
        tracks: &[crate::protocol::client::TrackIntent],
    ) -> Result<(), super::participant::Refusal> {
        if let Some(member) = self.members.get_mut(&id) {
            let new_meta = (!meta.is_empty()).then_some(&meta);
            member.update(name, new_meta)?;
        } else {
            self.members.insert(id, Participant::new(name, meta)?);
        }
        let Some(member) = self.members.get_mut(&id) else { return Ok(()) };
        if let Some(media) = media {
            let old = member.connect(media);
            let outcome = member.publish(tracks);
            self.out.extend(old.map(Action::Close));
            outcome?;
            self.sync_mutes(id);
        } else if member.link.is_none() {
            let message = "The peer connection is gone. Resume with a new offer.".to_owned();
            return Err((ErrorCode::Media, message));
        }
        Ok(())
    }

    fn socket_lost(&mut self, now: Instant, id: ParticipantId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.socket_lost.get_or_insert(now);
        }
    }

    /// A participant is gone for good.
    pub(super) fn leave(&mut self, id: ParticipantId, bye: Bye) {
        if let Some(air) = self.stream.on_air().filter(|air| air.participant == id) {
            // The rest follows when its session has ended.
            return self.out.push(Action::Close(air.session));
        }
        let Some(member) = self.members.remove(&id) else { return };
        self.tell(vec![id], None, ServerMessage::Bye(bye));
        self.out.push(Action::HangUp(id));
        self.out.push(Action::Forget(id));
        self.out.extend(member.session().map(Action::Close));
        self.changed.remove(&id);
        self.gone.push(id);
        self.unsettled = true;
    }

    fn close(&mut self, bye: &Bye) {
        let members: Vec<_> = self.members.keys().copied().collect();
        for member in members {
            self.leave(member, bye.clone());
        }
        self.gone.clear();
        let sessions = self.stream.sessions().chain(self.viewers.sessions());
        self.out.extend(sessions.map(Action::Close));
    }

    /// A later offer was answered, or refused.
    fn answered(&mut self, session: SessionId, re: Option<u32>, outcome: Result<Renegotiated, OfferError>) {
        let Some((id, member)) = self.member_of(session) else { return };
        let Some(link) = &mut member.link else { return };
        let Renegotiated { answer: sdp, tracks, slots } = match outcome {
            Ok(renegotiated) => renegotiated,
            Err(error) => {
                let restart = matches!(error, OfferError::IceRestart);
                let code = if restart { ErrorCode::IceRestart } else { ErrorCode::Offer };
                return self.refuse(id, re, (code, error.to_string()));
            }
        };
        link.renegotiated(Media { session, tracks, slots });
        let answer = Answer { sdp, tracks: link.own_tracks(), slots: link.own_slots() };
        let mids: Vec<String> = link.media.tracks.iter().map(|track| track.mid.clone()).collect();
        let before = member.published.len();
        member.published.retain(|track| mids.contains(&track.mid));
        if member.published.len() != before {
            self.changed.insert(id);
        }
        self.tell(vec![id], re, ServerMessage::Answer(answer));
        self.unsettled = true;
    }

    fn watch(&mut self, session: SessionId, slots: Vec<AnsweredSlot>, target: Target) {
        self.viewers.add(session, slots, target);
        self.unsettled = true;
    }

    fn connected(&mut self, session: SessionId) {
        if let Some((_, member)) = self.member_of(session) {
            if let Some(link) = &mut member.link {
                link.connected = true;
            }
            self.unsettled = true;
        } else if let Some(taken_over) = self.stream.connected(session) {
            self.out.extend(taken_over.map(Action::Close));
            self.changed.extend(self.stream.on_air().map(|air| air.participant));
            self.unsettled = true;
        }
    }

    fn ended(&mut self, now: Instant, session: SessionId) {
        if self.viewers.remove(session) {
            self.unsettled = true;
            return;
        }
        if let Some((id, member)) = self.member_of(session) {
            member.link = None;
            member.media_lost = Some(now);
            self.refuse(id, None, (ErrorCode::Media, MEDIA_LOST.to_owned()));
            self.unsettled = true;
        } else if let Some(air) = self.stream.ended(session) {
            self.gone.push(air);
            self.unsettled = true;
        }
    }

    fn format(&mut self, track: TrackId, format: Format) {
        let of_members = self
            .members
            .values_mut()
            .filter_map(|member| member.link.as_mut())
            .flat_map(|link| &mut link.media.tracks);
        let mut known = of_members.chain(self.stream.tracks_mut());
        if let Some(known) = known.find(|known| known.id == track) {
            self.unsettled |= std::mem::replace(&mut known.format, format) != format;
        }
    }

    /// Tells a client from which frame on a slot shows its new track: until then it shows the old one.
    fn began(&mut self, session: SessionId, slot: usize, track: TrackId, timestamp: u32) {
        let Some((id, member)) = self.member_of(session) else { return };
        let link = member.link.as_ref();
        let shown = link.and_then(|link| link.media.slots.get(slot).zip(link.shown.get(slot)));
        if let Some((slot, shown)) = shown.filter(|(_, shown)| shown.forwarded() == Some(track)) {
            let bind = vec![server::Binding { from: Some(timestamp), ..shown.binding(&slot.mid) }];
            self.tell(vec![id], None, ServerMessage::Slots(Slots { bind }));
        }
    }

    fn levels(&mut self, now: Instant, levels: &[(TrackId, AudioLevel)]) {
        let catalog = self.catalog();
        let audible = |track: &TrackId| catalog.get(track).is_some_and(|known| !known.muted);
        let here: Vec<_> = levels.iter().filter(|(track, _)| audible(track)).copied().collect();
        if !here.is_empty() {
            self.speakers.hear(now, &here);
            self.unsettled = true;
        }
    }

    fn tell_speakers(&mut self, catalog: &Catalog) {
        let speaking = self.speaking(catalog);
        let ids: Vec<_> = speaking.iter().map(|(peer, _)| *peer).collect();
        if ids != self.told_speakers {
            self.told_speakers = ids;
            let all = self.with_sockets(None);
            self.tell(all, None, speakers_message(&speaking));
        }
    }

    /// Who speaks, the loudest first. The sound of a screen is nobody's voice.
    fn speaking(&self, catalog: &Catalog) -> Vec<(ParticipantId, AudioLevel)> {
        let voices = self.speakers.audible().filter_map(|(track, level)| {
            let known = catalog.get(&track).filter(|known| known.source != Source::ScreenAudio)?;
            Some((known.owner, level))
        });
        voices.take(MOST_SPEAKERS).collect()
    }

    fn stats(&mut self, stats: &SessionStats) {
        let Some((id, member)) = self.member_of(stats.session) else { return };
        if let Some(level) = member.quality.report(stats) {
            let message = ServerMessage::Quality(Quality { peers: vec![PeerQuality { peer: id, level }] });
            let all = self.with_sockets(None);
            self.tell(all, None, message);
        }
    }

    fn tick(&mut self, now: Instant) {
        let expired: Vec<_> =
            self.members.iter().filter(|(_, member)| member.is_expired(now)).map(|(id, _)| *id).collect();
        for id in expired {
            let message = "The connection was gone for too long.".to_owned();
            self.leave(id, Bye { code: ByeCode::Timeout, message, retry_ms: Some(0) });
        }
        for (id, member) in &mut self.members {
            if member.changes_state(now) {
                self.changed.insert(*id);
            }
        }
        self.tell_wanted(now);
    }

    /// Works out what every slot carries, and tells the difference.
    fn settle(&mut self, now: Instant) {
        self.unsettled = false;
        let catalog = self.catalog();
        self.speakers
            .retain(|track| catalog.get(&track).is_some_and(|known| known.connected && !known.muted));
        let mut told = Vec::new();
        for (id, member) in &mut self.members {
            let Some(link) = &mut member.link else { continue };
            let shown = plan::participant(*id, link, &member.view, &catalog, &self.speakers);
            let before = std::mem::replace(&mut link.shown, shown);
            let bind = differences(link.session(), &link.media.slots, &before, &link.shown, &mut self.out);
            if !bind.is_empty() && member.socket_lost.is_none() {
                told.push((*id, ServerMessage::Slots(Slots { bind })));
            }
        }
        for (id, message) in told {
            self.tell(vec![id], None, message);
        }
        let mut viewers = std::mem::take(&mut self.viewers);
        let mut out = std::mem::take(&mut self.out);
        viewers.settle(|target| self.shown(target), &mut out);
        (self.viewers, self.out) = (viewers, out);
        self.tell_wanted(now);
        self.tell_speakers(&catalog);
    }

    /// Tells publishers which of their pictures are watched.
    fn tell_wanted(&mut self, now: Instant) {
        let slots =
            self.members.values().filter_map(|member| member.link.as_ref()).flat_map(|link| &link.shown);
        let watched: BTreeSet<TrackId> =
            slots.filter_map(Shown::forwarded).chain(self.viewers.bound()).collect();
        let mut told = Vec::new();
        for (id, member) in &mut self.members {
            let mut tracks = Vec::new();
            let video = member.published.iter_mut().filter(|track| track.source.kind() == MediaKind::Video);
            for track in video {
                let is_watched = watched.contains(&track.track);
                let since = *track.unwatched.get_or_insert(now);
                let wanted = is_watched || now.saturating_duration_since(since) < UNWANTED_AFTER;
                track.unwatched = track.unwatched.filter(|_| !is_watched);
                // A picture that nobody watches yet is sent until the time is over, one that was given up is not.
                if wanted != track.wanted && (is_watched || !wanted) {
                    track.wanted = wanted;
                    tracks.push(Wanted { mid: track.mid.clone(), wanted });
                }
            }
            if !tracks.is_empty() {
                told.push((*id, ServerMessage::Want(Want { tracks })));
            }
        }
        for (id, message) in told {
            self.tell(vec![id], None, message);
        }
    }

    fn catalog(&self) -> Catalog {
        let mut catalog = Catalog::new();
        for (owner, member) in &self.members {
            for published in &member.published {
                let link = member.link.as_ref();
                let answered =
                    link.and_then(|link| link.media.tracks.iter().find(|track| track.id == published.track));
                // Without a peer connection its format does not matter: it is not shown.
                let Some(format) = answered.map(|track| track.format) else { continue };
                let known = Known {
                    owner: *owner,
                    source: published.source,
                    format,
                    muted: published.muted,
                    connected: link.is_some_and(|link| link.connected),
                };
                catalog.insert(published.track, known);
            }
        }
        catalog.extend(self.stream.catalog());
        catalog
    }

    /// The tracks that a viewer with this target sees now.
    fn shown(&self, target: Target) -> Vec<Offered> {
        match target {
            Target::Stream { .. } if self.is_live() => self.stream.offered(),
            Target::Stream { members: false } => Vec::new(),
            Target::Stream { members: true } | Target::Speaker => {
                self.floor().map(|id| self.offered_by(id)).unwrap_or_default()
            }
            Target::Participant(id) => self.offered_by(id),
            Target::Track(track) => {
                let known =
                    self.catalog().get(&track).copied().filter(|known| known.connected && !known.muted);
                known.map(|known| offered(track, &known)).into_iter().collect()
            }
        }
    }

    /// Whoever has the floor; as long as nobody spoke, somebody who can be seen.
    fn floor(&self) -> Option<ParticipantId> {
        let catalog = self.catalog();
        let speaker = self.speakers.floor().and_then(|track| catalog.get(&track)).map(|known| known.owner);
        let seen = || {
            let live = |known: &&Known| known.connected && !known.muted;
            let mut shown = catalog.values().filter(live);
            shown.clone().find(|known| known.source.kind() == MediaKind::Video).or_else(|| shown.next())
        };
        speaker.or_else(|| seen().map(|known| known.owner))
    }

    /// What can be seen and heard of a participant: the screen before the camera, the voice before other sound.
    fn offered_by(&self, id: ParticipantId) -> Vec<Offered> {
        let catalog = self.catalog();
        let mut tracks: Vec<_> = catalog
            .iter()
            .filter(|(_, known)| known.owner == id && known.connected && !known.muted)
            .collect();
        tracks.sort_by_key(|(track, known)| {
            (known.source != Source::Screen, known.source == Source::ScreenAudio, **track)
        });
        tracks.into_iter().map(|(track, known)| offered(*track, known)).collect()
    }

    /// Tells the others who came, changed and left.
    fn tell_changes(&mut self) {
        for id in std::mem::take(&mut self.changed) {
            let peer = self.members.get(&id).map(|member| member.peer(id));
            let stream = || self.stream.peer().filter(|peer| peer.id == id);
            let Some(peer) = peer.or_else(stream) else { continue };
            let others = self.with_sockets(Some(id));
            self.tell(others, None, ServerMessage::Peers(Peers { set: vec![peer], gone: Vec::new() }));
        }
        let gone = std::mem::take(&mut self.gone);
        if !gone.is_empty() {
            let all = self.with_sockets(None);
            self.tell(all, None, ServerMessage::Peers(Peers { set: Vec::new(), gone }));
        }
    }

    /// Lets the worker forward what is published and not muted, and nothing else.
    pub(super) fn sync_mutes(&mut self, id: ParticipantId) {
        let Some(member) = self.members.get(&id) else { return };
        let Some(session) = member.session() else { return };
        let muted: Vec<_> = member.published.iter().map(|track| (track.track, track.muted)).collect();
        for (track, muted) in muted {
            self.out.push(Action::Mute { session, track, muted });
        }
        self.changed.insert(id);
        self.unsettled = true;
    }

    pub(super) fn member_of(&mut self, session: SessionId) -> Option<(ParticipantId, &mut Participant)> {
        let found = self.members.iter_mut().find(|(_, member)| member.session() == Some(session));
        found.map(|(id, member)| (*id, member))
    }

    /// Everybody with a WebSocket, except one.
    pub(super) fn with_sockets(&self, except: Option<ParticipantId>) -> Vec<ParticipantId> {
        let here = self.members.iter().filter(|(_, member)| member.has_socket()).map(|(id, _)| *id);
        here.filter(|id| Some(*id) != except).collect()
    }

    pub(super) fn tell(&mut self, to: Vec<ParticipantId>, re: Option<u32>, message: ServerMessage) {
        if !to.is_empty() {
            self.out.push(Action::Tell { to, reply: Reply { re, message } });
        }
    }

    pub(super) fn refuse(
        &mut self,
        id: ParticipantId,
        re: Option<u32>,
        refusal: super::participant::Refusal,
    ) {
        let (code, message) = refusal;
        self.tell(vec![id], re, ServerMessage::Error(Error { code, message }));
    }

    fn tell_session(&mut self, session: SessionId, code: ErrorCode, message: &str) {
        if let Some((id, _)) = self.member_of(session) {
            self.refuse(id, None, (code, message.to_owned()));
        }
    }

    pub(super) fn unsettle(&mut self, changed: ParticipantId) {
        self.changed.insert(changed);
        self.unsettled = true;
    }

    pub(super) fn view_changed(&mut self) {
        self.unsettled = true;
    }
}

fn speakers_message(speaking: &[(ParticipantId, AudioLevel)]) -> ServerMessage {
    let list = speaking.iter().map(|(peer, level)| Speaker { peer: *peer, level: level.0 }).collect();
    ServerMessage::Speakers(server::Speakers { list })
}

const MEDIA_LOST: &str = "The peer connection ended. Resume with a new offer.";
const DATA_REFUSED: &str =
    "Too many messages through the data channels: some were not passed on. Send fewer.";
const DATA_LOST: &str = "Messages of others were lost, as this client does not take them fast enough.";

fn offered(track: TrackId, known: &Known) -> Offered {
    Offered { track, kind: known.source.kind(), format: known.format }
}

/// Binds the slots whose track changed, and returns what the client is to be told.
fn differences(
    session: SessionId,
    slots: &[AnsweredSlot],
    before: &[Shown],
    after: &[Shown],
    out: &mut Vec<Action>,
) -> Vec<server::Binding> {
    let mut bind = Vec::new();
    for (slot, (old, new)) in slots.iter().zip(before.iter().zip(after)) {
        if old.forwarded() != new.forwarded() {
            out.push(Action::Bind { session, slot: slot.index, track: new.forwarded() });
        }
        if old != new {
            bind.push(new.binding(&slot.mid));
        }
    }
    bind
}
