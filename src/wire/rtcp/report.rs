//! Reports, source descriptions and goodbyes (RFC 3550 sections 6.4 to 6.6).

use super::fields::{signed, word};
use super::{CNAME, ReportBlock, SenderInfo};
use crate::ids::Ssrc;
use crate::wire::ntp::NtpTime;

/// The length of a report block in bytes.
const BLOCK_LEN: usize = 24;

/// The report blocks of a packet: at most 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Blocks<'a> {
    count: u8,
    bytes: &'a [u8],
}

impl<'a> Blocks<'a> {
    fn iter(self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        let (blocks, _) = self.bytes.as_chunks::<BLOCK_LEN>();
        blocks.iter().take(usize::from(self.count)).filter_map(block)
    }
}

fn block(bytes: &[u8; BLOCK_LEN]) -> Option<ReportBlock> {
    let (ssrc, rest) = word(bytes)?;
    let (losses, rest) = word(rest)?;
    let (highest, rest) = word(rest)?;
    let (jitter, rest) = word(rest)?;
    let (last_report, rest) = word(rest)?;
    let (delay, _) = word(rest)?;
    let [fraction_lost, lost @ ..] = losses.to_be_bytes();
    Some(ReportBlock {
        ssrc: Ssrc(ssrc),
        fraction_lost,
        lost: signed(lost),
        highest,
        jitter,
        last_report,
        delay,
    })
}

/// SR (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport<'a> {
    /// The stream that is reported.
    pub ssrc: Ssrc,
    /// How it is sent.
    pub info: SenderInfo,
    blocks: Blocks<'a>,
}

impl<'a> SenderReport<'a> {
    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let (ssrc, rest) = word(body)?;
        let (ntp, rest) = rest.split_first_chunk()?;
        let (rtp, rest) = word(rest)?;
        let (packets, rest) = word(rest)?;
        let (octets, bytes) = word(rest)?;
        let info = SenderInfo { ntp: NtpTime(u64::from_be_bytes(*ntp)), rtp, packets, octets };
        Some(Self { ssrc: Ssrc(ssrc), info, blocks: Blocks { count, bytes } })
    }

    /// How the sender receives other streams. Those that are whole, should the packet be too short for all.
    pub fn blocks(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.blocks.iter()
    }
}

/// RR (RFC 3550 section 6.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    blocks: Blocks<'a>,
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let (ssrc, bytes) = word(body)?;
        Some(Self { ssrc: Ssrc(ssrc), blocks: Blocks { count, bytes } })
    }

    /// How streams are received. Those that are whole, should the packet be too short for all.
    pub fn blocks(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.blocks.iter()
    }
}

/// SDES (RFC 3550 section 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceDescription<'a> {
    count: u8,
    chunks: &'a [u8],
}

impl<'a> SourceDescription<'a> {
    pub(super) fn read(count: u8, chunks: &'a [u8]) -> Self {
        Self { count, chunks }
    }

    /// Each source with its CNAME, which is the same for all streams of a sender that belong together. Up to the
    /// first description that is malformed.
    #[must_use]
    pub fn cnames(&self) -> Cnames<'a> {
        Cnames { left: self.count, rest: self.chunks }
    }
}

/// The CNAMEs of a source description; see [`SourceDescription::cnames`].
#[derive(Debug, Clone)]
pub struct Cnames<'a> {
    left: u8,
    rest: &'a [u8],
}

impl<'a> Cnames<'a> {
    /// The next source, and its CNAME if it has one.
    fn chunk(&mut self) -> Option<(Ssrc, Option<&'a [u8]>)> {
        let (ssrc, mut rest) = word(self.rest)?;
        let mut name = None;
        let mut length = 4;
        loop {
            let (&kind, behind) = rest.split_first()?;
            if kind == 0 {
                // The items end with a zero, and are then filled up with zeros to a whole word.
                self.rest = self.rest.get((length + 1usize).next_multiple_of(4)..).unwrap_or_default();
                return Some((Ssrc(ssrc), name));
            }
            let (&size, behind) = behind.split_first()?;
            let (value, behind) = behind.split_at_checked(usize::from(size))?;
            if kind == CNAME {
                name = name.or(Some(value));
            }
            length += 2 + value.len();
            rest = behind;
        }
    }
}

impl<'a> Iterator for Cnames<'a> {
    type Item = (Ssrc, &'a [u8]);

    fn next(&mut self) -> Option<(Ssrc, &'a [u8])> {
        while self.left > 0 {
            self.left -= 1;
            let Some((ssrc, name)) = self.chunk() else {
                self.left = 0;
                return None;
            };
            if let Some(name) = name {
                return Some((ssrc, name));
            }
        }
        None
    }
}

/// BYE (RFC 3550 section 6.6). Its reason, which is meant for people, is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goodbye<'a> {
    count: u8,
    sources: &'a [u8],
}

impl<'a> Goodbye<'a> {
    pub(super) fn read(count: u8, sources: &'a [u8]) -> Self {
        Self { count, sources }
    }

    /// The streams that ended: at most 31.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        let (words, _) = self.sources.as_chunks::<4>();
        words.iter().take(usize::from(self.count)).map(|word| Ssrc(u32::from_be_bytes(*word)))
    }
}
