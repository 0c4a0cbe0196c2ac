//! The chunks of an SCTP packet (RFC 9260 section 3), as far as a guard in front of an SCTP library reads them.

/// Chunk types (RFC 9260 section 3.2; RFC 6525 section 3.1; RFC 3758 section 3.2; RFC 8260 section 2).
pub mod kind {
    /// User data.
    pub const DATA: u8 = 0;
    /// Begins an association.
    pub const INIT: u8 = 1;
    /// The reply to [`INIT`].
    pub const INIT_ACK: u8 = 2;
    /// Says what was received.
    pub const SACK: u8 = 3;
    /// Asks whether the peer is there.
    pub const HEARTBEAT: u8 = 4;
    /// Ends the association, the second of three steps.
    pub const SHUTDOWN_ACK: u8 = 8;
    /// The association stands.
    pub const COOKIE_ACK: u8 = 11;
    /// Ends the association, the last step.
    pub const SHUTDOWN_COMPLETE: u8 = 14;
    /// Resets streams, or answers such a request.
    pub const RE_CONFIG: u8 = 130;
}

/// The common header: ports, verification tag, checksum (RFC 9260 section 3.1).
const HEADER_LEN: usize = 12;
/// The flags of a DATA chunk that is both the first and the last fragment of its message (RFC 9260 section 3.3.1).
const WHOLE: u8 = 1 | 2;

/// A chunk does not fit into its packet, or is shorter than its own header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an SCTP chunk reaches beyond its packet")]
pub struct Malformed;

/// One chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Its type; see [`kind`].
    pub kind: u8,
    /// Flags, whose meaning depends on the type.
    pub flags: u8,
    /// What follows the header, without padding.
    pub value: &'a [u8],
}

/// What a DATA chunk says of its payload (RFC 9260 section 3.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// Its transmission sequence number.
    pub tsn: u32,
    /// The stream.
    pub stream: u16,
    /// Whether it is only a part of its message.
    pub is_fragment: bool,
    /// User data in bytes.
    pub length: usize,
}

/// Walks over the chunks of a packet. After an error there is nothing more.
#[must_use]
pub fn chunks(packet: &[u8]) -> Chunks<'_> {
    Chunks(packet.get(HEADER_LEN..).ok_or(Malformed))
}

/// See [`chunks`].
#[derive(Debug, Clone)]
pub struct Chunks<'a>(Result<&'a [u8], Malformed>);

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Chunk<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = match std::mem::replace(&mut self.0, Ok(&[])) {
            Ok([]) => return None,
            Ok(rest) => rest,
            Err(malformed) => return Some(Err(malformed)),
        };
        let Some((chunk, rest)) = split(rest) else { return Some(Err(Malformed)) };
        self.0 = Ok(rest);
        Some(Ok(chunk))
    }
}

/// Takes the first chunk and its padding off. The last one's padding may be missing.
fn split(bytes: &[u8]) -> Option<(Chunk<'_>, &[u8])> {
    let (&[kind, flags, l0, l1], behind) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(4)?;
    let value = behind.get(..length)?;
    Some((Chunk { kind, flags, value }, behind.get(length.next_multiple_of(4)..).unwrap_or(&[])))
}

impl Chunk<'_> {
    /// Reads a DATA chunk; `None` for any other, and for one without its fixed part.
    #[must_use]
    pub fn data(&self) -> Option<Data> {
        let (&[t0, t1, t2, t3, s0, s1, ..], user) = self.value.split_first_chunk::<12>()?;
        (self.kind == kind::DATA).then_some(Data {
            tsn: u32::from_be_bytes([t0, t1, t2, t3]),
            stream: u16::from_be_bytes([s0, s1]),
            is_fragment: self.flags & WHOLE != WHOLE,
            length: user.len(),
        })
    }

    /// The cumulative TSN ack of a SACK: all up to it has arrived (RFC 9260 section 3.3.4).
    #[must_use]
    pub fn acknowledged(&self) -> Option<u32> {
        let (tsn, _) = self.value.split_first_chunk()?;
        (self.kind == kind::SACK).then_some(u32::from_be_bytes(*tsn))
    }

    /// Whether the content takes up just the length that the header states, as far as a reader of the content could find
    /// another. Where it does not, two readers may disagree on where the next chunk begins.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        let value = self.value;
        match self.kind {
            kind::COOKIE_ACK | kind::SHUTDOWN_ACK | kind::SHUTDOWN_COMPLETE => value.is_empty(),
            kind::SACK => {
                let Some((&[.., g0, g1, d0, d1], lists)) = value.split_first_chunk::<12>() else {
                    return false;
                };
                let entries = [[g0, g1], [d0, d1]].map(|count| usize::from(u16::from_be_bytes(count)));
                lists.len() == entries.iter().sum::<usize>() * 4
            }
            kind::HEARTBEAT => parameter(value).is_some_and(|(_, _, rest)| rest.is_empty()),
            kind::RE_CONFIG => {
                let Some((kind, length, rest)) = parameter(value) else { return false };
                let second = rest.is_empty()
                    || parameter(rest)
                        .is_some_and(|(kind, length, rest)| is_reset(kind, length) && rest.is_empty());
                is_reset(kind, length) && second
            }
            _ => true,
        }
    }
}

/// The type, the stated length, and what follows the first parameter and its padding (RFC 9260 section 3.2.1).
fn parameter(bytes: &[u8]) -> Option<(u16, usize, &[u8])> {
    let &[k0, k1, l0, l1] = bytes.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let fits = (4..=bytes.len()).contains(&length);
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    fits.then_some((u16::from_be_bytes([k0, k1]), length, rest))
}

/// Whether this is an Outgoing SSN Reset Request or a Re-configuration Response without TSNs: what data channels use
/// (RFC 6525 sections 4.1 and 4.4, RFC 8831 section 6.7).
fn is_reset(kind: u16, length: usize) -> bool {
    match kind {
        13 => length >= 16 && length.is_multiple_of(2),
        16 => length == 12,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header, and behind it chunks of the given types, flags and values, padded.
    fn packet(parts: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let mut packet = vec![0; HEADER_LEN];
        for (kind, flags, value) in parts {
            packet.extend([*kind, *flags]);
            packet.extend(u16::try_from(value.len() + 4).expect("short").to_be_bytes());
            packet.extend(*value);
            packet.resize(packet.len().next_multiple_of(4), 0);
        }
        packet
    }

    #[test]
    fn chunks_are_found_one_after_the_other() {
        let data = [0, 0, 1, 2, 0, 7, 0, 1, 0, 0, 0, 51, b'h', b'e', b'y'];
        let sack = [0, 0, 0, 9, 0, 16, 0, 0, 0, 0, 0, 0];
        let packet = packet(&[(kind::SACK, 0, &sack), (kind::DATA, 3, &data), (kind::DATA, 2, &data)]);
        let found: Vec<_> = chunks(&packet).map(|chunk| chunk.expect("well formed")).collect();
        assert_eq!((found.len(), found[0].acknowledged(), found[0].data()), (3, Some(9), None));
        let expected = Data { tsn: 0x102, stream: 7, is_fragment: false, length: 3 };
        assert_eq!(found[1].data(), Some(expected));
        assert_eq!(found[2].data(), Some(Data { is_fragment: true, ..expected }));
        assert_eq!(found[1].acknowledged(), None);
    }

    #[test]
    fn what_does_not_fit_is_malformed() {
        let whole = packet(&[(kind::DATA, 3, &[0; 14])]);
        for length in (0..whole.len() - 2).filter(|length| *length != HEADER_LEN) {
            let found: Vec<_> = chunks(&whole[..length]).take(9).collect();
            assert_eq!(found, [Err(Malformed)], "{length} bytes");
        }
        let mut short = whole;
        short[HEADER_LEN + 3] = 3;
        assert_eq!(chunks(&short).take(9).collect::<Vec<_>>(), [Err(Malformed)]);
    }

    #[test]
    fn chunks_with_room_for_another_are_told() {
        let sack = [0, 0, 0, 9, 0, 16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 3];
        let heartbeat = [0, 1, 0, 9, 1, 2, 3, 4, 5];
        let request = [0, 13, 0, 18, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 4];
        let response = [0, 16, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1];
        let both = [&response[..], &request].concat();
        for (kind, value) in [
            (kind::SACK, &sack[..]),
            (kind::HEARTBEAT, &heartbeat),
            (kind::RE_CONFIG, &request),
            (kind::RE_CONFIG, &response),
            (kind::RE_CONFIG, &both),
            (kind::COOKIE_ACK, &[]),
        ] {
            assert!(Chunk { kind, flags: 0, value }.is_exact(), "{kind}");
            let padding = value.len().next_multiple_of(4) - value.len();
            let longer = [value, &vec![0; padding + 20]].concat();
            assert!(!Chunk { kind, flags: 0, value: &longer }.is_exact(), "{kind}, longer");
        }
        let hidden = [&[0, 16, 0, 32][..], &[0; 28]].concat();
        assert!(!Chunk { kind: kind::RE_CONFIG, flags: 0, value: &hidden }.is_exact());
    }
}
