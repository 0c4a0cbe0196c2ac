//! What streams carry.

use crate::wire::framing::Framing;

/// The longest frame that is taken, in bytes with its framing. What travels here came from, or would fit into, datagrams.
pub const LONGEST: usize = 4096;

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carries {
    /// TURN: its client speaks to the relay.
    Turn,
    /// ICE-TCP: its client speaks to a session.
    Ice,
}

impl Carries {
    /// How its frames follow each other.
    #[must_use]
    pub fn framing(self) -> Framing {
        match self {
            Self::Turn => Framing::Turn,
            Self::Ice => Framing::Rfc4571,
        }
    }
}
