//! Header extensions (RFC 8285): which ones a session takes and gives, and what a publisher's packets say in them.
//!
//! The two ends of a forwarded packet number them independently, so what comes in is known by its meaning, or by its
//! URI where it has none here.

use std::sync::Arc;

use str0m::rtp::{Extension, ExtensionMap, ExtensionSerializer, ExtensionValues};

use crate::sfu::egress::header::{ExtensionId, ExtensionIds, LONGEST_MID};
use crate::sfu::forward::packet::{Extensions, Passed};
use crate::units::{Codec, MediaKind};
use crate::wire::layers;

/// The longest URI that is read, in bytes.
const LONGEST_URI: usize = 256;
/// How many extensions that mean nothing here are taken from a publisher: with those that do, as many as str0m reads.
const MOST_OTHERS: usize = 6;
/// The highest number that str0m reads.
const LAST_READ: u8 = 16;

/// What an extension means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Mid,
    Rid,
    RepairedRid,
    SendTime,
    TransportNumber,
    AudioLevel,
    Orientation,
    PlayoutDelay,
    DependencyDescriptor,
    LayersAllocation,
    /// It tells of one hop, or of numbers that change on the way: never taken, never given.
    Hop,
    /// Nothing: it is passed on as it is.
    Other,
}

/// What is known of URIs.
const MEANINGS: [(&str, Meaning); 20] = [
    ("urn:ietf:params:rtp-hdrext:sdes:mid", Meaning::Mid),
    ("urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", Meaning::Rid),
    ("urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id", Meaning::RepairedRid),
    ("http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time", Meaning::SendTime),
    ("http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01", Meaning::TransportNumber),
    ("urn:ietf:params:rtp-hdrext:ssrc-audio-level", Meaning::AudioLevel),
    ("urn:3gpp:video-orientation", Meaning::Orientation),
    ("http://www.webrtc.org/experiments/rtp-hdrext/playout-delay", Meaning::PlayoutDelay),
    (DEPENDENCY_DESCRIPTOR, Meaning::DependencyDescriptor),
    (LAYERS_ALLOCATION, Meaning::LayersAllocation),
    ("http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02", Meaning::Hop),
    ("http://www.webrtc.org/experiments/rtp-hdrext/video-timing", Meaning::Hop),
    ("http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time", Meaning::Hop),
    ("http://www.webrtc.org/experiments/rtp-hdrext/generic-frame-descriptor-00", Meaning::Hop),
    ("http://www.webrtc.org/experiments/rtp-hdrext/generic-frame-descriptor-01", Meaning::Hop),
    ("urn:ietf:params:rtp-hdrext:toffset", Meaning::Hop),
    ("urn:ietf:params:rtp-hdrext:csrc-audio-level", Meaning::Hop),
    ("urn:ietf:params:rtp-hdrext:ntp-56", Meaning::Hop),
    ("urn:ietf:params:rtp-hdrext:ntp-64", Meaning::Hop),
    // Extensions that are encrypted with keys of one hop (RFC 6904).
    ("urn:ietf:params:rtp-hdrext:encrypt", Meaning::Hop),
];

const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
const LAYERS_ALLOCATION: &str = "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00";

impl Meaning {
    fn of(uri: &str) -> Self {
        let known = MEANINGS.iter().find(|(known, _)| *known == uri).map(|(_, meaning)| *meaning);
        known.unwrap_or_else(|| {
            // Frame marking counts frames, and items of source description (RFC 7941) are the sender's own.
            let is_hop = uri.contains("framemarking") || uri.starts_with("urn:ietf:params:rtp-hdrext:sdes:");
            if is_hop { Self::Hop } else { Self::Other }
        })
    }

    /// How str0m is told of it. `None` for those that it does not read for us.
    fn read_by_str0m(self) -> Option<Extension> {
        Some(match self {
            Self::Mid => Extension::RtpMid,
            Self::Rid => Extension::RtpStreamId,
            Self::RepairedRid => Extension::RepairedRtpStreamId,
            Self::SendTime => Extension::AbsoluteSendTime,
            Self::TransportNumber => Extension::TransportSequenceNumber,
            Self::AudioLevel => Extension::AudioLevel,
            Self::Orientation => Extension::VideoOrientation,
            Self::PlayoutDelay => Extension::PlayoutDelay,
            Self::DependencyDescriptor => Extension::with_serializer(DEPENDENCY_DESCRIPTOR, ReadDescriptor),
            Self::LayersAllocation => Extension::with_serializer(LAYERS_ALLOCATION, ReadLayers),
            Self::Hop | Self::Other => return None,
        })
    }
}

/// Which way packets with an extension may go, as the client says it (RFC 8285 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Both,
    SendOnly,
    RecvOnly,
}

/// An `a=extmap` line: `<number>[/<direction>] <URI> [<attributes>]` (RFC 8285 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extmap<'a> {
    pub(super) number: ExtensionId,
    pub(super) uri: &'a str,
    direction: Direction,
}

impl<'a> Extmap<'a> {
    /// Reads an offered line. `None` for what cannot be answered.
    pub(super) fn parse(value: &'a str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let (number, uri) = (words.next()?, words.next()?);
        let (number, direction) = number.split_once('/').unwrap_or((number, "sendrecv"));
        let direction = match direction {
            "sendrecv" => Direction::Both,
            "sendonly" => Direction::SendOnly,
            "recvonly" => Direction::RecvOnly,
            _ => return None,
        };
        let is_fit = uri.len() <= LONGEST_URI && uri.bytes().all(|byte| byte.is_ascii_graphic());
        Some(Self { number: ExtensionId::new(number.parse().ok()?)?, uri, direction }).filter(|_| is_fit)
    }

    /// The line of the answer, which turns the direction around (RFC 8285 section 6).
    pub(super) fn answer(&self) -> String {
        let direction = match self.direction {
            Direction::Both => "",
            Direction::SendOnly => "/recvonly",
            Direction::RecvOnly => "/sendonly",
        };
        format!("a=extmap:{}{direction} {}\r\n", self.number.get(), self.uri)
    }

    /// Whether it is taken in such a section. `others` are those that str0m was told of by their URIs.
    fn is_taken(&self, section: &SectionKind<'_>, others: &[String]) -> bool {
        let (is_up, is_audio) = (section.is_up, section.kind == MediaKind::Audio);
        let direction = if is_up { Direction::SendOnly } else { Direction::RecvOnly };
        if self.direction != Direction::Both && self.direction != direction
            || is_up && self.number.get() > LAST_READ
        {
            return false;
        }
        match Meaning::of(self.uri) {
            Meaning::Mid => is_up || section.mid.len() <= LONGEST_MID,
            Meaning::Rid | Meaning::RepairedRid => is_up,
            // Nobody here reads when a publisher sent: the arrival times of all packets are reported to it.
            Meaning::SendTime => !is_up,
            Meaning::TransportNumber | Meaning::PlayoutDelay => true,
            Meaning::AudioLevel => is_audio,
            Meaning::Orientation | Meaning::LayersAllocation => !is_audio,
            // Browsers describe the frames of all codecs once they may. Only those of AV1 need it.
            Meaning::DependencyDescriptor => !is_audio && (!is_up || section.codec == Some(Codec::Av1)),
            Meaning::Hop => false,
            Meaning::Other => !is_up || others.iter().any(|other| other == self.uri),
        }
    }
}

/// What decides about the extensions of a section.
pub(super) struct SectionKind<'s> {
    pub(super) kind: MediaKind,
    /// The client sends, or may do so later; else it receives.
    pub(super) is_up: bool,
    pub(super) mid: &'s str,
    /// What the client prefers.
    pub(super) codec: Option<Codec>,
}

/// What the numbers of header extensions stand for in a session. One number means one thing in the whole bundle, for its
/// whole life (RFC 8843 section 10.1.2).
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    known: Vec<(ExtensionId, String)>,
    /// The URIs that mean nothing here, and that str0m was told of. It learns no others after the first offer.
    others: Vec<String>,
}

impl Numbers {
    /// Takes note of an offered line, unless it contradicts what is known.
    pub(super) fn learn(&mut self, extmap: &Extmap<'_>, is_first_offer: bool) {
        let is_known = |(number, uri): &(ExtensionId, String)| *number == extmap.number || uri == extmap.uri;
        if self.known.iter().any(is_known) {
            return;
        }
        self.known.push((extmap.number, extmap.uri.to_owned()));
        let is_readable = Meaning::of(extmap.uri) == Meaning::Other && extmap.number.get() <= LAST_READ;
        if is_first_offer && is_readable && self.others.len() < MOST_OTHERS {
            self.others.push(extmap.uri.to_owned());
        }
    }

    /// The lines of a section that are answered.
    pub(super) fn taken<'a>(
        &self,
        section: &SectionKind<'_>,
        offered: impl Iterator<Item = Extmap<'a>>,
    ) -> Vec<Extmap<'a>> {
        let mut taken: Vec<Extmap<'a>> = Vec::new();
        for extmap in offered {
            let agrees = self.known.iter().any(|(number, uri)| *number == extmap.number && uri == extmap.uri);
            let is_new = taken.iter().all(|known| known.number != extmap.number);
            if agrees && is_new && extmap.is_taken(section, &self.others) {
                taken.push(extmap);
            }
        }
        taken
    }

    /// What str0m reads in packets. It learns nothing later, so what only a later offer may name waits under numbers that
    /// are free, where str0m finds it.
    pub(super) fn extension_map(&self, may_offer_again: bool) -> ExtensionMap {
        let mut map = ExtensionMap::empty();
        for (number, uri) in self.known.iter().filter(|(number, _)| number.get() <= LAST_READ) {
            let is_told = || self.others.contains(uri);
            let other = || Extension::with_serializer(uri, ReadOther(Arc::from(uri.as_str())));
            let extension = Meaning::of(uri).read_by_str0m();
            if let Some(extension) = extension.or_else(|| is_told().then(other)) {
                map.set(number.get(), extension);
            }
        }
        if may_offer_again {
            let unnamed = MEANINGS.iter().filter(|(uri, _)| self.known.iter().all(|(_, known)| known != uri));
            let mut unnamed = unnamed.filter_map(|(_, meaning)| meaning.read_by_str0m());
            for number in (1..=LAST_READ).rev() {
                if map.lookup(number).is_none()
                    && let Some(extension) = unnamed.next()
                {
                    map.set(number, extension);
                }
            }
        }
        map
    }
}

/// The numbers that the receiver of a section gave to what it is sent.
pub(super) fn ids(taken: &[Extmap<'_>], mixed: bool) -> ExtensionIds {
    let mut ids = ExtensionIds { mixed, ..ExtensionIds::default() };
    let mut others = Vec::new();
    for extmap in taken {
        let number = extmap.number;
        match Meaning::of(extmap.uri) {
            Meaning::Mid => ids.mid = Some(number),
            Meaning::SendTime => ids.send_time = Some(number),
            Meaning::TransportNumber => ids.transport_number = Some(number),
            Meaning::AudioLevel => ids.audio_level = Some(number),
            Meaning::Orientation => ids.orientation = Some(number),
            Meaning::PlayoutDelay => ids.playout_delay = Some(number),
            Meaning::DependencyDescriptor => ids.dependency_descriptor = Some(number),
            Meaning::LayersAllocation => ids.layers_allocation = Some(number),
            Meaning::Other => others.push((number, Arc::from(extmap.uri))),
            Meaning::Rid | Meaning::RepairedRid | Meaning::Hop => {}
        }
    }
    ids.others = others.into();
    ids
}

/// What a publisher's packet of such a codec says to those who receive it.
pub(super) fn passed(values: &ExtensionValues, codec: Codec) -> Extensions {
    let delay = values.play_delay_min.zip(values.play_delay_max).map(|(least, most)| {
        let [_, a, b, c] = ((tens_of_ms(least.numer()) << 12) | tens_of_ms(most.numer())).to_be_bytes();
        [a, b, c]
    });
    // Without its own numbers rewritten it would contradict the stream, and other codecs do without.
    let descriptor = values.user_values.get::<Descriptor>().filter(|_| codec == Codec::Av1);
    Extensions {
        audio_level: values.audio_level,
        voice_activity: values.voice_activity,
        orientation: values.video_orientation.map(|orientation| orientation as u8),
        playout_delay: delay,
        dependency_descriptor: descriptor.map(|descriptor| descriptor.0.clone()),
        layers_allocation: values.user_values.get::<Layers>().map(|layers| layers.0.clone()),
        others: values.user_values.get::<Others>().map(|others| others.0.clone()),
    }
}

/// A playout delay of 12 bits.
fn tens_of_ms(delay: u64) -> u32 {
    u32::try_from(delay & 0x0fff).unwrap_or_default()
}

struct Descriptor(Arc<[u8]>);
struct Layers(Arc<[u8]>);
struct Others(Arc<[Passed]>);

#[derive(Debug)]
struct ReadDescriptor;
#[derive(Debug)]
struct ReadLayers;
#[derive(Debug)]
struct ReadOther(Arc<str>);

/// str0m reads these and writes none of them.
macro_rules! read_only {
    ($reader:ty, $parse:expr) => {
        impl ExtensionSerializer for $reader {
            fn parse_value(&self, bytes: &[u8], values: &mut ExtensionValues) -> bool {
                let parse: fn(&Self, &[u8], &mut ExtensionValues) -> bool = $parse;
                parse(self, bytes, values)
            }

            fn write_to(&self, _: &mut [u8], _: &ExtensionValues) -> usize {
                0
            }

            fn is_video(&self) -> bool {
                true
            }

            fn is_audio(&self) -> bool {
                true
            }
        }
    };
}

read_only!(ReadDescriptor, |_, bytes, values| {
    values.user_values.set(Descriptor(bytes.into()));
    true
});

read_only!(ReadLayers, |_, bytes, values| {
    let layers = layers::of_own_stream(bytes);
    layers.is_some_and(|layers| {
        values.user_values.set(Layers(layers.into()));
        true
    })
});

read_only!(ReadOther, |reader, bytes, values| {
    let known = values.user_values.get::<Others>().map_or(&[][..], |others| &others.0);
    // One that a packet repeats is read once.
    if known.iter().any(|other| other.uri == reader.0) {
        return false;
    }
    let this = Passed { uri: reader.0.clone(), value: bytes.into() };
    let others = known.iter().cloned().chain([this]).collect();
    values.user_values.set(Others(others));
    true
});

#[cfg(test)]
#[path = "extensions_tests.rs"]
mod tests;
