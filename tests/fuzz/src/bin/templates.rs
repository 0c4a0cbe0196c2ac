//! The templates of dependency descriptors: any bytes are read without a panic, and layers are what can be told apart.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::wire::templates::{MOST_LAYERS, Templates};

fuzz_target!(|data: &[u8]| {
    // The descriptor of a key frame, and that of another frame.
    let Some((&length, rest)) = data.split_first() else { return };
    let (structure, other) = rest.split_at(rest.len().min(length.into()));
    let Some(templates) = Templates::parse(structure) else { return };
    for extension in [structure, other] {
        let Some(frame) = templates.frame(extension) else { continue };
        assert!(frame.layer.spatial < MOST_LAYERS && frame.layer.temporal < MOST_LAYERS);
        assert!(frame.top.is_none_or(|top| top < MOST_LAYERS));
    }
});
