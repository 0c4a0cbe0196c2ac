//! Datagrams as plain values: what was received, and what is to be sent.

use std::net::SocketAddr;
use std::ops::Range;

/// A received datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// The address of this machine that it was sent to (from packet information, so it is a real one even
    /// when the socket listens on a wildcard), with the port listened on.
    pub local: SocketAddr,
    /// What is in it; never empty.
    pub payload: &'a [u8],
}

/// A datagram to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// The address it leaves from. The port picks the socket; the IP address is set as the source, and the
    /// system chooses one when it is unspecified.
    pub local: SocketAddr,
    /// Where it goes.
    pub destination: SocketAddr,
    /// What is in it.
    pub payload: &'a [u8],
}

/// With so many bytes a batch is full ([`SendBatch::is_full`]): more than one system call takes, so that sending
/// in parts costs nothing, and so little that the arena stays in the processor's second cache beside the keys
/// of a thousand sessions (docs/performance.md). It is also little beside the send buffer (4 MiB by default),
/// which thus can drain while the next part is made.
const FULL: usize = 1 << 17;

/// How much memory a batch keeps, in bytes each for payloads and for entries. A turn needs more only after a
/// stall, and nobody should pay for that for ever.
const KEPT: usize = 4 << 20;

/// The datagrams of one turn. All payloads stand one behind the other in one arena that is kept for the next
/// turn, so that nothing is allocated per packet, and a run to one destination is already contiguous, which
/// is what segmentation offload needs.
#[derive(Debug, Default)]
pub struct SendBatch {
    arena: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    local: SocketAddr,
    destination: SocketAddr,
    /// Where the payload starts and ends in the arena.
    start: usize,
    end: usize,
}

impl SendBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a datagram. Those of one size to one destination, pushed one after the other, are sent cheapest.
    pub fn push(&mut self, local: SocketAddr, destination: SocketAddr, payload: &[u8]) {
        let start = self.arena.len();
        self.arena.extend_from_slice(payload);
        self.entries.push(Entry { local, destination, start, end: self.arena.len() });
    }

    /// Adds a datagram that `write` appends to the arena, behind what stands there. When it fails, nothing is added.
    ///
    /// # Errors
    /// What `write` returns.
    pub fn write<E>(
        &mut self,
        local: SocketAddr,
        destination: SocketAddr,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let start = self.arena.len();
        if let Err(error) = write(&mut self.arena) {
            self.arena.truncate(start);
            return Err(error);
        }
        let end = self.arena.len();
        self.entries.push(Entry { local, destination, start, end });
        Ok(end - start)
    }

    /// The number of datagrams.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The length of all payloads together, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Whether it is time to send what is here, before more is pushed: 128 KiB of payloads. More can be pushed
    /// all the same.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes() >= FULL
    }

    /// Takes out the datagrams that `takes` says, which has made use of them then. The others keep their order.
    pub fn divert(&mut self, mut takes: impl FnMut(Outgoing<'_>) -> bool) {
        let arena = &self.arena;
        self.entries.retain(|entry| !takes(entry.outgoing(arena)));
    }

    /// Forgets the datagrams and keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
    }

    /// Gives back memory beyond what a usual turn needs. For the end of a turn.
    pub fn shrink(&mut self) {
        self.arena.shrink_to(KEPT);
        self.entries.shrink_to(KEPT / size_of::<Entry>());
    }

    /// The datagrams in the order they were pushed.
    pub fn iter(&self) -> impl Iterator<Item = Outgoing<'_>> {
        self.entries.iter().map(|entry| entry.outgoing(&self.arena))
    }

    /// The datagram at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Outgoing<'_>> {
        self.entries.get(index).map(|entry| entry.outgoing(&self.arena))
    }

    /// The datagrams of `range`; none when there are not so many.
    pub(super) fn range(&self, range: Range<usize>) -> impl Iterator<Item = Outgoing<'_>> {
        self.entries.get(range).unwrap_or(&[]).iter().map(|entry| entry.outgoing(&self.arena))
    }

    /// The payloads of the datagrams `first..first + count` as one piece of memory; empty when there are not
    /// so many.
    #[cfg(target_os = "linux")]
    pub(super) fn payloads(&self, first: usize, count: usize) -> &[u8] {
        let last = first.saturating_add(count).saturating_sub(1);
        let (Some(start), Some(end)) = (self.entries.get(first), self.entries.get(last)) else { return &[] };
        self.arena.get(start.start..end.end).unwrap_or(&[])
    }
}

impl Entry {
    fn outgoing<'a>(&self, arena: &'a [u8]) -> Outgoing<'a> {
        Outgoing {
            local: self.local,
            destination: self.destination,
            payload: arena.get(self.start..self.end).unwrap_or(&[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_back_what_was_pushed_and_keeps_its_memory() {
        let local = "192.0.2.1:3478".parse().unwrap();
        let to = |port| SocketAddr::from(([198, 51, 100, 7], port));
        let mut batch = SendBatch::new();
        for turn in 0..3_u8 {
            assert!(batch.is_empty());
            batch.push(local, to(1), &[turn; 5]);
            batch.push(local, to(2), &[]);
            batch.push(local, to(3), &[turn + 1; 7]);
            let seen: Vec<_> = batch.iter().map(|o| (o.destination.port(), o.payload.to_vec())).collect();
            assert_eq!(seen, [(1, vec![turn; 5]), (2, vec![]), (3, vec![turn + 1; 7])]);
            assert_eq!((batch.len(), batch.get(2).unwrap().local), (3, local));
            assert_eq!(batch.get(3), None);
            let capacity = batch.arena.capacity();
            batch.clear();
            assert_eq!(batch.arena.capacity(), capacity);
        }
    }

    #[test]
    fn a_batch_says_when_it_is_full_and_gives_back_what_a_usual_turn_does_not_need() {
        let address = "192.0.2.1:3478".parse().unwrap();
        let mut batch = SendBatch::new();
        batch.push(address, address, &vec![1; FULL - 1]);
        assert_eq!((batch.bytes(), batch.is_full()), (FULL - 1, false));
        batch.push(address, address, &[1]);
        assert!(batch.is_full());
        batch.clear();
        assert_eq!((batch.bytes(), batch.is_full()), (0, false));
        let usual = batch.arena.capacity();
        batch.shrink();
        assert_eq!(batch.arena.capacity(), usual, "what a usual turn needs is kept");
        batch.push(address, address, &vec![1; 3 * KEPT]);
        (0..KEPT / 16).for_each(|_| batch.push(address, address, &[]));
        batch.shrink();
        assert_eq!(batch.get(0).unwrap().payload, vec![1; 3 * KEPT], "shrinking loses nothing");
        batch.clear();
        batch.shrink();
        assert!(batch.arena.capacity() <= KEPT + KEPT / 2);
        assert!(batch.entries.capacity() * size_of::<Entry>() <= KEPT + KEPT / 2);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn neighbours_are_one_piece_of_memory() {
        let address = "192.0.2.1:3478".parse().unwrap();
        let mut batch = SendBatch::new();
        [&b"one"[..], b"", b"three"].iter().for_each(|payload| batch.push(address, address, payload));
        assert_eq!(batch.payloads(0, 3), b"onethree");
        assert_eq!((batch.payloads(2, 1), batch.payloads(1, 1)), (&b"three"[..], &b""[..]));
        assert_eq!(batch.payloads(1, 3), b"");
    }
}
