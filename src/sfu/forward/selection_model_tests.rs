//! Whatever is selected, lost or late: a receiver never gets a frame without what that frame depends on.
//!
//! [`Publisher`] makes streams whose dependencies are known, [`Viewer`] checks what a subscription makes of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::sfu::forward::layer::LayerFacts;
use crate::sfu::forward::packet::{Extensions, SourceId, vp8_descriptor};
use crate::sfu::forward::reader::LayerReader;
use crate::units::{Codec, Format};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Vp8,
    /// VP9 with three spatial layers; `true` if only key pictures are predicted from the layer below.
    Vp9(bool),
    /// The same with a dependency descriptor, and a payload that says nothing.
    Described(bool),
}

impl Kind {
    fn spatial_layers(self) -> u8 {
        if self == Self::Vp8 { 1 } else { 3 }
    }

    fn only_key(self) -> bool {
        matches!(self, Self::Vp9(true) | Self::Described(true))
    }
}

/// A frame of one spatial layer: the encoding, the picture and the layer.
type FrameId = (u8, u32, u8);

/// The temporal layers of eight pictures, how far back each picture's references are, and where layers can be taken up.
const TEMPORAL: [u8; 8] = [0, 2, 1, 2, 0, 2, 1, 2];
const REFERENCES: [&[u32]; 8] = [&[4], &[1], &[2], &[1], &[4], &[1, 2], &[2, 4], &[1]];
const SYNC: [bool; 8] = [false, true, true, false, false, false, false, false];
const SWITCHING_UP: [bool; 8] = [true, false, true, false, false, false, false, false];

#[derive(Debug)]
struct Publisher {
    kind: Kind,
    encoding: u8,
    start: Instant,
    sequence: u64,
    picture: u32,
    phase: usize,
    /// The first picture since the last key frame, and that of the next one if it is asked for.
    key: u32,
    wants_key: bool,
    reader: LayerReader,
    references: HashMap<FrameId, Vec<FrameId>>,
    frame_number: u16,
}

impl Publisher {
    fn new(kind: Kind, encoding: u8) -> Self {
        Self {
            kind,
            encoding,
            start: Instant::now(),
            sequence: 1_000,
            picture: 40 + u32::from(encoding),
            phase: 0,
            key: 0,
            wants_key: true,
            reader: LayerReader::default(),
            references: HashMap::new(),
            frame_number: 65_500,
        }
    }

    fn picture(&mut self, packets: u64) -> Vec<(FrameId, Packet)> {
        self.picture += 1;
        self.phase = (self.phase + 1) % 8;
        let is_key = std::mem::take(&mut self.wants_key);
        if is_key {
            (self.phase, self.key) = (0, self.picture);
        }
        let mut made = Vec::new();
        for spatial in 0..self.kind.spatial_layers() {
            let id = (self.encoding, self.picture, spatial);
            let back = if is_key { &[] } else { REFERENCES[self.phase] };
            let pictures = back.iter().map(|back| self.picture - back).filter(|picture| *picture >= self.key);
            let mut references: Vec<_> = pictures.map(|picture| (self.encoding, picture, spatial)).collect();
            if spatial > 0 && (is_key || !self.kind.only_key()) {
                references.push((self.encoding, self.picture, spatial - 1));
            }
            self.references.insert(id, references);
            self.frame_number = self.frame_number.wrapping_add(1);
            for number in 0..packets {
                let (begins, ends) = (number == 0, number + 1 == packets);
                made.push((id, self.packet(spatial, is_key, begins, ends)));
            }
        }
        made
    }

    fn packet(&mut self, spatial: u8, is_key: bool, begins: bool, ends: bool) -> Packet {
        self.sequence += 1;
        let phase = self.phase;
        let (temporal, up) = (TEMPORAL[phase], SWITCHING_UP[phase]);
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let [high, low] = (self.picture as u16 & 0x7fff).to_be_bytes();
        let (codec, payload, descriptor) = match self.kind {
            Kind::Vp8 => {
                let tid = temporal << 6 | flag(SYNC[phase], 0x20);
                let first = flag(begins, 0x10) | 0x80;
                (Codec::Vp8, vec![first, 0xa0, 0x80 | high, low, tid, flag(!(is_key && begins), 1)], None)
            }
            Kind::Vp9(_) => {
                let first = 0xb0 | flag(!is_key, 0x40) | flag(begins, 8) | flag(ends, 4);
                let has_structure = is_key && begins && spatial == 0;
                let layer = temporal << 5 | flag(up, 0x10) | spatial << 1 | flag(spatial > 0, 1);
                let mut payload = vec![first | flag(has_structure, 2), 0x80 | high, low, layer];
                payload.extend((!is_key).then_some(8));
                payload.extend(has_structure.then_some(0x40));
                payload.push(0);
                (Codec::Vp9, payload, None)
            }
            Kind::Described(_) => {
                let descriptor = self.descriptor(spatial, is_key && spatial == 0, begins, ends);
                (Codec::Av1, vec![0xff, 0xff], Some(Arc::from(descriptor)))
            }
        };
        let now = self.start + Duration::from_millis(33) * self.picture;
        let extensions = Extensions { dependency_descriptor: descriptor, ..Extensions::default() };
        let mut packet = Packet {
            source: SourceId(self.encoding.into()),
            encoding: EncodingIndex(self.encoding),
            sequence: self.sequence,
            timestamp: self.picture * 3_000,
            marker: ends && spatial + 1 == self.kind.spatial_layers(),
            format: Format::new(codec, ""),
            entry: crate::sfu::forward::packet::is_entry(codec, &payload),
            arrived: now,
            captured: now,
            dependency: extensions.dependency(),
            extensions,
            vp8: vp8_descriptor(codec, &payload),
            payload: Arc::from(payload),
            layer: LayerFacts::default(),
        };
        (packet.layer, packet.entry) = self.reader.read(&packet);
        packet
    }

    /// A dependency descriptor with indications of its own: which targets the frame lets a receiver switch to.
    fn descriptor(&self, spatial: u8, is_key: bool, begins: bool, ends: bool) -> Vec<u8> {
        let (temporal, up) = (TEMPORAL[self.phase], SWITCHING_UP[self.phase]);
        let mut bits: Vec<bool> = Vec::new();
        let mut put = |value: u32, count: u32| bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        put(u32::from(begins) << 7 | u32::from(ends) << 6 | u32::from(spatial * 3 + temporal), 8);
        put(self.frame_number.into(), 16);
        let has_structure = is_key && begins;
        put(if has_structure { 0b10110 } else { 0b00100 }, 5);
        let indication = |spatial: u8, temporal: u8, target: u8, up: bool| {
            let (to_spatial, to_temporal) = (target / 3, target % 3);
            match () {
                () if to_spatial < spatial || to_temporal < temporal => 0,
                () if to_spatial == spatial && to_temporal > temporal && up => 2,
                () => 3,
            }
        };
        if has_structure {
            put(0, 6);
            put(8, 5);
            for next in [1, 1, 2, 1, 1, 2, 1, 1, 3] {
                put(next, 2);
            }
            for template in 0..9 {
                (0..9).for_each(|target| put(indication(template / 3, template % 3, target, false), 2));
            }
            // One reference each; no chains; no sizes.
            (0..9).for_each(|_| put(0b10_0110, 6));
            put(0, 3);
            put(0, 1);
        }
        (0..9).for_each(|target| put(indication(spatial, temporal, target, up), 2));
        if has_structure {
            put(0, 2);
        }
        let byte =
            |bits: &[bool]| bits.iter().enumerate().fold(0, |b, (at, bit)| b | u8::from(*bit) << (7 - at));
        bits.chunks(8).map(byte).collect()
    }
}

/// What became of a packet that came.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Forwarded,
    LeftOut,
    /// Nothing of its encoding was to be had then.
    Elsewhere,
}

struct Viewer {
    subscription: Subscription,
    target: Target,
    fates: HashMap<FrameId, Vec<Fate>>,
    /// What was forwarded, by number: picture, marker, VP8 picture id.
    got: BTreeMap<u64, (u8, u32, bool, Option<u16>)>,
}

impl Viewer {
    /// Returns whether a key frame of the packet's encoding is wanted.
    fn take(&mut self, id: FrameId, packet: &Packet) -> bool {
        let verdict = self.subscription.accept(packet, &self.target);
        let follows = self.subscription.current().map(|current| current.encoding) == Some(packet.encoding);
        let fate = match verdict {
            Verdict::Forward(out) => {
                let picture_id = out.vp8.and_then(|vp8| vp8.picture_id);
                self.got.insert(out.sequence, (id.0, id.1, out.marker, picture_id));
                Fate::Forwarded
            }
            _ if follows => Fate::LeftOut,
            _ => Fate::Elsewhere,
        };
        self.fates.entry(id).or_default().push(fate);
        matches!(verdict, Verdict::AwaitsEntry | Verdict::AwaitsSwitch)
    }

    /// What a frame that was forwarded depends on was forwarded, and frames are forwarded whole.
    fn check(&self, publishers: &[Publisher]) -> Result<(), TestCaseError> {
        for (id, fates) in &self.fates {
            let forwarded = fates.contains(&Fate::Forwarded);
            prop_assert!(!(forwarded && fates.contains(&Fate::LeftOut)), "{:?} is torn: {:?}", id, fates);
            let references = &publishers[usize::from(id.0)].references[id];
            for reference in references.iter().filter(|_| forwarded) {
                let left_out = self.fates.get(reference).is_some_and(|fates| fates.contains(&Fate::LeftOut));
                prop_assert!(!left_out, "{:?} without {:?}", id, reference);
            }
        }
        Ok(())
    }

    /// Without losses there are no gaps, and each picture ends with the marker, and with nothing else.
    fn check_whole(&self) -> Result<(), TestCaseError> {
        let got: Vec<_> = self.got.iter().collect();
        for pair in got.windows(2) {
            let [
                (number, (encoding, picture, marker, id)),
                (next, (next_encoding, next_picture, _, next_id)),
            ] = pair
            else {
                continue;
            };
            prop_assert_eq!(**number + 1, **next);
            let ends = (encoding, picture) != (next_encoding, next_picture);
            prop_assert_eq!(*marker, ends, "the end of picture {} at {}", picture, number);
            if let (Some(id), Some(next_id)) = (id, next_id) {
                prop_assert_eq!(id.wrapping_add(u16::from(ends)) & 0x7fff, *next_id);
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A picture of each encoding, of so many packets for each layer, with what the network does to the packets: 0 loses one,
    /// others up to 6 delay it by so many.
    Pictures(u64, [u8; 6]),
    Select(Option<(u8, u8, u8)>),
}

fn step() -> impl Strategy<Value = Step> {
    let trouble = || prop_oneof![12 => Just(9u8), 1 => 0..6u8];
    let troubles = [trouble(), trouble(), trouble(), trouble(), trouble(), trouble()];
    prop_oneof![
        12 => (1..4u64, troubles).prop_map(|(packets, troubles)| Step::Pictures(packets, troubles)),
        1 => prop::option::weighted(0.9, (0..2u8, 0..3u8, 0..3u8)).prop_map(Step::Select),
    ]
}

fn run(kind: Kind, steps: &[Step], is_good: bool) -> Result<(), TestCaseError> {
    let mut publishers = [0, 1].map(|encoding| Publisher::new(kind, encoding));
    let target = Target::of(&[(EncodingIndex(0), true), (EncodingIndex(1), true)], EncodingIndex(1));
    let (fates, got) = (HashMap::new(), BTreeMap::new());
    let mut viewer = Viewer { subscription: Subscription::new(0, 0), target, fates, got };
    let mut wanted = None;
    let mut late: Vec<(u8, FrameId, Packet)> = Vec::new();
    let steady = (0..24).map(|_| Step::Pictures(2, [9; 6]));
    for step in steps.iter().copied().chain(steady) {
        let (packets, troubles) = match step {
            Step::Select(selection) => {
                let select = |(encoding, spatial, temporal): (u8, u8, u8)| Selection {
                    encoding: EncodingIndex(encoding),
                    spatial: spatial.min(kind.spatial_layers() - 1),
                    temporal,
                };
                wanted = Some(selection.map(select));
                viewer.subscription.select(selection.map(select));
                continue;
            }
            Step::Pictures(packets, troubles) => (packets, troubles),
        };
        for publisher in &mut publishers {
            let made = publisher.picture(packets);
            for ((id, packet), trouble) in made.into_iter().zip(troubles.into_iter().cycle()) {
                // A key frame that is lost is asked for again; here it always comes.
                match if is_good || publisher.key == publisher.picture { 9 } else { trouble } {
                    0 => continue,
                    9 => publisher.wants_key |= viewer.take(id, &packet),
                    by => late.push((by, id, packet)),
                }
                late.iter_mut().for_each(|(by, ..)| *by = by.saturating_sub(1));
                for (_, id, packet) in late.extract_if(.., |(by, ..)| *by == 0) {
                    viewer.take(id, &packet);
                }
            }
        }
    }
    viewer.check(&publishers)?;
    if is_good {
        viewer.check_whole()?;
    }
    if let Some(wanted) = wanted {
        prop_assert_eq!(viewer.subscription.current(), wanted, "what is selected is reached");
    }
    Ok(())
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Vp8), any::<bool>().prop_map(Kind::Vp9), any::<bool>().prop_map(Kind::Described)]
}

proptest! {
    #[test]
    fn no_frame_comes_without_what_it_depends_on(kind in kind(), steps in prop::collection::vec(step(), 1..150)) {
        run(kind, &steps, false)?;
    }

    #[test]
    fn a_subscriber_of_a_good_stream_sees_neither_gaps_nor_open_ends(
        kind in kind(),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        run(kind, &steps, true)?;
    }
}
