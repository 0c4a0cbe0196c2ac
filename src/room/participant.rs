//! One participant: its connection, what it publishes, what it wants to see, and what it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::encodings::Encodings;
use super::event::Media;
use super::quality::Quality;
use crate::ids::{ParticipantId, SessionId, TrackId};
use crate::protocol::client::{TrackIntent, View};
use crate::protocol::server::{Binding, ErrorCode, OwnTrack, PauseReason, Slot, SlotState};
use crate::protocol::shared::{Peer, PeerKind, PeerState, Source, TrackInfo};
use crate::protocol::{MAX_LABEL, MAX_META, MAX_NAME, MAX_TRACKS, MAX_VIEW, RESUME_WITHIN};
use crate::sfu::egress::allocate::Wish;
use crate::sfu::session::channels::ChannelKind;
use crate::sfu::session::negotiate::AnsweredTrack;

/// A connection that breaks for less is not worth telling the others.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// A track that nobody watched for so long need not be sent.
pub(super) const UNWANTED_AFTER: Duration = Duration::from_secs(1);

/// Somebody who joined.
#[derive(Debug)]
pub(super) struct Participant {
    pub(super) name: String,
    pub(super) meta: Map<String, Value>,
    /// `None` while its peer connection is gone.
    pub(super) link: Option<Link>,
    pub(super) published: Vec<Published>,
    pub(super) view: View,
    pub(super) quality: Quality,
    /// Since when its WebSocket is gone.
    pub(super) socket_lost: Option<Instant>,
    /// Since when its peer connection is gone.
    pub(super) media_lost: Option<Instant>,
    /// Whether it counts as gone among the others.
    told_lost: bool,
    /// How it was shown to the others last.
    told: Option<Peer>,
}

/// A participant's peer connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) media: Media,
    pub(super) connected: bool,
    /// Whether its data channel for reliable messages is open, and the one for lossy ones.
    open: [bool; 2],
    /// What each slot carries, in the order of `media.slots`.
    pub(super) shown: Vec<Shown>,
    /// The tracks of which the client knows that nobody watches them.
    pub(super) unwanted: BTreeSet<TrackId>,
    /// Which encodings of its tracks anybody gets, as far as workers told.
    pub(super) encodings: BTreeMap<TrackId, Encodings>,
    /// What its link does not carry now, by the index of the slot.
    pub(super) throttled: BTreeMap<usize, TrackId>,
    /// What the worker was told of how slots are shown, by their index.
    pub(super) wishes: BTreeMap<usize, Wish>,
}

/// What a slot carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) track: Option<TrackId>,
    pub(super) state: SlotState,
    pub(super) why: Option<PauseReason>,
}

/// A track that is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) mid: String,
    pub(super) track: TrackId,
    pub(super) source: Source,
    label: Option<String>,
    pub(super) muted: bool,
    /// Since when nobody watches it.
    pub(super) unwatched: Option<Instant>,
}

/// Why a request is not carried out.
pub(super) type Refusal = (ErrorCode, String);

impl Shown {
    pub(super) const EMPTY: Self = Self { track: None, state: SlotState::Empty, why: None };

    pub(super) fn live(track: TrackId) -> Self {
        Self { track: Some(track), state: SlotState::Live, why: None }
    }

    pub(super) fn paused(track: TrackId, why: PauseReason) -> Self {
        Self { track: Some(track), state: SlotState::Paused, why: Some(why) }
    }

    /// The track that is bound to the slot. It stays bound while the link does not carry it.
    pub(super) fn forwarded(&self) -> Option<TrackId> {
        self.track.filter(|_| self.state == SlotState::Live || self.why == Some(PauseReason::Bandwidth))
    }

    pub(super) fn binding(&self, mid: &str) -> Binding {
        Binding { mid: mid.to_owned(), track: self.track, state: self.state, why: self.why, from: None }
    }
}

impl Link {
    pub(super) fn new(media: Media) -> Self {
        let shown = vec![Shown::EMPTY; media.slots.len()];
        Self {
            media,
            connected: false,
            open: [false; 2],
            shown,
            unwanted: BTreeSet::new(),
            encodings: BTreeMap::new(),
            throttled: BTreeMap::new(),
            wishes: BTreeMap::new(),
        }
    }

    pub(super) fn session(&self) -> SessionId {
        self.media.session
    }

    pub(super) fn opened(&mut self, channel: ChannelKind) {
        self.open[usize::from(channel == ChannelKind::Lossy)] = true;
    }

    pub(super) fn is_open(&self, channel: ChannelKind) -> bool {
        self.open[usize::from(channel == ChannelKind::Lossy)]
    }

    /// A later offer changed what there is. Slots that stay keep what they carry, and tracks their format: what is sent
    /// is known better from the media than from an offer.
    pub(super) fn renegotiated(&mut self, mut media: Media) {
        let shown = |index| self.place(index).and_then(|place| self.shown.get(place)).copied();
        self.shown = media.slots.iter().map(|slot| shown(slot.index).unwrap_or(Shown::EMPTY)).collect();
        for track in &mut media.tracks {
            if let Some(known) = self.media.tracks.iter().find(|known| known.id == track.id) {
                track.format = known.format;
            }
        }
        self.media = media;
    }

    /// Where in the lists the slot with this index stands. Slots that were closed leave gaps among the indices.
    pub(super) fn place(&self, index: usize) -> Option<usize> {
        self.media.slots.iter().position(|slot| slot.index == index)
    }

    /// The encodings of an own track that are wanted, as the client knows it.
    pub(super) fn wanted_rids(&self, track: TrackId) -> Option<Vec<String>> {
        self.encodings.get(&track).and_then(|encodings| encodings.told.clone())
    }

    pub(super) fn own_tracks(&self) -> Vec<OwnTrack> {
        let own =
            |track: &AnsweredTrack| OwnTrack { mid: track.mid.clone(), track: track.id, kind: track.kind };
        self.media.tracks.iter().map(own).collect()
    }

    pub(super) fn own_slots(&self) -> Vec<Slot> {
        self.media.slots.iter().map(|slot| Slot { mid: slot.mid.clone(), kind: slot.kind }).collect()
    }

    /// All bindings that are not empty, for somebody who knows of none.
    pub(super) fn bindings(&self) -> Vec<Binding> {
        let slots = self.media.slots.iter().zip(&self.shown);
        slots
            .filter(|(_, shown)| **shown != Shown::EMPTY)
            .map(|(slot, shown)| shown.binding(&slot.mid))
            .collect()
    }
}

impl Participant {
    /// Somebody new.
    pub(super) fn new(name: Option<&str>, meta: Map<String, Value>) -> Result<Self, Refusal> {
        check_meta(&meta)?;
        Ok(Self {
            name: clean_name(name.unwrap_or_default()),
            meta,
            link: None,
            published: Vec::new(),
            view: View::default(),
            quality: Quality::default(),
            socket_lost: None,
            media_lost: None,
            told_lost: false,
            told: None,
        })
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        self.link.as_ref().map(Link::session)
    }

    pub(super) fn has_socket(&self) -> bool {
        self.socket_lost.is_none()
    }

    /// A new peer connection takes the place of the old one.
    pub(super) fn connect(&mut self, media: Media, published: Vec<Published>) -> Option<SessionId> {
        self.media_lost = None;
        self.published = published;
        self.link.replace(Link::new(media)).map(|old| old.session())
    }

    /// The peer connection is gone, and with it all that came through it.
    pub(super) fn disconnect(&mut self, now: Instant) {
        self.link = None;
        self.published.clear();
        self.media_lost = Some(now);
    }

    /// Since when the connection is broken.
    fn lost_since(&self) -> Option<Instant> {
        [self.socket_lost, self.media_lost].into_iter().flatten().min()
    }

    /// Whether it was gone for too long.
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.lost_since().is_some_and(|since| now.saturating_duration_since(since) >= RESUME_WITHIN)
    }

    /// Whether the others are to be told that the connection broke, or that it is back.
    pub(super) fn changes_state(&mut self, now: Instant) -> bool {
        let lost = self.lost_since().is_some_and(|since| now.saturating_duration_since(since) >= TOLD_AFTER);
        std::mem::replace(&mut self.told_lost, lost) != lost
    }

    /// Replaces what is published. Returns the sections that begin to be published, and of which the client believes that
    /// they are not wanted: what nobody knew of yet counts as wanted.
    pub(super) fn publish(&mut self, intents: &[TrackIntent]) -> Result<Vec<String>, Refusal> {
        let Some(link) = &mut self.link else {
            return Err((ErrorCode::Media, "There is no peer connection to publish on.".to_owned()));
        };
        let mut published = published(intents, &link.media.tracks)?;
        let mut wanted = Vec::new();
        for track in &mut published {
            if let Some(before) = self.published.iter().find(|known| known.track == track.track) {
                track.unwatched = before.unwatched;
            } else if link.unwanted.remove(&track.track) {
                link.encodings.remove(&track.track);
                wanted.push(track.mid.clone());
            }
        }
        self.published = published;
        Ok(wanted)
    }

    /// Mutes or unmutes what is published in a section.
    pub(super) fn mute(&mut self, mid: &str, muted: bool) -> Result<(), Refusal> {
        let Some(track) = self.published.iter_mut().find(|track| track.mid == mid) else {
            let message =
                format!("Nothing is published in a section {mid:?}. Send its track with \"tracks\" first.");
            return Err((ErrorCode::NotFound, message));
        };
        track.muted = muted;
        Ok(())
    }

    /// Replaces what is to be seen and heard.
    pub(super) fn look(&mut self, view: View) -> Result<(), Refusal> {
        if view.slots.len() > MAX_VIEW || view.audio.tracks.len() > MAX_VIEW {
            return Err((ErrorCode::TooLarge, format!("A view names {MAX_VIEW} slots and voices at most.")));
        }
        self.view = view;
        Ok(())
    }

    /// Changes name and metadata.
    pub(super) fn update(
        &mut self,
        name: Option<&str>,
        meta: Option<&Map<String, Value>>,
    ) -> Result<(), Refusal> {
        if let Some(meta) = meta {
            check_meta(meta)?;
            self.meta = meta.clone();
        }
        if let Some(name) = name {
            self.name = clean_name(name);
        }
        Ok(())
    }

    /// The participant as the others see it, if that is not how they saw it last.
    pub(super) fn news(&mut self, id: ParticipantId) -> Option<Peer> {
        let peer = Some(self.peer(id));
        if peer == self.told {
            return None;
        }
        self.told.clone_from(&peer);
        peer
    }

    /// The participant as the others see it.
    pub(super) fn peer(&self, id: ParticipantId) -> Peer {
        Peer {
            id,
            name: self.name.clone(),
            kind: PeerKind::Member,
            state: if self.told_lost { PeerState::Reconnecting } else { PeerState::Here },
            tracks: self.published.iter().map(Published::info).collect(),
            meta: self.meta.clone(),
        }
    }
}

impl Published {
    fn info(&self) -> TrackInfo {
        TrackInfo {
            id: self.track,
            source: self.source,
            label: self.label.clone(),
            muted: self.muted,
            csrc: self.track.csrc(),
        }
    }
}

/// What intents come to among the tracks of a peer connection.
pub(super) fn published(
    intents: &[TrackIntent],
    tracks: &[AnsweredTrack],
) -> Result<Vec<Published>, Refusal> {
    if intents.len() > MAX_TRACKS {
        return Err((ErrorCode::TooLarge, format!("A participant publishes {MAX_TRACKS} tracks at most.")));
    }
    let mut published: Vec<Published> = Vec::with_capacity(intents.len());
    for intent in intents {
        let track = tracks.iter().find(|track| track.mid == intent.mid);
        let Some(track) = track.filter(|track| track.kind == intent.source.kind()) else {
            let (mid, kind) = (&intent.mid, intent.source.kind());
            let message = format!("The offer has no section {mid:?} on which {kind} is sent.");
            return Err((ErrorCode::NotFound, message));
        };
        if matches!(intent.source, Source::Stream | Source::StreamAudio) {
            let message =
                "Only what comes by WHIP is a stream. Publish it as camera, screen, mic or screen_audio.";
            return Err((ErrorCode::BadMessage, message.to_owned()));
        }
        if published.iter().any(|other| other.track == track.id) {
            let message = format!("The section {:?} is named twice.", intent.mid);
            return Err((ErrorCode::BadMessage, message));
        }
        published.push(Published {
            mid: intent.mid.clone(),
            track: track.id,
            source: intent.source,
            label: intent.label.as_deref().map(clean_label).filter(|label| !label.is_empty()),
            muted: intent.muted,
            unwatched: None,
        });
    }
    Ok(published)
}

fn check_meta(meta: &Map<String, Value>) -> Result<(), Refusal> {
    let length = serde_json::to_string(meta).map_or(usize::MAX, |text| text.len());
    if length <= MAX_META {
        return Ok(());
    }
    Err((ErrorCode::TooLarge, format!("The metadata is longer than {MAX_META} bytes.")))
}

/// A name as it is shown: without what would break a line or hide in it, and never empty.
fn clean_name(name: &str) -> String {
    let name = clean(name, MAX_NAME);
    if name.is_empty() { "Guest".to_owned() } else { name }
}

fn clean_label(label: &str) -> String {
    clean(label, MAX_LABEL)
}

fn clean(text: &str, most: usize) -> String {
    let plain = text.chars().filter(|c| c.is_whitespace() || !c.is_control() && !is_hidden(*c));
    let plain: String = plain.map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let plain = plain.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let shown: String = plain.chars().take(most).collect();
    // Joiners and selectors are part of emoji, and nothing by themselves.
    let is_joiner = |c: char| matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    if shown.chars().all(is_joiner) { String::new() } else { shown.trim().to_owned() }
}

/// Marks that change the direction of what follows, which would let a name write over its neighbours, and characters
/// without any width or ink, which would let it look like another one or like none.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}'
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_on_one_line_and_are_never_empty() {
        for (given, shown) in [
            ("  Ada  Lovelace\n", "Ada Lovelace"),
            ("\u{202e}evil\u{7}", "evil"),
            ("\u{200e} \t", "Guest"),
            ("\u{200b}\u{3164}\u{200d}", "Guest"),
            ("a \u{7} \u{2060}b", "a b"),
            ("Zoë 👩‍💻", "Zoë 👩‍💻"),
        ] {
            assert_eq!(clean_name(given), shown, "{given:?}");
        }
        assert_eq!(clean_name(&"x".repeat(500)).len(), MAX_NAME);
    }
}
