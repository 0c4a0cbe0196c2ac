//! The sending side of one slot: its sources, its payload types, and what it has to say of its stream.

use std::time::Instant;

use str0m::media::Mid;

use super::coding::{Coding, best};
use super::header::{Elements, Fields, HeaderTemplate};
use super::report::Reports;
use super::resend::{Resends, Verdict};
use super::srtp::SealError;
use crate::ids::Ssrc;
use crate::sfu::forward::packet::{Extensions, Packet, SourceId};
use crate::sfu::forward::rewrite::Rewritten;
use crate::units::{Format, MediaKind};
use crate::wire::dependency;

/// Why something was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The receiver has no payload type for the stream.
    #[error("the receiver offered nothing that fits {0}")]
    NoPayloadType(Format),
    /// The handshake is not through.
    #[error("there are no keys yet")]
    NoKeys,
    /// It was sent again a moment ago, or the receiver asks for too much.
    #[error("it is not sent again for now")]
    TooOften,
    /// What its header said the first time is forgotten.
    #[error("it cannot be repeated as it was")]
    Forgotten,
    /// The slot has no stream for what nobody misses.
    #[error("the receiver takes no padding here")]
    NoPadding,
    /// The seal failed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The sources of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sources {
    /// Media.
    pub main: Ssrc,
    /// What is sent again (RFC 4588). `None` where that was not negotiated.
    pub resend: Option<Ssrc>,
}

/// What a sender counted in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Packets, without those that were sent again.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Packets that the client asked for again.
    pub asked: u64,
    /// Those of them that were sent again.
    pub resent: u64,
}

impl Totals {
    /// What came to it since then.
    #[must_use]
    pub fn since(self, then: Self) -> Self {
        Self {
            packets: self.packets.wrapping_sub(then.packets),
            bytes: self.bytes.wrapping_sub(then.bytes),
            asked: self.asked.wrapping_sub(then.asked),
            resent: self.resent.wrapping_sub(then.resent),
        }
    }
}

/// How a stream is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    format: Format,
    /// The payload type.
    number: u8,
    /// The payload type that resends it.
    pub(super) resend: Option<u8>,
}

/// A packet on its way to one receiver.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The packet.
    pub packet: &'a Packet,
    /// The receiver's numbers for it.
    pub numbers: Rewritten,
    /// The contributing source, where one is to be named.
    pub csrc: Option<u32>,
}

/// What differs when a packet is sent again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) ssrc: Ssrc,
    payload_type: u8,
    /// With the rollovers above its 16 bits.
    pub(super) sequence: u64,
    /// The number that the packet had in the stream where it got lost, if this is another.
    original: Option<u16>,
    hop: Hop,
}

/// What a packet says of its way only, so that it is another thing each time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hop {
    pub(super) send_time: [u8; 3],
    pub(super) transport_number: u16,
}

/// For how many packets it is remembered what they said of their way, where the packet itself is repeated: a nonce may be
/// used again only for the very same bytes.
const REMEMBERED: usize = 512;

/// The bytes of padding in a packet of it: its length is told in one byte, the last.
const MOST_PADDING: u8 = 255;

/// The sending side of one slot.
#[derive(Debug)]
pub struct Sender {
    pub(super) main: Ssrc,
    resend: Ssrc,
    chosen: Option<Chosen>,
    template: HeaderTemplate,
    /// What is told of the stream, and what the client told.
    pub reports: Reports,
    resends: Resends,
    /// Which source stood behind the slot last.
    source: Option<SourceId>,
    /// Packets that the client asked for again, and those of them that were sent again.
    asked: u64,
    repeated: u64,
    /// The number of the next packet that is sent again: counted on its own (RFC 4588 section 4).
    resend_sequence: u64,
    /// Of the packets that were sent last, by their numbers. Empty where others resend.
    hops: Vec<(u64, Hop)>,
    mid: Mid,
    codings: Vec<Coding>,
}

impl Sender {
    /// A sender for the slot `index` of a session, in whose section the receiver offered `codings`, with headers after
    /// `template`. `seed` is the session's, and decides the SSRCs: they are the same for all its answers, and no two slots
    /// share one, as a nonce is made of SSRC and sequence number.
    #[must_use]
    pub fn new(mid: Mid, codings: Vec<Coding>, template: HeaderTemplate, seed: u64, index: usize) -> Self {
        let [a, b, c, d, e, f, ..] = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let pair = u32::try_from(index).unwrap_or(u32::MAX).wrapping_mul(2);
        let main = u32::from_be_bytes([a, b, c, d]).wrapping_add(pair);
        Self {
            main: Ssrc(main),
            resend: Ssrc(main.wrapping_add(1)),
            chosen: None,
            template,
            reports: Reports::new(Ssrc(main)),
            resends: Resends::new(),
            source: None,
            asked: 0,
            repeated: 0,
            resend_sequence: u64::from(u16::from_be_bytes([e, f]) & 0x7fff),
            hops: Vec::new(),
            mid,
            codings,
        }
    }

    /// The section that this sender serves.
    #[must_use]
    pub fn mid(&self) -> Mid {
        self.mid
    }

    /// The source of its media.
    #[must_use]
    pub fn source(&self) -> Ssrc {
        self.main
    }

    /// The sources that the answer names.
    #[must_use]
    pub fn sources(&self) -> Sources {
        let resends = self.codings.iter().any(|coding| coding.resend.is_some());
        Sources { main: self.main, resend: resends.then_some(self.resend) }
    }

    /// How the headers of its packets are written.
    #[must_use]
    pub fn headers(&self) -> &HeaderTemplate {
        &self.template
    }

    /// What was counted so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let (packets, bytes) = (self.reports.packets(), self.reports.bytes());
        Totals { packets, bytes, asked: self.asked, resent: self.repeated }
    }

    /// Lets the receiver understand other payload types and header extensions from now on.
    pub fn renew(&mut self, codings: Vec<Coding>, template: HeaderTemplate) {
        self.codings = codings;
        self.chosen = None;
        self.template = template;
        // What was sent with other extensions cannot be repeated as it was.
        self.hops.clear();
    }

    /// Whether the receiver offered something that the format fits.
    #[must_use]
    pub fn plays(&mut self, format: Format) -> bool {
        self.choose(format).is_some()
    }

    /// The client asks for a packet again.
    pub fn asked(&mut self) {
        self.asked += 1;
    }

    pub(super) fn choose(&mut self, format: Format) -> Option<Chosen> {
        if let Some(chosen) = self.chosen.filter(|chosen| chosen.format == format) {
            return Some(chosen);
        }
        let codings = self.codings.iter().map(|coding| (coding.payload_type, coding));
        let coding = best(codings, format)?;
        self.chosen = Some(Chosen { format, number: coding.payload_type.number, resend: coding.resend });
        // What went out under another payload type cannot be repeated as it was.
        self.hops.clear();
        self.chosen
    }

    /// How a packet is sent for the first time.
    pub(super) fn first(&self, chosen: Chosen, outgoing: &Outgoing<'_>, hop: Hop) -> Form {
        let (ssrc, payload_type, sequence) = (self.main, chosen.number, outgoing.numbers.sequence);
        Form { ssrc, payload_type, sequence, original: None, hop }
    }

    /// How a packet is sent again in a stream of its own, whose next number it takes.
    pub(super) fn again(&mut self, payload_type: u8, outgoing: &Outgoing<'_>, hop: Hop) -> Form {
        let (ssrc, sequence) = (self.resend, self.resend_sequence);
        self.resend_sequence += 1;
        Form { ssrc, payload_type, sequence, original: Some(low_bits(outgoing.numbers.sequence)), hop }
    }

    /// Whether padding can be sent.
    #[must_use]
    pub fn pads(&self) -> bool {
        self.chosen.is_some_and(|chosen| chosen.resend.is_some())
    }

    /// How padding is sent, in the stream that resends, whose next number it takes. `None` where there is none, and before
    /// anything was sent.
    pub(super) fn padding(&mut self, hop: Hop) -> Option<Form> {
        let payload_type = self.chosen?.resend?;
        let (ssrc, sequence) = (self.resend, self.resend_sequence);
        self.resend_sequence += 1;
        Some(Form { ssrc, payload_type, sequence, original: None, hop })
    }

    /// Writes a packet of padding only (RFC 3550 section 5.1) behind the end of `arena`. Returns the length of its header in
    /// bytes.
    pub(super) fn write_padding(&self, arena: &mut Vec<u8>, form: &Form) -> usize {
        let start = arena.len();
        let fields = Fields {
            marker: false,
            payload_type: form.payload_type,
            sequence: low_bits(form.sequence),
            timestamp: self.reports.timestamp(),
            ssrc: form.ssrc.0,
            csrc: None,
        };
        let elements = Elements {
            send_time: form.hop.send_time,
            transport_number: form.hop.transport_number,
            passed: &Extensions::default(),
            dependency_descriptor: None,
        };
        let header = self.template.write(arena, &fields, &elements).length;
        const PADDING: u8 = 0x20;
        if let Some(first) = arena.get_mut(start) {
            *first |= PADDING;
        }
        arena.extend_from_slice(&[0; MOST_PADDING as usize - 1]);
        arena.push(MOST_PADDING);
        header
    }

    /// Writes a packet behind the end of `arena`. Returns the length of its header in bytes.
    pub(super) fn write(&self, arena: &mut Vec<u8>, form: &Form, outgoing: &Outgoing<'_>) -> usize {
        let header = self.write_header(arena, form, outgoing);
        if let Some(original) = form.original {
            // RFC 4588 section 4.
            arena.extend_from_slice(&original.to_be_bytes());
        }
        outgoing.write_payload(arena);
        header
    }

    fn write_header(&self, arena: &mut Vec<u8>, form: &Form, outgoing: &Outgoing<'_>) -> usize {
        let Outgoing { packet, numbers, csrc } = outgoing;
        let fields = Fields {
            marker: numbers.marker,
            payload_type: form.payload_type,
            sequence: low_bits(form.sequence),
            timestamp: numbers.timestamp,
            ssrc: form.ssrc.0,
            csrc: *csrc,
        };
        let elements = Elements {
            send_time: form.hop.send_time,
            transport_number: form.hop.transport_number,
            passed: &packet.extensions,
            // One that cannot be read is not passed on.
            dependency_descriptor: packet.dependency.and(packet.extensions.dependency_descriptor.as_deref()),
        };
        let written = self.template.write(arena, &fields, &elements);
        if let Some(numbers) = numbers.dependency
            && let Some(place) = written.dependency_descriptor
            && let Some(descriptor) = arena.get_mut(place)
        {
            dependency::patch(descriptor, numbers);
        }
        written.length
    }

    /// Takes note of a packet that was sent for the first time.
    pub(super) fn sent(&mut self, outgoing: &Outgoing<'_>, chosen: Chosen, hop: Hop) {
        let Outgoing { packet, numbers, .. } = outgoing;
        let bytes = packet.payload.len();
        self.resends.sent(bytes);
        if self.source != Some(packet.source) {
            self.source = Some(packet.source);
            self.reports.switched();
        }
        let clock_rate = packet.format.codec.clock_rate();
        self.reports.sent(packet.captured, numbers.timestamp, clock_rate, bytes);
        if chosen.resend.is_none() && packet.format.codec.kind() == MediaKind::Video {
            self.remember(numbers.sequence, hop);
        }
    }

    fn remember(&mut self, sequence: u64, hop: Hop) {
        if self.hops.is_empty() {
            self.hops.resize(REMEMBERED, (u64::MAX, Hop::default()));
        }
        let place = usize::from(low_bits(sequence)) % REMEMBERED;
        if let Some(known) = self.hops.get_mut(place) {
            *known = (sequence, hop);
        }
    }

    /// What a packet said of its way when it was sent.
    pub(super) fn hop(&self, sequence: u64) -> Option<Hop> {
        let known = self.hops.get(usize::from(low_bits(sequence)) % REMEMBERED)?;
        (known.0 == sequence).then_some(known.1)
    }

    /// Whether a packet may be sent again now, which is noted then.
    pub(super) fn admit(&mut self, now: Instant, outgoing: &Outgoing<'_>) -> Result<(), Unsent> {
        let (sequence, bytes) = (outgoing.numbers.sequence, outgoing.packet.payload.len());
        match self.resends.admit(now, sequence, bytes, self.reports.rtt()) {
            Verdict::Send => {
                self.repeated += 1;
                Ok(())
            }
            Verdict::JustSent | Verdict::OverBudget => Err(Unsent::TooOften),
        }
    }
}

impl Outgoing<'_> {
    /// Writes the payload behind the end of `arena`, with the receiver's numbers in it.
    fn write_payload(&self, arena: &mut Vec<u8>) {
        let start = arena.len();
        arena.extend_from_slice(&self.packet.payload);
        if let Some((vp8, numbers)) = self.packet.vp8.zip(self.numbers.vp8)
            && let Some(payload) = arena.get_mut(start..)
        {
            vp8.patch(payload, numbers);
        }
    }
}

/// The 16 bits of a sequence number that the header has.
fn low_bits(sequence: u64) -> u16 {
    let [.., a, b] = sequence.to_be_bytes();
    u16::from_be_bytes([a, b])
}
