//! A published track: its encodings, who subscribes to it, and what they can get.

use std::time::{Duration, Instant};

use super::encoding::Encoding;
use super::gate::Gate;
use super::habits::Advice;
use super::keyframe::KeyframeRequests;
use super::ladder::Ladder;
use super::level::{Meter, SILENCE};
use super::packet::{EncodingIndex, Packet, SourceId};
use super::target::{MOST_ENCODINGS, Target};
use crate::ids::{SessionId, TrackId, WorkerId};
use crate::units::{AudioLevel, Format, MediaKind};

/// How often the encodings of a track are compared.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
/// An encoding of which nothing came for so many comparisons has stopped.
const SILENT_AFTER: u32 = 2;
/// How often the ladder is made anew, while nothing starts or stops.
const LADDER_EVERY: Duration = Duration::from_millis(500);
/// How often a change of format is told. A publisher may alternate codecs as it likes; the control plane need not care.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// When all encodings come back from a silence, the first packets of the last may be so much later than those of the first.
const RETURNS_WITHIN: Duration = Duration::from_millis(600);

/// Something published, as the forwarding core sees it.
#[derive(Debug)]
pub struct Track {
    /// The track's identity.
    pub id: TrackId,
    /// The session that sends it.
    pub publisher: SessionId,
    /// Audio or video.
    pub kind: MediaKind,
    /// It comes from an encoder, by WHIP, which may make no key frames when it is asked.
    pub is_stream: bool,
    /// Everyone who receives it: the session and the index of its slot.
    pub subscribers: Vec<(SessionId, usize)>,
    /// The other workers that have subscribers of it.
    pub relayed_to: Vec<WorkerId>,
    muted: bool,
    epoch: u32,
    meter: Meter,
    gate: Gate,
    encodings: Vec<Encoding>,
    chosen: Option<EncodingIndex>,
    compared: Option<Instant>,
    target: Option<Target>,
    ladder: Ladder,
    /// When the ladder was made.
    laddered: Option<Instant>,
    /// When something came again after all encodings had been silent.
    returned: Option<Instant>,
    told: Option<(Format, Instant)>,
    /// What is to be told of its encoder.
    advice: Option<Advice>,
}

/// Where a packet stands in its track, for subscribers on other workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RelayMark {
    /// Grows when what comes does not follow what came before: the track was muted or unmuted.
    pub epoch: u32,
    /// How many key frames of the packet's encoding have begun.
    pub keyframes: u64,
}

/// What a track makes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// What subscribers can follow.
    pub target: Target,
    /// The ladder was made anew.
    pub has_new_ladder: bool,
    /// The track's format, when the control plane is to be told.
    pub format: Option<Format>,
    /// What whoever runs the encoder should be told.
    pub advice: Option<Advice>,
}

impl Track {
    /// A track that nothing was received of yet.
    #[must_use]
    pub fn new(id: TrackId, publisher: SessionId, kind: MediaKind, is_stream: bool) -> Self {
        Self {
            id,
            publisher,
            kind,
            is_stream,
            subscribers: Vec::new(),
            relayed_to: Vec::new(),
            muted: false,
            epoch: 0,
            meter: Meter::default(),
            gate: Gate::default(),
            encodings: Vec::new(),
            chosen: None,
            compared: None,
            target: None,
            ladder: Ladder::default(),
            laddered: None,
            returned: None,
            told: None,
            advice: None,
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
        self.epoch = self.epoch.wrapping_add(1);
        self.meter.reset();
        self.gate.close();
    }

    /// Whether anybody could make use of a key frame.
    #[must_use]
    pub fn wants_keyframes(&self) -> bool {
        !self.muted && self.receivers() > 0
    }

    /// Whether an encoding's last key frame, and what came since, is kept for those who come: of an encoder that is not known
    /// to make one when it is asked.
    #[must_use]
    pub fn keeps_group(&self, encoding: EncodingIndex) -> bool {
        let answers = |encoding: &Encoding| encoding.keyframes.are_answered();
        self.is_stream && self.kind == MediaKind::Video && !self.encoding(encoding).is_some_and(answers)
    }

    /// How many get it; another worker counts as one.
    #[must_use]
    pub fn receivers(&self) -> u64 {
        (self.subscribers.len() + self.relayed_to.len()) as u64
    }

    /// Where the last packet of an encoding stands.
    #[must_use]
    pub fn mark(&self, encoding: EncodingIndex) -> RelayMark {
        let keyframes = self.encoding(encoding).map_or(0, |encoding| encoding.begun);
        RelayMark { epoch: self.epoch, keyframes }
    }

    /// All ways to receive it now. Of encodings that have just begun it tells within a second.
    #[must_use]
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// Which encodings anybody uses, one bit each. The others may fall silent, and stay on the ladder as they were.
    pub fn use_only(&mut self, now: Instant, used: u8) {
        for encoding in &mut self.encodings {
            encoding.use_it(now, used & encoding.index.bit() != 0);
        }
    }

    /// A subscriber needs a key frame of an encoding; of the best one, if none is named. `begins` says that it has no picture
    /// at all. Of a track that sent nothing yet none is wanted: it begins with one, or is asked when it comes.
    pub fn want_keyframe(&mut self, encoding: Option<EncodingIndex>, begins: bool) {
        let want = if begins { KeyframeRequests::want_to_begin } else { KeyframeRequests::want };
        let Some(index) = encoding.or_else(|| Some(self.target?.best)) else { return };
        if let Some(encoding) = self.encodings.iter_mut().find(|encoding| encoding.index == index) {
            want(&mut encoding.keyframes);
        }
    }

    /// The sources that are to be asked for a key frame now. They count as asked.
    pub fn poll_keyframes(&mut self, now: Instant) -> impl Iterator<Item = SourceId> + '_ {
        let due = move |encoding: &mut Encoding| encoding.keyframes.poll(now).then_some(encoding.source);
        self.encodings.iter_mut().filter_map(due)
    }

    /// Whether a key frame of any encoding is waited for.
    #[must_use]
    pub fn awaits_keyframes(&self) -> bool {
        self.encodings.iter().any(|encoding| encoding.keyframes.deadline().is_some())
    }

    fn encoding(&self, index: EncodingIndex) -> Option<&Encoding> {
        self.encodings.iter().find(|encoding| encoding.index == index)
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

    /// Takes note of a received packet, and fills in what only the track knows of it: its layer, and whether a decoder can
    /// begin with it. `None` for one of a source that its encoding has left behind.
    ///
    /// The best of several encodings is the one with the highest bitrate. It is judged by the most that it ever had, as a
    /// still picture costs few bytes in any size; an encoding that falls silent loses its place within three seconds.
    pub fn receive(&mut self, now: Instant, packet: &mut Packet) -> Option<Received> {
        let changes = self.note(now, packet)?;
        let since = *self.compared.get_or_insert(now);
        let chosen = self.chosen;
        if now.saturating_duration_since(since) >= COMPARE_EVERY {
            self.compared = Some(now);
            self.choose(now);
        }
        self.chosen.get_or_insert(packet.encoding);
        let laddered = *self.laddered.get_or_insert(now);
        let has_new_ladder =
            changes || chosen != self.chosen || now.saturating_duration_since(laddered) >= LADDER_EVERY;
        if has_new_ladder {
            self.arrange(now);
        }
        let target = self.target?;
        let format = self.tell(now, packet, &target);
        Some(Received { target, has_new_ladder, format, advice: self.advice.take() })
    }

    /// Lets time pass. Returns whether the ladder was made anew: an encoding has fallen silent, though nothing may come of the
    /// others either, as their publisher was told that nobody uses them.
    pub fn refresh(&mut self, now: Instant) -> bool {
        let has_stopped = self.encodings.iter().any(|encoding| encoding.has_stopped(now));
        if has_stopped {
            self.arrange(now);
        }
        has_stopped
    }

    /// The source of the best encoding; `None` before the first packet.
    #[must_use]
    pub fn chosen(&self) -> Option<SourceId> {
        self.encoding(self.target?.best).map(|encoding| encoding.source)
    }

    /// Counts a packet for its encoding, whose source may be new. `None` for an old source, else whether the encoding has
    /// just begun to flow.
    fn note(&mut self, now: Instant, packet: &mut Packet) -> Option<bool> {
        let place = self.encodings.iter().position(|encoding| encoding.index == packet.encoding);
        let begins = place.is_none();
        if begins {
            if self.encodings.len() == MOST_ENCODINGS {
                return None;
            }
            self.encodings.push(Encoding::new(now, packet));
        }
        let place = place.unwrap_or(self.encodings.len().saturating_sub(1));
        if !self.encodings.iter().any(|encoding| encoding.flows(now)) {
            self.await_return(now);
        }
        let encoding = self.encodings.get_mut(place)?;
        if packet.source.0 < encoding.source.0 {
            return None;
        }
        if packet.source != encoding.source {
            encoding.restart(packet);
        }
        if self.kind == MediaKind::Video {
            (packet.layer, packet.entry) = encoding.reader.read(packet);
            // What comes behind its successors cannot be begun with: they have been passed over already.
            packet.entry &= packet.sequence >= encoding.highest;
        }
        if self.kind == MediaKind::Video && packet.sequence >= encoding.highest && !packet.payload.is_empty()
        {
            self.advice = self.advice.or(encoding.habits.note(packet, encoding.keyframes.asked()));
        }
        encoding.highest = encoding.highest.max(packet.sequence);
        if packet.entry {
            encoding.keyframes.arrived(packet.arrived);
            encoding.begun += 1;
        }
        Some(encoding.count(now, packet) || begins)
    }

    /// All encodings are silent, and one of them comes again: those that fell silent together with the last one are expected
    /// too. Nobody is to turn to another picture because its packet is the first.
    fn await_return(&mut self, now: Instant) {
        let last = self.encodings.iter().map(Encoding::last).max();
        self.returned = Some(now);
        for encoding in &mut self.encodings {
            encoding.returns = last.is_some_and(|last| encoding.flows(last));
        }
    }

    /// Makes the ladder and the target: encodings by height if that is known of all, else by the most that they ever had.
    fn arrange(&mut self, now: Instant) {
        let Some(chosen) = self.chosen else { return };
        let is_due = self.laddered.is_none_or(|at| now.saturating_duration_since(at) >= LADDER_EVERY);
        let heights = self.encodings.iter().filter(|encoding| encoding.can_be_had(now));
        let heights = heights.clone().all(|encoding| encoding.height() > 0);
        self.encodings.sort_by_key(|encoding| {
            (if heights { encoding.height() } else { 0 }, encoding.peak.max(encoding.bytes))
        });
        let is_return = self.returned.is_some_and(|at| now.saturating_duration_since(at) < RETURNS_WITHIN);
        let flows = |encoding: &Encoding| encoding.flows(now) || (is_return && encoding.returns);
        let states: Vec<_> = self.encodings.iter().map(|own| (own.index, flows(own))).collect();
        self.encodings.iter_mut().for_each(|encoding| encoding.laddered(now));
        self.target = Some(Target::of(&states, chosen));
        let mut rungs = Vec::new();
        for encoding in self.encodings.iter_mut().filter(|encoding| encoding.can_be_had(now)) {
            encoding.rungs(now, rungs.is_empty(), &mut rungs);
        }
        // What costs as much as a better picture is no way at all. Of some it is not known.
        let mut cheapest = None;
        for at in (0..rungs.len()).rev() {
            let bitrate = rungs.get(at).map(|rung| rung.bitrate).filter(|bitrate| bitrate.0 > 0);
            if cheapest.is_some() && bitrate >= cheapest {
                rungs.remove(at);
            } else {
                cheapest = bitrate.or(cheapest);
            }
        }
        self.ladder = Ladder { rungs };
        if is_due {
            self.laddered = Some(now);
            self.encodings.iter_mut().for_each(|encoding| encoding.turn(now));
        }
    }

    fn choose(&mut self, now: Instant) {
        for encoding in &mut self.encodings {
            encoding.silent = if encoding.bytes == 0 { encoding.silent + 1 } else { 0 };
            let stays = encoding.silent < SILENT_AFTER || encoding.can_be_had(now);
            encoding.peak = if stays { encoding.peak.max(encoding.bytes) } else { 0 };
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
        }
    }

    fn tell(&mut self, now: Instant, packet: &Packet, target: &Target) -> Option<Format> {
        let due = match self.told {
            None => true,
            Some((told, at)) => told != packet.format && now.saturating_duration_since(at) >= TELL_EVERY,
        };
        if !due || packet.encoding != target.best {
            return None;
        }
        self.told = Some((packet.format, now));
        Some(packet.format)
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
