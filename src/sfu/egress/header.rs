//! The RTP header of an outbound packet (RFC 3550 section 5.1) with its extensions (RFC 8285), as one receiver
//! negotiated them.
//!
//! What is the same for all packets of a slot is laid out once, in a [`HeaderTemplate`]. A packet copies it, fills in
//! its numbers, and appends what its publisher said of it.
//!
//! The mid is on every packet, although the answer names the SSRCs. It costs two bytes, which the padding of the block
//! would often take anyway. In return a receiver that ignores `a=ssrc`, or lost the first packets, still finds the
//! section, and the packets of a frame stay equal in size, so that they leave in one message.

use std::ops::Range;
use std::sync::Arc;

use super::super::forward::packet::{Extensions, Passed};

/// The number by which a receiver knows a header extension: 1 to 255 (RFC 8285 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtensionId(u8);

impl ExtensionId {
    /// `None` for 0, which is padding.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (number != 0).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// Whether an element of so many bytes can be written in the one-byte form: numbers 1 to 14, and 1 to 16 bytes
    /// (RFC 8285 section 4.2).
    fn fits_one_byte(self, length: usize) -> bool {
        self.0 <= LAST_ONE_BYTE_ID && (1..=LONGEST_ONE_BYTE).contains(&length)
    }
}

/// The highest number of the one-byte form; 15 is reserved there.
const LAST_ONE_BYTE_ID: u8 = 14;
/// The most bytes of an element of the one-byte form.
const LONGEST_ONE_BYTE: usize = 16;
/// The longest mid that is written, in bytes: it has to fit the one-byte form.
pub const LONGEST_MID: usize = LONGEST_ONE_BYTE;

/// The header extensions that the receiver of one section negotiated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtensionIds {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 9143 section 15.2).
    pub mid: Option<ExtensionId>,
    /// `abs-send-time`.
    pub send_time: Option<ExtensionId>,
    /// `transport-wide-cc-extensions-01`.
    pub transport_number: Option<ExtensionId>,
    /// RFC 6464.
    pub audio_level: Option<ExtensionId>,
    /// 3GPP TS 26.114.
    pub orientation: Option<ExtensionId>,
    /// `playout-delay`.
    pub playout_delay: Option<ExtensionId>,
    /// The dependency descriptor of the AV1 RTP specification, appendix A.
    pub dependency_descriptor: Option<ExtensionId>,
    /// `video-layers-allocation00`.
    pub layers_allocation: Option<ExtensionId>,
    /// Extensions that mean nothing here, by their URIs.
    pub others: Arc<[(ExtensionId, Arc<str>)]>,
    /// Whether one stream may mix the one-byte and the two-byte form: `a=extmap-allow-mixed` (RFC 8285 section 6).
    pub mixed: bool,
}

/// The fixed part of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields {
    /// The marker bit.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The RTP timestamp.
    pub timestamp: u32,
    /// Whose numbers these are.
    pub ssrc: u32,
    /// The contributing source, where one is to be named.
    pub csrc: Option<u32>,
}

/// What the extensions of a packet say. What the receiver did not negotiate is left out.
#[derive(Debug, Clone, Copy)]
pub struct Elements<'a> {
    /// The time of departure: [`NtpTime::absolute_send_time`](crate::wire::ntp::NtpTime::absolute_send_time).
    pub send_time: [u8; 3],
    /// The number of the packet among all that the session was sent (`transport-wide-cc`).
    pub transport_number: u16,
    /// What the publisher said. Its dependency descriptor is not read from here.
    pub passed: &'a Extensions,
    /// The dependency descriptor with the numbers that this receiver is to see, or to be changed in place afterwards.
    pub dependency_descriptor: Option<&'a [u8]>,
}

/// Where a header stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// How many bytes the header has.
    pub length: usize,
    /// The bytes of the dependency descriptor, by their places in the arena.
    pub dependency_descriptor: Option<Range<usize>>,
}

/// The headers of one slot's packets, as far as they are all alike.
#[derive(Debug, Clone)]
pub struct HeaderTemplate {
    ids: ExtensionIds,
    rule: Rule,
    one_byte: Layout,
    two_byte: Layout,
}

/// Which form the packets of a stream may have (RFC 8285 section 4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Each packet the shortest that holds its elements.
    Shortest,
    /// All the same; elements that do not fit are left out.
    Always(Form),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// RFC 8285 section 4.2.
    OneByte,
    /// RFC 8285 section 4.3.
    TwoByte,
}

/// The mid, the send time and the transport-wide number: 18 + 5 + 4 bytes in the two-byte form, behind four bytes of
/// profile and length. All of it is copied, as copying a constant number of bytes is cheaper.
const LAYOUT: usize = 32;

/// The beginning of an extension block, in one of the forms.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    bytes: [u8; LAYOUT],
    length: usize,
    /// Where the three bytes of the send time are.
    send_time: Option<usize>,
    /// Where the two bytes of the transport-wide number are.
    transport_number: Option<usize>,
}

/// The length of the profile and length fields of an extension block.
const BLOCK_HEAD: usize = 4;

impl HeaderTemplate {
    /// A template for a section whose receiver negotiated `ids`.
    #[must_use]
    pub fn new(ids: ExtensionIds, mid: &str) -> Self {
        let layout = |form| Layout::new(&ids, mid.as_bytes(), form);
        let (one_byte, two_byte) = (layout(Form::OneByte), layout(Form::TwoByte));
        Self { rule: ids.rule(), one_byte, two_byte, ids }
    }

    /// What the receiver negotiated.
    #[must_use]
    pub fn ids(&self) -> &ExtensionIds {
        &self.ids
    }

    /// Writes a header behind the end of `arena`.
    pub fn write(&self, arena: &mut Vec<u8>, fields: &Fields, elements: &Elements<'_>) -> Written {
        let start = arena.len();
        fields.write(arena);
        let block = arena.len();
        let form = match self.rule {
            Rule::Always(form) => form,
            Rule::Shortest if self.all_fit_one_byte(elements) => Form::OneByte,
            Rule::Shortest => Form::TwoByte,
        };
        match form {
            Form::OneByte => self.one_byte.write(arena, elements),
            Form::TwoByte => self.two_byte.write(arena, elements),
        }
        let dependency_descriptor = self.append(arena, form, elements);
        close_block(arena, start, block);
        Written { length: arena.len() - start, dependency_descriptor }
    }

    /// Appends what packets differ in.
    fn append(&self, arena: &mut Vec<u8>, form: Form, elements: &Elements<'_>) -> Option<Range<usize>> {
        let (ids, passed) = (&self.ids, elements.passed);
        if let (Some(id), Some(level)) = (ids.audio_level, passed.audio_level) {
            let voice = if passed.voice_activity == Some(true) { 0x80 } else { 0 };
            put(arena, form, id, &[voice | (level.unsigned_abs() & 0x7f)]);
        }
        if let (Some(id), Some(orientation)) = (ids.orientation, passed.orientation) {
            put(arena, form, id, &[orientation]);
        }
        if let (Some(id), Some(delay)) = (ids.playout_delay, passed.playout_delay) {
            put(arena, form, id, &delay);
        }
        if let (Some(id), Some(layers)) = (ids.layers_allocation, &passed.layers_allocation) {
            put(arena, form, id, layers);
        }
        if let Some(others) = &passed.others {
            for other in others.iter() {
                if let Some(id) = ids.other(other) {
                    put(arena, form, id, &other.value);
                }
            }
        }
        let (id, descriptor) = ids.dependency_descriptor.zip(elements.dependency_descriptor)?;
        put(arena, form, id, descriptor).then(|| arena.len() - descriptor.len()..arena.len())
    }

    /// Whether the one-byte form holds all elements of a packet.
    fn all_fit_one_byte(&self, elements: &Elements<'_>) -> bool {
        let (ids, passed) = (&self.ids, elements.passed);
        let fits = |id: Option<ExtensionId>, length: Option<usize>| {
            id.zip(length).is_none_or(|(id, length)| id.fits_one_byte(length))
        };
        ids.constant().all(|id| id.0 <= LAST_ONE_BYTE_ID)
            && fits(ids.audio_level, passed.audio_level.map(|_| 1))
            && fits(ids.orientation, passed.orientation.map(|_| 1))
            && fits(ids.playout_delay, passed.playout_delay.map(|delay| delay.len()))
            && fits(ids.dependency_descriptor, elements.dependency_descriptor.map(<[u8]>::len))
            && fits(ids.layers_allocation, passed.layers_allocation.as_ref().map(|layers| layers.len()))
            && passed.others.as_ref().is_none_or(|others| {
                others.iter().all(|other| fits(ids.other(other), Some(other.value.len())))
            })
    }
}

impl ExtensionIds {
    /// A stream has one form, unless its receiver takes both. All receivers know the one-byte form; those that gave an
    /// extension a number above 14 know the other as well. A decoder cannot begin without the whole dependency
    /// descriptor, which is longer than 16 bytes in key frames, while others may be left out.
    fn rule(&self) -> Rule {
        let passed = [self.audio_level, self.orientation, self.playout_delay, self.layers_allocation];
        let passed = passed.into_iter().flatten().chain(self.others.iter().map(|(id, _)| *id));
        let all_low = self.constant().chain(passed).all(|id| id.0 <= LAST_ONE_BYTE_ID);
        match self.mixed {
            true => Rule::Shortest,
            false if all_low && self.dependency_descriptor.is_none() => Rule::Always(Form::OneByte),
            false => Rule::Always(Form::TwoByte),
        }
    }

    /// Those that are on every packet.
    fn constant(&self) -> impl Iterator<Item = ExtensionId> {
        [self.mid, self.send_time, self.transport_number].into_iter().flatten()
    }

    /// By which number the receiver knows an extension that means nothing here.
    fn other(&self, other: &Passed) -> Option<ExtensionId> {
        self.others.iter().find(|(_, uri)| *uri == other.uri).map(|(id, _)| *id)
    }
}

impl Fields {
    /// The extension bit is set: [`close_block`] takes it back where there is nothing to say.
    fn write(&self, arena: &mut Vec<u8>) {
        const VERSION_AND_EXTENSION: u8 = 0x90;
        let marker = if self.marker { 0x80 } else { 0 };
        let second = marker | (self.payload_type & 0x7f);
        let [a, b] = self.sequence.to_be_bytes();
        let [c, d, e, f] = self.timestamp.to_be_bytes();
        let [g, h, i, j] = self.ssrc.to_be_bytes();
        let count = u8::from(self.csrc.is_some());
        arena.extend_from_slice(&[VERSION_AND_EXTENSION | count, second, a, b, c, d, e, f, g, h, i, j]);
        if let Some(csrc) = self.csrc {
            arena.extend_from_slice(&csrc.to_be_bytes());
        }
    }
}

impl Layout {
    fn new(ids: &ExtensionIds, mid: &[u8], form: Form) -> Self {
        let mut block = match form {
            Form::OneByte => vec![0xbe, 0xde, 0, 0],
            Form::TwoByte => vec![0x10, 0x00, 0, 0],
        };
        if let Some(id) = ids.mid.filter(|_| (1..=LONGEST_MID).contains(&mid.len())) {
            put(&mut block, form, id, mid);
        }
        let mut room = |id: Option<ExtensionId>, value: &[u8]| {
            id.filter(|id| put(&mut block, form, *id, value)).map(|_| block.len() - value.len())
        };
        let send_time = room(ids.send_time, &[0; 3]);
        let transport_number = room(ids.transport_number, &[0; 2]);
        let length = block.len().min(LAYOUT);
        let mut bytes = [0; LAYOUT];
        bytes.iter_mut().zip(&block).for_each(|(to, from)| *to = *from);
        Self { bytes, length, send_time, transport_number }
    }

    fn write(&self, arena: &mut Vec<u8>, elements: &Elements<'_>) {
        let mut bytes = self.bytes;
        if let Some(place) = self.send_time
            && let Some(room) = bytes.get_mut(place..place + 3)
        {
            room.copy_from_slice(&elements.send_time);
        }
        if let Some(place) = self.transport_number
            && let Some(room) = bytes.get_mut(place..place + 2)
        {
            room.copy_from_slice(&elements.transport_number.to_be_bytes());
        }
        let end = arena.len() + self.length;
        arena.extend_from_slice(&bytes);
        arena.truncate(end);
    }
}

/// Appends an element. Returns false, and appends nothing, where the form does not hold it.
fn put(arena: &mut Vec<u8>, form: Form, id: ExtensionId, value: &[u8]) -> bool {
    let Ok(length) = u8::try_from(value.len()) else { return false };
    match form {
        Form::OneByte if !id.fits_one_byte(value.len()) => return false,
        Form::OneByte => arena.push(id.0 << 4 | (length - 1)),
        Form::TwoByte => arena.extend_from_slice(&[id.0, length]),
    }
    arena.extend_from_slice(value);
    true
}

/// Pads the extension block that begins at `block` to whole words, and writes their number into it; takes an empty
/// block back.
fn close_block(arena: &mut Vec<u8>, start: usize, block: usize) {
    let length = arena.len() - block - BLOCK_HEAD;
    if length == 0 {
        const EXTENSION: u8 = 0x10;
        arena.truncate(block);
        if let Some(first) = arena.get_mut(start) {
            *first &= !EXTENSION;
        }
        return;
    }
    let words = length.div_ceil(4);
    arena.resize(block + BLOCK_HEAD + 4 * words, 0);
    if let (Some(field), Ok(words)) = (arena.get_mut(block + 2..block + BLOCK_HEAD), u16::try_from(words)) {
        field.copy_from_slice(&words.to_be_bytes());
    }
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
