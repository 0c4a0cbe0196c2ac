//! RTP headers: extensions and payload lie inside the packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::wire::rtp::{FIXED_LEN, Header};

fuzz_target!(|packet: &[u8]| {
    let Ok(header) = Header::parse(packet) else { return };
    let inside: usize = header.extensions().map(|element| 1 + element.value.len()).sum();
    assert!(FIXED_LEN + 4 * header.csrcs().count() + inside <= header.len);
    assert!(header.len <= packet.len());
    if let Ok(payload) = header.payload(packet) {
        assert!(packet.get(payload).is_some());
    }
});
