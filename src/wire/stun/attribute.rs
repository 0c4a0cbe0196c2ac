//! Attribute types. Below 0x8000 a receiver has to understand them (RFC 8489 section 14).

/// USERNAME: in ICE the receiver's ufrag, a colon, the sender's ufrag (RFC 8445 section 7.2.2).
pub const USERNAME: u16 = 0x0006;
/// MESSAGE-INTEGRITY: HMAC-SHA1 over everything before it.
pub const MESSAGE_INTEGRITY: u16 = 0x0008;
/// ERROR-CODE: why a request failed.
pub const ERROR_CODE: u16 = 0x0009;
/// UNKNOWN-ATTRIBUTES: what a 420 error is about.
pub const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
/// CHANNEL-NUMBER: two bytes, then two that are reserved (RFC 8656 section 18.1).
pub const CHANNEL_NUMBER: u16 = 0x000C;
/// LIFETIME: how many seconds an allocation lives without a Refresh (RFC 8656 section 18.2).
pub const LIFETIME: u16 = 0x000D;
/// XOR-PEER-ADDRESS: the other end, as the relay sees it (RFC 8656 section 18.3).
pub const XOR_PEER_ADDRESS: u16 = 0x0012;
/// DATA: what is relayed (RFC 8656 section 18.4).
pub const DATA: u16 = 0x0013;
/// REALM: in which names are unique (RFC 8489 section 14.9).
pub const REALM: u16 = 0x0014;
/// NONCE: what the client has to repeat (RFC 8489 section 14.10).
pub const NONCE: u16 = 0x0015;
/// XOR-RELAYED-ADDRESS: the address that an allocation has (RFC 8656 section 18.5).
pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
/// REQUESTED-ADDRESS-FAMILY: the family of the relayed address (RFC 8656 section 18.6).
pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
/// EVEN-PORT: asks for an even port, and perhaps for the next one to be kept (RFC 8656 section 18.7).
pub const EVEN_PORT: u16 = 0x0018;
/// REQUESTED-TRANSPORT: the protocol between relay and peers (RFC 8656 section 18.8).
pub const REQUESTED_TRANSPORT: u16 = 0x0019;
/// DONT-FRAGMENT: asks for the DF bit in what is relayed (RFC 8656 section 18.9).
pub const DONT_FRAGMENT: u16 = 0x001A;
/// MESSAGE-INTEGRITY-SHA256: the same as MESSAGE-INTEGRITY with HMAC-SHA256.
pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
/// PASSWORD-ALGORITHM: how the key was made of the password (RFC 8489 section 14.12).
pub const PASSWORD_ALGORITHM: u16 = 0x001D;
/// USERHASH: the user's name, hidden in a hash (RFC 8489 section 14.4).
pub const USERHASH: u16 = 0x001E;
/// XOR-MAPPED-ADDRESS: the sender's address as the server saw it.
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// RESERVATION-TOKEN: names a port that was kept (RFC 8656 section 18.10).
pub const RESERVATION_TOKEN: u16 = 0x0022;
/// USE-CANDIDATE: the sender has chosen this pair (RFC 8445 section 7.1.2).
pub const USE_CANDIDATE: u16 = 0x0025;
/// ADDITIONAL-ADDRESS-FAMILY: asks for a second relayed address (RFC 8656 section 18.11).
pub const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
/// ADDRESS-ERROR-CODE: why there is no address of a family (RFC 8656 section 18.12).
pub const ADDRESS_ERROR_CODE: u16 = 0x8001;
/// PASSWORD-ALGORITHMS: how a key may be made of the password (RFC 8489 section 14.11).
pub const PASSWORD_ALGORITHMS: u16 = 0x8002;
/// ALTERNATE-SERVER: whom to ask instead (RFC 8489 section 14.15).
pub const ALTERNATE_SERVER: u16 = 0x8023;
/// FINGERPRINT: a CRC-32 that tells STUN from what else arrives on the port.
pub const FINGERPRINT: u16 = 0x8028;
