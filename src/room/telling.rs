//! What participants are told of what happens in their room.

use std::collections::BTreeSet;
use std::time::Instant;

use super::encodings::Encodings;
use super::event::Action;
use super::participant::{Link, Published, Refusal, Shown, UNWANTED_AFTER};
use super::plan::Catalog;
use super::room::Room;
use crate::ids::{ParticipantId, SessionId, TrackId};
use crate::protocol::server;
use crate::protocol::server::{
    Error, ErrorCode, PeerQuality, Peers, Quality, QualityLevel, Reply, ServerMessage, Slots, Speaker, Want,
    Wanted, Welcome,
};
use crate::protocol::shared::Source;
use crate::units::{AudioLevel, MediaKind};

/// How many of those who speak at once are told.
const MOST_SPEAKERS: usize = 5;

impl Room {
    /// The whole state, for somebody who knows nothing yet: the welcome first, then what does not fit into it.
    pub(super) fn tell_all(&mut self, id: ParticipantId, request: Option<u32>, mut welcome: Box<Welcome>) {
        let Some(member) = self.members.get(&id) else { return };
        let link = member.link.as_ref();
        welcome.you = id;
        welcome.name.clone_from(&member.name);
        (welcome.tracks, welcome.slots) =
            link.map(|link| (link.own_tracks(), link.own_slots())).unwrap_or_default();
        welcome.peers = self.peers().into_iter().filter(|peer| peer.id != id).collect();
        let bind = link.map(Link::bindings).unwrap_or_default();
        self.tell(vec![id], request, ServerMessage::Welcome(welcome));
        if !bind.is_empty() {
            self.tell(vec![id], None, ServerMessage::Slots(Slots { bind }));
        }
        if !self.told_speakers.is_empty() {
            let speaking = self.speaking(&self.catalog());
            self.tell(vec![id], None, speakers_message(&speaking));
        }
        let doing = self
            .members
            .iter()
            .map(|(peer, member)| PeerQuality { peer: *peer, level: member.quality.level() });
        let peers: Vec<_> = doing.filter(|quality| quality.level != QualityLevel::Good).collect();
        if !peers.is_empty() {
            self.tell(vec![id], None, ServerMessage::Quality(Quality { peers }));
        }
        self.tell_unwanted(id);
    }

    /// Tells the others who came and changed.
    pub(super) fn tell_changed(&mut self) {
        for id in std::mem::take(&mut self.changed) {
            let news = match self.members.get_mut(&id) {
                Some(member) => member.news(id),
                None => self.stream.peer().filter(|peer| peer.id == id),
            };
            let Some(peer) = news else { continue };
            let others = self.with_sockets(Some(id));
            self.tell(others, None, ServerMessage::Peers(Peers { set: vec![peer], gone: Vec::new() }));
        }
    }

    /// Tells the others who left.
    pub(super) fn tell_gone(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        if !gone.is_empty() {
            let all = self.with_sockets(None);
            self.tell(all, None, ServerMessage::Peers(Peers { set: Vec::new(), gone }));
        }
    }

    pub(super) fn tell_speakers(&mut self, catalog: &Catalog) {
        let speaking = self.speaking(catalog);
        let ids: Vec<_> = speaking.iter().map(|(peer, _)| *peer).collect();
        if ids != self.told_speakers {
            self.told_speakers = ids;
            let all = self.with_sockets(None);
            self.tell(all, None, speakers_message(&speaking));
        }
    }

    /// Who speaks, the loudest first. The sound of a stream or a screen is nobody's voice.
    pub(super) fn speaking(&self, catalog: &Catalog) -> Vec<(ParticipantId, AudioLevel)> {
        let voices = self.speakers.audible().filter_map(|(track, level)| {
            let known = catalog.get(&track).filter(|known| known.source == Source::Mic)?;
            Some((known.owner, level))
        });
        let mut speaking: Vec<(ParticipantId, AudioLevel)> = Vec::with_capacity(MOST_SPEAKERS);
        for (owner, level) in voices {
            if speaking.len() < MOST_SPEAKERS && speaking.iter().all(|(known, _)| *known != owner) {
                speaking.push((owner, level));
            }
        }
        speaking
    }

    /// Tells the others what a participant publishes now, and itself what it is to send of it.
    pub(super) fn published_anew(&mut self, id: ParticipantId, wanted: Vec<String>) {
        if !wanted.is_empty() {
            let tracks = wanted.into_iter().map(|mid| Wanted { mid, wanted: true, rids: None }).collect();
            self.tell(vec![id], None, ServerMessage::Want(Want { tracks }));
        }
        self.sync_mutes(id);
    }

    /// Tells a participant which of its pictures nobody watches, and of which not all encodings are used. All others count as
    /// wanted.
    fn tell_unwanted(&mut self, id: ParticipantId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(link) = &mut member.link else { return };
        // A client that knows nothing takes what it does not publish at this moment for wanted, too.
        link.unwanted.retain(|track| member.published.iter().any(|known| known.track == *track));
        let news = |track: &Published| {
            let wanted = !link.unwanted.contains(&track.track);
            let rids = if wanted { link.wanted_rids(track.track) } else { None };
            (!wanted || rids.is_some()).then(|| Wanted { mid: track.mid.clone(), wanted, rids })
        };
        let tracks: Vec<_> = member.published.iter().filter_map(news).collect();
        if !tracks.is_empty() {
            self.tell(vec![id], None, ServerMessage::Want(Want { tracks }));
        }
    }

    /// Tells publishers which of their pictures are watched.
    pub(super) fn tell_wanted(&mut self, now: Instant) {
        let slots =
            self.members.values().filter_map(|member| member.link.as_ref()).flat_map(|link| &link.shown);
        let watched: BTreeSet<TrackId> =
            slots.filter_map(Shown::forwarded).chain(self.viewers.bound()).collect();
        let mut told = Vec::new();
        for (id, member) in &mut self.members {
            let Some(link) = &mut member.link else { continue };
            let mut tracks = Vec::new();
            let video = member.published.iter_mut().filter(|track| track.source.kind() == MediaKind::Video);
            for track in video {
                let is_watched = watched.contains(&track.track);
                let since = *track.unwatched.get_or_insert(now);
                let wanted = is_watched || now.saturating_duration_since(since) < UNWANTED_AFTER;
                track.unwatched = track.unwatched.filter(|_| !is_watched);
                // A picture that nobody watches yet is sent until the time is over, one that was given up is not.
                let changed = if is_watched {
                    let is_back = link.unwanted.remove(&track.track);
                    if is_back {
                        // Which of them are used is told as soon as somebody gets one.
                        link.encodings.remove(&track.track);
                    }
                    let encodings = link.encodings.get_mut(&track.track);
                    encodings.is_some_and(|encodings| encodings.settle(now)) || is_back
                } else {
                    !wanted && link.unwanted.insert(track.track)
                };
                if changed {
                    let rids = if wanted { link.wanted_rids(track.track) } else { None };
                    tracks.push(Wanted { mid: track.mid.clone(), wanted, rids });
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

    /// Takes note of which encodings of a track anybody gets.
    pub(super) fn used(&mut self, now: Instant, track: TrackId, rids: Option<Vec<String>>) {
        let mut links = self.members.values_mut().filter_map(|member| member.link.as_mut());
        let publishes = |link: &&mut Link| link.media.tracks.iter().any(|known| known.id == track);
        if let Some(link) = links.find(publishes) {
            link.encodings.entry(track).or_insert_with(|| Encodings::new(now)).used(now, rids);
            self.tell_wanted(now);
        }
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

    pub(super) fn refuse(&mut self, id: ParticipantId, re: Option<u32>, refusal: Refusal) {
        let (code, message) = refusal;
        self.tell(vec![id], re, ServerMessage::Error(Error::new(code, &message)));
    }

    pub(super) fn tell_session(&mut self, session: SessionId, code: ErrorCode, message: &str) {
        if let Some((id, _)) = self.member_of(session) {
            self.refuse(id, None, (code, message.to_owned()));
        }
    }
}

fn speakers_message(speaking: &[(ParticipantId, AudioLevel)]) -> ServerMessage {
    let list = speaking.iter().map(|(peer, level)| Speaker { peer: *peer, level: level.0 }).collect();
    ServerMessage::Speakers(server::Speakers { list })
}
