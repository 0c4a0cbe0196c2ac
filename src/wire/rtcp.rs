//! RTCP: what senders and receivers of media tell each other (RFC 3550 section 6, RFC 4585).

use super::ntp::NtpTime;
use crate::ids::Ssrc;

/// What a sender says of its stream (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// A moment of the sender's clock.
    pub ntp: NtpTime,
    /// The RTP timestamp of the same moment.
    pub rtp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Payload bytes sent so far.
    pub octets: u32,
}

/// What a receiver says of a stream (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: Ssrc,
    /// The part of the packets since its last report that was lost, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost so far, 24 bits; duplicates count against it.
    pub lost: i32,
    /// The highest sequence number received, with its cycles in the upper 16 bits.
    pub highest: u32,
    /// Variation of the packets' way, in timestamp units.
    pub jitter: u32,
    /// The middle of the NTP timestamp of the last sender report; 0 before the first.
    pub last_report: u32,
    /// How long ago that was received, in 1/65,536 s.
    pub delay: u32,
}
// STUB
#[allow(missing_docs)] pub enum Packet<'a> { SenderReport(Report<'a>), ReceiverReport(Report<'a>), Nack(Nack<'a>), Pli(Pli), Fir(Fir<'a>) }
#[allow(missing_docs)] pub struct Report<'a>(&'a [u8]);
#[allow(missing_docs)] impl Report<'_> { pub fn blocks(&self) -> impl Iterator<Item = ReportBlock> { std::iter::empty() } }
#[allow(missing_docs)] pub struct Nack<'a> { pub media: Ssrc, a: &'a [u8] }
#[allow(missing_docs)] impl Nack<'_> { pub fn numbers(&self) -> impl Iterator<Item = u16> { std::iter::empty() } }
#[allow(missing_docs)] pub struct Pli { pub media: Ssrc }
#[allow(missing_docs)] pub struct FirEntry { pub ssrc: Ssrc }
#[allow(missing_docs)] pub struct Fir<'a>(&'a [u8]);
#[allow(missing_docs)] impl Fir<'_> { pub fn entries(&self) -> impl Iterator<Item = FirEntry> { std::iter::empty() } }
#[allow(missing_docs)] pub fn packets(_: &[u8]) -> impl Iterator<Item = Packet<'_>> { std::iter::empty() }
#[allow(missing_docs)] pub fn write_sender_report(_: &mut Vec<u8>, _: Ssrc, _: &SenderInfo, _: &[ReportBlock]) {}
#[allow(missing_docs)] pub fn write_receiver_report(_: &mut Vec<u8>, _: Ssrc, _: &[ReportBlock]) {}
#[allow(missing_docs)] pub fn write_cname(_: &mut Vec<u8>, _: &[Ssrc], _: &str) {}
#[allow(missing_docs)] pub fn write_goodbye(_: &mut Vec<u8>, _: &[Ssrc]) {}
