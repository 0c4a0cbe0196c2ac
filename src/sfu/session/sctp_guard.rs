//! Stands in front of str0m's SCTP and keeps from it what would cost without bound.
//!
//! sctp-proto makes a stream of every identifier that a DATA chunk names, though nobody opened a channel on it, and
//! walks all of them with each chunk; it searches the held fragments of a message, and all chunks behind a gap, with
//! each further one. What it is given must therefore stay few.

use crate::wire::sctp::{Chunk, Data, chunks, kind};

/// Stream identifiers from this on are refused. Browsers use the lowest that are free.
const STREAMS: usize = 1024;
/// How many different streams there may be. A session that opens its 65th channel ends anyway (`MOST_OPENED` in
/// [`super::messages`]), and no honest client speaks on a stream before it opens a channel there.
const MOST_STREAMS: u32 = 128;
/// How many chunks a sender may be ahead of what was acknowledged. What is further ahead is lost, and comes again as after
/// any loss. The receive window of 1 MiB holds no more chunks than this if they have 512 bytes; a client with so many small
/// messages under way at once sends ten times its allowance.
const MOST_AHEAD: u32 = 2048;
/// What fragments have to come to in the mean, in bytes. Only the end of a message, and now and then a piece cut to the
/// rest of a packet or of the congestion window, is smaller than a full packet of 1,100 bytes or more.
const FRAGMENT: u32 = 256;
/// By how much fragments may fall short of [`FRAGMENT`] at any time: 512 of one byte. Each full one makes up for three.
const MOST_DEBT: u32 = 512 * FRAGMENT;
/// How many requests and responses to reset streams there may be. A channel that closes takes two, and a few more when
/// they get lost; there are 64 channels at most.
const MOST_RESETS: u32 = 1024;

/// What is to be done with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may go on.
    Pass,
    /// It is treated as if the network had lost it: an honest sender sends it again.
    Lose,
    /// No honest sender makes it; the reason, for the log.
    Abuse(&'static str),
}

/// What is remembered of one association.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// What our last SACK acknowledged.
    acknowledged: Option<u32>,
    /// A bit for each stream that was used.
    streams: [u64; STREAMS / 64],
    debt: u32,
    resets: u32,
}

impl Guard {
    /// Judges a packet from the client.
    pub(super) fn judge(&mut self, packet: &[u8]) -> Verdict {
        let mut alone = false;
        let mut count = 0;
        // What is lost comes again, so nothing may be counted before all chunks were looked at.
        for chunk in chunks(packet) {
            let Ok(chunk) = chunk else { return Verdict::Lose };
            count += 1;
            alone |= matches!(chunk.kind, kind::INIT | kind::INIT_ACK);
            // In what two readers read differently, chunks could hide from this one.
            if !chunk.is_exact() || (alone && count > 1) || self.is_ahead(&chunk) {
                return Verdict::Lose;
            }
        }
        let abuse = chunks(packet).flatten().find_map(|chunk| self.count(&chunk));
        abuse.map_or(Verdict::Pass, Verdict::Abuse)
    }

    /// Takes note of what a packet to the client acknowledges.
    pub(super) fn sent(&mut self, packet: &[u8]) {
        let acknowledged = chunks(packet).flatten().find_map(|chunk| chunk.acknowledged());
        self.acknowledged = acknowledged.or(self.acknowledged);
    }

    fn is_ahead(&self, chunk: &Chunk<'_>) -> bool {
        let (Some(data), Some(acknowledged)) = (chunk.data(), self.acknowledged) else { return false };
        // Sequence numbers wrap: the upper half is what has been acknowledged before.
        (MOST_AHEAD + 1..1 << 31).contains(&data.tsn.wrapping_sub(acknowledged))
    }

    /// Returns what is wrong with the chunk, if it is abuse.
    fn count(&mut self, chunk: &Chunk<'_>) -> Option<&'static str> {
        if chunk.kind == kind::RE_CONFIG {
            self.resets += 1;
            return (self.resets > MOST_RESETS).then_some("resets streams without end");
        }
        let Data { stream, is_fragment, length, .. } = chunk.data()?;
        if length == 0 {
            return Some("sends DATA without data");
        }
        let (word, bit) = (usize::from(stream / 64), 1 << (stream % 64));
        let Some(word) = self.streams.get_mut(word) else { return Some("uses a stream above 1023") };
        if *word & bit == 0 {
            *word |= bit;
            if self.streams.iter().map(|word| word.count_ones()).sum::<u32>() > MOST_STREAMS {
                return Some("uses more than 128 streams");
            }
        }
        if is_fragment {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            self.debt = (self.debt + FRAGMENT).saturating_sub(length);
        }
        (self.debt > MOST_DEBT).then_some("cuts messages into tiny fragments")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: u8 = 3;
    const MIDDLE: u8 = 0;

    fn packet(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 12];
        packet.extend([kind, flags]);
        packet.extend(u16::try_from(value.len() + 4).expect("short").to_be_bytes());
        packet.extend(value);
        packet
    }

    fn data(tsn: u32, stream: u16, flags: u8, length: usize) -> Vec<u8> {
        let mut value = tsn.to_be_bytes().to_vec();
        value.extend(stream.to_be_bytes());
        value.resize(12 + length, 0);
        packet(kind::DATA, flags, &value)
    }

    fn sack(tsn: u32) -> Vec<u8> {
        packet(kind::SACK, 0, &[&tsn.to_be_bytes()[..], &[0; 8]].concat())
    }

    fn is_abuse(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Abuse(_))
    }

    #[test]
    fn streams_are_few_and_low() {
        let mut guard = Guard::default();
        assert_eq!(guard.judge(&data(1, 1023, WHOLE, 5)), Verdict::Pass);
        assert!(is_abuse(guard.judge(&data(2, 1024, WHOLE, 5))));
        assert!(is_abuse(guard.judge(&data(3, u16::MAX, WHOLE, 5))));
        for stream in (0..254).step_by(2) {
            assert_eq!(guard.judge(&data(4, stream, WHOLE, 5)), Verdict::Pass, "{stream}");
            assert_eq!(guard.judge(&data(4, stream, WHOLE, 5)), Verdict::Pass, "{stream}, again");
        }
        assert!(is_abuse(guard.judge(&data(5, 254, WHOLE, 5))), "the 129th");
    }

    #[test]
    fn tiny_fragments_in_numbers_are_abuse() {
        let mut guard = Guard::default();
        let passed = (0..5_000).take_while(|tsn| guard.judge(&data(*tsn, 0, MIDDLE, 1)) == Verdict::Pass);
        assert_eq!(passed.count(), 514);
        assert!(is_abuse(guard.judge(&data(600, 0, MIDDLE, 1))));
    }

    #[test]
    fn what_honest_senders_make_passes_for_ever() {
        let mut guard = Guard::default();
        for tsn in 0..100_000 {
            // A full fragment, one cut to what the congestion window leaves, the rest; then short whole messages.
            for (flags, length) in [(2, 1_100), (MIDDLE, 10), (1, 1), (WHOLE, 1), (WHOLE, 1)] {
                assert_eq!(guard.judge(&data(tsn, 2, flags, length)), Verdict::Pass);
            }
        }
    }

    #[test]
    fn what_is_too_far_ahead_is_lost_until_the_rest_was_acknowledged() {
        let mut guard = Guard::default();
        guard.sent(&sack(u32::MAX - 9));
        for (tsn, verdict) in [
            (u32::MAX - 9, Verdict::Pass),
            (5, Verdict::Pass),
            (MOST_AHEAD - 10, Verdict::Pass),
            (MOST_AHEAD - 9, Verdict::Lose),
            (1 << 30, Verdict::Lose),
        ] {
            assert_eq!(guard.judge(&data(tsn, 0, WHOLE, 5)), verdict, "{tsn}");
        }
        guard.sent(&data(7, 0, WHOLE, 5));
        guard.sent(&sack(0));
        assert_eq!(guard.judge(&data(MOST_AHEAD - 9, 0, WHOLE, 5)), Verdict::Pass);
    }

    #[test]
    fn what_is_lost_is_not_counted() {
        let mut guard = Guard::default();
        guard.sent(&sack(0));
        for _ in 0..5_000 {
            assert_eq!(guard.judge(&data(MOST_AHEAD + 1, 0, MIDDLE, 1)), Verdict::Lose);
        }
        assert_eq!(guard.judge(&data(1, 0, MIDDLE, 1)), Verdict::Pass);
    }

    #[test]
    fn empty_data_and_endless_resets_are_abuse() {
        let mut guard = Guard::default();
        assert!(is_abuse(guard.judge(&data(1, 0, WHOLE, 0))));
        let request = [0, 13, 0, 18, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 4];
        for _ in 0..MOST_RESETS {
            assert_eq!(guard.judge(&packet(kind::RE_CONFIG, 0, &request)), Verdict::Pass);
        }
        assert!(is_abuse(guard.judge(&packet(kind::RE_CONFIG, 0, &request))));
    }

    #[test]
    fn no_chunk_hides_in_another() {
        let mut guard = Guard::default();
        let hidden = data(1, 2000, WHOLE, 5);
        let hidden = hidden.get(12..).expect("longer");
        for kind in [kind::SACK, kind::HEARTBEAT, kind::COOKIE_ACK, kind::RE_CONFIG] {
            let value = [&[0; 12], hidden].concat();
            assert_eq!(guard.judge(&packet(kind, 0, &value)), Verdict::Lose, "{kind}");
        }
        let bundled = [&packet(kind::INIT_ACK, 0, &[0; 16]), hidden].concat();
        assert_eq!(guard.judge(&bundled), Verdict::Lose);
        assert_eq!(guard.judge(&packet(kind::INIT, 0, &[0; 16])), Verdict::Pass);
    }
}
