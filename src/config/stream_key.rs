//! The secret that lets an encoder publish a stream.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;

/// The secret that lets an encoder publish a stream: its bearer token (RFC 6750 section 2.1).
///
/// It has at least 8 characters, all of them visible ASCII, because it travels in an HTTP header. It is
/// never printed: `Debug` shows `***` and there is no `Display`. It is compared in a time that does not
/// depend on its content, so that answering times teach an attacker nothing (its length is not hidden).
#[derive(Clone)]
pub struct StreamKey(String);

/// The text is not a [`StreamKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stream key has at least 8 visible ASCII characters and no spaces")]
pub struct StreamKeyError;

impl StreamKey {
    /// The fewest characters a key may have.
    pub const MIN_LENGTH: usize = 8;

    /// Takes `text` as a key.
    ///
    /// # Errors
    /// [`StreamKeyError`] when it is too short, or holds a space or anything that is not visible ASCII.
    pub fn new(text: &str) -> Result<Self, StreamKeyError> {
        if text.len() < Self::MIN_LENGTH || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(StreamKeyError);
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether `presented` (the bearer token of a request) is this key.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), presented.as_bytes()).is_ok()
    }
}

impl PartialEq for StreamKey {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for StreamKey {}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_matches_itself_only() {
        let key = StreamKey::new("correct-horse").unwrap();
        assert!(key.matches("correct-horse"));
        for other in ["", "correct-hors", "correct-horsf", "correct-horse "] {
            assert!(!key.matches(other), "{other:?} was accepted");
        }
    }

    #[test]
    fn short_or_unsendable_keys_are_refused() {
        for bad in ["", "1234567", "with a space", "line\nbreak", "schlüssel"] {
            assert!(StreamKey::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(StreamKey::new("12345678").is_ok());
    }

    #[test]
    fn debug_hides_the_key() {
        let key = StreamKey::new("correct-horse").unwrap();
        assert_eq!(format!("{key:?} {key:#?}"), "*** ***");
    }
}
