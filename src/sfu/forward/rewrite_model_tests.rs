//! Whatever is lost, late, left out, paused or switched, the receiver sees one stream that a decoder accepts.
//!
//! [`Publishers`] makes the packets of sources that are as different as can be, [`Receiver`] knows what must come out.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::sfu::forward::layer::LayerFacts;
use crate::sfu::forward::packet::{EncodingIndex, Extensions};
use crate::units::{Codec, Format};
use crate::wire::dependency::{Descriptor, Structure};
use crate::wire::vp8::PictureId;

/// What a source is like. Numbers begin anywhere, most of all just before they wrap.
#[derive(Debug, Clone, Copy)]
struct Nature {
    sequence: u16,
    timestamp: u32,
    picture_id: u16,
    tl0: u8,
    structure: Structure,
    codec: u8,
    /// 0: no ids, 1: short, 2: long.
    width: u8,
    latency: u64,
}

fn nature() -> impl Strategy<Value = Nature> {
    let sequence = prop_oneof![any::<u16>(), 65_500..=u16::MAX];
    let timestamp = prop_oneof![any::<u32>(), u32::MAX - 90_000..=u32::MAX];
    let picture_id = prop_oneof![any::<u16>(), 0x7ff0..0x8000u16, 0x70..0x80u16];
    let structure =
        (0..64u8, 1..20u8).prop_map(|(id, templates)| Structure { id, decode_targets: 2, templates });
    let parts = (sequence, timestamp, picture_id, any::<u8>(), structure, 0..3u8, 0..3u8, 0..400u64);
    parts.prop_map(|(sequence, timestamp, picture_id, tl0, structure, codec, width, latency)| Nature {
        sequence,
        timestamp,
        picture_id,
        tl0,
        structure,
        codec,
        width,
        latency,
    })
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A frame of so many packets, after so many milliseconds, with the fate of each packet.
    Frame {
        packets: u64,
        after: u64,
        fates: [Fate; 3],
    },
    /// A frame of a layer that is left out.
    LeftOut {
        packets: u64,
        fates: [Fate; 3],
    },
    Padding(u64),
    /// Seconds in which nothing comes.
    Pause(u64),
    /// Another source, by its place: a new one or one from before.
    Switch(usize),
    /// The source's timestamps jump.
    Leap(u32),
    /// The source's picture ids come to be of another width, or to be none.
    Width(u8),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    /// Behind so many others.
    Late(usize),
}

fn fates() -> impl Strategy<Value = [Fate; 3]> {
    let fate = prop_oneof![
        20 => Just(Fate::Arrives), 2 => Just(Fate::Lost), 1 => Just(Fate::Twice), 2 => (1..8usize).prop_map(Fate::Late)
    ];
    [fate.clone(), fate.clone(), fate]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (1..4u64, 20..100u64, fates()).prop_map(|(packets, after, fates)| Step::Frame { packets, after, fates }),
        6 => (1..4u64, fates()).prop_map(|(packets, fates)| Step::LeftOut { packets, fates }),
        3 => (1..4u64).prop_map(Step::Padding),
        1 => prop_oneof![1..3_000u64, 3_000..100_000u64].prop_map(Step::Pause),
        3 => (0..4usize).prop_map(Step::Switch),
        // At least eleven seconds, forwards or backwards: less may be true.
        1 => (990_000..u32::MAX - 990_000).prop_map(Step::Leap),
        1 => (0..3u8).prop_map(Step::Width),
    ]
}

/// A source and where it is.
#[derive(Debug)]
struct Source {
    nature: Nature,
    sequence: u64,
    /// The number of frames so far, and of those in the lowest temporal layer.
    frames: u64,
    base: u64,
    leapt: u32,
    /// How far it had leapt at its last packet: two leaps before the next are one.
    settled: u32,
}

/// A packet with what only the model knows of it.
#[derive(Debug, Clone)]
struct Made {
    packet: Packet,
    frame: u64,
    left_out: bool,
    padding: bool,
}

/// Video timestamps of a clock that begins a little earlier.
fn ticks_since(start: Instant, moment: Instant) -> u32 {
    let passed = (moment + Duration::from_secs(1)).duration_since(start);
    ((passed.as_millis() * 90) & 0xffff_ffff) as u32
}

#[derive(Debug)]
struct Publishers {
    start: Instant,
    now: Duration,
    sources: Vec<Source>,
    at: usize,
    /// The next frame is a key frame.
    key: bool,
}

impl Publishers {
    fn packet(&mut self, source: usize, base: bool, key: bool) -> Packet {
        let at = &mut self.sources[source];
        let nature = at.nature;
        let codec = [Codec::Vp8, Codec::Av1, Codec::H264][usize::from(nature.codec)];
        let arrived = self.start + self.now;
        let captured = arrived - Duration::from_millis(nature.latency);
        let ticks = ticks_since(self.start, captured);
        let id = nature.picture_id.wrapping_add(at.frames as u16);
        let long = nature.width == 2;
        let picture_id = PictureId { value: id & if long { 0x7fff } else { 0x7f }, long };
        let vp8 = (codec == Codec::Vp8).then(|| vp8::Descriptor {
            keyframe: key,
            picture_id: (nature.width > 0).then_some(picture_id),
            tl0_pic_idx: Some(nature.tl0.wrapping_add(at.base as u8)),
            key_idx: Some(nature.tl0 & 0x1f),
            ..vp8::Descriptor::default()
        });
        let structure = nature.structure;
        let template = if base { 0 } else { structure.templates - 1 };
        let dependency = (codec == Codec::Av1).then(|| Descriptor {
            start_of_frame: true,
            end_of_frame: true,
            template_id: dependency::shifted(structure.id, template),
            frame_number: id,
            structure: key.then_some(structure),
        });
        at.sequence += 1;
        at.settled = at.leapt;
        Packet {
            source: SourceId(source as u64),
            encoding: EncodingIndex(0),
            sequence: at.sequence,
            timestamp: nature.timestamp.wrapping_add(ticks).wrapping_add(at.leapt),
            marker: false,
            format: Format::new(codec, ""),
            entry: key,
            arrived,
            captured,
            extensions: Extensions::default(),
            payload: Arc::from([1u8].as_slice()),
            vp8,
            dependency,
            layer: LayerFacts::default(),
        }
    }

    /// The packets of a frame, of which those of a key frame's first packet begin a structure.
    fn frame(&mut self, packets: u64, left_out: bool) -> Vec<Made> {
        let key = std::mem::take(&mut self.key);
        let source = self.at;
        self.sources[source].frames += 1;
        self.sources[source].base += u64::from(!left_out);
        let frame = self.sources[source].frames;
        (0..packets)
            .map(|number| Made {
                packet: self.packet(source, !left_out, key && number == 0),
                frame,
                left_out,
                padding: false,
            })
            .collect()
    }

    fn padding(&mut self) -> Made {
        let source = self.at;
        let packet = Packet { vp8: None, dependency: None, ..self.packet(source, false, false) };
        Made { packet, frame: self.sources[source].frames, left_out: true, padding: true }
    }
}

/// What was sent with a number, and how many stretches had begun by then.
#[derive(Debug, Clone)]
struct Got {
    packet: Packet,
    out: Rewritten,
    stretches: usize,
}

/// The newest of the followed source: of what came in and of what went out.
#[derive(Debug, Default)]
struct Newest {
    sequence: u64,
    frame: u64,
    out: Option<Rewritten>,
    /// Numbers and frames that were lost before something that was left out.
    lost: u64,
    lost_frames: u64,
    source_tl0: Option<u8>,
    source_frame_number: Option<u16>,
    width: Option<bool>,
}

#[derive(Debug)]
struct Receiver {
    rewriter: Rewriter,
    got: HashMap<u64, Got>,
    newest: Newest,
    /// Last ids on the wire, which outlive sources.
    picture_id: Option<u16>,
    tl0: Option<u8>,
    frame_number: Option<u16>,
    structure: Option<Structure>,
    start: Instant,
    /// What timestamps are apart from the time of capture.
    anchor: u32,
    /// When the last packet arrived, and of which source and time its frame was.
    arrived: Option<Instant>,
    frame: Option<(SourceId, Instant)>,
    stretches: usize,
}

impl Receiver {
    /// A packet comes from the network.
    fn take(&mut self, made: &Made, wanted: usize) -> Result<(), TestCaseError> {
        let packet = &made.packet;
        let followed = self.rewriter.source();
        let mut switched = false;
        if followed != Some(packet.source) {
            if packet.source != SourceId(wanted as u64) || !packet.entry {
                return if followed.is_some() && self.rewriter.owes(packet) {
                    self.late(made)
                } else {
                    Ok(())
                };
            }
            self.rewriter.switch(packet);
            switched = true;
            self.newest = Newest {
                sequence: packet.sequence - 1,
                out: self.newest.out,
                lost: self.newest.lost,
                ..Newest::default()
            };
        }
        if packet.sequence <= self.newest.sequence {
            return self.late(made);
        }
        self.stretches += usize::from(switched);
        let lost = packet.sequence - self.newest.sequence - 1;
        let frames = if switched { 1 } else { made.frame - self.newest.frame };
        self.newest.sequence = packet.sequence;
        if made.left_out {
            self.stretches += 1;
            prop_assert!(self.rewriter.skip(packet));
            self.newest.lost += lost;
            if !made.padding {
                self.newest.frame = made.frame;
                // Without an id nobody knows that it was a frame.
                let has_id = packet.vp8.is_some_and(|vp8| vp8.picture_id.is_some());
                self.newest.lost_frames += frames.saturating_sub(u64::from(has_id));
            }
            return Ok(());
        }
        self.newest.frame = made.frame;
        let Some(out) = self.rewriter.rewrite(packet) else {
            return Err(TestCaseError::fail("a new packet got no number"));
        };
        let expected =
            self.newest.out.map(|last| last.sequence + 1 + lost + std::mem::take(&mut self.newest.lost));
        prop_assert_eq!(
            out.sequence,
            expected.unwrap_or(out.sequence),
            "a gap that the network did not tear"
        );
        self.check_time(packet, &out)?;
        self.check_vp8(packet, &out, frames, switched)?;
        self.check_dependency(packet, &out, switched)?;
        self.newest.out = Some(out);
        self.keep(packet, out)
    }

    /// What comes late gets a number in its place or none.
    fn late(&mut self, made: &Made) -> Result<(), TestCaseError> {
        prop_assert!(!self.rewriter.skip(&made.packet));
        let Some(out) = self.rewriter.rewrite(&made.packet) else { return Ok(()) };
        for got in self.got.values().filter(|got| got.packet.source == made.packet.source) {
            let (theirs, its) = (got.packet.sequence, made.packet.sequence);
            prop_assert_eq!(theirs < its, got.out.sequence < out.sequence, "out of place: {:?}", out);
        }
        self.keep(&made.packet, out)
    }

    fn keep(&mut self, packet: &Packet, out: Rewritten) -> Result<(), TestCaseError> {
        let got = Got { packet: packet.clone(), out, stretches: self.stretches };
        let before = self.got.insert(out.sequence, got);
        prop_assert!(before.is_none(), "{} twice", out.sequence);
        Ok(())
    }

    /// Timestamps never go back, and are where the time is.
    fn check_time(&mut self, packet: &Packet, out: &Rewritten) -> Result<(), TestCaseError> {
        let due = ticks_since(self.start, packet.captured);
        let step = self.newest.out.map(|last| out.timestamp.wrapping_sub(last.timestamp).cast_signed());
        let is_same = self.frame == Some((packet.source, packet.captured));
        prop_assert!(step.is_none_or(|step| if is_same { step == 0 } else { step > 0 }), "by {:?}", step);
        let hour = Duration::from_secs(3_600);
        if self.arrived.is_none_or(|before| packet.arrived - before > hour) {
            // So long a pause is made an hour, but for one in which the source's timestamps wrapped to where they were.
            let is_an_hour = |step: i32| {
                let step = step.unsigned_abs();
                (step / 90_000).abs_diff(3_600) <= 1 || step <= SMALL_STEP
            };
            prop_assert!(step.is_none_or(is_an_hour), "a long pause: {:?}", step);
            self.anchor = out.timestamp.wrapping_sub(due);
        } else {
            let error = out.timestamp.wrapping_sub(due).wrapping_sub(self.anchor).cast_signed();
            // As much as sources differ in latency, and a frame.
            prop_assert!((-90..=90 * 450).contains(&error), "{} ms from where the time is", error / 90);
        }
        self.arrived = Some(packet.arrived);
        self.frame = Some((packet.source, packet.captured));
        Ok(())
    }

    /// References between VP8 frames are found by ids that count the frames, and by the number of the base frame.
    fn check_vp8(
        &mut self,
        packet: &Packet,
        out: &Rewritten,
        frames: u64,
        switched: bool,
    ) -> Result<(), TestCaseError> {
        let lost = std::mem::take(&mut self.newest.lost_frames);
        let (Some(of_source), Some(numbers)) = (packet.vp8, out.vp8) else { return Ok(()) };
        if let Some(id) = of_source.picture_id {
            let same_width = self.newest.width == Some(id.long);
            let step = if switched || !same_width { 1 } else { frames + lost };
            let expected = self.picture_id.map(|last| last.wrapping_add(step as u16) & id.mask());
            prop_assert!(numbers.picture_id.is_some());
            prop_assert_eq!(numbers.picture_id, expected.or(numbers.picture_id));
            self.newest.width = Some(id.long);
            self.picture_id = numbers.picture_id;
        } else {
            prop_assert_eq!(numbers.picture_id, None);
            // Frames without an id are no gap between those with one, as the source counts them all.
            self.newest.lost_frames = lost + frames;
        }
        let index = of_source.tl0_pic_idx.expect("always there");
        let step = self.newest.source_tl0.map_or(1, |last| index.wrapping_sub(last));
        let expected = self.tl0.map_or(index, |last| last.wrapping_add(step));
        prop_assert_eq!(numbers.tl0_pic_idx, Some(expected));
        (self.newest.source_tl0, self.tl0) = (Some(index), Some(expected));
        Ok(())
    }

    /// Frame numbers keep their distances, and a template is read with the structure that it belongs to.
    fn check_dependency(
        &mut self,
        packet: &Packet,
        out: &Rewritten,
        switched: bool,
    ) -> Result<(), TestCaseError> {
        let (Some(of_source), Some(numbers)) = (packet.dependency, out.dependency) else { return Ok(()) };
        let step =
            self.newest.source_frame_number.map_or(1, |last| of_source.frame_number.wrapping_sub(last));
        let expected = self.frame_number.map_or(of_source.frame_number, |last| last.wrapping_add(step));
        prop_assert_eq!(numbers.frame_number, expected);
        (self.newest.source_frame_number, self.frame_number) = (Some(of_source.frame_number), Some(expected));
        if let Some(structure) = of_source.structure {
            let structure = structure.shifted(numbers.template_shift);
            let old = self.structure.replace(structure).filter(|_| switched);
            let is_apart = |old: Structure| structure.id.wrapping_sub(old.id) & 63 >= old.templates;
            prop_assert!(old.is_none_or(is_apart), "{:?} overlaps {:?}", old, structure);
        }
        let structure = self.structure.expect("an entry has one");
        let id = dependency::shifted(of_source.template_id, numbers.template_shift);
        prop_assert!(id.wrapping_sub(structure.id) & 63 < structure.templates);
        Ok(())
    }

    /// What is asked for again has the numbers that it had; what was not sent is not known.
    fn ask_again(&self) -> Result<(), TestCaseError> {
        let Some(highest) = self.got.keys().max().copied() else { return Ok(()) };
        for number in highest.saturating_sub(900)..=highest {
            let sent = self.rewriter.sent((number & 0xffff) as u16);
            let Some(got) = self.got.get(&number) else {
                prop_assert_eq!(sent, None);
                continue;
            };
            let Some(sent) = sent else {
                prop_assert!(self.stretches - got.stretches > 20, "{} is forgotten", number);
                continue;
            };
            prop_assert_eq!((sent.source, sent.sequence), (got.packet.source, got.packet.sequence));
            prop_assert_eq!(sent.numbers(&got.packet), Some(got.out));
            let other = Packet { sequence: sent.sequence + 1, ..got.packet.clone() };
            prop_assert_eq!(sent.numbers(&other), None);
        }
        Ok(())
    }
}

impl Publishers {
    fn new(natures: &[Nature]) -> Self {
        let source = |nature: &Nature| Source {
            nature: *nature,
            sequence: u64::from(nature.sequence) + 65_536,
            frames: 0,
            base: 0,
            leapt: 0,
            settled: 0,
        };
        let sources = natures.iter().map(source).collect();
        Self { start: Instant::now(), now: Duration::ZERO, sources, at: 0, key: true }
    }

    /// The packets of a step, with what becomes of each.
    fn step(&mut self, step: Step) -> Vec<(Made, Fate)> {
        let (made, fates) = match step {
            Step::Frame { packets, after, fates } => {
                self.now += Duration::from_millis(after);
                (self.frame(packets, false), fates)
            }
            // A key frame is never left out.
            Step::LeftOut { packets, fates } if !self.key => (self.frame(packets, true), fates),
            Step::Padding(packets) if !self.key => {
                ((0..packets).map(|_| self.padding()).collect(), [Fate::Arrives; 3])
            }
            Step::LeftOut { .. } | Step::Padding(_) => return Vec::new(),
            Step::Pause(seconds) => {
                self.now += Duration::from_secs(seconds);
                return Vec::new();
            }
            Step::Switch(to) => {
                (self.at, self.key) = (to % self.sources.len(), true);
                return Vec::new();
            }
            Step::Leap(by) => {
                let at = &mut self.sources[self.at];
                at.leapt = at.settled.wrapping_add(by);
                return Vec::new();
            }
            Step::Width(width) => {
                self.sources[self.at].nature.width = width;
                return Vec::new();
            }
        };
        // A key frame that is lost is asked for again, in one way or another.
        let fate = |made: &Made, fate| if made.packet.entry { Fate::Arrives } else { fate };
        made.into_iter().zip(fates).map(|(made, of_it)| (made.clone(), fate(&made, of_it))).collect()
    }
}

/// Brings packets from the publishers to the receiver, or does not.
fn run(first: (u16, u32), natures: &[Nature], steps: &[Step]) -> Result<(), TestCaseError> {
    let mut publishers = Publishers::new(natures);
    let mut receiver = Receiver {
        rewriter: Rewriter::new(first.0, first.1),
        got: HashMap::new(),
        newest: Newest::default(),
        picture_id: None,
        tl0: None,
        frame_number: None,
        structure: None,
        start: publishers.start,
        anchor: 0,
        arrived: None,
        frame: None,
        stretches: 0,
    };
    let mut late: Vec<(usize, Made)> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        if matches!(step, Step::Pause(_) | Step::Leap(_)) {
            // What is late by so much is lost.
            late.clear();
        }
        for (made, fate) in publishers.step(*step) {
            match fate {
                Fate::Lost => {}
                Fate::Late(by) => late.push((by, made)),
                Fate::Arrives => receiver.take(&made, publishers.at)?,
                Fate::Twice => {
                    receiver.take(&made, publishers.at)?;
                    if !made.left_out {
                        prop_assert_eq!(receiver.rewriter.rewrite(&made.packet), None, "a copy");
                    }
                }
            }
            late.iter_mut().for_each(|(by, _)| *by -= 1);
            let due: Vec<_> = late.extract_if(.., |(by, _)| *by == 0).collect();
            for (_, made) in due {
                receiver.take(&made, publishers.at)?;
            }
        }
        if number % 16 == 0 {
            receiver.ask_again()?;
        }
    }
    receiver.ask_again()
}

proptest! {
    #[test]
    fn a_receiver_sees_one_stream(
        first: (u16, u32),
        natures in prop::collection::vec(nature(), 1..4),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        run(first, &natures, &steps)?;
    }
}
