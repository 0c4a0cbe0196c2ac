//! One participant: its connection, what it publishes, what it wants to see, and what it is shown.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::event::Media;
use super::quality::Quality;
use crate::ids::{ParticipantId, SessionId, TrackId};
use crate::protocol::client::{TrackIntent, View};
use crate::protocol::server::{Binding, ErrorCode, OwnTrack, PauseReason, Slot, SlotState};
use crate::protocol::shared::{Peer, PeerKind, PeerState, Source, TrackInfo};
use crate::protocol::{MAX_LABEL, MAX_META, MAX_NAME, RESUME_WITHIN};
use crate::sfu::session::channels::ChannelKind;

/// A connection that breaks for less is not worth telling the others.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// A track that nobody watched for so long need not be sent.
pub(super) const UNWANTED_AFTER: Duration = Duration::from_secs(5);

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
    /// Whether the others know that it is gone.
    told_lost: bool,
}

/// A participant's peer connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) media: Media,
    pub(super) connected: bool,
    /// Whether its data channel for reliable messages is open, and the one for lossy ones.
    open: [bool; 2],
    /// What each slot carries.
    pub(super) shown: Vec<Shown>,
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
    /// Whether its publisher was told to send it.
    pub(super) wanted: bool,
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

    /// The track that is forwarded to the slot.
    pub(super) fn forwarded(&self) -> Option<TrackId> {
        self.track.filter(|_| self.state == SlotState::Live)
    }

    pub(super) fn binding(&self, mid: &str) -> Binding {
        Binding { mid: mid.to_owned(), track: self.track, state: self.state, why: self.why, from: None }
    }
}

impl Link {
    pub(super) fn new(media: Media) -> Self {
        let shown = vec![Shown::EMPTY; media.slots.len()];
        Self { media, connected: false, open: [false; 2], shown }
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

    /// A later offer changed what there is. Slots only ever become more.
    pub(super) fn renegotiated(&mut self, media: Media) {
        self.shown.resize(media.slots.len(), Shown::EMPTY);
        self.media = media;
    }

    pub(super) fn own_tracks(&self) -> Vec<OwnTrack> {
        let own = |track: &crate::sfu::session::negotiate::AnsweredTrack| OwnTrack {
            mid: track.mid.clone(),
            track: track.id,
            kind: track.kind,
        };
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
        })
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        self.link.as_ref().map(Link::session)
    }

    pub(super) fn has_socket(&self) -> bool {
        self.socket_lost.is_none()
    }

    /// A new peer connection takes the place of the old one.
    pub(super) fn connect(&mut self, media: Media) -> Option<SessionId> {
        self.media_lost = None;
        self.published.clear();
        self.link.replace(Link::new(media)).map(|old| old.session())
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

    /// Replaces what is published.
    pub(super) fn publish(&mut self, intents: &[TrackIntent]) -> Result<(), Refusal> {
        let Some(link) = &self.link else {
            return Err((ErrorCode::Media, "There is no peer connection to publish on.".to_owned()));
        };
        let mut published: Vec<Published> = Vec::with_capacity(intents.len());
        for intent in intents {
            let track = link.media.tracks.iter().find(|track| track.mid == intent.mid);
            let Some(track) = track.filter(|track| track.kind == intent.source.kind()) else {
                let (mid, kind) = (&intent.mid, intent.source.kind());
                let message = format!("The offer has no section {mid:?} on which {kind} is sent.");
                return Err((ErrorCode::NotFound, message));
            };
            if published.iter().any(|other| other.track == track.id) {
                let message = format!("The section {:?} is named twice.", intent.mid);
                return Err((ErrorCode::BadMessage, message));
            }
            let before = self.published.iter().find(|known| known.track == track.id);
            published.push(Published {
                mid: intent.mid.clone(),
                track: track.id,
                source: intent.source,
                label: intent.label.as_deref().map(clean_label),
                muted: intent.muted,
                wanted: before.is_none_or(|known| known.wanted),
                unwatched: before.and_then(|known| known.unwatched),
            });
        }
        self.published = published;
        Ok(())
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
    // Marks that change the direction of what follows would let a name write over its neighbours.
    let is_mark =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let plain = plain.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let shown: String = plain.chars().filter(|c| !c.is_control() && !is_mark(*c)).take(most).collect();
    shown.trim().to_owned()
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
            ("Zoë 👩‍💻", "Zoë 👩‍💻"),
        ] {
            assert_eq!(clean_name(given), shown, "{given:?}");
        }
        assert_eq!(clean_name(&"x".repeat(500)).len(), MAX_NAME);
    }
}
