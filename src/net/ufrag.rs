//! The ICE user fragment of a session: the name that clients put into each connectivity check.

use std::fmt;

use crate::ids::WorkerId;

/// How many characters a ufrag of ours has. ICE wants 4 to 256 (RFC 8839 section 5.4).
const LENGTH: usize = 16;

/// The first byte under the text: the layout of the other bytes. A later layout gets another number.
const LAYOUT: u8 = 0;

/// ICE characters (RFC 8839 section 5.4), in the order of base64 (RFC 4648 section 4).
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The user fragment that this server gave to a session.
///
/// It is the base64 text of 12 bytes, 16 characters without padding:
///
/// | byte | meaning |
/// |---|---|
/// | 0 | the layout, 0 |
/// | 1 | the worker that holds the session |
/// | 2 to 11 | random: 80 bits |
///
/// So any worker can tell whose a connectivity check is without asking the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ufrag([u8; LENGTH]);

impl Ufrag {
    /// Makes the ufrag of a new session (or of an ICE restart) on `worker`. `random` has to come from a
    /// cryptographic generator.
    #[must_use]
    pub fn mint(worker: WorkerId, random: [u8; 10]) -> Self {
        let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9] = random;
        let [a, b, c, d] = [[LAYOUT, worker.0, r0], [r1, r2, r3], [r4, r5, r6], [r7, r8, r9]].map(encode);
        let mut text = [0; LENGTH];
        text.iter_mut().zip([a, b, c, d].as_flattened()).for_each(|(to, from)| *to = *from);
        Self(text)
    }

    /// Reads a ufrag from a USERNAME; `None` when it is none of ours.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: [u8; LENGTH] = text.try_into().ok()?;
        let ours = text.iter().all(|c| ICE_CHARS.contains(c)) && head(text)?[0] == LAYOUT;
        ours.then_some(Self(text))
    }

    /// The worker that holds the session.
    #[must_use]
    pub fn worker(&self) -> WorkerId {
        WorkerId(head(self.0).map_or(0, |[_, worker]| worker))
    }

    /// The text as it stands in SDP (`a=ice-ufrag`).
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What a client's connectivity checks have to show (RFC 8445 section 5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// The name of the session.
    pub ufrag: Ufrag,
    /// The password: at least 22 ICE characters.
    pub password: String,
}

impl IceCredentials {
    /// Makes those of a new session on `worker`, or of its ICE restart. `name` and `password` have to come from a
    /// cryptographic generator.
    #[must_use]
    pub fn mint(worker: WorkerId, name: [u8; 10], password: [u8; 24]) -> Self {
        // 64 characters, so that a byte picks one without bias.
        let character = |byte: u8| ICE_CHARS.get(usize::from(byte % 64)).copied().map(char::from);
        Self {
            ufrag: Ufrag::mint(worker, name),
            password: password.into_iter().filter_map(character).collect(),
        }
    }
}

/// Says whose they are, and not what is secret.
impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceCredentials({})", self.ufrag)
    }
}

impl fmt::Display for Ufrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Ufrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ufrag({self})")
    }
}

/// Three bytes as four characters.
fn encode([a, b, c]: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, a, b, c]);
    [18, 12, 6, 0].map(|shift| {
        let [.., six] = ((bits >> shift) & 0x3F).to_be_bytes();
        ICE_CHARS.get(usize::from(six)).copied().unwrap_or_default()
    })
}

/// The layout and the worker, out of the first three characters.
fn head(text: [u8; LENGTH]) -> Option<[u8; 2]> {
    let [a, b, c, ..] = text.map(|c| ICE_CHARS.iter().position(|ice| *ice == c));
    let bits = u32::try_from((a? << 12) | (b? << 6) | c?).ok()?;
    let [_, layout, worker, _] = (bits << 6).to_be_bytes();
    Some([layout, worker])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_worker_is_read_back(worker in any::<u8>(), random in any::<[u8; 10]>()) {
            let ufrag = Ufrag::mint(WorkerId(worker), random);
            prop_assert_eq!(ufrag.worker(), WorkerId(worker));
            prop_assert_eq!(Ufrag::parse(ufrag.as_str().as_bytes()), Some(ufrag));
            prop_assert!(ufrag.as_str().chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '/'));
        }

        #[test]
        fn any_text_is_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..20)) {
            let _ = Ufrag::parse(&text).map(|ufrag| (ufrag.worker(), ufrag.to_string()));
        }
    }

    #[test]
    fn the_text_is_plain_base64() {
        let ufrag = Ufrag::mint(WorkerId(7), *b"0123456789");
        assert_eq!(ufrag.as_str(), "AAcwMTIzNDU2Nzg5");
    }

    #[test]
    fn foreign_ufrags_are_told_apart() {
        for text in
            ["", "evtj", "AAcwMTIzNDU2Nzg", "AAcwMTIzNDU2Nzg5A", "AAcwMTIzNDU2Nzg=", "BAcwMTIzNDU2Nzg5"]
        {
            assert_eq!(Ufrag::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
