//! A media packet on its way through the house: what forwarding needs to know of it, and no more.

use std::sync::Arc;
use std::time::Instant;

use super::layer::LayerFacts;
use crate::units::{Codec, Format};
use crate::wire::{av1, dependency, h26x, vp8, vp9};

/// Tells the sources (SSRCs) of all publishers of a worker apart: a publisher that restarts is a new source even
/// if it should draw the same SSRC again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId(pub u64);

/// The place of an encoding among those of its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EncodingIndex(pub u8);

impl EncodingIndex {
    /// Its bit in a set of encodings; none for one that sets do not tell apart.
    #[must_use]
    pub fn bit(self) -> u8 {
        1_u8.checked_shl(self.0.into()).unwrap_or(0)
    }
}

/// A received RTP packet, decrypted.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Where it came from.
    pub source: SourceId,
    /// Which encoding of its track it belongs to.
    pub encoding: EncodingIndex,
    /// The sequence number, extended beyond 16 bits (RFC 3550 appendix A.1).
    pub sequence: u64,
    /// The RTP timestamp.
    pub timestamp: u32,
    /// The marker bit: the end of a video frame.
    pub marker: bool,
    /// What the payload is.
    pub format: Format,
    /// Whether a decoder can begin here. Always true for audio.
    pub entry: bool,
    /// When it was received.
    pub arrived: Instant,
    /// When it was captured by the publisher's clock, put on ours; never later than `arrived`.
    pub captured: Instant,
    /// The header extensions that are passed on.
    pub extensions: Extensions,
    /// The payload, shared by all subscribers.
    pub payload: Arc<[u8]>,
    /// What the head of a VP8 payload says. `None` for other codecs, for padding, and for what cannot be read.
    pub vp8: Option<vp8::Descriptor>,
    /// What the dependency descriptor among the extensions says. `None` without one, and for one that cannot be read,
    /// which is not to be passed on: its numbers would be those of the source.
    pub dependency: Option<dependency::Descriptor>,
    /// Which layer of its encoding it is of. The track fills it in.
    pub layer: LayerFacts,
}

/// Header extensions that mean something to the receiver. What belongs to one hop (transport-wide sequence
/// numbers, send times, mids) is written anew for each subscriber.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// RFC 6464: -127 to 0 dBov.
    pub audio_level: Option<i8>,
    /// RFC 6464: the encoder thinks that somebody speaks.
    pub voice_activity: Option<bool>,
    /// 3GPP TS 26.114 section 7.4.5: the two rotation bits, 0 to 3.
    pub orientation: Option<u8>,
    /// The dependency descriptor (RTP payload format for AV1, appendix A) as it came, shared by all subscribers. To be
    /// passed on with the numbers of [`Rewritten`](super::rewrite::Rewritten) only.
    pub dependency_descriptor: Option<Arc<[u8]>>,
    /// `playout-delay`: the least and the most, 12 bits each, in units of 10 ms.
    pub playout_delay: Option<[u8; 3]>,
    /// `video-layers-allocation00`, of the encoding that the packet belongs to.
    pub layers_allocation: Option<Arc<[u8]>>,
    /// Those that mean nothing here.
    pub others: Option<Arc<[Passed]>>,
}

/// A header extension that means nothing here. It goes to receivers that negotiated the same URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// What the publisher calls it.
    pub uri: Arc<str>,
    /// Its bytes, 255 at most.
    pub value: Box<[u8]>,
}

impl Extensions {
    /// What the dependency descriptor says, to be read once for each packet.
    #[must_use]
    pub fn dependency(&self) -> Option<dependency::Descriptor> {
        self.dependency_descriptor.as_deref().and_then(dependency::Descriptor::parse)
    }
}

/// What the head of a payload says if it is VP8, to be read once for each packet.
#[must_use]
pub fn vp8_descriptor(codec: Codec, payload: &[u8]) -> Option<vp8::Descriptor> {
    if codec == Codec::Vp8 { vp8::Descriptor::parse(payload) } else { None }
}

/// Whether a decoder can begin with this payload.
#[must_use]
pub fn is_entry(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => true,
        Codec::Vp8 => vp8::Descriptor::parse(payload).is_some_and(|descriptor| descriptor.keyframe),
        Codec::Vp9 => vp9::begins_keyframe(payload),
        Codec::H264 => h26x::h264_is_entry(payload),
        Codec::H265 => h26x::h265_is_entry(payload),
        Codec::Av1 => av1::begins_keyframe(payload),
    }
}

#[cfg(test)]
pub(in crate::sfu) mod test {
    use std::sync::OnceLock;
    use std::time::Duration;

    use super::*;

    /// Packet `number` of a microphone: 20 ms of Opus, arriving when it should.
    pub(in crate::sfu) fn audio(source: u64, number: u64, dbov: Option<i8>) -> Packet {
        static START: OnceLock<Instant> = OnceLock::new();
        let start = *START.get_or_init(Instant::now);
        let arrived = start + Duration::from_millis(20) * u32::try_from(number).expect("few packets");
        Packet {
            source: SourceId(source),
            encoding: EncodingIndex(0),
            sequence: number,
            timestamp: u32::try_from(number).expect("few packets").wrapping_mul(960),
            marker: false,
            format: Format::new(Codec::Opus, ""),
            entry: true,
            arrived,
            captured: arrived,
            extensions: Extensions { audio_level: dbov, ..Extensions::default() },
            payload: Arc::from([0xfcu8].as_slice()),
            vp8: None,
            dependency: None,
            layer: LayerFacts::default(),
        }
    }
}
