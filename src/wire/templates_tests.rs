use proptest::prelude::*;

use super::*;

/// Writes bits, the most significant first.
#[derive(Default)]
struct Writer(Vec<bool>);

impl Writer {
    fn put(&mut self, value: u32, count: u32) -> &mut Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))
        };
        self.0.chunks(8).map(byte).collect()
    }
}

/// Three temporal layers, as browsers send them: `SSS` for a key frame and the lowest layer, `-DS`, `--D`.
fn l1t3() -> Vec<u8> {
    let mut w = Writer::default();
    w.put(0b1000_0000 | 60, 8).put(1, 16).put(0b10000, 5).put(60, 6).put(2, 5);
    for next in [0, 1, 1, 3] {
        w.put(next, 2);
    }
    for indications in [0b10_10_10, 0b10_10_10, 0b00_01_10, 0b00_00_01] {
        w.put(indications, 6);
    }
    // The first template refers to nothing, the others to one frame each.
    w.put(0, 1);
    for _ in 0..3 {
        w.put(1, 1).put(3, 4).put(0, 1);
    }
    // One chain of `ns(4)`, which protects all three targets and is `ns(1)`: no bits; four differences.
    w.put(1, 2).put(0, 4).put(4, 4).put(2, 4).put(1, 4);
    w.put(1, 1).put(1_279, 16).put(719, 16);
    w.bytes()
}

fn short(template: u8) -> [u8; 3] {
    [0xc0 | template, 0, 2]
}

#[test]
fn layers_switches_and_sizes_are_found() {
    let key = l1t3();
    let templates = Templates::parse(&key).expect("reads");
    assert_eq!(templates.heights[0], 720);
    let frame = templates.frame(&key).expect("of it");
    assert!(!frame.refers);
    assert_eq!((frame.layer, frame.switches_to, frame.top), (Layer::default(), 0b111, Some(0)));
    let of = |template| templates.frame(&short(template)).expect("of it");
    assert_eq!((of(61).layer.temporal, of(61).switches_to, of(61).refers), (0, 0b111, true));
    assert_eq!((of(62).layer.temporal, of(62).switches_to), (1, 0b100));
    assert_eq!((of(63).layer.temporal, of(63).switches_to), (2, 0));
    assert_eq!(templates.frame(&short(0)), None, "no such template");
}

#[test]
fn frames_may_have_indications_and_targets_of_their_own() {
    let templates = Templates::parse(&l1t3()).expect("reads");
    let mut w = Writer::default();
    w.put(0xc0 | 63, 8).put(2, 16).put(0b01110, 5).put(0b011, 3).put(0b00_00_10, 6).put(0, 2);
    let frame = templates.frame(&w.bytes()).expect("of it");
    assert_eq!((frame.switches_to, frame.refers, frame.top), (0b100, false, Some(0)));
}

#[test]
fn what_is_cut_off_is_not_read() {
    let key = l1t3();
    for length in 0..key.len() {
        assert_eq!(Templates::parse(&key[..length]), None, "{length}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        structure in prop::collection::vec(any::<u8>(), 0..80),
        frame in prop::collection::vec(any::<u8>(), 0..20),
        changes in prop::collection::vec((0..40usize, any::<u8>()), 0..4),
    ) {
        let mut changed = l1t3();
        for (at, to) in changes {
            if let Some(byte) = changed.get_mut(at) {
                *byte = to;
            }
        }
        for extension in [&structure, &changed] {
            if let Some(templates) = Templates::parse(extension) {
                for frame in [&frame, extension] {
                    if let Some(frame) = templates.frame(frame) {
                        prop_assert!(frame.layer.spatial < MOST_LAYERS && frame.layer.temporal < MOST_LAYERS);
                    }
                }
            }
        }
    }
}
