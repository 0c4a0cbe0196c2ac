use str0m::media::MediaTime;
use str0m::rtp::VideoOrientation;

use super::*;

fn extmap(line: &str) -> Extmap<'_> {
    Extmap::parse(line).unwrap_or_else(|| panic!("{line}"))
}

/// The numbers of a first offer.
fn numbers(lines: &[&str]) -> Numbers {
    let mut numbers = Numbers::default();
    lines.iter().for_each(|line| numbers.learn(&extmap(line), true));
    numbers
}

/// What a packet with these elements says, by the numbers of an offer.
fn read(numbers: &Numbers, codec: Codec, elements: &[(u8, &[u8])]) -> Extensions {
    let map = numbers.extension_map(true);
    let mut values = ExtensionValues::default();
    for (number, bytes) in elements {
        match map.lookup(*number) {
            Some(Extension::UnknownUri(_, reader)) => _ = reader.parse_value(bytes, &mut values),
            other => panic!("{number} is {other:?}"),
        }
    }
    passed(&values, codec)
}

#[test]
fn lines_are_read_with_their_direction() {
    let line = extmap("6/recvonly urn:a with attributes");
    assert_eq!((line.number.get(), line.uri), (6, "urn:a"));
    assert_eq!(line.answer(), "a=extmap:6/sendonly urn:a\r\n");
    assert_eq!(extmap("255/sendrecv urn:a").answer(), "a=extmap:255 urn:a\r\n");
    let long = format!("1 urn:{}", "x".repeat(LONGEST_URI));
    for bad in ["", "1", "0 urn:a", "256 urn:a", "1/inactive urn:a", "1/x urn:a", "1 urn:\u{e4}", &long] {
        assert_eq!(Extmap::parse(bad), None, "{bad}");
    }
}

#[test]
fn what_means_nothing_here_is_known_by_its_uri() {
    let numbers = numbers(&["7 urn:a", "16 urn:b", "17 urn:c", "3 urn:ietf:params:rtp-hdrext:toffset"]);
    let other = |uri: &str, value: &[u8]| Passed { uri: uri.into(), value: value.into() };
    let said = read(&numbers, Codec::Vp8, &[(16, &[1]), (7, &[]), (16, &[2])]);
    let wanted: &[Passed] = &[other("urn:b", &[1]), other("urn:a", &[])];
    assert_eq!(said.others.as_deref(), Some(wanted), "one that a packet repeats counts once");
    assert_eq!(read(&numbers, Codec::Vp8, &[]), Extensions::default());
}

#[test]
fn frames_are_described_for_av1_only() {
    let numbers = numbers(&[&format!("13 {DEPENDENCY_DESCRIPTOR}")]);
    let said = |codec| read(&numbers, codec, &[(13, &[1, 2, 3])]).dependency_descriptor;
    assert_eq!(said(Codec::Av1).as_deref(), Some([1, 2, 3].as_slice()));
    assert_eq!(said(Codec::Vp8), None, "its numbers are not rewritten");
}

#[test]
fn a_layer_is_told_of_itself() {
    let numbers = numbers(&[&format!("14 {LAYERS_ALLOCATION}")]);
    let said = |message: &[u8]| read(&numbers, Codec::Vp8, &[(14, message)]).layers_allocation;
    // The second of two streams, with one temporal layer each.
    assert_eq!(said(&[0b0101_0001, 0, 10, 20]).as_deref(), Some([0b0000_0001, 0, 20].as_slice()));
    assert_eq!(said(&[0b0101_0001]), None);
}

#[test]
fn playout_delay_and_orientation_keep_their_bits() {
    let values = ExtensionValues {
        play_delay_min: Some(MediaTime::from_hundredths(0x123)),
        play_delay_max: Some(MediaTime::from_hundredths(0xfff)),
        video_orientation: Some(VideoOrientation::Deg90),
        audio_level: Some(-90),
        voice_activity: Some(true),
        ..ExtensionValues::default()
    };
    let said = passed(&values, Codec::Vp8);
    assert_eq!(said.playout_delay, Some([0x12, 0x3f, 0xff]));
    assert_eq!((said.orientation, said.audio_level, said.voice_activity), (Some(3), Some(-90), Some(true)));
}

/// Whatever else is offered, what a later offer may name has a place.
#[test]
fn all_that_is_understood_has_a_place_for_later_offers() {
    let others: Vec<_> = (1..=16).map(|number| format!("{number} urn:{number}")).collect();
    let mut numbers = numbers(&others.iter().map(String::as_str).collect::<Vec<_>>());
    let map = numbers.extension_map(true);
    let uris: Vec<_> = map.iter().map(|(_, extension)| extension.as_uri().to_owned()).collect();
    for (uri, meaning) in MEANINGS {
        assert_eq!(uris.iter().any(|known| known == uri), meaning.read_by_str0m().is_some(), "{uri}");
    }
    assert_eq!(uris.iter().filter(|uri| uri.len() <= "urn:16".len()).count(), MOST_OTHERS);
    numbers.learn(&extmap("99 urn:late"), false);
    assert!(!numbers.others.contains(&"urn:late".to_owned()));
    assert_eq!(numbers.extension_map(false).iter().count(), MOST_OTHERS, "nobody offers again");
}

#[test]
fn one_number_means_one_thing() {
    let numbers = numbers(&["1 urn:a", "1 urn:b", "2 urn:a", "3 urn:c"]);
    let section = SectionKind { kind: MediaKind::Video, is_up: false, mid: "0", codec: None };
    let taken = |lines: &[&'static str]| {
        let taken = numbers.taken(&section, lines.iter().map(|line| extmap(line)));
        taken.iter().map(|line| (line.number.get(), line.uri)).collect::<Vec<_>>()
    };
    assert_eq!(taken(&["1 urn:a", "1 urn:b", "2 urn:a", "3 urn:c", "3 urn:c"]), [(1, "urn:a"), (3, "urn:c")]);
}

/// The numbering of packets towards a publisher's server says nothing to others, whatever its name.
#[test]
fn what_tells_of_one_hop_is_never_given() {
    for uri in [
        "http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02",
        "urn:ietf:params:rtp-hdrext:sdes:cname",
        "http://tools.ietf.org/html/draft-ietf-avtext-framemarking-07",
        "urn:ietf:params:rtp-hdrext:encrypt",
    ] {
        let line = format!("1 {uri}");
        for is_up in [true, false] {
            let section = SectionKind { kind: MediaKind::Video, is_up, mid: "0", codec: None };
            let taken = numbers(&[&line]).taken(&section, [extmap(&line)].into_iter());
            assert_eq!(taken, [], "{uri}");
        }
    }
}
