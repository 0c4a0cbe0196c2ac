//! A published track: its encodings, who subscribes to it, and which encoding they get.

use std::time::{Duration, Instant};

use super::keyframe::KeyframeRequests;
use super::packet::{Packet, SourceId};
use crate::ids::{SessionId, TrackId};
use crate::units::{Format, MediaKind};

/// How often the encodings of a track are compared.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// Something published, as the forwarding core sees it.
#[derive(Debug)]
pub struct Track {
    /// The track's identity.
    pub id: TrackId,
    /// The session that sends it.
    pub publisher: SessionId,
    /// Audio or video.
    pub kind: MediaKind,
    /// Everyone who receives it: the session and the index of its slot.
    pub subscribers: Vec<(SessionId, usize)>,
    /// Requests for key frames of the chosen encoding.
    pub keyframes: KeyframeRequests,
    /// What was last received.
    pub format: Option<Format>,
    encodings: Vec<Encoding>,
    chosen: Option<SourceId>,
    compared: Option<Instant>,
}

#[derive(Debug)]
struct Encoding {
    source: SourceId,
    bytes: u64,
}

impl Track {
    /// A track that nothing was received of yet.
    #[must_use]
    pub fn new(id: TrackId, publisher: SessionId, kind: MediaKind) -> Self {
        Self {
            id,
            publisher,
            kind,
            subscribers: Vec::new(),
            keyframes: KeyframeRequests::default(),
            format: None,
            encodings: Vec::new(),
            chosen: None,
            compared: None,
        }
    }

    /// Takes note of a received packet and returns the encoding that subscribers shall follow.
    ///
    /// Of several encodings that is the one with the highest bitrate: the best picture, as long as nothing is known
    /// of the subscribers' links. A silent encoding loses its place within two seconds.
    pub fn receive(&mut self, now: Instant, packet: &Packet) -> SourceId {
        let size = packet.payload.len() as u64;
        match self.encodings.iter_mut().find(|encoding| encoding.source == packet.source) {
            Some(encoding) => encoding.bytes += size,
            None => self.encodings.push(Encoding { source: packet.source, bytes: size }),
        }
        let since = *self.compared.get_or_insert(now);
        if now.saturating_duration_since(since) >= COMPARE_EVERY {
            self.compared = Some(now);
            self.choose();
        }
        let chosen = *self.chosen.get_or_insert(packet.source);
        if packet.source == chosen {
            self.format = Some(packet.format);
            if packet.entry && self.kind == MediaKind::Video {
                self.keyframes.arrived();
            }
        }
        chosen
    }

    /// The encoding that subscribers follow; `None` before the first packet.
    #[must_use]
    pub fn chosen(&self) -> Option<SourceId> {
        self.chosen
    }

    fn choose(&mut self) {
        let bytes_of_chosen = self
            .encodings
            .iter()
            .find(|e| Some(e.source) == self.chosen)
            .map_or(0, |encoding| encoding.bytes);
        let best = self.encodings.iter().max_by_key(|encoding| encoding.bytes);
        // A quarter more, so that two encodings of about the same size do not take turns.
        if let Some(best) = best
            && best.bytes > bytes_of_chosen + bytes_of_chosen / 4
        {
            self.chosen = Some(best.source);
            self.keyframes.want();
        }
        for encoding in &mut self.encodings {
            encoding.bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sfu::forward::packet::Extensions;
    use crate::units::Codec;

    fn packet(source: u64, bytes: usize, entry: bool) -> Packet {
        Packet {
            source: SourceId(source),
            sequence: 0,
            timestamp: 0,
            marker: true,
            format: Format::new(Codec::Vp8, ""),
            entry,
            arrived: Instant::now(),
            extensions: Extensions::default(),
            payload: Arc::from(vec![0u8; bytes]),
        }
    }

    #[test]
    fn the_richest_encoding_is_chosen_and_asked_for_a_key_frame() {
        let start = Instant::now();
        let mut track = Track::new(TrackId(1), SessionId(1), MediaKind::Video);
        assert_eq!(track.receive(start, &packet(1, 100, true)), SourceId(1));
        let mut now = start;
        for _ in 0..110 {
            now += Duration::from_millis(10);
            track.receive(now, &packet(1, 100, false));
            track.receive(now, &packet(2, 900, false));
        }
        assert_eq!(track.chosen(), Some(SourceId(2)));
        assert!(track.keyframes.poll(now), "the switch needs a key frame");
        track.receive(now, &packet(2, 900, true));
        assert_eq!(track.keyframes.deadline(), None);
    }

    #[test]
    fn when_the_chosen_encoding_stops_the_next_one_takes_over() {
        let start = Instant::now();
        let mut track = Track::new(TrackId(1), SessionId(1), MediaKind::Video);
        track.receive(start, &packet(2, 900, true));
        let chosen = (0..300)
            .map(|step| track.receive(start + Duration::from_millis(step * 10), &packet(1, 50, false)));
        assert_eq!(chosen.last(), Some(SourceId(1)));
    }
}
