//! Identities. Each is a type of its own, so that a track can never be taken for a session.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a room, which is also the name of the stream a WHIP publisher brings to it.
///
/// 1 to 128 characters out of `A-Z a-z 0-9 - _ . ~` (the unreserved characters of RFC 3986 section 2.3),
/// so that it stands in a URL path as it is; `.` and `..` are refused because URL parsers fold them away.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RoomName(String);

/// Why a text is not a [`RoomName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoomNameError {
    /// Empty, or longer than 128 characters.
    #[error("a name has 1 to 128 characters")]
    Length,
    /// A character that a URL path would change.
    #[error("a name is made of letters, digits and - _ . ~")]
    Character,
}

impl RoomName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomName {
    type Err = RoomNameError;

    fn from_str(text: &str) -> Result<Self, RoomNameError> {
        if text.is_empty() || text.len() > 128 {
            return Err(RoomNameError::Length);
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
        if !text.bytes().all(plain) || text == "." || text == ".." {
            return Err(RoomNameError::Character);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One participant's peer connection. Unique in this process for its whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// The source of an RTP stream within one session (RFC 3550 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ssrc(pub u32);

/// A person or program in a room. Unique in this process for its whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, schemars(extend("pattern" = "^p[0-9]+$")), ts(type = "string"))]
#[serde(into = "String", try_from = "String")]
pub struct ParticipantId(pub u64);

/// Something published: one microphone, camera or screen. Unique in this process for its whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, ts_rs::TS))]
#[cfg_attr(test, schemars(extend("pattern" = "^t[0-9]+$")), ts(type = "string"))]
#[serde(into = "String", try_from = "String")]
pub struct TrackId(pub u64);

impl TrackId {
    /// The contributing source (RFC 3550 section 5.1) that packets of this track carry towards participants of a room:
    /// the low 32 bits of the id. Clients read it with `getContributingSources()`, and so learn whose packets are on
    /// screen right now.
    #[must_use]
    pub fn csrc(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// One WebSocket of a participant, who may have several one after the other. Unique in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

/// The number by which a worker's reply to a later offer finds its way back. Whoever asks chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// The index of a media thread. It is written into ICE user fragments (see [`crate::net::demux`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u8);

/// A map by ids that this server gives out itself. Nobody else chooses them, so that a hash that takes a nanosecond does.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// The hash of an id: its number, spread over all bits (Fibonacci hashing; Knuth, The Art of Computer Programming, volume 3,
/// section 6.4).
#[derive(Debug, Default, Clone, Copy)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// A text that is not an id of the kind that stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of this kind is the letter {0} and a number")]
pub struct IdError(char);

/// The text form of an id that clients see: a letter that tells its kind, and the number.
macro_rules! text_form {
    ($id:ident $letter:literal) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }

        impl FromStr for $id {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let number = text.strip_prefix($letter).filter(|digits| !digits.starts_with('+'));
                number.and_then(|digits| digits.parse().ok()).map(Self).ok_or(IdError($letter))
            }
        }

        impl TryFrom<String> for $id {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.to_string()
            }
        }
    };
}

text_form!(ParticipantId 'p');
text_form!(TrackId 't');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contributing_source_is_the_low_half_of_a_track() {
        assert_eq!(TrackId(0x0123_4567_89ab_cdef).csrc(), 0x89ab_cdef);
        assert_eq!(TrackId(64).csrc(), 64);
    }

    #[test]
    fn ids_are_read_back_from_their_text() {
        assert_eq!("p7".parse(), Ok(ParticipantId(7)));
        assert_eq!(TrackId(12).to_string().parse(), Ok(TrackId(12)));
        for wrong in ["", "7", "t7", "p", "p-1", "p+1", "p1 ", "p99999999999999999999"] {
            assert_eq!(wrong.parse::<ParticipantId>(), Err(IdError('p')), "{wrong:?}");
        }
    }

    #[test]
    fn room_names_survive_a_url_unchanged() {
        for good in ["a", "my-stream_1.hd~", &"x".repeat(128)] {
            assert_eq!(good.parse::<RoomName>().map(|n| n.to_string()).as_deref(), Ok(good));
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", "a%20b", &"x".repeat(129)] {
            assert!(bad.parse::<RoomName>().is_err(), "{bad:?} was accepted");
        }
    }
}
