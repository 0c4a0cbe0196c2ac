//! The outbound path: a packet with its new numbers leaves towards one subscriber.
//!
//! Everything that is sent to a subscriber passes here. Inside, str0m seals and resends for now.

pub mod header;

use str0m::Rtc;
use str0m::media::{ExtensionValues, Mid, Pt};
use str0m::rtp::{RtpWrite, SeqNo, VideoOrientation, Vp8Descriptor, Vp8Patch};

use super::forward::packet::{Extensions, Packet};
use super::forward::rewrite::{Rewritten, Vp8Numbers};
use crate::units::{Format, MediaKind};

/// A payload type that the other end understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadType {
    /// 0 to 127.
    pub number: u8,
    /// What it stands for.
    pub format: Format,
}

/// The receiver has no payload type for the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPayloadType(pub Format);

/// The sending side of one slot.
#[derive(Debug)]
pub struct Sender {
    mid: Mid,
    kind: MediaKind,
    payload_types: Vec<PayloadType>,
    last: Option<PayloadType>,
}

impl Sender {
    /// A sender for an m-section in which the receiver offered `payload_types`.
    #[must_use]
    pub fn new(mid: Mid, kind: MediaKind, payload_types: Vec<PayloadType>) -> Self {
        Self { mid, kind, payload_types, last: None }
    }

    /// The section that this sender serves.
    #[must_use]
    pub fn mid(&self) -> Mid {
        self.mid
    }

    /// Lets the receiver understand other payload types from now on.
    pub fn set_payload_types(&mut self, payload_types: Vec<PayloadType>) {
        self.payload_types = payload_types;
        self.last = None;
    }

    /// Whether the receiver offered something that the format fits.
    #[must_use]
    pub fn plays(&mut self, format: Format) -> bool {
        self.payload_type(format).is_some()
    }

    /// Sends a packet, with the contributing source `csrc` where one is to be named.
    ///
    /// # Errors
    /// When the receiver offered nothing that the packet's format fits; it is not sent.
    pub fn send(
        &mut self,
        rtc: &mut Rtc,
        packet: &Packet,
        numbers: Rewritten,
        csrc: Option<u32>,
    ) -> Result<(), NoPayloadType> {
        let payload_type = self.payload_type(packet.format).ok_or(NoPayloadType(packet.format))?;
        let mut direct = rtc.direct_api();
        // A section that the receiver turned off has no stream; nothing is owed to it.
        let Some(stream) = direct.stream_tx_by_mid(self.mid, None) else { return Ok(()) };
        let mut rtp = RtpWrite::new(
            Pt::from(payload_type),
            SeqNo::from(numbers.sequence),
            numbers.timestamp,
            packet.captured,
            packet.payload.clone(),
        )
        .marker(packet.marker)
        .csrc(csrc.as_slice())
        .nackable(self.kind == MediaKind::Video)
        .ext_vals(extension_values(&packet.extensions));
        if let Some(patch) = numbers.vp8.and_then(|vp8| vp8_patch(&packet.payload, vp8)) {
            rtp = rtp.vp8_patch(patch);
        }
        stream.write_rtp(rtp);
        Ok(())
    }

    fn payload_type(&mut self, format: Format) -> Option<u8> {
        if let Some(last) = self.last.filter(|last| last.format == format) {
            return Some(last.number);
        }
        let number = best_fit(&self.payload_types, format)?;
        self.last = Some(PayloadType { number, format });
        Some(number)
    }
}

/// The payload type of a receiver that fits a stream best.
#[must_use]
pub fn best_fit(payload_types: &[PayloadType], stream: Format) -> Option<u8> {
    let fits = payload_types.iter().filter_map(|pt| Some((pt.format.fit(&stream)?, pt.number)));
    // The receiver's order is its preference: among equals the first wins.
    fits.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, number)| number)
}

fn extension_values(extensions: &Extensions) -> ExtensionValues {
    ExtensionValues {
        audio_level: extensions.audio_level,
        voice_activity: extensions.voice_activity,
        video_orientation: extensions.orientation.map(VideoOrientation::from),
        ..ExtensionValues::default()
    }
}

/// The bytes of the VP8 descriptor to change. `None` for a descriptor that str0m cannot read: sent as it is.
fn vp8_patch(payload: &[u8], numbers: Vp8Numbers) -> Option<Vp8Patch> {
    let descriptor = Vp8Descriptor::parse(payload).ok()?;
    let mut patch = descriptor.patch();
    if let Some(id) = numbers.picture_id {
        // The short form has 7 bits. A long number does not fit it, and its low bits go on just as well.
        patch = patch.picture_id(if is_short(payload) { id & 0x7f } else { id });
    }
    if let Some(index) = numbers.tl0_pic_idx {
        patch = patch.tl0_pic_idx(index);
    }
    if let Some(index) = numbers.key_idx {
        patch = patch.key_idx(index);
    }
    patch.build().ok()
}

fn is_short(payload: &[u8]) -> bool {
    crate::wire::vp8::Descriptor::parse(payload).and_then(|d| d.picture_id).is_some_and(|id| !id.long)
}
