//! MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256: who knows the key wrote the message (RFC 8489 sections 14.5 and
//! 14.6).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use super::{Message, Writer, attribute, split_attribute};

/// Which of the two proofs a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// MESSAGE-INTEGRITY: HMAC-SHA1, 20 bytes.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256: HMAC-SHA256, here always all of its 32 bytes: a shorter one is for uses that say so,
    /// and none here does.
    Sha256,
}

impl Integrity {
    fn attribute(self) -> u16 {
        match self {
            Self::Sha1 => attribute::MESSAGE_INTEGRITY,
            Self::Sha256 => attribute::MESSAGE_INTEGRITY_SHA256,
        }
    }

    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        }
    }

    fn zeros(self) -> &'static [u8] {
        match self {
            Self::Sha1 => &[0; 20],
            Self::Sha256 => &[0; 32],
        }
    }
}

impl Message<'_> {
    /// The stronger of the proofs that the message carries, which is the one that counts; not yet whether it is right.
    #[must_use]
    pub fn integrity(&self) -> Option<Integrity> {
        [Integrity::Sha256, Integrity::Sha1]
            .into_iter()
            .find(|kind| self.attribute(kind.attribute()).is_some())
    }

    /// Whether the message carries a proof of this kind that was made with `key`. Takes the same time wherever a
    /// wrong one differs.
    #[must_use]
    pub fn is_proved_by(&self, kind: Integrity, key: &[u8]) -> bool {
        let mut rest = self.attributes;
        while let Some((attribute, behind)) = split_attribute(rest) {
            if attribute.kind == kind.attribute() {
                let covered = self.attributes.len().saturating_sub(rest.len());
                let end = self.attributes.len().saturating_sub(behind.len());
                let Some(tag) = self.tag(kind, key, covered, end) else { return false };
                return verify_slices_are_equal(tag.as_ref(), attribute.value).is_ok();
            }
            rest = behind;
        }
        false
    }

    /// The proof over the attributes up to `covered`, with a header that says the attributes end at `end`.
    fn tag(&self, kind: Integrity, key: &[u8], covered: usize, end: usize) -> Option<hmac::Tag> {
        let mut header = *self.header;
        header.get_mut(2..4)?.copy_from_slice(&u16::try_from(end).ok()?.to_be_bytes());
        let mut context = hmac::Context::with_key(&hmac::Key::new(kind.algorithm(), key));
        context.update(&header);
        context.update(self.attributes.get(..covered)?);
        Some(context.sign())
    }
}

impl Writer<'_> {
    /// Adds a proof made with `key` over all that was written. Only the other proof and FINGERPRINT may follow.
    #[must_use]
    pub fn integrity(self, kind: Integrity, key: &[u8]) -> Self {
        // The header must already count the attribute, hence the zeros first.
        let before = self.out.len();
        let writer = self.attribute(kind.attribute(), kind.zeros());
        let Some((covered, added)) = writer.out.split_at_mut_checked(before) else { return writer };
        let tag = hmac::sign(&hmac::Key::new(kind.algorithm(), key), covered);
        if let Some(value) = added.get_mut(4..) {
            value.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        }
        writer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::stun::{Class, Fingerprint, Method, TransactionId};

    fn hex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.as_bytes().chunks(2).map(byte).collect()
    }

    /// The password of RFC 5769 sections 2.1 to 2.3.
    const SHORT_TERM: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

    /// The messages of RFC 5769 sections 2.1 to 2.3.
    const SAMPLES: [&str; 3] = [
        "000100582112a442b7e7a701bc34d686fa87dfae
         802200105354554e207465737420636c69656e74
         002400046e0001ff 80290008932ff9b151263b36
         000600096576746a3a68367659202020
         000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
         80280004e57a3bcf",
        "0101003c2112a442b7e7a701bc34d686fa87dfae
         8022000b7465737420766563746f7220
         002000080001a147e112a643
         000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7
         80280004c07d4c96",
        "010100482112a442b7e7a701bc34d686fa87dfae
         8022000b7465737420766563746f7220
         002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9
         00080014a382954e4be67bf11784c97c8292c275bfe3ed41
         80280004c8fb0b4c",
    ];

    #[test]
    fn knows_who_wrote_the_samples_of_rfc_5769() {
        for sample in SAMPLES {
            let bytes = hex(sample);
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.integrity(), Some(Integrity::Sha1));
            assert!(message.is_proved_by(Integrity::Sha1, SHORT_TERM));
            assert!(!message.is_proved_by(Integrity::Sha1, b"VOkJxbRl1RmTxUk/WvJxBu"));
            assert!(!message.is_proved_by(Integrity::Sha256, SHORT_TERM), "there is none");
        }
    }
    /// A message with both proofs, each made with another key.
    fn twice_proved() -> Vec<u8> {
        let mut out = Vec::new();
        Writer::new(&mut out, Class::Request, Method::ALLOCATE, TransactionId([3; 12]))
            .attribute(attribute::USERNAME, b"somebody")
            .integrity(Integrity::Sha1, b"one key")
            .integrity(Integrity::Sha256, b"another key")
            .fingerprint();
        out
    }

    #[test]
    fn both_proofs_may_stand_in_one_message_and_the_stronger_counts() {
        let bytes = twice_proved();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.integrity(), Some(Integrity::Sha256));
        assert!(message.is_proved_by(Integrity::Sha1, b"one key"));
        assert!(message.is_proved_by(Integrity::Sha256, b"another key"));
        assert!(!message.is_proved_by(Integrity::Sha256, b"one key"));
        assert_eq!(message.fingerprint(), Fingerprint::Valid);
    }

    #[test]
    fn a_proof_of_another_length_is_wrong() {
        for length in [0, 16, 19, 24, 31] {
            let mut out = Vec::new();
            let _ = Writer::new(&mut out, Class::Request, Method::REFRESH, TransactionId([3; 12]))
                .attribute(attribute::MESSAGE_INTEGRITY_SHA256, &[0; 32][..length]);
            let message = Message::parse(&out).unwrap();
            assert_eq!(message.integrity(), Some(Integrity::Sha256));
            assert!(!message.is_proved_by(Integrity::Sha256, b"key"));
        }
    }

    #[test]
    fn without_a_proof_nothing_is_proved() {
        let mut out = Vec::new();
        let _ = Writer::new(&mut out, Class::Request, Method::REFRESH, TransactionId([3; 12]));
        let message = Message::parse(&out).unwrap();
        assert_eq!(message.integrity(), None);
        assert!(!message.is_proved_by(Integrity::Sha1, b"") && !message.is_proved_by(Integrity::Sha256, b""));
    }

    #[test]
    fn any_flipped_bit_before_a_proof_breaks_it() {
        let good = twice_proved();
        let proved = |bytes: &[u8]| {
            let Ok(message) = Message::parse(bytes) else { return false };
            message.is_proved_by(Integrity::Sha1, b"one key")
                && message.is_proved_by(Integrity::Sha256, b"another key")
        };
        assert!(proved(&good));
        // Behind the second proof stands the fingerprint, which none of them covers; before it, the header's length
        // only says where the message ends.
        for bit in (0..(good.len() - 8) * 8).filter(|bit| !(16..32).contains(bit)) {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!proved(&bytes), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_proved(
            key in proptest::collection::vec(any::<u8>(), 0..80),
            value in proptest::collection::vec(any::<u8>(), 0..80),
            sha256 in any::<bool>(),
            fingerprint in any::<bool>(),
        ) {
            let kind = if sha256 { Integrity::Sha256 } else { Integrity::Sha1 };
            let mut out = Vec::new();
            let writer = Writer::new(&mut out, Class::Success, Method::REFRESH, TransactionId([1; 12]))
                .attribute(attribute::DATA, &value)
                .integrity(kind, &key);
            if fingerprint {
                writer.fingerprint();
            }
            let message = Message::parse(&out).unwrap();
            prop_assert_eq!(message.integrity(), Some(kind));
            prop_assert!(message.is_proved_by(kind, &key));
            prop_assert!(!message.is_proved_by(kind, b"a key that nobody has, of more than sixty-four bytes, of eighty, "));
        }
    }
}
