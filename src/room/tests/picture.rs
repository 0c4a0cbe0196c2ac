//! What one client knows of its room: built from nothing but the messages that it gets.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{ParticipantId, TrackId};
use crate::protocol::server::{
    Binding, Bye, ByeCode, Error, ErrorCode, Msg, OwnTrack, PauseReason, QualityLevel, Reply, ServerMessage,
    Slot, SlotState, Want, Welcome,
};
use crate::protocol::shared::{Peer, PeerState};

/// A client's picture of its room.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) me: Option<ParticipantId>,
    pub(super) name: String,
    pub(super) resumed: bool,
    pub(super) peers: BTreeMap<ParticipantId, Peer>,
    pub(super) own_tracks: Vec<OwnTrack>,
    pub(super) own_slots: Vec<Slot>,
    /// What is not empty.
    pub(super) slots: BTreeMap<String, Binding>,
    pub(super) speakers: Vec<ParticipantId>,
    /// The sections of own tracks that need not be sent.
    pub(super) unwanted: BTreeSet<String>,
    /// The encodings that are wanted, where not all are.
    pub(super) rids: BTreeMap<String, Vec<String>>,
    /// Those who do not do well.
    pub(super) weak: BTreeMap<ParticipantId, QualityLevel>,
    pub(super) bye: Option<Bye>,
    /// All messages since the last look.
    heard: Vec<Reply>,
}

impl Picture {
    /// Takes a message in, as a strict client does.
    pub(super) fn hear(&mut self, reply: &Reply) {
        self.heard.push(reply.clone());
        assert!(self.bye.is_none(), "nothing comes after bye: {reply:?}");
        let refused = matches!(&reply.message, ServerMessage::Error(_) | ServerMessage::Bye(_));
        let is_welcome = matches!(&reply.message, ServerMessage::Welcome(_));
        assert_eq!(is_welcome, self.me.is_none() && !refused, "a welcome comes first, and once: {reply:?}");
        match &reply.message {
            ServerMessage::Welcome(welcome) => self.welcome(welcome),
            ServerMessage::Answer(answer) => {
                self.own_tracks.clone_from(&answer.tracks);
                self.own_slots.clone_from(&answer.slots);
                let mids: BTreeSet<_> = answer.slots.iter().map(|slot| slot.mid.as_str()).collect();
                self.slots.retain(|mid, _| mids.contains(mid.as_str()));
            }
            ServerMessage::Peers(peers) => {
                for peer in &peers.set {
                    assert_ne!(Some(peer.id), self.me, "nobody is its own peer");
                    self.peers.insert(peer.id, peer.clone());
                }
                for gone in &peers.gone {
                    assert!(self.peers.remove(gone).is_some(), "{gone} is gone, and was never there");
                    self.weak.remove(gone);
                }
            }
            ServerMessage::Slots(slots) => slots.bind.iter().for_each(|binding| self.bind(binding)),
            ServerMessage::Speakers(speakers) => {
                self.speakers = speakers.list.iter().map(|speaker| speaker.peer).collect();
                let once: BTreeSet<_> = self.speakers.iter().collect();
                assert_eq!(once.len(), self.speakers.len(), "each speaker is named once");
            }
            ServerMessage::Want(want) => self.want(want),
            ServerMessage::Quality(quality) => {
                for peer in &quality.peers {
                    match peer.level {
                        QualityLevel::Good => drop(self.weak.remove(&peer.peer)),
                        level => drop(self.weak.insert(peer.peer, level)),
                    }
                }
            }
            ServerMessage::Bye(bye) => self.bye = Some(bye.clone()),
            ServerMessage::Ok(_)
            | ServerMessage::Msg(_)
            | ServerMessage::Error(_)
            | ServerMessage::Pong(_)
            | ServerMessage::IceServers(_) => {}
        }
    }

    fn want(&mut self, want: &Want) {
        for track in &want.tracks {
            let changed = if track.wanted {
                self.unwanted.remove(&track.mid)
            } else {
                self.unwanted.insert(track.mid.clone())
            };
            let rids = match track.rids.clone() {
                Some(rids) => self.rids.insert(track.mid.clone(), rids),
                None => self.rids.remove(&track.mid),
            };
            let changed = changed || rids != track.rids;
            assert!(changed, "what did not change is not told: {track:?}");
        }
    }

    /// The whole state: it replaces all that was known.
    fn welcome(&mut self, welcome: &Welcome) {
        let heard = std::mem::take(&mut self.heard);
        *self = Self {
            me: Some(welcome.you),
            name: welcome.name.clone(),
            resumed: welcome.resumed,
            peers: welcome.peers.iter().map(|peer| (peer.id, peer.clone())).collect(),
            own_tracks: welcome.tracks.clone(),
            own_slots: welcome.slots.clone(),
            heard,
            ..Self::default()
        };
    }

    fn bind(&mut self, binding: &Binding) {
        let mid = &binding.mid;
        assert!(self.own_slots.iter().any(|slot| slot.mid == *mid), "{mid} is no slot of this client");
        let Some(track) = binding.track else {
            assert_eq!(binding.state, SlotState::Empty);
            assert!(self.slots.remove(mid).is_some(), "{mid} was empty before");
            return;
        };
        let is_known = self.owner(track).is_some() || self.own_tracks.iter().any(|own| own.track == track);
        let is_gone = binding.why == Some(PauseReason::Gone);
        assert!(is_known || is_gone, "{track} is bound, and nobody was said to publish it");
        let before = self.slots.insert(mid.clone(), Binding { from: None, ..binding.clone() });
        assert!(
            binding.from.is_some() || before.as_ref() != Some(binding),
            "what did not change is not told"
        );
    }

    /// Who publishes a track.
    pub(super) fn owner(&self, track: TrackId) -> Option<ParticipantId> {
        let publishes = |peer: &&Peer| peer.tracks.iter().any(|info| info.id == track);
        self.peers.values().find(publishes).map(|peer| peer.id)
    }

    /// What a slot carries, in short.
    pub(super) fn slot(&self, mid: &str) -> Seen {
        match self.slots.get(mid) {
            None => Seen::Empty,
            Some(Binding { track: Some(track), why: Some(why), .. }) => Seen::Paused(*track, *why),
            Some(Binding { track: Some(track), .. }) => Seen::Live(*track),
            Some(binding) => panic!("{binding:?}"),
        }
    }

    /// The tracks that are live in slots whose section begins with this letter, in the order of the sections.
    pub(super) fn live(&self, letter: &str) -> Vec<TrackId> {
        let slots = self.slots.values().filter(|binding| binding.mid.starts_with(letter));
        slots.filter(|binding| binding.state == SlotState::Live).filter_map(|binding| binding.track).collect()
    }

    pub(super) fn state_of(&self, peer: ParticipantId) -> Option<PeerState> {
        self.peers.get(&peer).map(|peer| peer.state)
    }

    /// What came since the last call.
    pub(super) fn news(&mut self) -> Vec<Reply> {
        std::mem::take(&mut self.heard)
    }

    /// The messages of others that came since the last look.
    pub(super) fn messages(&mut self) -> Vec<Msg> {
        let message = |reply: Reply| match reply.message {
            ServerMessage::Msg(message) => Some(message),
            _ => None,
        };
        self.news().into_iter().filter_map(message).collect()
    }

    /// The errors that came since the last look.
    pub(super) fn errors(&mut self) -> Vec<ErrorCode> {
        let code = |reply: Reply| match reply.message {
            ServerMessage::Error(Error { code, .. }) => Some(code),
            _ => None,
        };
        self.news().into_iter().filter_map(code).collect()
    }

    pub(super) fn bye(&self) -> Option<ByeCode> {
        self.bye.as_ref().map(|bye| bye.code)
    }
}

/// What a slot carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Empty,
    Live(TrackId),
    Paused(TrackId, PauseReason),
}
