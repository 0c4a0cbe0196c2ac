//! Headers as others write them, and as nobody should.

use proptest::prelude::*;

use super::*;

/// Payload type 111, sequence number 4660, without anything that may be left out.
const PLAIN: [u8; 14] = [0x80, 111, 0x12, 0x34, 0, 0, 0x03, 0xC0, 0xCA, 0xFE, 0xBA, 0xBE, 7, 8];

fn with_block(profile: u16, block: &[u8]) -> Vec<u8> {
    let words = u16::try_from(block.len() / 4).unwrap();
    let mut packet = PLAIN[..12].to_vec();
    packet[0] |= 0x10;
    packet.extend([profile.to_be_bytes(), words.to_be_bytes()].concat());
    packet.extend(block);
    packet
}

fn elements(profile: u16, block: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let packet = with_block(profile, block);
    let header = Header::parse(&packet).unwrap();
    assert_eq!(header.len, packet.len());
    header.extensions().map(|e| (e.id, e.value.to_vec())).collect()
}

#[test]
fn a_plain_header_is_read() {
    let header = Header::parse(&PLAIN).unwrap();
    assert!(!header.marker && !header.has_padding);
    assert_eq!((header.payload_type, header.sequence, header.timestamp), (111, 0x1234, 960));
    assert_eq!(header.ssrc, Ssrc(0xCAFE_BABE));
    assert_eq!(header.payload(&PLAIN), Ok(12..14));
    assert_eq!(header.csrcs().count() + header.extensions().count(), 0);
}

#[test]
fn sources_extensions_and_padding_are_no_payload() {
    let mut packet = vec![0xB2, 0x80 | 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    packet.extend([0, 0, 0, 5, 0, 0, 0, 6]);
    packet.extend([0xBE, 0xDE, 0, 1, 0x10, 0xFF, 0, 0]);
    packet.extend([1, 2, 3, 0, 0, 3]);
    let header = Header::parse(&packet).unwrap();
    assert!(header.marker && header.has_padding);
    assert_eq!(header.payload_type, 96);
    assert!(header.csrcs().eq([Ssrc(5), Ssrc(6)]));
    assert_eq!(header.payload(&packet), Ok(28..31));
    let impossible = [0, 7, 255];
    for padding in impossible {
        *packet.last_mut().unwrap() = padding;
        assert_eq!(Header::parse(&packet).unwrap().payload(&packet), Err(ParseError::Padding));
    }
    *packet.last_mut().unwrap() = 6;
    assert_eq!(Header::parse(&packet).unwrap().payload(&packet), Ok(28..28), "padding alone, as probes are");
}

#[test]
fn one_byte_elements_are_read_up_to_the_one_that_ends_them() {
    let block = [0x10, 0xAA, 0x00, 0x21, 0xBB, 0xCC, 0x00, 0x30, 0xDD, 0, 0, 0];
    let three = vec![(1, vec![0xAA]), (2, vec![0xBB, 0xCC]), (3, vec![0xDD])];
    assert_eq!(elements(ONE_BYTE, &block), three);
    assert_eq!(elements(ONE_BYTE, &[0x10, 0xAA, 0xF0, 0x20, 0x20, 0, 0, 0]), [(1, vec![0xAA])]);
    assert_eq!(elements(ONE_BYTE, &[0x10, 0xAA, 0x01, 0x20, 0x20, 0, 0, 0]), [(1, vec![0xAA])]);
    assert_eq!(elements(ONE_BYTE, &[0x10, 0xAA, 0x2F, 0]), [(1, vec![0xAA])], "longer than the block");
    let full: Vec<u8> = [&[0xEF], [9; 16].as_slice(), &[0; 3]].concat();
    assert_eq!(elements(ONE_BYTE, &full), [(14, vec![9; 16])]);
}

#[test]
fn two_byte_elements_may_be_empty_or_long() {
    let block = [1, 0, 0, 200, 2, 0xAA, 0xBB, 0];
    assert_eq!(elements(TWO_BYTE, &block), [(1, vec![]), (200, vec![0xAA, 0xBB])]);
    assert_eq!(elements(TWO_BYTE | 0xF, &block).len(), 2, "the lowest bits are the application's");
    assert_eq!(elements(TWO_BYTE, &[1, 200, 0, 0]), []);
    assert_eq!(elements(TWO_BYTE, &[0, 0, 0, 5]), []);
    assert_eq!(elements(0x4242, &block), [], "a form of somebody's own");
}

#[test]
fn what_is_cut_off_is_no_header() {
    let mut packet = with_block(ONE_BYTE, &[0x10, 0xAA, 0, 0]);
    packet[0] |= 1;
    packet.splice(12..12, [0, 0, 0, 9]);
    assert!(Header::parse(&packet).is_ok());
    for length in 0..packet.len() {
        assert_eq!(Header::parse(&packet[..length]), Err(ParseError::Truncated), "{length}");
    }
    for version in [0, 1, 3] {
        packet[0] = packet[0] & 0x3F | version << 6;
        assert_eq!(Header::parse(&packet), Err(ParseError::Version));
    }
}

proptest! {
    #[test]
    fn no_bytes_cause_a_panic(mut packet: Vec<u8>, version: bool) {
        if version && let Some(first) = packet.first_mut() {
            *first = *first & 0x3F | 0x80;
        }
        if let Ok(header) = Header::parse(&packet) {
            let inside: usize = header.extensions().map(|e| 1 + e.value.len()).sum();
            prop_assert!(FIXED_LEN + 4 * header.csrcs().count() + inside <= header.len);
            prop_assert!(header.len <= packet.len());
            if let Ok(payload) = header.payload(&packet) {
                prop_assert!(payload.start == header.len && payload.end <= packet.len());
            }
        }
    }

    #[test]
    fn one_byte_elements_come_back_as_written(
        written in prop::collection::vec((1u8..15, prop::collection::vec(any::<u8>(), 1..=16), 0usize..3), 0..8)
    ) {
        let mut block = Vec::new();
        for (id, value, padding) in &written {
            block.push(id << 4 | u8::try_from(value.len() - 1).unwrap());
            block.extend(value);
            block.resize(block.len() + padding, 0);
        }
        block.resize(block.len().next_multiple_of(4), 0);
        let expected: Vec<_> = written.into_iter().map(|(id, value, _)| (id, value)).collect();
        prop_assert_eq!(elements(ONE_BYTE, &block), expected);
    }
}
