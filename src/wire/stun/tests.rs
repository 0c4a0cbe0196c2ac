use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// RFC 5769 section 2.1.
fn sample_request() -> Vec<u8> {
    hex("000100582112a442b7e7a701bc34d686fa87dfae
         802200105354554e207465737420636c69656e74
         002400046e0001ff 80290008932ff9b151263b36
         000600096576746a3a68367659202020
         000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
         80280004e57a3bcf")
}

/// RFC 5769 section 2.2.
fn sample_ipv4_response() -> Vec<u8> {
    hex("0101003c2112a442b7e7a701bc34d686fa87dfae
         8022000b7465737420766563746f7220
         002000080001a147e112a643
         000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7
         80280004c07d4c96")
}

/// RFC 5769 section 2.3.
fn sample_ipv6_response() -> Vec<u8> {
    hex("010100482112a442b7e7a701bc34d686fa87dfae
         8022000b7465737420766563746f7220
         002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9
         00080014a382954e4be67bf11784c97c8292c275bfe3ed41
         80280004c8fb0b4c")
}

#[test]
fn reads_the_request_of_rfc_5769() {
    let bytes = sample_request();
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Request, Method::BINDING));
    assert_eq!(message.transaction().0, *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");
    assert_eq!(message.username(), Some(&b"evtj:h6vY"[..]));
    assert_eq!(message.attributes().count(), 6);
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
}

#[test]
fn reads_the_responses_of_rfc_5769() {
    let addresses = ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"];
    for (bytes, address) in [sample_ipv4_response(), sample_ipv6_response()].iter().zip(addresses) {
        let message = Message::parse(bytes).unwrap();
        assert_eq!((message.class(), message.method()), (Class::Success, Method::BINDING));
        assert_eq!(message.xor_mapped_address(), Some(address.parse().unwrap()));
        assert_eq!(message.fingerprint(), Fingerprint::Valid);
    }
}

/// The same attributes, written by us, are the RFC's bytes (its SOFTWARE is padded with spaces, so it is
/// given with its padding taken in and compared from the address on).
#[test]
fn writes_addresses_as_rfc_5769_does() {
    for sample in [sample_ipv4_response(), sample_ipv6_response()] {
        let message = Message::parse(&sample).unwrap();
        let mut out = vec![0xFF; 3];
        let address = message.xor_mapped_address().unwrap();
        let writer = Writer::new(&mut out, Class::Success, Method::BINDING, message.transaction());
        writer.xor_mapped_address(address).fingerprint();
        let written = Message::parse(&out).unwrap();
        let kind = attribute::XOR_MAPPED_ADDRESS;
        assert_eq!(written.attribute(kind), message.attribute(kind));
        assert_eq!(written.fingerprint(), Fingerprint::Valid);
    }
}

#[test]
fn the_crc_is_the_usual_one() {
    assert_eq!(Crc32::new().update(b"123456789").value(), 0xCBF4_3926);
}

#[test]
fn a_flipped_bit_breaks_the_fingerprint() {
    for position in [0, 21, 40, 107] {
        let mut bytes = sample_request();
        bytes[position] ^= 1;
        if let Ok(message) = Message::parse(&bytes) {
            assert_eq!(message.fingerprint(), Fingerprint::Invalid, "bit of byte {position}");
        }
    }
}

#[test]
fn a_fingerprint_that_is_not_last_is_invalid() {
    let mut bytes = sample_request();
    bytes.extend_from_slice(&[0x80, 0x22, 0, 0]);
    bytes[3] += 4;
    // The checksum itself is made right for the new length.
    let start = bytes.len() - 12;
    let crc = Crc32::new().update(&bytes[..start]).value() ^ FINGERPRINT_XOR;
    bytes[start + 4..start + 8].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(Message::parse(&bytes).unwrap().fingerprint(), Fingerprint::Invalid);
}

#[test]
fn what_stands_behind_the_integrity_is_not_seen() {
    let mut out = Vec::new();
    Writer::new(&mut out, Class::Request, Method::BINDING, TransactionId([7; 12]))
        .attribute(attribute::MESSAGE_INTEGRITY, &[0; 20])
        .attribute(attribute::USERNAME, b"forged:x")
        .attribute(attribute::MESSAGE_INTEGRITY_SHA256, &[0; 32])
        .fingerprint();
    let message = Message::parse(&out).unwrap();
    assert_eq!(message.username(), None);
    assert!(message.attribute(attribute::MESSAGE_INTEGRITY_SHA256).is_some());
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
}

#[test]
fn refuses_what_is_not_exactly_one_message() {
    let good = sample_request();
    assert_eq!(Message::parse(&good[..19]).unwrap_err(), ParseError::Truncated);
    assert_eq!(Message::parse(&good[..good.len() - 1]).unwrap_err(), ParseError::Length);
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(Message::parse(&longer).unwrap_err(), ParseError::Length);
    let mut cookie = good.clone();
    cookie[4] ^= 1;
    assert_eq!(Message::parse(&cookie).unwrap_err(), ParseError::NotStun);
    let mut top_bits = good.clone();
    top_bits[0] |= 0x80;
    assert_eq!(Message::parse(&top_bits).unwrap_err(), ParseError::NotStun);
    let mut beyond = good.clone();
    let last = beyond.len() - 5;
    beyond[last] = 8;
    assert_eq!(Message::parse(&beyond).unwrap_err(), ParseError::Attribute);
    let mut odd = good[..20].to_vec();
    odd[3] = 2;
    odd.extend_from_slice(&[0, 0]);
    assert_eq!(Message::parse(&odd).unwrap_err(), ParseError::Length);
}

#[test]
fn an_attribute_too_long_for_the_header_is_left_out() {
    let mut out = Vec::new();
    let writer = Writer::new(&mut out, Class::Request, Method::BINDING, TransactionId([0; 12]));
    writer.attribute(0x8022, &[1; 65_532]).attribute(0x8022, &[2; 70_000]).fingerprint();
    let message = Message::parse(&out).unwrap();
    assert_eq!(message.attributes().count(), 1);
    assert_eq!(message.fingerprint(), Fingerprint::Valid);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::parse(&bytes) {
            let _ = (message.username(), message.xor_mapped_address(), message.fingerprint());
        }
    }

    /// Random bytes hardly ever get past the cookie, so these wear a right header.
    #[test]
    fn any_attributes_are_read_without_panic(
        kind in 0_u16..0x4000,
        body in proptest::collection::vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 0..160),
    ) {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        bytes.extend_from_slice(&[9; 12]);
        bytes.extend_from_slice(&body);
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert_eq!(join_type(message.class(), message.method()), kind);
            let _ = (message.username(), message.xor_mapped_address(), message.fingerprint());
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        class in prop_oneof![
            Just(Class::Request), Just(Class::Indication), Just(Class::Success), Just(Class::Error)
        ],
        method in 0_u16..0x1000,
        transaction in any::<[u8; 12]>(),
        username in proptest::collection::vec(any::<u8>(), 0..80),
        ip in any::<IpAddr>(),
        port in any::<u16>(),
        fingerprint in any::<bool>(),
    ) {
        let method = Method::new(method).unwrap();
        let address = SocketAddr::new(ip, port);
        let mut out = Vec::new();
        let writer = Writer::new(&mut out, class, method, TransactionId(transaction))
            .attribute(attribute::USERNAME, &username)
            .xor_mapped_address(address);
        if fingerprint {
            writer.fingerprint();
        }
        let message = Message::parse(&out).unwrap();
        prop_assert_eq!((message.class(), message.method()), (class, method));
        prop_assert_eq!(message.transaction(), TransactionId(transaction));
        prop_assert_eq!(message.username(), Some(&username[..]));
        prop_assert_eq!(message.xor_mapped_address(), Some(address));
        let expected = if fingerprint { Fingerprint::Valid } else { Fingerprint::Absent };
        prop_assert_eq!(message.fingerprint(), expected);
    }
}
