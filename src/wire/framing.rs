//! Messages out of a stream of bytes: TURN over TCP and TLS (RFC 8656 section 12.5), and ICE over TCP (RFC 4571).
//!
//! A stream brings messages in pieces, or several at once. [`Frames`] keeps what is incomplete, never more than one
//! message of the longest kind, and reads nothing twice.

use super::channel::FIRST_BYTE;

/// How messages follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// STUN and ChannelData, each padded to 4 bytes; both say their length themselves.
    Turn,
    /// Two bytes of length, then the message; what ICE-TCP uses (RFC 6544 section 10.1).
    Rfc4571,
}

/// The stream cannot be read on: where the next message starts is not known. The connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Neither STUN nor ChannelData.
    #[error("neither STUN nor ChannelData: the first bytes of the message are {0:#06x}")]
    Unknown(u16),
    /// A STUN message whose length is no multiple of 4 (RFC 8489 section 5).
    #[error("a STUN message of {0} bytes, which is no multiple of 4")]
    Odd(u16),
    /// Longer than what this stream may carry.
    #[error("a message of {length} bytes, where at most {limit} are taken")]
    TooLong {
        /// The message with its header and its padding, in bytes.
        length: usize,
        /// The most that is taken, in bytes.
        limit: usize,
    },
}

/// Where a message lies in the bytes that start with it.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// The bytes in front that only frame it.
    skip: usize,
    /// The end of the message.
    end: usize,
    /// The start of the next one.
    next: usize,
}

impl Framing {
    /// `None` when the bytes do not yet tell.
    fn extent(self, bytes: &[u8]) -> Result<Option<Extent>, FramingError> {
        let Some(&[f0, f1]) = bytes.first_chunk() else { return Ok(None) };
        let first = u16::from_be_bytes([f0, f1]);
        if self == Self::Rfc4571 {
            let end = 2 + usize::from(first);
            return Ok(Some(Extent { skip: 2, end, next: end }));
        }
        // Bytes that never become a message are told at once, before more of them are waited for.
        if f0 > 3 && !FIRST_BYTE.contains(&f0) {
            return Err(FramingError::Unknown(first));
        }
        let Some(&[_, _, l0, l1]) = bytes.first_chunk() else { return Ok(None) };
        let length = u16::from_be_bytes([l0, l1]);
        if f0 >= 0x40 {
            let end = 4 + usize::from(length);
            return Ok(Some(Extent { skip: 0, end, next: end.next_multiple_of(4) }));
        }
        if length % 4 != 0 {
            return Err(FramingError::Odd(length));
        }
        let end = 20 + usize::from(length);
        Ok(Some(Extent { skip: 0, end, next: end }))
    }
}

/// Takes the messages out of one direction of a connection.
#[derive(Debug)]
pub struct Frames {
    framing: Framing,
    /// The most bytes that are held, so the longest message with its framing.
    limit: usize,
    buffer: Vec<u8>,
    /// How much of the buffer was given out.
    read: usize,
}

impl Frames {
    /// Nothing has arrived yet. No message, with its framing, may be longer than `limit` bytes; no more are held.
    #[must_use]
    pub fn new(framing: Framing, limit: usize) -> Self {
        Self { framing, limit, buffer: Vec::new(), read: 0 }
    }

    /// Takes what arrived, as far as there is room; returns how many bytes of it. The rest is to be offered again
    /// after [`Self::take`] gave out all messages: then there is room.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        self.buffer.drain(..self.read.min(self.buffer.len()));
        self.read = 0;
        let room = self.limit.saturating_sub(self.buffer.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(taken);
        taken.len()
    }

    /// Gives out the next message without its framing and padding; `None` when it is not complete yet. An empty
    /// one is not given out: RFC 4571 uses it to keep a connection alive.
    ///
    /// # Errors
    /// When the stream cannot be read on; then again and again.
    pub fn take(&mut self) -> Result<Option<&[u8]>, FramingError> {
        loop {
            let rest = self.buffer.get(self.read..).unwrap_or(&[]);
            let Some(extent) = self.framing.extent(rest)? else { return Ok(None) };
            if extent.next > self.limit {
                return Err(FramingError::TooLong { length: extent.next, limit: self.limit });
            }
            if rest.len() < extent.next {
                return Ok(None);
            }
            let start = self.read + extent.skip;
            let end = self.read + extent.end;
            self.read += extent.next;
            if start < end {
                return Ok(self.buffer.get(start..end));
            }
        }
    }

    /// How many bytes of a message that is not complete are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len().saturating_sub(self.read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::channel::{ChannelNumber, Envelope};
    use crate::wire::stun::{Class, Method, TransactionId, Writer, attribute};

    const LIMIT: usize = 4096;

    /// All messages of `stream`, given in pieces of these lengths, again and again.
    fn split(framing: Framing, stream: &[u8], pieces: &[usize]) -> Result<Vec<Vec<u8>>, FramingError> {
        let mut frames = Frames::new(framing, LIMIT);
        let (mut messages, mut rest) = (Vec::new(), stream);
        for piece in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            let taken = frames.push(now);
            while let Some(message) = frames.take()? {
                messages.push(message.to_vec());
            }
            assert!(taken > 0, "there is always room for a piece after all was taken");
            assert!(frames.held() <= LIMIT);
            rest = if taken == now.len() { later } else { &rest[taken..] };
        }
        Ok(messages)
    }

    fn stun(data: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let _ = Writer::new(&mut out, Class::Indication, Method::SEND, TransactionId([1; 12]))
            .attribute(attribute::DATA, &vec![5; data]);
        out
    }

    fn channel_data(length: usize, padded: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let channel = ChannelNumber::new(0x4000).unwrap();
        Envelope::channel_data(channel, length, padded).unwrap().wrap(&vec![6; length], &mut out);
        out
    }

    #[test]
    fn messages_come_out_whole_however_they_were_cut() {
        let messages =
            [stun(0), channel_data(5, false), channel_data(0, false), stun(3), channel_data(8, false)];
        let stream =
            [stun(0), channel_data(5, true), channel_data(0, true), stun(3), channel_data(8, true)].concat();
        for piece in 1..=stream.len() {
            assert_eq!(split(Framing::Turn, &stream, &[piece]).unwrap(), messages, "pieces of {piece}");
        }
    }

    #[test]
    fn ice_over_tcp_has_two_bytes_of_length() {
        let stream = [&[0, 3, 1, 2, 3][..], &[0, 0], &[0, 1, 9], &[1]].concat();
        for piece in 1..=stream.len() {
            assert_eq!(split(Framing::Rfc4571, &stream, &[piece]).unwrap(), [vec![1, 2, 3], vec![9]]);
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_an_error_at_once() {
        assert_eq!(split(Framing::Turn, &[0x80, 0], &[2]), Err(FramingError::Unknown(0x8000)));
        assert_eq!(split(Framing::Turn, &[0x16, 3], &[2]), Err(FramingError::Unknown(0x1603)));
        assert_eq!(split(Framing::Turn, &[0, 1, 0, 2], &[4]), Err(FramingError::Odd(2)));
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_before_it_arrives() {
        let limit = LIMIT;
        let refused = |length| Err(FramingError::TooLong { length, limit });
        assert_eq!(split(Framing::Turn, &[0x40, 0, 0x0F, 0xFD], &[4]), refused(4100));
        assert_eq!(split(Framing::Turn, &[0, 1, 0x0F, 0xF0], &[4]), refused(4100));
        assert_eq!(split(Framing::Rfc4571, &[0xFF, 0xFF], &[2]), refused(65_537));
        assert_eq!(split(Framing::Turn, &channel_data(LIMIT - 4, true), &[9000]).unwrap().len(), 1);
        assert_eq!(split(Framing::Turn, &stun(LIMIT - 24), &[1000]).unwrap().len(), 1);
    }

    #[test]
    fn no_more_is_held_than_one_message() {
        let mut frames = Frames::new(Framing::Rfc4571, 100);
        assert_eq!(frames.push(&[0; 1000]), 100);
        assert_eq!(frames.push(&[0; 1000]), 0, "nothing was taken out yet");
        assert_eq!(frames.take(), Ok(None));
        assert_eq!(frames.held(), 0);
        assert_eq!(frames.push(&[0; 1000]), 100);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(
            lengths in proptest::collection::vec((any::<bool>(), 0_usize..300), 0..20),
            pieces in proptest::collection::vec(1_usize..200, 1..8),
        ) {
            let make = |&(is_stun, length): &(bool, usize), padded| {
                if is_stun { stun(length) } else { channel_data(length, padded) }
            };
            let stream: Vec<u8> = lengths.iter().flat_map(|it| make(it, true)).collect();
            let messages: Vec<Vec<u8>> = lengths.iter().map(|it| make(it, false)).collect();
            prop_assert_eq!(split(Framing::Turn, &stream, &pieces).unwrap(), messages);
        }

        #[test]
        fn any_bytes_are_split_without_panic(
            bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(0x40), any::<u8>()], 0..600),
            pieces in proptest::collection::vec(1_usize..50, 1..8),
            rfc4571 in any::<bool>(),
        ) {
            let framing = if rfc4571 { Framing::Rfc4571 } else { Framing::Turn };
            let whole = split(framing, &bytes, &[bytes.len().max(1)]);
            let cut = split(framing, &bytes, &pieces);
            match (whole, cut) {
                (Ok(whole), Ok(cut)) => prop_assert_eq!(whole, cut),
                (whole, cut) => prop_assert_eq!(whole.is_err(), cut.is_err()),
            }
        }
    }
}
