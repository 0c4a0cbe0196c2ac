//! Our STUN server: tells a client which address it is seen at (RFC 8489 section 6.3.1, without credentials).
//!
//! Anybody may ask, under any source address, so the server must be a poor amplifier: a reply is at most
//! [`MAX_REPLY`] bytes, carries no text, and what is malformed gets none. And an address gets only so many
//! ([`strangers`](super::strangers)).

use std::net::SocketAddr;
use std::time::Instant;

use super::strangers::{Host, Strangers};
use crate::wire::stun::{Class, Fingerprint, Message, Method, ParseError, Writer, attribute};

/// The longest reply in bytes: a 420 error that names [`MAX_UNKNOWN`] attributes, with FINGERPRINT.
pub const MAX_REPLY: usize = 20 + 8 + 4 + 2 * MAX_UNKNOWN + 8;

/// How many attributes an error names; a client with more of them learns of the rest at the next try.
const MAX_UNKNOWN: usize = 8;

/// Attributes below 0x8000 that this server understands, though it needs none of them: those of RFC 8489
/// (section 18.3) and ICE's PRIORITY and USE-CANDIDATE (RFC 8445 section 16.1).
const UNDERSTOOD: [u16; 13] =
    [0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x0014, 0x0015, 0x001C, 0x001D, 0x001E, 0x0020, 0x0024, 0x0025];

/// Why a datagram gets no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a STUN message.
    #[error("malformed: {0}")]
    Malformed(#[from] ParseError),
    /// FINGERPRINT is there and wrong.
    #[error("the STUN fingerprint is wrong")]
    Fingerprint,
    /// Not a Binding request.
    #[error("not a STUN Binding request")]
    NotBinding,
    /// Its address was sent as much as it may be.
    #[error("too many requests from this address")]
    Stranger,
    /// It has a USERNAME, so it is an ICE check. An answer without the session's key would be useless, and
    /// one in the name of a session that is gone would be wrong (consent, RFC 7675).
    #[error("a STUN Binding request with credentials")]
    Credentials,
}

/// The STUN server of one worker.
#[derive(Debug)]
pub struct Binding {
    strangers: Strangers,
}

impl Binding {
    /// A server that has answered nobody yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { strangers: Strangers::new(now) }
    }

    /// Does what [`answer`] does for a datagram, whose source may be forged: so no address is sent more than half of what
    /// came from it and a little to begin with.
    ///
    /// # Errors
    /// When no reply may be sent; `out` is then empty.
    pub fn answer(
        &mut self,
        now: Instant,
        request: &[u8],
        source: SocketAddr,
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        answer(request, source, out)?;
        if self.strangers.may_reply(now, Host::of(source.ip()), request.len(), out.len()) {
            return Ok(());
        }
        out.clear();
        Err(Refused::Stranger)
    }

    /// Forgets addresses of which there is nothing to remember. To be called now and then.
    pub fn sweep(&mut self, now: Instant) {
        self.strangers.sweep(now);
    }
}

/// Answers a Binding request that came from `source`. The reply replaces the content of `out`: a success
/// with XOR-MAPPED-ADDRESS, or error 420 when the request demands something unknown.
///
/// # Errors
/// When no reply may be sent; `out` is then empty.
pub fn answer(request: &[u8], source: SocketAddr, out: &mut Vec<u8>) -> Result<(), Refused> {
    out.clear();
    let message = Message::parse(request)?;
    if message.class() != Class::Request || message.method() != Method::BINDING {
        return Err(Refused::NotBinding);
    }
    let fingerprint = message.fingerprint();
    if fingerprint == Fingerprint::Invalid {
        return Err(Refused::Fingerprint);
    }
    if message.username().is_some() {
        return Err(Refused::Credentials);
    }
    let reply = |class| move |out| Writer::new(out, class, Method::BINDING, message.transaction());
    let unknown = unknown_attributes(&message, &UNDERSTOOD);
    let writer = if unknown.is_empty() {
        reply(Class::Success)(out).xor_mapped_address(source)
    } else {
        reply(Class::Error)(out).error_code(420).attribute(attribute::UNKNOWN_ATTRIBUTES, &unknown)
    };
    if fingerprint == Fingerprint::Valid {
        writer.fingerprint();
    }
    Ok(())
}

/// The value of UNKNOWN-ATTRIBUTES: each type that has to be understood, and is not, in two bytes (RFC 8489 section 14.13).
pub(super) fn unknown_attributes(message: &Message<'_>, understood: &[u16]) -> Vec<u8> {
    message
        .attributes()
        .map(|attribute| attribute.kind)
        .filter(|kind| *kind < 0x8000 && !understood.contains(kind))
        .take(MAX_UNKNOWN)
        .flat_map(u16::to_be_bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::stun::TransactionId;

    const TRANSACTION: TransactionId = TransactionId([5; 12]);

    fn request(attributes: &[(u16, &[u8])], fingerprint: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, Class::Request, Method::BINDING, TRANSACTION);
        for (kind, value) in attributes {
            writer = writer.attribute(*kind, value);
        }
        if fingerprint {
            writer.fingerprint();
        }
        out
    }

    #[test]
    fn tells_the_source_address() {
        for source in ["198.51.100.9:40000", "[2001:db8::9]:40000"] {
            for fingerprint in [false, true] {
                let source = source.parse().unwrap();
                let mut out = Vec::new();
                answer(&request(&[(0x8022, b"a client")], fingerprint), source, &mut out).unwrap();
                let reply = Message::parse(&out).unwrap();
                assert_eq!((reply.class(), reply.method()), (Class::Success, Method::BINDING));
                assert_eq!(reply.transaction(), TRANSACTION);
                assert_eq!(reply.xor_mapped_address(), Some(source));
                let expected = if fingerprint { Fingerprint::Valid } else { Fingerprint::Absent };
                assert_eq!(reply.fingerprint(), expected);
                assert_eq!(reply.attributes().count(), 1 + usize::from(fingerprint), "nothing else");
            }
        }
    }

    #[test]
    fn names_what_it_does_not_understand() {
        // CHANGE-REQUEST (RFC 5780) asks for an answer from another address, which would be an amplifier.
        let source = "198.51.100.9:40000".parse().unwrap();
        let mut out = Vec::new();
        let asked = request(&[(0x0003, &[0; 4]), (0x0024, &[0; 4]), (0x7777, &[]), (0xC001, &[])], true);
        answer(&asked, source, &mut out).unwrap();
        let reply = Message::parse(&out).unwrap();
        assert_eq!(reply.class(), Class::Error);
        assert_eq!(reply.attribute(attribute::ERROR_CODE), Some(&[0, 0, 4, 20][..]));
        assert_eq!(reply.attribute(attribute::UNKNOWN_ATTRIBUTES), Some(&[0, 3, 0x77, 0x77][..]));
        assert_eq!(reply.fingerprint(), Fingerprint::Valid);
    }

    #[test]
    fn a_reply_stays_short_however_much_is_unknown() {
        let attributes: Vec<(u16, &[u8])> = (0x1000..0x1100).map(|kind| (kind, &[][..])).collect();
        let mut out = Vec::new();
        answer(&request(&attributes, true), "[2001:db8::9]:1".parse().unwrap(), &mut out).unwrap();
        assert_eq!(out.len(), MAX_REPLY);
    }

    #[test]
    fn stays_silent_to_what_it_should_not_answer() {
        let source = "198.51.100.9:40000".parse().unwrap();
        let mut out = vec![1];
        assert_eq!(answer(b"hello", source, &mut out), Err(Refused::Malformed(ParseError::Truncated)));
        assert!(out.is_empty());
        let ice = request(&[(attribute::USERNAME, b"abcd:efgh")], true);
        assert_eq!(answer(&ice, source, &mut out), Err(Refused::Credentials));
        let mut wrong = request(&[], true);
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(answer(&wrong, source, &mut out), Err(Refused::Fingerprint));
        for class in [Class::Indication, Class::Success, Class::Error] {
            let mut other = Vec::new();
            let _ = Writer::new(&mut other, class, Method::BINDING, TRANSACTION);
            assert_eq!(answer(&other, source, &mut out), Err(Refused::NotBinding));
        }
        let mut allocate = Vec::new();
        let _ = Writer::new(&mut allocate, Class::Request, Method::new(3).unwrap(), TRANSACTION);
        assert_eq!(answer(&allocate, source, &mut out), Err(Refused::NotBinding));
    }

    proptest! {
        #[test]
        fn a_reply_is_never_long(
            kinds in proptest::collection::vec(any::<u16>(), 0..40),
            fingerprint in any::<bool>(),
            ip in any::<std::net::IpAddr>(),
        ) {
            let attributes: Vec<(u16, &[u8])> = kinds.iter().map(|kind| (*kind, &[][..])).collect();
            let mut out = Vec::new();
            let _ = answer(&request(&attributes, fingerprint), SocketAddr::new(ip, 9), &mut out);
            prop_assert!(out.len() <= MAX_REPLY);
        }
    }

    #[test]
    fn a_flood_under_forged_addresses_makes_less_than_itself() {
        let began = Instant::now();
        let mut server = Binding::new(began);
        let (request, mut out) = (request(&[], false), Vec::new());
        let mut flood = |addresses: u32, requests: u32| {
            let (mut received, mut sent) = (0, 0);
            for number in 0..requests {
                let now = began + std::time::Duration::from_micros(10) * number;
                let source = SocketAddr::from((std::net::Ipv4Addr::from(number % addresses), 9));
                received += request.len();
                if server.answer(now, &request, source, &mut out).is_ok() {
                    sent += out.len();
                }
            }
            sent as f64 / received as f64
        };
        let one = flood(1, 100_000);
        assert!(one < 0.51, "{one} bytes for each");
        let all = flood(1 << 20, 1 << 20);
        assert!(all < 0.6, "{all} bytes for each");
    }

    #[test]
    fn who_asks_now_and_then_is_always_answered() {
        let began = Instant::now();
        let mut server = Binding::new(began);
        // Twelve people behind one address, each of whom asks every ten seconds.
        for number in 0..1_000 {
            let now = began + std::time::Duration::from_millis(833) * number;
            let source = SocketAddr::from(([198, 51, 100, 1], 4_000));
            let mut out = Vec::new();
            assert_eq!(
                server.answer(now, &request(&[], false), source, &mut out),
                Ok(()),
                "request {number}"
            );
        }
    }
}
