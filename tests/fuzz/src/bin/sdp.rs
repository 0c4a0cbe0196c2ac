//! SDP: any text is read or refused, and what is read can be walked through.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice::wire::sdp::{MAX_SECTIONS, Sdp};

fuzz_target!(|text: &str| {
    let Ok(sdp) = Sdp::parse(text) else { return };
    assert!(sdp.sections.len() <= MAX_SECTIONS + 1, "{} sections", sdp.sections.len());
    assert!(sdp.bundle().iter().all(|mid| text.contains(mid)));
    for section in &sdp.sections {
        assert!(sdp.inherited(section, "fingerprint").is_none_or(|value| text.contains(value)));
        for described in section.payload_types().iter() {
            assert!(described.fmtp.is_none_or(|value| text.contains(value)));
        }
    }
});
