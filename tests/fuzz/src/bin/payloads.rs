//! Codec payloads: any bytes are judged without a panic, and what is read keeps to the width of its field.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::wire::{av1, h26x, sps, vp8, vp9};

fuzz_target!(|payload: &[u8]| {
    if let Some(id) = vp8::Descriptor::parse(payload).and_then(|descriptor| descriptor.picture_id) {
        assert!(id.value < if id.long { 1 << 15 } else { 1 << 7 });
    }
    if let Some(vp9) = vp9::Descriptor::parse(payload) {
        assert_eq!(vp9.begins_keyframe(), vp9::begins_keyframe(payload));
        assert!(vp9.layer.is_none_or(|layer| layer.temporal < 8 && layer.spatial < 8));
        assert!(vp9.structure.is_none_or(|structure| structure.spatial_layers <= 8));
    }
    let _ = av1::begins_keyframe(payload);
    let _ = h26x::h264_is_entry(payload);
    let _ = h26x::h264_parameters(payload).and_then(sps::height);
    let _ = h26x::h265_is_entry(payload);
});
