//! The outbound path: a packet gets the subscriber's numbers, a header, and a seal, and stands in the batch.
//!
//! Everything that is sent to a subscriber as media passes here, and what is said of that. str0m has no part in it but the
//! keys, which come from its handshake. In reading order: [`outlet`] is the side of one session, [`sender`] that of one slot
//! with its [`coding`]s, [`header`] writes what stands before the payload, [`srtp`] seals, [`report`] tells the receiver of
//! time, [`resend`] bounds what is sent again.

pub mod coding;
pub mod srtp;
pub mod header;
pub mod report;
pub mod resend;
pub mod sender;
pub mod outlet;
pub mod bandwidth;
pub mod pacer;

pub use self::coding::{Coding, PayloadType, best_fit};
pub use self::outlet::{CNAME, Egress, KeySlot, Path, Stamp};
