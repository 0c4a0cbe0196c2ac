//! STUN: attributes lie inside the message, and every reply is well formed and no longer than its limit.
#![no_main]

use std::net::{Ipv4Addr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use sluice::turn::binding::{MAX_REPLY, answer};
use sluice::wire::stun::{Class, Fingerprint, HEADER_LEN, Message};

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = Message::parse(data) {
        let attributes = message.attributes().map(|a| 4 + a.value.len().next_multiple_of(4));
        // Less when some stand behind MESSAGE-INTEGRITY, where they do not count.
        assert!(HEADER_LEN + attributes.sum::<usize>() <= data.len());
        let _ = message.username();
        let _ = message.xor_mapped_address();
        let _ = message.fingerprint();
    }
    let mut reply = Vec::new();
    if answer(data, SocketAddr::from((Ipv4Addr::LOCALHOST, 9)), &mut reply).is_ok() {
        let message = Message::parse(&reply).expect("a reply is STUN");
        assert!(reply.len() <= MAX_REPLY, "{} bytes", reply.len());
        assert!(matches!(message.class(), Class::Success | Class::Error));
        assert_ne!(message.fingerprint(), Fingerprint::Invalid);
    }
});
