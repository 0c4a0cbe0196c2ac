//! Packets as the RFCs draw them, packets that come back as written, and hostile ones.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::units::Bitrate;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().copied().flat_map(u32::to_be_bytes).collect()
}

/// Walks through everything that can be asked of a packet, and counts it.
fn walk(packet: &Packet<'_>) -> usize {
    match packet {
        Packet::SenderReport(report) => report.blocks().count(),
        Packet::ReceiverReport(report) => report.blocks().count(),
        Packet::SourceDescription(description) => description.cnames().count(),
        Packet::Goodbye(goodbye) => goodbye.ssrcs().count(),
        Packet::Nack(nack) => nack.sequences().count(),
        Packet::PictureLoss(_) => 0,
        Packet::FullIntra(request) => request.requests().count(),
        Packet::TransportFeedback(feedback) => feedback.arrivals().count(),
        Packet::Remb(remb) => remb.ssrcs().count(),
    }
}

#[test]
fn a_compound_packet_is_read_one_by_one() {
    let mut datagram = words(&[0x81c8_000c, 1, 0xe000_0001, 0x8000_0000, 90_000, 55, 66_000]);
    datagram.extend(words(&[2, 0x80ff_ffff, 0x0001_ffff, 40, 0x0001_8000, 65_536]));
    // APP, which nobody here knows.
    datagram.extend(words(&[0x80cc_0002, 1, 0x6e61_6d65]));
    // A reason stands behind the sources, filled up with padding of the packet.
    datagram.extend(words(&[0xa2cb_0004, 1, 9, 0x0362_7965, 0x0000_0004]));
    datagram.extend(words(&[0x81ce_0002, 3, 4]));
    let read: Vec<_> = packets(&datagram).collect();
    let [Packet::SenderReport(report), Packet::Goodbye(goodbye), Packet::PictureLoss(loss)] = read[..] else {
        panic!("{read:?}");
    };
    assert_eq!(report.ssrc, Ssrc(1));
    let ntp = NtpTime(0xe000_0001_8000_0000);
    assert_eq!(report.info, SenderInfo { ntp, rtp: 90_000, packets: 55, octets: 66_000 });
    let block = ReportBlock {
        ssrc: Ssrc(2),
        fraction_lost: 128,
        lost: -1,
        highest: 0x1_ffff,
        jitter: 40,
        last_report: 0x1_8000,
        delay: 65_536,
    };
    assert_eq!(report.blocks().collect::<Vec<_>>(), [block]);
    assert_eq!(goodbye.ssrcs().collect::<Vec<_>>(), [Ssrc(1), Ssrc(9)]);
    assert_eq!((loss.sender, loss.media), (Ssrc(3), Ssrc(4)));
}

#[test]
fn a_nack_lists_the_first_and_those_its_bits_say() {
    // RFC 4585 section 6.2.1: bit 0 is the packet after the first.
    let datagram = words(&[0x81cd_0004, 1, 2, 0xfffe_8003, 100 << 16]);
    let Some(Packet::Nack(nack)) = packets(&datagram).next() else { panic!() };
    assert_eq!(nack.media, Ssrc(2));
    assert_eq!(nack.sequences().collect::<Vec<_>>(), [0xfffe, 0xffff, 0, 14, 100]);
}

#[test]
fn a_full_intra_request_names_streams_and_is_numbered() {
    let datagram = words(&[0x84ce_0006, 1, 0, 7, 0xfe00_0000, 8, 0x0100_0000]);
    let Some(Packet::FullIntra(request)) = packets(&datagram).next() else { panic!() };
    assert_eq!(request.requests().collect::<Vec<_>>(), [(Ssrc(7), 254), (Ssrc(8), 1)]);
}

#[test]
fn a_remb_gives_bits_per_second() {
    let remb = |bits: u32| words(&[0x8fce_0005, 1, 0, 0x5245_4d42, 0x0100_0000 | bits, 77]);
    let bitrate = |bits| match packets(&remb(bits)).next() {
        Some(Packet::Remb(remb)) => {
            assert_eq!(remb.ssrcs().collect::<Vec<_>>(), [Ssrc(77)]);
            remb.bitrate
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(bitrate(0x03_ffff), Bitrate(262_143));
    assert_eq!(bitrate(3 << 18 | 125_000), Bitrate(1_000_000));
    assert_eq!(bitrate(63 << 18), Bitrate(0));
    assert_eq!(bitrate(63 << 18 | 1), Bitrate(1 << 63));
    assert_eq!(bitrate(47 << 18 | 0x2_0000), Bitrate(u64::MAX), "more than 64 bits");
    let other = words(&[0x8fce_0004, 1, 0, 0x4f54_4852, 0]);
    assert_eq!(packets(&other).next(), None, "another application's feedback");
}

#[test]
fn a_source_description_is_read_past_what_is_not_a_cname() {
    let mut datagram = words(&[0x83ca_0009, 1]);
    datagram.extend(b"\x02\x03bob\x01\x03abc\x00\x00");
    // A source that says nothing of itself, and one with a name that ends on a word.
    datagram.extend(words(&[2, 0, 3]));
    datagram.extend(b"\x01\x05hello\x00");
    let Some(Packet::SourceDescription(description)) = packets(&datagram).next() else { panic!() };
    let names: Vec<_> = description.cnames().collect();
    assert_eq!(names, [(Ssrc(1), b"abc".as_slice()), (Ssrc(3), b"hello".as_slice())]);
}

/// A feedback of base 65,534, reference 2 * 64 ms and number 5, with these chunks and deltas.
fn feedback(count: u16, chunks: &[u16], deltas: &[u8]) -> Vec<u8> {
    let mut body = words(&[1, 2, 0xfffe_0000 | u32::from(count), 0x0000_0205]);
    body.extend(chunks.iter().copied().flat_map(u16::to_be_bytes));
    body.extend(deltas);
    let padding = body.len().next_multiple_of(4) - body.len();
    let mut datagram = vec![if padding > 0 { 0xaf } else { 0x8f }, 205, 0, 0];
    datagram.extend(body);
    if let Ok(length @ 1..) = u8::try_from(padding) {
        datagram.resize(datagram.len() + padding, 0);
        *datagram.last_mut().unwrap() = length;
    }
    let length = u16::try_from(datagram.len() / 4 - 1).unwrap();
    datagram[2..4].copy_from_slice(&length.to_be_bytes());
    datagram
}

fn arrivals(datagram: &[u8]) -> Vec<(u16, Option<i16>)> {
    match packets(datagram).next() {
        Some(Packet::TransportFeedback(feedback)) => {
            assert_eq!((feedback.base, feedback.reference, feedback.number), (65_534, 2, 5));
            feedback.arrivals().collect()
        }
        None => vec![],
        other => panic!("{other:?}"),
    }
}

#[test]
fn transport_feedback_is_read_from_all_kinds_of_chunks() {
    // A run of two that came soon, a list of 7 with one of each kind, a list of 14 of which one came.
    let chunks = [0x2002, 0xc000 | 0b01_10_00_11_00_00_00, 0x8000 | 0b10_0000_0000_0000];
    let datagram = feedback(10, &chunks, &[4, 255, 8, 0xff, 0xfe, 1]);
    let expected = [
        (65_534, Some(4)),
        (65_535, Some(255)),
        (0, Some(8)),
        (1, Some(-2)),
        (2, None),
        (3, None),
        (4, None),
        (5, None),
        (6, None),
        (7, Some(1)),
    ];
    assert_eq!(arrivals(&datagram), expected);
    let negative = words(&[0x8fcd_0005, 1, 2, 1, 0xffff_ff00, 0x0001_0000]);
    let Some(Packet::TransportFeedback(feedback)) = packets(&negative).next() else { panic!() };
    assert_eq!(feedback.reference, -1);
    assert_eq!(feedback.arrivals().collect::<Vec<_>>(), [(0, None)]);
}

#[test]
fn transport_feedback_that_is_cut_short_ends_early() {
    assert_eq!(arrivals(&feedback(3, &[0x2003], &[1, 2])), [(65_534, Some(1)), (65_535, Some(2))]);
    assert_eq!(arrivals(&feedback(3, &[0x4003], &[0, 1, 2])), [(65_534, Some(1))]);
    assert_eq!(arrivals(&feedback(3, &[0x2002], &[])), [], "a status is missing");
    assert_eq!(arrivals(&feedback(2, &[0, 0, 0x2002], &[1, 2])).len(), 2, "runs of none do no harm");
    assert_eq!(arrivals(&feedback(0, &[], &[])), []);
    let long = [0x1fff; 8];
    assert_eq!(arrivals(&feedback(32_768, &long, &[])).len(), 32_768);
    assert_eq!(arrivals(&feedback(32_769, &long, &[])), [], "more than sequence numbers can tell apart");
}

#[test]
fn what_makes_no_sense_is_skipped() {
    let good = words(&[0x81ce_0002, 3, 4]);
    let counts = |before: &[u32]| packets(&[words(before), good.clone()].concat()).count();
    assert_eq!(counts(&[]), 1);
    assert_eq!(counts(&[0x80c8_0001, 1]), 1, "a sender report without its sender");
    assert_eq!(counts(&[0x81cd_0000]), 1, "a NACK of nothing");
    assert_eq!(counts(&[0xa1ce_0002, 1, 0x100]), 2, "padding of no length");
    assert_eq!(counts(&[0xa1ce_0002, 1, 13]), 1, "more padding than packet");
    assert_eq!(counts(&[0x41ce_0002, 1, 2]), 0, "another version");
    assert_eq!(counts(&[0x81ce_0009, 1, 2]), 0, "longer than the datagram");
    let truncated = words(&[0x9fc9_0007, 1, 2, 0, 0, 0, 0, 0]);
    assert_eq!(packets(&truncated).map(|packet| walk(&packet)).sum::<usize>(), 1, "one block of 31");
}

#[test]
fn what_does_not_fit_is_cut() {
    let mut out = b"before".to_vec();
    let many: Vec<_> = (0..40).map(Ssrc).collect();
    write::goodbye(&mut out, &many);
    write::source_description(&mut out, Ssrc(1), &"n".repeat(300));
    write::nack(&mut out, Ssrc(1), Ssrc(2), []);
    let block = ReportBlock {
        ssrc: Ssrc(1),
        fraction_lost: 0,
        lost: i32::MAX,
        highest: 0,
        jitter: 0,
        last_report: 0,
        delay: 0,
    };
    write::receiver_report(&mut out, Ssrc(1), &[block; 32]);
    let read: Vec<_> = packets(&out[6..]).collect();
    assert_eq!(read.iter().map(walk).collect::<Vec<_>>(), [31, 1, 31]);
    let Packet::SourceDescription(description) = read[1] else { panic!() };
    assert_eq!(description.cnames().next().unwrap().1.len(), 255);
    let Packet::ReceiverReport(report) = read[2] else { panic!() };
    assert_eq!(report.blocks().next().unwrap().lost, 0x7f_ffff);
}

prop_compose! {
    fn block()(
        ssrc: u32,
        fraction_lost: u8,
        lost in -0x80_0000..0x80_0000,
        highest: u32,
        jitter: u32,
        last_report: u32,
        delay: u32,
    ) -> ReportBlock {
        ReportBlock { ssrc: Ssrc(ssrc), fraction_lost, lost, highest, jitter, last_report, delay }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        info: (u64, u32, u32, u32),
        blocks in vec(block(), 0..=31),
        name in "[a-zA-Z0-9/+]{0,255}",
        ended in vec(any::<u32>(), 0..=31),
        lost in prop::collection::btree_set(any::<u16>(), 1..60),
        start: u16,
    ) {
        let (own, media) = (Ssrc(11), Ssrc(12));
        let info = SenderInfo { ntp: NtpTime(info.0), rtp: info.1, packets: info.2, octets: info.3 };
        let ended: Vec<_> = ended.into_iter().map(Ssrc).collect();
        // In the order of a stream whose sequence numbers begin somewhere, and wrap.
        let lost: Vec<_> = lost.into_iter().map(|number| number.wrapping_add(start)).collect();
        let mut out = Vec::new();
        write::sender_report(&mut out, own, &info, &blocks);
        write::source_description(&mut out, own, &name);
        write::receiver_report(&mut out, own, &blocks);
        write::nack(&mut out, own, media, lost.iter().copied());
        write::picture_loss(&mut out, own, media);
        write::goodbye(&mut out, &ended);

        let read: Vec<_> = packets(&out).collect();
        let [
            Packet::SenderReport(sent),
            Packet::SourceDescription(description),
            Packet::ReceiverReport(received),
            Packet::Nack(nack),
            Packet::PictureLoss(loss),
            Packet::Goodbye(goodbye),
        ] = read[..] else { panic!("{read:?}") };
        prop_assert_eq!((sent.ssrc, sent.info), (own, info));
        prop_assert_eq!(&sent.blocks().collect::<Vec<_>>(), &blocks);
        prop_assert_eq!(description.cnames().collect::<Vec<_>>(), [(own, name.as_bytes())]);
        prop_assert_eq!(received.ssrc, own);
        prop_assert_eq!(&received.blocks().collect::<Vec<_>>(), &blocks);
        prop_assert_eq!((nack.sender, nack.media), (own, media));
        prop_assert_eq!(nack.sequences().collect::<Vec<_>>(), lost);
        prop_assert_eq!((loss.sender, loss.media), (own, media));
        prop_assert_eq!(goodbye.ssrcs().collect::<Vec<_>>(), ended);
    }

    #[test]
    fn no_bytes_cause_a_panic(
        pieces in vec((0u8..32, 200u8..208, any::<bool>(), vec(any::<u32>(), 0..12), 0u16..3), 0..6),
        cut in 0usize..8,
    ) {
        let mut datagram = Vec::new();
        for (count, kind, padded, body, off) in pieces {
            let length = u16::try_from(body.len()).unwrap() + off / 2;
            let first = 0x80 | u8::from(padded) << 5 | count;
            datagram.extend([first, kind]);
            datagram.extend(length.to_be_bytes());
            datagram.extend(words(&body));
        }
        datagram.truncate(datagram.len().saturating_sub(cut));
        let found: usize = packets(&datagram).map(|packet| 1 + walk(&packet)).sum();
        // 32,768 arrivals of 5 chunks are the most that few bytes can claim.
        prop_assert!(found <= datagram.len() * 2_000);
    }
}
