use proptest::prelude::*;

use super::*;

/// A header as its receiver reads it.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    fields: Fields,
    /// `0xBEDE` or `0x1000`; `None` without a block.
    profile: Option<u16>,
    elements: Vec<(u8, Vec<u8>)>,
}

/// Reads by the letter of RFC 3550 section 5.1 and RFC 8285 section 4.
fn read(header: &[u8]) -> Read {
    let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(header[0] >> 6, 2, "the version");
    assert_eq!(header[0] & 0x20, 0, "no padding");
    let csrcs = usize::from(header[0] & 15);
    let fields = Fields {
        marker: header[1] & 0x80 != 0,
        payload_type: header[1] & 0x7f,
        sequence: u16::from_be_bytes([header[2], header[3]]),
        timestamp: word(4),
        ssrc: word(8),
        csrc: (csrcs > 0).then(|| word(12)),
    };
    let block = 12 + 4 * csrcs;
    if header[0] & 0x10 == 0 {
        assert_eq!(header.len(), block);
        return Read { fields, profile: None, elements: Vec::new() };
    }
    let (profile, words) = ((word(block) >> 16) as u16, (word(block) & 0xffff) as usize);
    let mut rest = &header[block + 4..];
    assert_eq!(rest.len(), 4 * words, "the length field");
    let mut elements = Vec::new();
    while let [first, after @ ..] = rest {
        if *first == 0 {
            rest = after;
            continue;
        }
        let (id, length, after) = match profile {
            0xbede => (first >> 4, usize::from(first & 15) + 1, after),
            0x1000 => (*first, usize::from(after[0]), &after[1..]),
            other => panic!("profile {other:x}"),
        };
        assert!(profile != 0xbede || id != 15);
        elements.push((id, after[..length].to_vec()));
        rest = &after[length..];
    }
    Read { fields, profile: Some(profile), elements }
}

fn id(number: u8) -> Option<ExtensionId> {
    ExtensionId::new(number)
}

const FIELDS: Fields = Fields {
    marker: true,
    payload_type: 96,
    sequence: 0xfedc,
    timestamp: 0x0102_0304,
    ssrc: 0xaabb_ccdd,
    csrc: None,
};

fn elements(passed: &Extensions) -> Elements<'_> {
    Elements {
        send_time: [1, 2, 3],
        transport_number: 0x0405,
        passed,
        dependency_descriptor: passed.dependency_descriptor.as_deref(),
    }
}

fn write(ids: &ExtensionIds, passed: &Extensions) -> Read {
    let mut arena = vec![7; 5];
    let written = HeaderTemplate::new(ids.clone(), "v1").write(&mut arena, &FIELDS, &elements(passed));
    assert_eq!((&arena[..5], arena.len()), (&[7; 5][..], 5 + written.length), "what stood there before");
    let there = written.dependency_descriptor.map(|range| arena[range].to_vec());
    let read = read(&arena[5..]);
    let number = ids.dependency_descriptor.map(ExtensionId::get);
    let seen = read.elements.iter().find(|(id, _)| Some(*id) == number).map(|(_, value)| value.clone());
    assert_eq!(there, seen, "the place of the dependency descriptor");
    read
}

fn chromium() -> ExtensionIds {
    ExtensionIds {
        mid: id(9),
        send_time: id(2),
        transport_number: id(4),
        audio_level: id(12),
        orientation: id(3),
        playout_delay: id(5),
        dependency_descriptor: id(13),
        layers_allocation: id(14),
        others: Arc::from([(ExtensionId(8), Arc::from("urn:x:colour"))]),
        mixed: true,
    }
}

fn passed(uri: &str, value: &[u8]) -> Passed {
    Passed { uri: Arc::from(uri), value: value.into() }
}

#[test]
fn a_receiver_reads_what_was_said() {
    let passed = Extensions {
        audio_level: Some(-37),
        voice_activity: Some(true),
        orientation: Some(3),
        playout_delay: Some([1, 0x20, 3]),
        dependency_descriptor: Some(Arc::from([0x80, 0, 1].as_slice())),
        layers_allocation: Some(Arc::from([0_u8].as_slice())),
        others: Some(Arc::from([passed("urn:x:colour", &[5]), passed("urn:x:else", &[6])])),
    };
    let read = write(&chromium(), &passed);
    assert_eq!((read.fields, read.profile), (FIELDS, Some(0xbede)));
    let wanted: [(u8, &[u8]); 9] = [
        (9, b"v1"),
        (2, &[1, 2, 3]),
        (4, &[4, 5]),
        (12, &[0x80 | 37]),
        (3, &[3]),
        (5, &[1, 0x20, 3]),
        (14, &[0]),
        (8, &[5]),
        (13, &[0x80, 0, 1]),
    ];
    assert_eq!(read.elements, wanted.map(|(id, value)| (id, value.to_vec())));
}

#[test]
fn whoever_negotiated_nothing_gets_a_bare_header() {
    let passed = Extensions { audio_level: Some(-1), orientation: Some(1), ..Extensions::default() };
    let read = write(&ExtensionIds::default(), &passed);
    assert_eq!(read, Read { fields: FIELDS, profile: None, elements: Vec::new() });
}

/// RFC 8285 section 4.1.2: one form for a stream, unless the receiver takes both.
#[test]
fn forms_are_mixed_only_where_that_is_allowed() {
    let long = |length: usize| Extensions {
        dependency_descriptor: Some(vec![1; length].into()),
        ..Extensions::default()
    };
    let profile = |ids: &ExtensionIds, passed: &Extensions| write(ids, passed).profile;
    let mixed = chromium();
    assert_eq!(profile(&mixed, &long(16)), Some(0xbede));
    assert_eq!(profile(&mixed, &long(17)), Some(0x1000));
    assert_eq!(profile(&mixed, &long(0)), Some(0x1000));
    let uniform = ExtensionIds { mixed: false, ..chromium() };
    assert_eq!(profile(&uniform, &long(17)), Some(0x1000));
    assert_eq!(profile(&uniform, &Extensions::default()), Some(0x1000), "key frames need the two-byte form");
    let plain = ExtensionIds { dependency_descriptor: None, ..uniform };
    let colour =
        Extensions { others: Some(Arc::from([passed("urn:x:colour", &[1; 28])])), ..Extensions::default() };
    let read = write(&plain, &colour);
    assert_eq!(read.profile, Some(0xbede), "every receiver knows the one-byte form");
    assert!(read.elements.iter().all(|(id, _)| *id != 8), "what does not fit it is left out");
    let high = ExtensionIds { orientation: id(15), ..plain };
    assert_eq!(profile(&high, &Extensions::default()), Some(0x1000), "it gave a number above 14");
    let high = ExtensionIds { mixed: true, ..high };
    assert_eq!(profile(&high, &Extensions::default()), Some(0xbede));
    let turned = Extensions { orientation: Some(1), ..Extensions::default() };
    assert_eq!(profile(&high, &turned), Some(0x1000));
}

fn some_id() -> impl Strategy<Value = bool> {
    any::<bool>()
}

/// Any negotiated set, with numbers that differ.
fn some_ids() -> impl Strategy<Value = ExtensionIds> {
    let wanted = proptest::collection::vec(some_id(), 10);
    (wanted, 1_u8..=20, 0_u8..=24, any::<bool>()).prop_map(|(wanted, first, step, mixed)| {
        let number = |place: usize| {
            let number = usize::from(first) + place * (1 + usize::from(step));
            wanted[place].then(|| ExtensionId::new(u8::try_from(number).expect("below 256")).expect("not 0"))
        };
        let others = [(8, "urn:a"), (9, "urn:b")].into_iter();
        let others = others.filter_map(|(place, uri)| Some((number(place)?, Arc::from(uri))));
        ExtensionIds {
            mid: number(0),
            send_time: number(1),
            transport_number: number(2),
            audio_level: number(3),
            orientation: number(4),
            playout_delay: number(5),
            dependency_descriptor: number(6),
            layers_allocation: number(7),
            others: others.collect(),
            mixed,
        }
    })
}

fn some_bytes() -> impl Strategy<Value = Option<Arc<[u8]>>> {
    let length = prop_oneof![0_usize..=20, Just(255)];
    proptest::option::of(length.prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length)))
        .prop_map(|bytes| bytes.map(Into::into))
}

fn some_extensions() -> impl Strategy<Value = Extensions> {
    let small = (
        proptest::option::of(-127_i8..=0),
        proptest::option::of(any::<bool>()),
        proptest::option::of(0_u8..4),
        proptest::option::of(any::<[u8; 3]>()),
    );
    (small, some_bytes(), some_bytes(), some_bytes(), some_bytes()).prop_map(|(small, dd, layers, a, b)| {
        let (audio_level, voice_activity, orientation, playout_delay) = small;
        let others = [("urn:a", a), ("urn:b", b)].into_iter();
        let others: Vec<_> = others.filter_map(|(uri, value)| Some(passed(uri, &value?))).collect();
        Extensions {
            audio_level,
            voice_activity,
            orientation,
            playout_delay,
            dependency_descriptor: dd,
            layers_allocation: layers,
            others: (!others.is_empty()).then(|| others.into()),
        }
    })
}

/// What the receiver is to be told, by numbers.
fn told(ids: &ExtensionIds, passed: &Extensions) -> Vec<(u8, Vec<u8>)> {
    let level = passed.audio_level.map(|level| {
        let voice = if passed.voice_activity == Some(true) { 128 } else { 0 };
        vec![voice + level.unsigned_abs()]
    });
    let mut told = vec![
        (ids.mid, Some(b"v1".to_vec())),
        (ids.send_time, Some(vec![1, 2, 3])),
        (ids.transport_number, Some(vec![4, 5])),
        (ids.audio_level, level),
        (ids.orientation, passed.orientation.map(|orientation| vec![orientation])),
        (ids.playout_delay, passed.playout_delay.map(|delay| delay.to_vec())),
        (ids.dependency_descriptor, passed.dependency_descriptor.as_ref().map(|bytes| bytes.to_vec())),
        (ids.layers_allocation, passed.layers_allocation.as_ref().map(|bytes| bytes.to_vec())),
    ];
    for other in passed.others.iter().flat_map(|others| others.iter()) {
        let id = ids.others.iter().find(|(_, uri)| *uri == other.uri).map(|(id, _)| *id);
        told.push((id, Some(other.value.to_vec())));
    }
    told.into_iter().filter_map(|(id, value)| Some((id?.get(), value?))).collect()
}

proptest! {
    #[test]
    fn every_header_is_read_as_it_was_meant(
        ids in some_ids(), passed in some_extensions(), csrc in any::<Option<u32>>(), payload_type in 0_u8..128,
    ) {
        let fields = Fields { csrc, payload_type, ..FIELDS };
        let mut arena = Vec::new();
        HeaderTemplate::new(ids.clone(), "v1").write(&mut arena, &fields, &elements(&passed));
        let mut read = read(&arena);
        prop_assert_eq!(read.fields, fields);
        let mut told = told(&ids, &passed);
        if ids.rule() == Rule::Always(Form::OneByte) {
            told.retain(|(id, value)| *id <= 14 && (1..=16).contains(&value.len()));
        } else if ids.mixed {
            let is_short = told.iter().all(|(id, value)| *id <= 14 && (1..=16).contains(&value.len()));
            let wanted = if is_short { 0xbede } else { 0x1000 };
            prop_assert_eq!(read.profile, (!told.is_empty()).then_some(wanted));
        }
        told.sort();
        read.elements.sort();
        prop_assert_eq!(read.elements, told);
        prop_assert!(arena.len().is_multiple_of(4));
    }
}
