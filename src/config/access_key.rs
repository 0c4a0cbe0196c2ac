//! The secrets that let somebody in.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;

/// The secret that lets an encoder publish a stream: its bearer token (RFC 6750 section 2.1).
pub type StreamKey = AccessKey<8>;

/// The secret that lets somebody join a room and take part.
pub type RoomKey = AccessKey<8>;

/// The password of a TURN user.
pub type TurnPassword = AccessKey<8>;

/// The secret that TURN credentials are made with. Whoever knows it can make any number, so it is longer than a password.
pub type TurnSecret = AccessKey<16>;

/// The secret that opens the admin API: its bearer token. It opens everything, so it is longer than the others.
pub type AdminKey = AccessKey<16>;

/// A secret of at least `MIN` characters, all of them visible ASCII, because it travels in an HTTP header.
///
/// It is never printed: `Debug` shows `***` and there is no `Display`. It is compared in a time that does not depend
/// on its content, so that answering times teach an attacker nothing (its length is not hidden).
#[derive(Clone)]
pub struct AccessKey<const MIN: usize>(String);

/// The text is not an [`AccessKey`] of this least length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has at least {0} visible ASCII characters and no spaces")]
pub struct AccessKeyError(usize);

impl<const MIN: usize> AccessKey<MIN> {
    /// The fewest characters a key may have.
    pub const MIN_LENGTH: usize = MIN;

    /// Takes `text` as a key.
    ///
    /// # Errors
    /// [`AccessKeyError`] when it is too short, or holds a space or anything that is not visible ASCII.
    pub fn new(text: &str) -> Result<Self, AccessKeyError> {
        if text.len() < MIN || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(AccessKeyError(MIN));
        }
        Ok(Self(text.to_owned()))
    }

    /// The secret itself, for what computes with it. Never to be logged or sent.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `presented` (the bearer token of a request) is this key.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), presented.as_bytes()).is_ok()
    }
}

impl<const MIN: usize> PartialEq for AccessKey<MIN> {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl<const MIN: usize> Eq for AccessKey<MIN> {}

impl<const MIN: usize> fmt::Debug for AccessKey<MIN> {
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
        assert!(AdminKey::new("123456789012345").is_err() && AdminKey::new("1234567890123456").is_ok());
    }

    #[test]
    fn debug_hides_the_key() {
        let key = StreamKey::new("correct-horse").unwrap();
        assert_eq!(format!("{key:?} {key:#?}"), "*** ***");
    }
}
