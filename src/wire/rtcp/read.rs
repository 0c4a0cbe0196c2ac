//! The packets of a datagram, one after the other.

use super::feedback::{FullIntra, Nack, PictureLoss, Remb};
use super::report::{Goodbye, ReceiverReport, SenderReport, SourceDescription};
use super::twcc::TransportFeedback;
use super::{format, kind};

/// One RTCP packet. All of them say by which SSRC they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// SR: how a stream is sent.
    SenderReport(SenderReport<'a>),
    /// RR: how streams arrive.
    ReceiverReport(ReceiverReport<'a>),
    /// SDES: who sends.
    SourceDescription(SourceDescription<'a>),
    /// BYE: who stopped sending.
    Goodbye(Goodbye<'a>),
    /// NACK: these packets did not arrive.
    Nack(Nack<'a>),
    /// PLI: a picture could not be decoded.
    PictureLoss(PictureLoss),
    /// FIR: a key frame is needed.
    FullIntra(FullIntra<'a>),
    /// TWCC: when each packet of a transport arrived.
    TransportFeedback(TransportFeedback<'a>),
    /// REMB: how much the receiver thinks it can receive.
    Remb(Remb<'a>),
}

/// Reads a decrypted datagram. Packets of types that are unknown here are skipped, and so are those that are too
/// short for their type; where a length makes no sense, the rest cannot be found and is left.
#[must_use]
pub fn packets(datagram: &[u8]) -> Packets<'_> {
    Packets { rest: datagram }
}

/// The packets of a datagram; see [`packets`].
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Packets<'a> {
    /// The next packet: its count or format, its type, and what stands behind its header, without padding.
    fn split(&mut self) -> Option<(u8, u8, &'a [u8])> {
        let ([first, kind, l0, l1], rest) = self.rest.split_first_chunk()?;
        let length = 4 * usize::from(u16::from_be_bytes([*l0, *l1]));
        let (body, rest) = rest.split_at_checked(length)?;
        if first >> 6 != 2 {
            return None;
        }
        self.rest = rest;
        let mut text = body;
        if first & 0x20 != 0 {
            // One that claims more padding than it has is left without anything, and so too short for any type.
            let padding = usize::from(*body.last().unwrap_or(&0));
            text = body.len().checked_sub(padding).and_then(|end| body.get(..end)).unwrap_or_default();
        }
        Some((first & 0x1F, *kind, text))
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        loop {
            let Some((count, kind, body)) = self.split() else {
                self.rest = &[];
                return None;
            };
            let packet = read(count, kind, body);
            if packet.is_some() {
                return packet;
            }
        }
    }
}

fn read(count: u8, kind: u8, body: &[u8]) -> Option<Packet<'_>> {
    match (kind, count) {
        (kind::SENDER_REPORT, _) => SenderReport::read(count, body).map(Packet::SenderReport),
        (kind::RECEIVER_REPORT, _) => ReceiverReport::read(count, body).map(Packet::ReceiverReport),
        (kind::SOURCE_DESCRIPTION, _) => {
            Some(Packet::SourceDescription(SourceDescription::read(count, body)))
        }
        (kind::GOODBYE, _) => Some(Packet::Goodbye(Goodbye::read(count, body))),
        (kind::TRANSPORT_FEEDBACK, format::NACK) => Nack::read(body).map(Packet::Nack),
        (kind::TRANSPORT_FEEDBACK, format::TWCC) => {
            TransportFeedback::read(body).map(Packet::TransportFeedback)
        }
        (kind::PAYLOAD_FEEDBACK, format::PICTURE_LOSS) => PictureLoss::read(body).map(Packet::PictureLoss),
        (kind::PAYLOAD_FEEDBACK, format::FULL_INTRA) => FullIntra::read(body).map(Packet::FullIntra),
        (kind::PAYLOAD_FEEDBACK, format::APPLICATION) => Remb::read(body).map(Packet::Remb),
        _ => None,
    }
}
