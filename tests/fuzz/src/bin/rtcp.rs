//! RTCP: packets lie inside the datagram, and none makes more work than its length allows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::wire::rtcp::{Packet, packets};

fuzz_target!(|datagram: &[u8]| {
    let mut length = 0;
    for packet in packets(datagram) {
        length += 4;
        match packet {
            Packet::SenderReport(report) => length += 24 + 24 * report.blocks().count(),
            Packet::ReceiverReport(report) => length += 4 + 24 * report.blocks().count(),
            Packet::SourceDescription(description) => {
                length += description.cnames().map(|(_, name)| 6 + name.len()).sum::<usize>();
            }
            Packet::Goodbye(goodbye) => length += 4 * goodbye.ssrcs().count(),
            Packet::Nack(nack) => length += 8 + nack.sequences().count().div_ceil(17) * 4,
            Packet::PictureLoss(_) => length += 8,
            Packet::FullIntra(request) => length += 8 + 8 * request.requests().count(),
            Packet::TransportFeedback(feedback) => {
                let count = feedback.arrivals().count();
                assert!(count <= usize::from(feedback.count));
                // 2 bytes tell of 8,191 lost packets at most, 1 byte of one that arrived.
                let arrived = feedback.arrivals().filter(|(_, delta)| delta.is_some()).count();
                length += 16 + 2 * count.div_ceil(8_191) + arrived;
            }
            Packet::Remb(remb) => length += 16 + 4 * remb.ssrcs().count(),
        }
    }
    assert!(length <= datagram.len(), "{length} bytes of packets in {}", datagram.len());
});
