//! What TURN wraps around relayed data: ChannelData (RFC 8656 section 12.4), and Data indications as they stand in
//! front of their data.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::stun::{Class, MAGIC_COOKIE, Method, TransactionId, attribute, encode_xor_address, join_type};

/// The length of ChannelData's header in bytes.
pub const HEADER_LEN: usize = 4;

/// The most that stands in front of relayed data: a Data indication with an IPv6 address.
pub const MAX_HEAD: usize = 20 + 4 + 20 + 4;

/// What the first byte of ChannelData may be. RFC 7983 gives it those up to 79; nothing else claims the others.
pub const FIRST_BYTE: RangeInclusive<u8> = 0x40..=0x7F;

/// The number of a channel: what stands for a peer between a client and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// The channel of this number; `None` outside of 0x4000 to 0x7FFF. Of these, RFC 8656 section 12 has given up those
    /// from 0x5000; clients of RFC 5766 use them, among them coturn's before 4.16.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (0x4000..=0x7FFF).contains(&number).then_some(Self(number))
    }

    /// The number on the wire.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// Reads one ChannelData message: its channel and its data. What stands behind the data is padding: a stream needs it,
/// and some clients send it in datagrams too.
///
/// `None` when it is none, or shorter than it says.
#[must_use]
pub fn read(message: &[u8]) -> Option<(ChannelNumber, &[u8])> {
    let (&[n0, n1, l0, l1], rest) = message.split_first_chunk()?;
    let channel = ChannelNumber::new(u16::from_be_bytes([n0, n1]))?;
    let data = rest.get(..usize::from(u16::from_be_bytes([l0, l1])))?;
    Some((channel, data))
}

/// What stands in front of relayed data and behind it, so that the data itself can stay where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    head: [u8; MAX_HEAD],
    length: usize,
    padding: usize,
}

impl Envelope {
    /// ChannelData around `length` bytes. `padded`: it goes over a stream, where the whole is padded to 4 bytes.
    /// `None` for more than 65,535 bytes.
    #[must_use]
    pub fn channel_data(channel: ChannelNumber, length: usize, padded: bool) -> Option<Self> {
        let [n0, n1] = channel.0.to_be_bytes();
        let [l0, l1] = u16::try_from(length).ok()?.to_be_bytes();
        let padding = if padded { length.next_multiple_of(4) - length } else { 0 };
        Some(Self::new(&[&[n0, n1, l0, l1]], padding))
    }

    /// A Data indication around `length` bytes from `peer` (RFC 8656 section 11.4). `None` when the whole would be
    /// longer than STUN can say.
    #[must_use]
    pub fn data_indication(peer: SocketAddr, transaction: TransactionId, length: usize) -> Option<Self> {
        let data = u16::try_from(length).ok()?.to_be_bytes();
        let (address, address_length) = encode_xor_address(peer, transaction);
        let address = address.get(..address_length)?;
        let padding = length.next_multiple_of(4) - length;
        let body = 4 + address_length + 4 + length + padding;
        let head = Self::new(
            &[
                &join_type(Class::Indication, Method::DATA).to_be_bytes(),
                &u16::try_from(body).ok()?.to_be_bytes(),
                &MAGIC_COOKIE.to_be_bytes(),
                &transaction.0,
                &attribute::XOR_PEER_ADDRESS.to_be_bytes(),
                &u16::try_from(address_length).ok()?.to_be_bytes(),
                address,
                &attribute::DATA.to_be_bytes(),
                &data,
            ],
            padding,
        );
        Some(head)
    }

    /// The parts are never longer than [`MAX_HEAD`].
    fn new(parts: &[&[u8]], padding: usize) -> Self {
        let mut head = [0; MAX_HEAD];
        let length = head
            .iter_mut()
            .zip(parts.iter().flat_map(|part| part.iter()))
            .map(|(to, from)| *to = *from)
            .count();
        Self { head, length, padding }
    }

    /// What stands in front of the data.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.head.get(..self.length).unwrap_or(&[])
    }

    /// How many zeros stand behind the data, 0 to 3.
    #[must_use]
    pub fn padding(&self) -> usize {
        self.padding
    }

    /// Writes the whole message, in place of what `out` held.
    pub fn wrap(&self, data: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.head());
        out.extend_from_slice(data);
        out.resize(out.len() + self.padding, 0);
    }

    /// Writes the head right in front of data that stands in `buffer` from `start` to `end`, and the padding behind it.
    /// Returns the whole message. `None`, and nothing is written, when there is too little room on either side.
    pub fn wrap_in_place<'a>(&self, buffer: &'a mut [u8], start: usize, end: usize) -> Option<&'a [u8]> {
        let whole = buffer.get_mut(start.checked_sub(self.length)?..end.checked_add(self.padding)?)?;
        let behind = whole.len().checked_sub(self.padding)?;
        if behind < self.length {
            return None;
        }
        whole.get_mut(..self.length)?.copy_from_slice(self.head());
        whole.get_mut(behind..)?.fill(0);
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::stun::Message;

    #[test]
    fn reads_channel_data_and_ignores_its_padding() {
        let channel = ChannelNumber::new(0x4001).unwrap();
        for padding in 0..4 {
            let mut message = vec![0x40, 0x01, 0, 3, 7, 8, 9];
            message.resize(7 + padding, 0);
            assert_eq!(read(&message), Some((channel, &[7, 8, 9][..])));
        }
        assert_eq!(read(&[0x40, 0x01, 0, 0]), Some((channel, &[][..])));
        assert_eq!(read(&[0x40, 0x01, 0, 3, 7, 8]), None, "shorter than it says");
        assert_eq!(read(&[0x40, 0x01, 0]), None);
        for outside in [[0x3F, 0xFF], [0x80, 0x00], [0xFF, 0xFF], [0, 1]] {
            assert_eq!(read(&[outside[0], outside[1], 0, 0]), None);
        }
    }

    #[test]
    fn channel_data_is_four_bytes_longer_and_padded_for_streams_only() {
        let channel = ChannelNumber::new(0x4FFF).unwrap();
        let mut out = vec![9; 30];
        Envelope::channel_data(channel, 5, false).unwrap().wrap(b"hello", &mut out);
        assert_eq!(out, b"\x4F\xFF\x00\x05hello");
        Envelope::channel_data(channel, 5, true).unwrap().wrap(b"hello", &mut out);
        assert_eq!(out, b"\x4F\xFF\x00\x05hello\0\0\0");
        assert!(Envelope::channel_data(channel, 65_536, false).is_none());
    }

    #[test]
    fn there_must_be_room_on_both_sides() {
        let envelope = Envelope::channel_data(ChannelNumber::new(0x4000).unwrap(), 3, true).unwrap();
        let mut buffer = [7; 8];
        assert_eq!(envelope.wrap_in_place(&mut buffer, 3, 6), None, "in front");
        assert_eq!(envelope.wrap_in_place(&mut buffer, 5, 8), None, "behind");
        assert_eq!(envelope.wrap_in_place(&mut buffer, 5, 2), None, "not a range");
        assert_eq!(buffer, [7; 8]);
        assert_eq!(envelope.wrap_in_place(&mut buffer, 4, 7), Some(&[0x40, 0, 0, 3, 7, 7, 7, 0][..]));
    }

    proptest! {
        #[test]
        fn a_data_indication_is_stun(
            ip in any::<std::net::IpAddr>(),
            port in any::<u16>(),
            transaction in any::<[u8; 12]>(),
            data in proptest::collection::vec(any::<u8>(), 0..1500),
        ) {
            let peer = SocketAddr::new(ip, port);
            let envelope = Envelope::data_indication(peer, TransactionId(transaction), data.len()).unwrap();
            let mut out = Vec::new();
            envelope.wrap(&data, &mut out);
            let message = Message::parse(&out).unwrap();
            prop_assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
            prop_assert_eq!(message.attribute(attribute::DATA), Some(&data[..]));
            let address = message.attribute(attribute::XOR_PEER_ADDRESS).unwrap();
            prop_assert_eq!(message.xor_address(address), Some(peer));
            prop_assert_eq!(message.attributes().count(), 2);

            let mut buffer = vec![0xEE; MAX_HEAD + data.len() + 3];
            buffer[MAX_HEAD..MAX_HEAD + data.len()].copy_from_slice(&data);
            let whole = envelope.wrap_in_place(&mut buffer, MAX_HEAD, MAX_HEAD + data.len());
            prop_assert_eq!(whole, Some(&out[..]));
        }
    }
}
