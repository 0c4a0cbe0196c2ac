//! STUN messages (RFC 8489): a reader that copies nothing, and a writer.
//!
//! ICE connectivity checks, keepalives, "what is my address" and all of TURN are STUN messages: a header of
//! 20 bytes, then attributes of type, length, value, each padded to 4 bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The length of the header in bytes (RFC 8489 section 5).
pub const HEADER_LEN: usize = 20;

/// The fixed value of bytes 4 to 7 of each message (RFC 8489 section 5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// What FINGERPRINT's CRC-32 is XORed with, so that it differs from other checksums (RFC 8489 section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554E;

pub mod attribute;
pub mod integrity;

/// What a message is to the transaction (RFC 8489 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Asks for a response.
    Request,
    /// Asks for none.
    Indication,
    /// The response to a request that succeeded.
    Success,
    /// The response to a request that failed.
    Error,
}

/// What a message is about: 12 bits (RFC 8489 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(u16);

impl Method {
    /// Binding: "which address do you see me at?", also ICE's connectivity check.
    pub const BINDING: Self = Self(0x001);
    /// Allocate: asks for a relayed address (RFC 8656 section 7).
    pub const ALLOCATE: Self = Self(0x003);
    /// Refresh: keeps an allocation, or gives it back (RFC 8656 section 8).
    pub const REFRESH: Self = Self(0x004);
    /// Send, an indication: data of the client for a peer (RFC 8656 section 11).
    pub const SEND: Self = Self(0x006);
    /// Data, an indication: data of a peer for the client (RFC 8656 section 11).
    pub const DATA: Self = Self(0x007);
    /// CreatePermission: lets peers of an address send (RFC 8656 section 10).
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// ChannelBind: a number of two bytes for a peer (RFC 8656 section 12).
    pub const CHANNEL_BIND: Self = Self(0x009);

    /// The method of this number; `None` above 0xFFF.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (number <= 0xFFF).then_some(Self(number))
    }
}

/// The 96 bits that pair a response with its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// Why bytes are not a STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Shorter than a header.
    #[error("shorter than a STUN header")]
    Truncated,
    /// The first two bits are not zero, or the magic cookie is missing.
    #[error("not a STUN message")]
    NotStun,
    /// The length in the header is not the length of the datagram, or not a multiple of 4.
    #[error("the length in the STUN header is wrong")]
    Length,
    /// An attribute reaches beyond the end of the message.
    #[error("a STUN attribute reaches beyond the message")]
    Attribute,
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The type; see [`attribute`].
    pub kind: u16,
    /// The value without its padding.
    pub value: &'a [u8],
}

/// What a message's FINGERPRINT says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fingerprint {
    /// There is none.
    Absent,
    /// It stands last and is right.
    Valid,
    /// It is wrong, or something stands behind it.
    Invalid,
}

/// A STUN message that fills its datagram, with every length checked.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    class: Class,
    method: Method,
    transaction: TransactionId,
    header: &'a [u8; HEADER_LEN],
    attributes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads the header and walks over all attributes once.
    ///
    /// # Errors
    /// When the datagram is not exactly one well-formed message.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let (header, attributes) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(ParseError::Truncated)?;
        let [t0, t1, l0, l1, c0, c1, c2, c3, transaction @ ..] = *header;
        if t0 & 0xC0 != 0 || u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
            return Err(ParseError::NotStun);
        }
        if usize::from(u16::from_be_bytes([l0, l1])) != attributes.len() || attributes.len() % 4 != 0 {
            return Err(ParseError::Length);
        }
        let mut rest = attributes;
        while !rest.is_empty() {
            (_, rest) = split_attribute(rest).ok_or(ParseError::Attribute)?;
        }
        let (class, method) = split_type(u16::from_be_bytes([t0, t1]));
        Ok(Self { class, method, transaction: TransactionId(transaction), header, attributes })
    }

    /// What this message is to its transaction.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// What this message is about.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// What a response has to repeat.
    #[must_use]
    pub fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// The attributes in order. Behind MESSAGE-INTEGRITY only the other integrity attribute and FINGERPRINT
    /// are seen, for nothing vouches for the rest (RFC 8489 section 14.5).
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        use attribute::{FINGERPRINT, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256};
        let mut sealed = false;
        RawAttributes(self.attributes).filter(move |attribute| {
            let ends = matches!(attribute.kind, MESSAGE_INTEGRITY | MESSAGE_INTEGRITY_SHA256);
            let seen = !sealed || ends || attribute.kind == FINGERPRINT;
            sealed |= ends;
            seen
        })
    }

    /// The value of the first attribute of this type (the first counts, RFC 8489 section 14).
    #[must_use]
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// The USERNAME as bytes.
    #[must_use]
    pub fn username(&self) -> Option<&'a [u8]> {
        self.attribute(attribute::USERNAME)
    }

    /// The address in XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).
    #[must_use]
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        self.xor_address(self.attribute(attribute::XOR_MAPPED_ADDRESS)?)
    }

    /// The address in the value of XOR-MAPPED-ADDRESS, XOR-PEER-ADDRESS or XOR-RELAYED-ADDRESS of this message
    /// (RFC 8489 section 14.2); `None` when it is malformed.
    #[must_use]
    pub fn xor_address(&self, value: &[u8]) -> Option<SocketAddr> {
        decode_xor_address(value, self.transaction)
    }

    /// Checks the FINGERPRINT (RFC 8489 section 14.7).
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut rest = self.attributes;
        while let Some((attribute, behind)) = split_attribute(rest) {
            if attribute.kind == attribute::FINGERPRINT {
                let covered = self.attributes.len().saturating_sub(rest.len());
                let crc =
                    Crc32::new().update(self.header).update(self.attributes.get(..covered).unwrap_or(&[]));
                let right = attribute.value == (crc.value() ^ FINGERPRINT_XOR).to_be_bytes();
                return if right && behind.is_empty() { Fingerprint::Valid } else { Fingerprint::Invalid };
            }
            rest = behind;
        }
        Fingerprint::Absent
    }
}

/// All attributes as they stand in the message.
struct RawAttributes<'a>(&'a [u8]);

impl<'a> Iterator for RawAttributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (attribute, rest) = split_attribute(self.0)?;
        self.0 = rest;
        Some(attribute)
    }
}

/// Takes the first attribute and its padding off; `None` when it does not fit.
fn split_attribute(bytes: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let (&[t0, t1, l0, l1], rest) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let (padded, rest) = rest.split_at_checked(length.next_multiple_of(4))?;
    let value = padded.get(..length)?;
    Some((Attribute { kind: u16::from_be_bytes([t0, t1]), value }, rest))
}

/// Takes a message type apart: two class bits stand between the method's bits (RFC 8489 section 5).
fn split_type(bits: u16) -> (Class, Method) {
    let class = match bits & 0x0110 {
        0x0000 => Class::Request,
        0x0010 => Class::Indication,
        0x0100 => Class::Success,
        _ => Class::Error,
    };
    (class, Method((bits & 0x000F) | ((bits & 0x00E0) >> 1) | ((bits & 0x3E00) >> 2)))
}

/// The reverse of [`split_type`].
pub(super) fn join_type(class: Class, Method(method): Method) -> u16 {
    let class = match class {
        Class::Request => 0x0000,
        Class::Indication => 0x0010,
        Class::Success => 0x0100,
        Class::Error => 0x0110,
    };
    class | (method & 0x000F) | ((method & 0x0070) << 1) | ((method & 0x0F80) << 2)
}

/// What the 16 bytes of an address are XORed with: the cookie, then the transaction (RFC 8489 section 14.2).
fn address_mask(TransactionId(transaction): TransactionId) -> u128 {
    let tail = transaction.iter().fold(0, |sum, &byte| (sum << 8) | u128::from(byte));
    (u128::from(MAGIC_COOKIE) << 96) | tail
}

/// The upper half of the cookie, with which ports are XORed.
const PORT_MASK: u16 = 0x2112;

fn decode_xor_address(value: &[u8], transaction: TransactionId) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], address) = value.split_first_chunk()?;
    let ip = match family {
        1 => IpAddr::V4(Ipv4Addr::from(u32::from_be_bytes(address.try_into().ok()?) ^ MAGIC_COOKIE)),
        2 => IpAddr::V6(Ipv6Addr::from(
            u128::from_be_bytes(address.try_into().ok()?) ^ address_mask(transaction),
        )),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([p0, p1]) ^ PORT_MASK))
}

/// The value of an address attribute: its bytes, and how many of them count.
pub(super) fn encode_xor_address(address: SocketAddr, transaction: TransactionId) -> ([u8; 20], usize) {
    let [p0, p1] = (address.port() ^ PORT_MASK).to_be_bytes();
    let mut value = [0; 20];
    let (head, tail) = value.split_at_mut(4);
    let length = match address.ip() {
        IpAddr::V4(ip) => {
            head.copy_from_slice(&[0, 1, p0, p1]);
            let bytes = (u32::from(ip) ^ MAGIC_COOKIE).to_be_bytes();
            tail.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            8
        }
        IpAddr::V6(ip) => {
            head.copy_from_slice(&[0, 2, p0, p1]);
            tail.copy_from_slice(&(u128::from(ip) ^ address_mask(transaction)).to_be_bytes());
            20
        }
    };
    (value, length)
}

/// Writes one message into a buffer. The header's length is right after every step.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    transaction: TransactionId,
}

impl<'a> Writer<'a> {
    /// Starts a message in `out`, whose old content is forgotten.
    pub fn new(out: &'a mut Vec<u8>, class: Class, method: Method, transaction: TransactionId) -> Self {
        out.clear();
        out.extend_from_slice(&join_type(class, method).to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        out.extend_from_slice(&transaction.0);
        Self { out, transaction }
    }

    /// Adds an attribute, padded with zeros. One that would make the message longer than the 16 bits of the
    /// header can say is left out.
    #[must_use]
    pub fn attribute(self, kind: u16, value: &[u8]) -> Self {
        let padded = value.len().next_multiple_of(4);
        let body = (self.out.len() - HEADER_LEN).saturating_add(4).saturating_add(padded);
        let (Ok(length), Ok(body)) = (u16::try_from(value.len()), u16::try_from(body)) else { return self };
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(value);
        self.out.resize(HEADER_LEN + usize::from(body), 0);
        if let Some(field) = self.out.get_mut(2..4) {
            field.copy_from_slice(&body.to_be_bytes());
        }
        self
    }

    /// Adds XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).
    #[must_use]
    pub fn xor_mapped_address(self, address: SocketAddr) -> Self {
        self.xor_address(attribute::XOR_MAPPED_ADDRESS, address)
    }

    /// Adds an attribute of type `kind` with an address that is XORed (RFC 8489 section 14.2).
    #[must_use]
    pub fn xor_address(self, kind: u16, address: SocketAddr) -> Self {
        let (value, length) = encode_xor_address(address, self.transaction);
        self.attribute(kind, value.get(..length).unwrap_or(&[]))
    }

    /// Adds ERROR-CODE with an empty reason phrase, to keep replies to strangers short (RFC 8489 section
    /// 14.8). `code` is a number of three digits, 300 to 699.
    #[must_use]
    pub fn error_code(self, code: u16) -> Self {
        let [_, class] = (code / 100).to_be_bytes();
        let [_, number] = (code % 100).to_be_bytes();
        self.attribute(attribute::ERROR_CODE, &[0, 0, class, number])
    }

    /// Adds FINGERPRINT; nothing may follow it (RFC 8489 section 14.7).
    pub fn fingerprint(self) {
        // The CRC covers a header whose length already counts FINGERPRINT, hence the zeros first.
        let before = self.out.len();
        let out = self.attribute(attribute::FINGERPRINT, &[0; 4]).out;
        let Some((covered, added)) = out.split_at_mut_checked(before) else { return };
        let Some((_, value)) = added.split_last_chunk_mut() else { return };
        *value = (Crc32::new().update(covered).value() ^ FINGERPRINT_XOR).to_be_bytes();
    }
}

/// CRC-32 of ISO/IEC 8802-3, as in Ethernet and zip.
struct Crc32(u32);

/// The CRC of each byte value.
const CRC_TABLE: [u32; 256] = crc_table();

#[expect(clippy::indexing_slicing, reason = "run by the compiler, which has no other way to fill an array")]
const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0_u32;
    while n < 256 {
        let mut crc = n;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[n as usize] = crc;
        n += 1;
    }
    table
}

impl Crc32 {
    fn new() -> Self {
        Self(u32::MAX)
    }

    fn update(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |crc, &byte| {
            let [.., low] = crc.to_be_bytes();
            CRC_TABLE.get(usize::from(low ^ byte)).map_or(crc, |entry| entry ^ (crc >> 8))
        }))
    }

    fn value(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests;
