//! Messages of strangers: a request over the WebSocket is read or refused in words; what passes through a data channel
//! can be read by its receiver, and carries the same content.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use sluice::ids::ParticipantId;
use sluice::protocol::client::Request;
use sluice::protocol::data;

/// An object, its values as they were sent. A body is the application's: it may hold what Rust has no number for.
fn object(json: &[u8]) -> BTreeMap<String, &RawValue> {
    serde_json::from_slice(json).expect("it is a JSON object")
}

/// Checks what a receiver is told of a message, and returns the body.
fn body(json: &[u8]) -> Option<String> {
    let mut head = object(json);
    assert_eq!(head.remove("from").map(RawValue::get), Some("\"p7\""));
    let topic: String =
        serde_json::from_str(head.remove("topic").expect("always there").get()).expect("text");
    assert!(topic.len() <= 64);
    let body = head.remove("body").map(|body| body.get().to_owned());
    assert!(head.is_empty(), "it is nobody's business what else was said, and to whom");
    body
}

/// What a receiver reads: the length of a binary message's header, the header, and the content.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = message.split_first_chunk().expect("a binary message begins with a length");
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).expect("the header is there as a whole")
}

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<Request>(bytes);

    let text = std::str::from_utf8(bytes).ok();
    if let Some(envelope) = text.and_then(|text| data::read(text.as_bytes(), true).ok()) {
        let sent = object(bytes).get("body").map(|body| body.get().to_owned());
        assert_eq!(body(&envelope.forwarded(ParticipantId(7))), sent);
    }
    if let Ok(envelope) = data::read(bytes, false) {
        let forwarded = envelope.forwarded(ParticipantId(7));
        let (header, content) = split(&forwarded);
        assert_eq!(body(header), None);
        assert_eq!(content, split(bytes).1);
    }
});
