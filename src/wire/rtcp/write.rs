//! Appends RTCP packets to a datagram. Several one after the other make a compound packet.

use super::{CNAME, ReportBlock, SenderInfo, format, kind};
use crate::ids::Ssrc;

/// The most blocks or sources of one packet: its count has 5 bits.
pub const MAX_COUNT: usize = 31;

/// Appends a packet: the header, whatever `body` appends, and zeros up to a whole word.
fn packet(out: &mut Vec<u8>, count: u8, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0x80 | count, kind, 0, 0]);
    body(out);
    let length = out.len() - start;
    out.resize(start + length.next_multiple_of(4), 0);
    // Nobody writes the 256 KiB into a datagram that a length can say.
    let words = u16::try_from((out.len() - start) / 4 - 1).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(start + 2..start + 4) {
        field.copy_from_slice(&words.to_be_bytes());
    }
}

fn word(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// At most [`MAX_COUNT`] of a list, and how many these are.
fn counted<T>(list: &[T]) -> (&[T], u8) {
    let list = list.get(..MAX_COUNT).unwrap_or(list);
    (list, u8::try_from(list.len()).unwrap_or_default())
}

fn append_blocks(out: &mut Vec<u8>, blocks: &[ReportBlock]) {
    for block in blocks {
        // 24 bits with sign: what does not fit is told as the most that does (RFC 3550 appendix A.3).
        let [_, lost @ ..] = block.lost.clamp(-0x80_0000, 0x7F_FFFF).to_be_bytes();
        word(out, block.ssrc.0);
        out.push(block.fraction_lost);
        out.extend_from_slice(&lost);
        for value in [block.highest, block.jitter, block.last_report, block.delay] {
            word(out, value);
        }
    }
}

/// SR of the stream `ssrc`, with at most [`MAX_COUNT`] blocks (RFC 3550 section 6.4.1).
pub fn sender_report(out: &mut Vec<u8>, ssrc: Ssrc, info: &SenderInfo, blocks: &[ReportBlock]) {
    let (blocks, count) = counted(blocks);
    packet(out, count, kind::SENDER_REPORT, |out| {
        word(out, ssrc.0);
        out.extend_from_slice(&info.ntp.0.to_be_bytes());
        for value in [info.rtp, info.packets, info.octets] {
            word(out, value);
        }
        append_blocks(out, blocks);
    });
}

/// RR sent by `ssrc`, with at most [`MAX_COUNT`] blocks (RFC 3550 section 6.4.2).
pub fn receiver_report(out: &mut Vec<u8>, ssrc: Ssrc, blocks: &[ReportBlock]) {
    let (blocks, count) = counted(blocks);
    packet(out, count, kind::RECEIVER_REPORT, |out| {
        word(out, ssrc.0);
        append_blocks(out, blocks);
    });
}

/// SDES with the CNAME of one stream, of which the first 255 bytes are sent (RFC 3550 section 6.5.1).
pub fn source_description(out: &mut Vec<u8>, ssrc: Ssrc, cname: &str) {
    let name = cname.as_bytes().get(..usize::from(u8::MAX)).unwrap_or(cname.as_bytes());
    packet(out, 1, kind::SOURCE_DESCRIPTION, |out| {
        word(out, ssrc.0);
        out.extend_from_slice(&[CNAME, u8::try_from(name.len()).unwrap_or_default()]);
        out.extend_from_slice(name);
        // The zero that ends the items; more may follow up to a whole word.
        out.push(0);
    });
}

/// BYE for at most [`MAX_COUNT`] streams (RFC 3550 section 6.6).
pub fn goodbye(out: &mut Vec<u8>, ssrcs: &[Ssrc]) {
    let (ssrcs, count) = counted(ssrcs);
    packet(out, count, kind::GOODBYE, |out| ssrcs.iter().for_each(|ssrc| word(out, ssrc.0)));
}

/// NACK for packets of the stream `media` (RFC 4585 section 6.2.1). Takes the least room when `sequences` ascend.
/// Appends nothing when there are none.
pub fn nack(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc, sequences: impl IntoIterator<Item = u16>) {
    let mut sequences = sequences.into_iter();
    let Some(mut first) = sequences.next() else { return };
    packet(out, format::NACK, kind::TRANSPORT_FEEDBACK, |out| {
        word(out, sender.0);
        word(out, media.0);
        let mut following = 0u16;
        for sequence in sequences {
            match sequence.wrapping_sub(first) {
                0 => {}
                ahead @ 1..=16 => following |= 1 << (ahead - 1),
                _ => {
                    word(out, u32::from(first) << 16 | u32::from(following));
                    (first, following) = (sequence, 0);
                }
            }
        }
        word(out, u32::from(first) << 16 | u32::from(following));
    });
}

/// PLI for the stream `media` (RFC 4585 section 6.3.1).
pub fn picture_loss(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc) {
    packet(out, format::PICTURE_LOSS, kind::PAYLOAD_FEEDBACK, |out| {
        word(out, sender.0);
        word(out, media.0);
    });
}
