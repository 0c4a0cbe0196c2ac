//! Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1): when each packet of a
//! transport arrived, whatever stream it belongs to.

use super::fields::{parties, signed};
use crate::ids::Ssrc;

/// The most packets that one feedback may speak of: with more, sequence numbers would no longer say which is older.
const MAX_PACKETS: u16 = 1 << 15;

/// What happened to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Lost,
    /// Arrived, and one byte says when.
    Soon,
    /// Arrived, and two bytes say when.
    Late,
}

impl Status {
    /// The meaning of a symbol of 2 bits. The fourth is reserved and has no time.
    fn of(symbol: u16) -> Self {
        match symbol & 3 {
            1 => Self::Soon,
            2 => Self::Late,
            _ => Self::Lost,
        }
    }
}

/// A run of statuses that stand in one chunk of 16 bits (sections 3.1.3 and 3.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// The same one many times.
    Run { status: Status, left: u16 },
    /// One after the other in the upper bits, each as wide as `width` says.
    List { symbols: u16, width: u8, left: u16 },
}

impl Chunk {
    fn of(bits: u16) -> Self {
        match bits >> 14 {
            0 | 1 => Self::Run { status: Status::of(bits >> 13), left: bits & 0x1FFF },
            2 => Self::List { symbols: bits << 2, width: 1, left: 14 },
            _ => Self::List { symbols: bits << 2, width: 2, left: 7 },
        }
    }

    fn len(self) -> u16 {
        let (Self::Run { left, .. } | Self::List { left, .. }) = self;
        left
    }

    fn next(&mut self) -> Option<Status> {
        match self {
            Self::Run { left: 0, .. } | Self::List { left: 0, .. } => None,
            Self::Run { status, left } => {
                *left -= 1;
                Some(*status)
            }
            Self::List { symbols, width, left } => {
                *left -= 1;
                let symbol = *symbols >> (16 - *width);
                *symbols <<= *width;
                Some(Status::of(symbol))
            }
        }
    }
}

/// TWCC: one feedback packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportFeedback<'a> {
    /// Who reports.
    pub sender: Ssrc,
    /// One of the streams of the transport.
    pub media: Ssrc,
    /// The first packet's transport-wide sequence number.
    pub base: u16,
    /// How many packets it speaks of, lost ones included.
    pub count: u16,
    /// The moment from which arrivals are counted: 64 ms each, on the receiver's clock; 24 bits with sign.
    pub reference: i32,
    /// The number of the feedback packet: one more for each, so that lost ones are noticed.
    pub number: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let (sender, media, rest) = parties(body)?;
        let ([b0, b1, c0, c1, reference @ .., number], rest) = rest.split_first_chunk::<8>()?;
        let count = u16::from_be_bytes([*c0, *c1]);
        if count > MAX_PACKETS {
            return None;
        }
        let (chunks, _) = rest.as_chunks::<2>();
        let mut listed = 0;
        let mut length = 0;
        for chunk in chunks {
            if listed >= count {
                break;
            }
            listed = Chunk::of(u16::from_be_bytes(*chunk)).len().saturating_add(listed);
            length += chunk.len();
        }
        // Without all statuses there is no telling where the times begin.
        let (chunks, deltas) = rest.split_at_checked(length).filter(|_| listed >= count)?;
        Some(Self {
            sender,
            media,
            base: u16::from_be_bytes([*b0, *b1]),
            count,
            reference: signed(*reference),
            number: *number,
            chunks,
            deltas,
        })
    }

    /// Each packet in the order of the sequence numbers. Ends early where times are missing.
    #[must_use]
    pub fn arrivals(&self) -> Arrivals<'a> {
        Arrivals {
            sequence: self.base,
            left: self.count,
            chunk: Chunk::Run { status: Status::Lost, left: 0 },
            chunks: self.chunks,
            deltas: self.deltas,
        }
    }
}

/// The packets of a feedback; see [`TransportFeedback::arrivals`].
///
/// An item is a sequence number, and for a packet that arrived how much later than the one before it that arrived,
/// the first than the [`reference`](TransportFeedback::reference): in units of 250 us, less than 0 for one that was
/// overtaken.
#[derive(Debug, Clone)]
pub struct Arrivals<'a> {
    sequence: u16,
    left: u16,
    chunk: Chunk,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl Arrivals<'_> {
    fn status(&mut self) -> Option<Status> {
        loop {
            if let Some(status) = self.chunk.next() {
                return Some(status);
            }
            let (chunk, rest) = self.chunks.split_first_chunk::<2>()?;
            self.chunk = Chunk::of(u16::from_be_bytes(*chunk));
            self.chunks = rest;
        }
    }

    fn delta(&mut self, status: Status) -> Option<Option<i16>> {
        match status {
            Status::Lost => Some(None),
            Status::Soon => {
                let (&delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                Some(Some(i16::from(delta)))
            }
            Status::Late => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                Some(Some(i16::from_be_bytes(*delta)))
            }
        }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = (u16, Option<i16>);

    fn next(&mut self) -> Option<(u16, Option<i16>)> {
        if self.left == 0 {
            return None;
        }
        let Some(delta) = self.status().and_then(|status| self.delta(status)) else {
            self.left = 0;
            return None;
        };
        self.left -= 1;
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Some((sequence, delta))
    }
}
