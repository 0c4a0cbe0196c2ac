//! RTCP: what senders and receivers of media tell each other (RFC 3550 section 6, RFC 4585).
//!
//! [`packets`] reads a datagram, and the functions of [`write`](mod@write) append to one. Both know compound packets
//! and those of reduced size (RFC 5506), which are compound packets that do not begin with a report.

pub mod feedback;
mod fields;
mod read;
pub mod report;
pub mod twcc;
pub mod write;

use super::ntp::NtpTime;
use crate::ids::Ssrc;

pub use read::{Packet, Packets, packets};

/// Packet types (RFC 3550 section 12.1, RFC 4585 section 6.1).
mod kind {
    pub(super) const SENDER_REPORT: u8 = 200;
    pub(super) const RECEIVER_REPORT: u8 = 201;
    pub(super) const SOURCE_DESCRIPTION: u8 = 202;
    pub(super) const GOODBYE: u8 = 203;
    pub(super) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(super) const PAYLOAD_FEEDBACK: u8 = 206;
}

/// Formats of feedback, which stand where reports count their blocks (RFC 4585 section 6.1).
mod format {
    /// Of transport feedback: NACK (RFC 4585 section 6.2.1).
    pub(super) const NACK: u8 = 1;
    /// Of transport feedback: transport-wide congestion control.
    pub(super) const TWCC: u8 = 15;
    /// Of payload feedback: picture loss (RFC 4585 section 6.3.1).
    pub(super) const PICTURE_LOSS: u8 = 1;
    /// Of payload feedback: full intra request (RFC 5104 section 4.3.1).
    pub(super) const FULL_INTRA: u8 = 4;
    /// Of payload feedback: what an application agreed on with itself (RFC 4585 section 6.4), which REMB uses.
    pub(super) const APPLICATION: u8 = 15;
}

/// The item of a source description that names its source (RFC 3550 section 6.5.1).
const CNAME: u8 = 1;

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

#[cfg(test)]
mod tests;
