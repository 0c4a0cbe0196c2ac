//! SRTP and SRTCP (RFC 3711, RFC 7714): what leaves is sealed here, and the other end's reports are opened here.
//!
//! The master keys come out of the DTLS handshake (RFC 5764), and stay the same as long as the session lives. So
//! each sender derives its session keys once and keeps their expanded form: to seal a packet costs the cipher
//! itself and nothing else. There is no allocation per packet, and no lock.

mod cipher;
mod keys;
mod open;
mod replay;
mod seal;

#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod tests;

pub use cipher::KeyError;
pub use keys::{Keys, Profile};
pub use open::{OpenError, RtcpOpener};
pub use seal::{RtcpSealer, RtpSealer, SealError};
