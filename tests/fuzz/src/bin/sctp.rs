//! SCTP packets: any bytes are walked without a panic and to an end, and no chunk is longer than its packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::wire::sctp;

fuzz_target!(|packet: &[u8]| {
    let mut walked = 12;
    for chunk in sctp::chunks(packet).map_while(Result::ok) {
        walked += 4 + chunk.value.len();
        let _ = (chunk.acknowledged(), chunk.is_exact());
        assert!(chunk.data().is_none_or(|data| data.length + 12 == chunk.value.len()));
    }
    assert!(walked <= packet.len().max(12));
});
