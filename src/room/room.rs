//! One room as a plain state machine: events in, actions out. No sockets, no clock, no locks.
//!
//! What each slot carries is not changed event by event but worked out anew ([`super::plan`]) whenever anything changed that
//! it depends on ([`super::settling`]); the difference to before is what workers and clients are told ([`super::telling`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::event::{Action, Entry, Event, Media, Target};
use super::participant::{Participant, Refusal, Shown, published};
use super::speakers::Speakers;
use super::stream::Stream;
use super::viewers::{self, Viewers, WatchError};
use crate::ids::{ParticipantId, SessionId, TrackId};
use crate::protocol::client::TrackIntent;
use crate::protocol::server;
use crate::protocol::server::{Answer, Bye, ByeCode, ErrorCode, PeerQuality, Quality, ServerMessage, Slots};
use crate::protocol::shared::{Peer, Source};
use crate::sfu::session::negotiate::AnsweredSlot;
use crate::sfu::session::offer::OfferError;
use crate::sfu::session::renegotiate::Renegotiated;
use crate::sfu::session::stats::SessionStats;
use crate::units::{AudioLevel, Format};

/// A room: its participants, the WHIP stream of its name, and whoever watches by WHEP.
#[derive(Debug, Default)]
pub struct Room {
    pub(super) members: BTreeMap<ParticipantId, Participant>,
    pub(super) stream: Stream,
    pub(super) viewers: Viewers,
    pub(super) speakers: Speakers,
    pub(super) told_speakers: Vec<ParticipantId>,
    /// Participants of whom the others are to be told.
    pub(super) changed: BTreeSet<ParticipantId>,
    pub(super) gone: Vec<ParticipantId>,
    /// Whether what slots carry is to be worked out anew.
    pub(super) unsettled: bool,
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
            Event::Choose { session, target, wish } => self.choose(session, target, wish),
            Event::Connected(session) => self.connected(session),
            Event::Ended(session) => self.ended(now, session),
            Event::Format(track, format) | Event::Unplayable(_, track, format) => self.format(track, format),
            Event::Began { session, slot, track, timestamp } => self.began(session, slot, track, timestamp),
            Event::Throttled { session, slot, track, paused } => self.throttled(session, slot, track, paused),
            Event::Used(track, rids) => self.used(now, track, rids),
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
        // Tracks are known to clients before slots name them, and as long as slots do.
        self.tell_changed();
        if self.unsettled {
            self.settle(now);
        }
        self.tell_gone();
        std::mem::take(&mut self.out)
    }

    /// Whether a viewer could be shown what it wants.
    ///
    /// # Errors
    /// When there is nothing of it, or the viewer has no decoder for it.
    pub fn check_watch(&self, slots: &[AnsweredSlot], target: Target) -> Result<(), WatchError> {
        viewers::check(slots, &self.shown(&self.catalog(), target))
    }

    /// Whether there is anything to watch.
    #[must_use]
    pub fn has(&self, target: Target) -> bool {
        !self.shown(&self.catalog(), target).is_empty()
    }

    /// Whether anybody watches by WHEP, or waits for something to watch.
    #[must_use]
    pub fn has_viewers(&self) -> bool {
        self.viewers.len() > 0
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
            let bye = Bye { code: ByeCode::Refused, message: refusal.1.clone(), retry_ms: None };
            self.refuse(id, request, refusal);
            self.tell(vec![id], None, ServerMessage::Bye(bye));
            self.out.push(Action::HangUp(id));
            if !welcome.resumed {
                self.out.push(Action::Forget(id));
            }
            return self.socket_lost(now, id);
        }
        let Some(member) = self.members.get_mut(&id) else { return };
        member.socket_lost = None;
        member.changes_state(now);
        self.tell_all(id, request, welcome);
        self.unsettle(id);
    }

    /// Nothing changes for whoever is refused.
    fn enter(
        &mut self,
        id: ParticipantId,
        name: Option<&str>,
        meta: serde_json::Map<String, serde_json::Value>,
        media: Option<Media>,
        tracks: &[TrackIntent],
    ) -> Result<(), Refusal> {
        let link = self.members.get(&id).and_then(|member| member.link.as_ref());
        let Some(to_publish_on) = media.as_ref().or(link.map(|link| &link.media)) else {
            let message = "The peer connection is gone. Resume with a new offer.".to_owned();
            return Err((ErrorCode::Media, message));
        };
        let published = published(tracks, &to_publish_on.tracks)?;
        if let Some(member) = self.members.get_mut(&id) {
            let new_meta = (!meta.is_empty()).then_some(&meta);
            member.update(name, new_meta)?;
        } else {
            self.members.insert(id, Participant::new(name, meta)?);
        }
        let Some(member) = self.members.get_mut(&id) else { return Ok(()) };
        if let Some(media) = media {
            let old = member.connect(media, published);
            self.out.extend(old.map(Action::Close));
        } else if !tracks.is_empty() {
            // It may have muted something while its WebSocket was gone. What is wanted is told anew in any case.
            member.publish(tracks)?;
        }
        self.sync_mutes(id);
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
                return self.refuse(id, re, (ErrorCode::Offer, error.to_string()));
            }
        };
        link.renegotiated(Media { session, tracks, slots });
        let answer = Answer { sdp, tracks: link.own_tracks(), slots: link.own_slots() };
        let tracks = &link.media.tracks;
        member.published.retain(|known| tracks.iter().any(|track| track.id == known.track));
        self.tell(vec![id], re, ServerMessage::Answer(answer));
        self.unsettle(id);
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
            member.disconnect(now);
            self.refuse(id, None, (ErrorCode::Media, MEDIA_LOST.to_owned()));
            self.unsettle(id);
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
        let Some(link) = &mut member.link else { return };
        // What begins to come is not held back, whatever was said before it.
        if link.throttled.get(&slot) == Some(&track) {
            link.throttled.remove(&slot);
            if let Some(shown) = link.place(slot).and_then(|place| link.shown.get_mut(place)) {
                *shown = Shown::live(track);
            }
        }
        let place = link.place(slot);
        let shown = place.and_then(|place| link.media.slots.get(place).zip(link.shown.get(place)));
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
            let is_voice = |track| catalog.get(&track).is_some_and(|known| known.source == Source::Mic);
            self.speakers.hear(now, &here, is_voice);
            self.unsettled = true;
        }
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

    pub(super) fn unsettle(&mut self, changed: ParticipantId) {
        self.changed.insert(changed);
        self.unsettled = true;
    }

    pub(super) fn view_changed(&mut self) {
        self.unsettled = true;
    }
}

const MEDIA_LOST: &str = "The peer connection ended. Resume with a new offer.";
const DATA_REFUSED: &str =
    "Too many messages through the data channels: some were not passed on. Send fewer.";
const DATA_LOST: &str = "Messages of others were lost, as this client does not take them fast enough.";
