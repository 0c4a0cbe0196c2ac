//! VP8 payload descriptors: patching writes the numbers at the width that they have, and nothing else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::wire::vp8::{Descriptor, Numbers, PictureId};

fuzz_target!(|data: &[u8]| {
    let Some((&[high, low, tl0, key], payload)) = data.split_first_chunk() else { return };
    let id = u16::from_be_bytes([high, low]);
    let numbers = Numbers { picture_id: Some(id), tl0_pic_idx: Some(tl0), key_idx: Some(key) };
    let Some(before) = Descriptor::parse(payload) else { return };
    let mut patched = payload.to_vec();
    before.patch(&mut patched, numbers);
    let after = Descriptor {
        picture_id: before.picture_id.map(|was| PictureId { value: id & was.mask(), ..was }),
        tl0_pic_idx: before.tl0_pic_idx.map(|_| tl0),
        key_idx: before.key_idx.map(|_| key & 0x1f),
        ..before
    };
    assert_eq!(Descriptor::parse(&patched), Some(after));
    after.patch(&mut patched, Numbers {
        picture_id: before.picture_id.map(|id| id.value),
        tl0_pic_idx: before.tl0_pic_idx,
        key_idx: before.key_idx,
    });
    assert_eq!(patched, payload, "nothing else was touched");
    before.patch(&mut patched[..1], numbers);
});
