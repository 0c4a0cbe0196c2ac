//! Who may relay: names with passwords, and names that say themselves until when they are good (RFC 8489 section 9.2;
//! draft-uberti-behave-turn-rest).
//!
//! The second kind needs no list. Whoever knows a secret makes a name like `1795380000:somebody`, the time in seconds
//! after which it is of no use, and the password that belongs to it: base64 of HMAC-SHA1 of the name under the
//! secret. This is what coturn calls `use-auth-secret`, and what web applications in general hand out.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::{digest, hmac};
use md5::{Digest, Md5};

use super::base64;

/// How a password becomes a key (RFC 8489 section 18.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PasswordAlgorithm {
    /// MD5, which every client knows.
    Md5,
    /// SHA-256.
    Sha256,
}

impl PasswordAlgorithm {
    /// All of them in the form of PASSWORD-ALGORITHMS, the better one first; none takes parameters.
    pub(super) const OFFERED: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];

    /// Reads the value of PASSWORD-ALGORITHM.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        match value {
            [0, 1, 0, 0] => Some(Self::Md5),
            [0, 2, 0, 0] => Some(Self::Sha256),
            _ => None,
        }
    }
}

/// The key of a long-term credential: a hash of name, realm and password (RFC 8489 section 9.2.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LongTermKey {
    Md5([u8; 16]),
    Sha256([u8; 32]),
}

impl LongTermKey {
    pub(super) fn new(algorithm: PasswordAlgorithm, name: &[u8], realm: &[u8], password: &[u8]) -> Self {
        let parts = [name, b":", realm, b":", password];
        match algorithm {
            PasswordAlgorithm::Md5 => {
                let mut hash = Md5::new();
                parts.iter().for_each(|part| hash.update(part));
                Self::Md5(hash.finalize().into())
            }
            PasswordAlgorithm::Sha256 => {
                let mut hash = digest::Context::new(&digest::SHA256);
                parts.iter().for_each(|part| hash.update(part));
                let mut key = [0; 32];
                key.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
                Self::Sha256(key)
            }
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Md5(key) => key,
            Self::Sha256(key) => key,
        }
    }

    pub(super) fn algorithm(&self) -> PasswordAlgorithm {
        match self {
            Self::Md5(_) => PasswordAlgorithm::Md5,
            Self::Sha256(_) => PasswordAlgorithm::Sha256,
        }
    }
}

impl fmt::Debug for LongTermKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A name and the password that belongs to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The USERNAME of requests.
    pub username: String,
    /// What their key is made of; it never travels.
    pub password: String,
}

impl Credential {
    /// A credential that is good until `expires`, in seconds since 1970. `user` tells whose it is, so that one user's
    /// allocations can be counted together; it may be empty.
    #[must_use]
    pub fn until(expires: u64, user: &str, secret: &str) -> Self {
        let username = if user.is_empty() { expires.to_string() } else { format!("{expires}:{user}") };
        let password = password_of(username.as_bytes(), &secret_key(secret));
        Self { username, password }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).field("password", &"***").finish()
    }
}

fn secret_key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes())
}

fn password_of(username: &[u8], secret: &hmac::Key) -> String {
    base64::encode(hmac::sign(secret, username).as_ref())
}

/// The time in a name, in seconds since 1970, and the user: `time`, `time:user`, or `user:time` as in coturn.
fn expiry_of(username: &[u8]) -> Option<(u64, &[u8])> {
    let time = |text: &[u8]| {
        let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
    };
    let Some(colon) = username.iter().position(|byte| *byte == b':') else {
        return Some((time(username)?, username));
    };
    let (before, after) = (username.get(..colon)?, username.get(colon + 1..)?);
    time(before).map(|expires| (expires, after)).or_else(|| Some((time(after)?, before)))
}

/// All credentials that are good in a realm.
pub(super) struct Credentials {
    realm: String,
    users: HashMap<Vec<u8>, String>,
    secrets: Vec<hmac::Key>,
    /// The password of those who have none, so that it takes no other time to refuse them.
    nobody: String,
}

impl Credentials {
    pub(super) fn new(realm: String, users: &[Credential], secrets: &[String], nobody: String) -> Self {
        let mut credentials = Self { realm, users: HashMap::new(), secrets: Vec::new(), nobody };
        credentials.replace(users, secrets);
        credentials
    }

    /// Other users and other secrets are good from now on.
    pub(super) fn replace(&mut self, users: &[Credential], secrets: &[String]) {
        let entry = |user: &Credential| (user.username.clone().into_bytes(), user.password.clone());
        self.users = users.iter().map(entry).collect();
        self.secrets = secrets.iter().map(|secret| secret_key(secret)).collect();
    }

    pub(super) fn realm(&self) -> &str {
        &self.realm
    }

    /// The key of `username` that `fits`: its own, or the one made of one of the secrets.
    pub(super) fn find(
        &self,
        username: &[u8],
        algorithm: PasswordAlgorithm,
        fits: impl Fn(&LongTermKey) -> bool,
    ) -> Option<LongTermKey> {
        let key = |password: &str| {
            LongTermKey::new(algorithm, username, self.realm.as_bytes(), password.as_bytes())
        };
        if let Some(password) = self.users.get(username) {
            return Some(key(password)).filter(fits);
        }
        if expiry_of(username).is_none() || self.secrets.is_empty() {
            let _ = fits(&key(&self.nobody));
            return None;
        }
        self.secrets.iter().map(|secret| key(&password_of(username, secret))).find(fits)
    }

    /// When `username` expires, in seconds since 1970; `None` for one that never does.
    pub(super) fn expires(&self, username: &[u8]) -> Option<u64> {
        if self.users.contains_key(username) { None } else { Some(expiry_of(username)?.0) }
    }

    /// Under which name the allocations of `username` are counted: without the time.
    pub(super) fn user<'a>(&self, username: &'a [u8]) -> &'a [u8] {
        if self.users.contains_key(username) {
            return username;
        }
        expiry_of(username).map(|(_, user)| user).filter(|user| !user.is_empty()).unwrap_or(username)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::stun::integrity::Integrity;
    use crate::wire::stun::{Message, attribute};

    fn hex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.as_bytes().chunks(2).map(byte).collect()
    }

    const NAME: &str = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";

    /// RFC 5769 section 2.4.
    #[test]
    fn proves_the_long_term_sample_of_rfc_5769() {
        let bytes = hex("000100602112a44278ad3433c6ad72c029da412e
            00060012e3839ee38388e383aae38383e382afe382b90000
            0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f726700
            00080014f67024656dd64a3e02b8e0712e85c9a28ca89666");
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.username(), Some(NAME.as_bytes()));
        let key = |password: &str| {
            LongTermKey::new(PasswordAlgorithm::Md5, NAME.as_bytes(), b"example.org", password.as_bytes())
        };
        assert!(message.is_proved_by(Integrity::Sha1, key("TheMatrIX").bytes()));
        assert!(!message.is_proved_by(Integrity::Sha1, key("TheMatrix").bytes()));
    }

    /// RFC 8489 appendix B.1.
    #[test]
    fn proves_the_sample_of_rfc_8489() {
        let bytes = hex("000100902112a44278ad3433c6ad72c029da412e
            001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704
            001500296f624d61744a6f733241414143662f2f3439396b3935346436
            4f4c33346f4c394653547679363473410000000014000b6578616d706c652e6f726700
            001d0004000200000 01c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65");
        let message = Message::parse(&bytes).unwrap();
        let algorithm =
            PasswordAlgorithm::read(message.attribute(attribute::PASSWORD_ALGORITHM).unwrap()).unwrap();
        assert_eq!(algorithm, PasswordAlgorithm::Sha256);
        let key = LongTermKey::new(algorithm, NAME.as_bytes(), b"example.org", b"TheMatrIX");
        assert_eq!(message.integrity(), Some(Integrity::Sha256));
        assert!(message.is_proved_by(Integrity::Sha256, key.bytes()));
    }

    /// RFC 2202 section 3 vouches for HMAC-SHA1; the rest is what `openssl dgst -sha1 -hmac` and `base64` print.
    #[test]
    fn passwords_are_what_other_servers_make_of_the_secret() {
        let credential = Credential::until(1_433_895_918, "username", "logen");
        assert_eq!(credential.username, "1433895918:username");
        assert_eq!(credential.password, PASSWORD);
        assert_eq!(Credential::until(7, "", "logen").username, "7");
        assert!(!format!("{credential:?}").contains(PASSWORD));
    }

    const PASSWORD: &str = "UiGyVNy3yp+4uQ2PyFZPniAfZXc=";

    #[test]
    fn the_time_stands_before_the_colon_or_behind_it() {
        for (username, expected) in [
            ("123", Some((123, "123"))),
            ("123:a:4", Some((123, "a:4"))),
            ("123:", Some((123, ""))),
            ("a:123", Some((123, "a"))),
            (":123", Some((123, ""))),
            ("a", None),
            ("", None),
            (":", None),
            ("a:b", None),
            ("+1:a", None),
            ("99999999999999999999:a", None),
        ] {
            let expected = expected.map(|(time, user)| (time, user.as_bytes()));
            assert_eq!(expiry_of(username.as_bytes()), expected, "{username}");
        }
    }

    #[test]
    fn a_user_has_one_password_and_a_timed_name_one_for_each_secret() {
        let user = Credential { username: "ann".into(), password: "ann's password".into() };
        let secrets = ["new secret".to_owned(), "old secret".to_owned()];
        let credentials = Credentials::new("here".into(), &[user], &secrets, "nobody".into());
        let knows = |username: &str, password: &str| {
            [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256].map(|algorithm| {
                let theirs = LongTermKey::new(algorithm, username.as_bytes(), b"here", password.as_bytes());
                credentials.find(username.as_bytes(), algorithm, |ours| *ours == theirs).is_some()
            })
        };
        assert_eq!(knows("ann", "ann's password"), [true; 2]);
        assert_eq!(knows("ann", "nobody"), [false; 2]);
        assert_eq!(knows("bob", "nobody"), [false; 2], "the password of nobody is good for nobody");
        for secret in ["new secret", "old secret", "third secret"] {
            let timed = Credential::until(9, "bob", secret);
            assert_eq!(knows("9:bob", &timed.password), [secret != "third secret"; 2]);
            assert_eq!(knows("8:bob", &timed.password), [false; 2], "the time is proved too");
        }
        assert_eq!(credentials.expires(b"9:bob"), Some(9));
        assert_eq!(credentials.expires(b"ann"), None);
        assert_eq!(credentials.user(b"9:bob"), b"bob");
        assert_eq!(credentials.user(b"9:"), b"9:");
        assert_eq!(credentials.user(b"ann"), b"ann");
    }
}
