//! Messages of strangers: a request over the WebSocket is read or refused in words; what passes through a data channel can
//! be read by its receiver, and carries the same content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sluice::ids::ParticipantId;
use sluice::protocol::client::Request;
use sluice::protocol::data;

/// What a receiver reads: the length of a binary message's header, the header, and the content.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = message.split_first_chunk().expect("a binary message begins with a length");
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).expect("the header is there as a whole")
}

fn head(json: &[u8]) -> Value {
    let head: Value = serde_json::from_slice(json).expect("what is passed on is JSON");
    assert_eq!(head["from"], "p7");
    assert!(head["topic"].as_str().expect("there is a topic").len() <= 64);
    assert!(head.get("to").is_none(), "it is nobody's business who else got it");
    head
}

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<Request>(bytes);

    if let Ok(envelope) = data::read(bytes, true) {
        let sent: Value = serde_json::from_slice(bytes).expect("it was read as JSON");
        assert_eq!(head(&envelope.forwarded(ParticipantId(7))).get("body"), sent.get("body"));
    }
    if let Ok(envelope) = data::read(bytes, false) {
        let forwarded = envelope.forwarded(ParticipantId(7));
        let (header, content) = split(&forwarded);
        assert!(head(header).get("body").is_none());
        assert_eq!(content, split(bytes).1);
    }
});
