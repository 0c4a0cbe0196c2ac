//! What a connection is for, by its first bytes.

use crate::wire::stun::MAGIC_COOKIE;

/// The first byte of a TLS record that begins a handshake (RFC 8446 section 5.1).
pub const TLS_HANDSHAKE: u8 = 0x16;

/// So many bytes tell every protocol from the others.
pub const ENOUGH: usize = 10;

/// What a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opening {
    /// A TLS handshake. What it is for, is said inside.
    Tls,
    /// TURN: a STUN message.
    Turn,
    /// ICE-TCP: a STUN message behind two bytes of length (RFC 4571).
    Ice,
    /// Anything else is for the HTTP server, which answers what is no HTTP with an error.
    Http,
}

/// Tells what a connection is for; `None` while its bytes do not say it yet.
///
/// A method of HTTP begins with a letter. A STUN message begins with its type, below 0x0400, and has the magic cookie in
/// its bytes 4 to 7 (RFC 8489 section 5); framed, they are bytes 6 to 9. A connectivity check is shorter than 1,024 bytes,
/// so that its length, too, begins with at most 3.
#[must_use]
pub fn tell(bytes: &[u8]) -> Option<Opening> {
    let first = *bytes.first()?;
    if first == TLS_HANDSHAKE {
        return Some(Opening::Tls);
    }
    if first > 3 {
        return Some(Opening::Http);
    }
    let cookie = MAGIC_COOKIE.to_be_bytes();
    if bytes.get(4..8) == Some(&cookie[..]) {
        return Some(Opening::Turn);
    }
    if bytes.get(6..ENOUGH)? == cookie { Some(Opening::Ice) } else { Some(Opening::Http) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::stun::{Class, Method, TransactionId, Writer};

    fn stun(method: Method) -> Vec<u8> {
        let mut out = Vec::new();
        Writer::new(&mut out, Class::Request, method, TransactionId([0x21; 12])).fingerprint();
        out
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
    }

    #[test]
    fn protocols_are_told_apart_as_soon_as_they_differ() {
        let cases: [(&[u8], usize, Opening); 8] = [
            (b"GET / HTTP/1.1\r\n", 1, Opening::Http),
            (b"post /whip/a HTTP/1.1", 1, Opening::Http),
            (b"\r\nGET / HTTP/1.1", 1, Opening::Http),
            (b"\x16\x03\x01\x02\x00\x01\x00", 1, Opening::Tls),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0", ENOUGH, Opening::Http),
            (&stun(Method::ALLOCATE), 8, Opening::Turn),
            (&stun(Method::BINDING), 8, Opening::Turn),
            (&framed(&stun(Method::BINDING)), ENOUGH, Opening::Ice),
        ];
        for (bytes, needed, opening) in cases {
            for length in 0..bytes.len() {
                let expected = (length >= needed).then_some(opening);
                assert_eq!(tell(&bytes[..length]), expected, "{length} bytes of {bytes:?}");
            }
        }
    }

    /// A check of the longest user name that ICE allows is still told.
    #[test]
    fn a_long_check_is_told_too() {
        let mut out = Vec::new();
        let name = vec![b'a'; 513];
        Writer::new(&mut out, Class::Request, Method::BINDING, TransactionId([1; 12]))
            .attribute(crate::wire::stun::attribute::USERNAME, &name)
            .fingerprint();
        assert_eq!(tell(&framed(&out)), Some(Opening::Ice));
    }
}
