//! A published track: its encodings, who subscribes to it, and which encoding they get.

use std::time::{Duration, Instant};

use super::gate::Gate;
use super::keyframe::KeyframeRequests;
use super::level::{Meter, SILENCE};
use super::packet::{EncodingIndex, Packet, SourceId};
use crate::ids::{SessionId, TrackId};
use crate::units::{AudioLevel, Format, MediaKind};

/// How often the encodings of a track are compared.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
/// An encoding of which nothing came for so many comparisons has stopped.
const SILENT_AFTER: u32 = 2;
/// How often a change of format is told. A publisher may alternate codecs as it likes; the control plane need not care.
const TELL_EVERY: Duration = Duration::from_secs(1);

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
    muted: bool,
    meter: Meter,
    gate: Gate,
    encodings: Vec<Encoding>,
    chosen: Option<EncodingIndex>,
    compared: Option<Instant>,
    told: Option<(Format, Instant)>,
}

#[derive(Debug)]
struct Encoding {
    index: EncodingIndex,
    /// The SSRC that carries it now.
    source: SourceId,
    /// Highest sequence number of that source.
    highest: u64,
    /// Bytes since the last comparison, and the most that there were between two.
    bytes: u64,
    peak: u64,
    silent: u32,
}

/// What a track makes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The source that subscribers shall follow.
    pub target: SourceId,
    /// Whether a decoder can begin with this packet.
    pub entry: bool,
    /// The track's format, when the control plane is to be told.
    pub format: Option<Format>,
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
            muted: false,
            meter: Meter::default(),
            gate: Gate::default(),
            encodings: Vec::new(),
            chosen: None,
            compared: None,
            told: None,
        }
    }

    /// Whether nothing of it is forwarded, by somebody's will.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.muted
    }

    /// Mutes or unmutes. A muted track is silent at once.
    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
        self.meter.reset();
        self.gate.close();
    }

    /// Whether anybody could make use of a key frame.
    #[must_use]
    pub fn wants_keyframes(&self) -> bool {
        !self.muted && !self.subscribers.is_empty()
    }

    /// How loud an audio track is.
    #[must_use]
    pub fn level(&self, now: Instant) -> AudioLevel {
        self.meter.level(now)
    }

    /// Whether a packet that was [received](Self::receive) is to be forwarded; the silence of an audio track is not. The
    /// packet's number and marker are those among the forwarded ones, then.
    ///
    /// Only the level counts. The flag for voice activity (RFC 6464 section 3) is no help: encoders do not take music
    /// for a voice.
    pub fn passes(&mut self, packet: &mut Packet) -> bool {
        if self.kind != MediaKind::Audio || self.chosen() != Some(packet.source) {
            return true;
        }
        self.meter.note(packet);
        let level = packet.extensions.audio_level.map(AudioLevel::from_dbov);
        let audible = level.is_none_or(|level| level > SILENCE) || self.meter.is_loud();
        self.gate.pass(packet, audible)
    }

    /// Takes note of a received packet. `None` for one of a source that its encoding has left behind.
    ///
    /// Of several encodings the one with the highest bitrate is forwarded: the best picture, as long as nothing is known
    /// of the subscribers' links. It is judged by the most that it ever had, as a still picture costs few bytes in any
    /// size; an encoding that falls silent loses its place within three seconds.
    pub fn receive(&mut self, now: Instant, packet: &Packet) -> Option<Received> {
        let first_of_source = self.note(packet)?;
        let since = *self.compared.get_or_insert(now);
        if now.saturating_duration_since(since) >= COMPARE_EVERY {
            self.compared = Some(now);
            self.choose();
        }
        let chosen = *self.chosen.get_or_insert(packet.encoding);
        if first_of_source && packet.encoding == chosen && self.kind == MediaKind::Video {
            self.keyframes.want();
        }
        let encoding = self.encodings.iter_mut().find(|encoding| encoding.index == packet.encoding)?;
        // What comes behind its successors cannot be begun with: they have been passed over already.
        let entry = packet.entry && packet.sequence >= encoding.highest;
        encoding.highest = encoding.highest.max(packet.sequence);
        if entry && packet.encoding == chosen {
            self.keyframes.arrived();
        }
        let target = self.chosen()?;
        Some(Received { target, entry, format: self.tell(now, packet, target) })
    }

    /// The source that subscribers follow; `None` before the first packet.
    #[must_use]
    pub fn chosen(&self) -> Option<SourceId> {
        let chosen = self.encodings.iter().find(|encoding| Some(encoding.index) == self.chosen);
        chosen.map(|encoding| encoding.source)
    }

    /// Counts a packet for its encoding, whose source may be new. `None` for an old source, else whether it is new.
    fn note(&mut self, packet: &Packet) -> Option<bool> {
        let size = packet.payload.len() as u64;
        let Some(encoding) = self.encodings.iter_mut().find(|encoding| encoding.index == packet.encoding)
        else {
            self.encodings.push(Encoding {
                index: packet.encoding,
                source: packet.source,
                highest: packet.sequence,
                bytes: size,
                peak: size,
                silent: 0,
            });
            return Some(true);
        };
        if packet.source.0 < encoding.source.0 {
            return None;
        }
        let new = packet.source != encoding.source;
        if new {
            encoding.source = packet.source;
            encoding.highest = packet.sequence;
        }
        encoding.bytes += size;
        Some(new)
    }

    fn choose(&mut self) {
        for encoding in &mut self.encodings {
            encoding.silent = if encoding.bytes == 0 { encoding.silent + 1 } else { 0 };
            encoding.peak =
                if encoding.silent < SILENT_AFTER { encoding.peak.max(encoding.bytes) } else { 0 };
            encoding.bytes = 0;
        }
        let peak_of_chosen =
            self.encodings.iter().find(|e| Some(e.index) == self.chosen).map_or(0, |encoding| encoding.peak);
        let best = self.encodings.iter().max_by_key(|encoding| encoding.peak);
        // A quarter more, so that two encodings of about the same size do not take turns.
        if let Some(best) = best
            && best.peak > peak_of_chosen + peak_of_chosen / 4
        {
            self.chosen = Some(best.index);
            if self.kind == MediaKind::Video {
                self.keyframes.want();
            }
        }
    }

    fn tell(&mut self, now: Instant, packet: &Packet, target: SourceId) -> Option<Format> {
        let due = match self.told {
            None => true,
            Some((told, at)) => told != packet.format && now.saturating_duration_since(at) >= TELL_EVERY,
        };
        if !due || packet.source != target {
            return None;
        }
        self.told = Some((packet.format, now));
        Some(packet.format)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sfu::forward::packet::Extensions;
    use crate::units::Codec;

    /// A packet of an encoding, by a source of the same number.
    fn packet(encoding: u8, sequence: u64, bytes: usize, entry: bool) -> Packet {
        Packet {
            source: SourceId(encoding.into()),
            encoding: EncodingIndex(encoding),
            sequence,
            timestamp: 0,
            marker: true,
            format: Format::new(Codec::Vp8, ""),
            entry,
            arrived: Instant::now(),
            captured: Instant::now(),
            extensions: Extensions::default(),
            vp8: None,
            dependency: None,
            payload: Arc::from(vec![0u8; bytes]),
        }
    }

    fn track() -> Track {
        Track::new(TrackId(1), SessionId(1), MediaKind::Video)
    }

    fn target(track: &mut Track, now: Instant, packet: &Packet) -> Option<SourceId> {
        track.receive(now, packet).map(|received| received.target)
    }

    #[test]
    fn the_richest_encoding_is_chosen_and_asked_for_a_key_frame() {
        let start = Instant::now();
        let mut track = track();
        assert_eq!(target(&mut track, start, &packet(1, 0, 100, true)), Some(SourceId(1)));
        let mut now = start;
        for step in 1..110 {
            now += Duration::from_millis(10);
            track.receive(now, &packet(1, step, 100, false));
            track.receive(now, &packet(2, step, 900, false));
        }
        assert_eq!(track.chosen(), Some(SourceId(2)));
        assert!(track.keyframes.poll(now), "the switch needs a key frame");
        track.receive(now, &packet(2, 200, 900, true));
        assert_eq!(track.keyframes.deadline(), None);
    }

    #[test]
    fn a_still_picture_keeps_its_place_and_a_stopped_one_loses_it() {
        let start = Instant::now();
        let mut track = track();
        let mut run = |seconds: std::ops::Range<u64>, large: usize| {
            let mut chosen = None;
            for step in seconds.start * 100..seconds.end * 100 {
                let now = start + Duration::from_millis(step * 10);
                if large > 0 {
                    target(&mut track, now, &packet(2, step, large, false));
                }
                chosen = target(&mut track, now, &packet(1, step, 50, false));
            }
            chosen
        };
        assert_eq!(run(0..3, 900), Some(SourceId(2)));
        assert_eq!(
            run(3..10, 10),
            Some(SourceId(2)),
            "fewer bytes than the small one, and still the better picture"
        );
        assert_eq!(run(10..14, 0), Some(SourceId(1)));
    }

    #[test]
    fn a_new_ssrc_of_an_encoding_replaces_the_old_one_at_once() {
        let now = Instant::now();
        let mut track = track();
        track.receive(now, &packet(1, 10, 900, true));
        track.keyframes.arrived();
        let again = Packet { source: SourceId(7), ..packet(1, 3, 900, false) };
        assert_eq!(target(&mut track, now, &again), Some(SourceId(7)));
        assert!(track.keyframes.deadline().is_some(), "its decoder cannot begin in the middle");
        assert_eq!(track.receive(now, &packet(1, 11, 900, false)), None, "late, of the old one");
    }

    #[test]
    fn a_key_frame_that_comes_behind_its_successors_is_no_entry() {
        let now = Instant::now();
        let mut track = track();
        track.receive(now, &packet(1, 100, 900, false));
        track.receive(now, &packet(1, 102, 900, false));
        let late = track.receive(now, &packet(1, 101, 900, true)).expect("received");
        assert!(!late.entry && track.keyframes.deadline().is_some(), "the wish stays");
        assert!(track.receive(now, &packet(1, 103, 900, true)).expect("received").entry);
    }

    #[test]
    fn alternating_formats_are_told_once_a_second() {
        let start = Instant::now();
        let mut track = track();
        let told = (0..200u64).filter(|step| {
            let codec = if step % 2 == 0 { Codec::Vp8 } else { Codec::H264 };
            let packet = Packet { format: Format::new(codec, ""), ..packet(1, *step, 100, false) };
            let received = track.receive(start + Duration::from_millis(step * 10), &packet);
            received.is_some_and(|received| received.format.is_some())
        });
        assert!((1..=3).contains(&told.count()));
    }
}
