//! Codec payloads: any bytes are judged without a panic, and a VP8 picture id keeps to its width.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::wire::{av1, h26x, vp8, vp9};

fuzz_target!(|payload: &[u8]| {
    if let Some(id) = vp8::Descriptor::parse(payload).and_then(|descriptor| descriptor.picture_id) {
        assert!(id.value < if id.long { 1 << 15 } else { 1 << 7 });
    }
    let _ = vp9::begins_keyframe(payload);
    let _ = av1::begins_keyframe(payload);
    let _ = h26x::h264_is_entry(payload);
    let _ = h26x::h265_is_entry(payload);
});
