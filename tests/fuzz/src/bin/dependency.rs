//! Dependency descriptors: any bytes are read without a panic, and patching moves exactly the numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::wire::dependency::{Descriptor, Numbers, patch, shifted};

fuzz_target!(|data: &[u8]| {
    let Some((&[high, low, template_shift], extension)) = data.split_first_chunk() else { return };
    let numbers = Numbers { frame_number: u16::from_be_bytes([high, low]), template_shift };
    let mut moved = extension.to_vec();
    patch(&mut moved, numbers);
    let Some(before) = Descriptor::parse(extension) else { return };
    assert!(before.template_id < 64);
    assert!(before.structure.is_none_or(|s| s.id < 64 && s.templates <= 64 && s.decode_targets <= 32));
    let after = Descriptor {
        frame_number: numbers.frame_number,
        template_id: shifted(before.template_id, template_shift),
        structure: before.structure.map(|structure| structure.shifted(template_shift)),
        ..before
    };
    assert_eq!(Descriptor::parse(&moved), Some(after));
    let back = Numbers { frame_number: before.frame_number, template_shift: template_shift.wrapping_neg() };
    patch(&mut moved, back);
    assert_eq!(moved, extension, "nothing else was touched");
});
