//! What was sent, until the receiver had its chance to tell of it.
//!
//! Every subscriber has such a history, so a packet takes 8 bytes, and nothing is kept for longer than it can be of use.

use std::collections::VecDeque;

/// The most packets that are remembered: a second of 150 Mbit/s.
pub(super) const MOST: usize = 16_384;
/// How long a packet is remembered of which nobody told, us: longer than any sensible way there and back.
const KEPT: i64 = 3_000_000;
/// How long one is remembered after the receiver told of a later one, us: feedback overtakes feedback, and packets that were
/// called lost arrive after all.
const SETTLED: i64 = 1_000_000;
/// The largest step in the numbers that is taken for numbers used elsewhere. After a larger one all begins anew.
const LARGEST_GAP: u16 = 256;
/// One in so many packets has what is too old forgotten.
const TIDIED: u16 = 16;
/// The fewest packets for which room stays.
const ROOM: usize = 64;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nobody said so far.
    Unknown,
    /// It was said to be missing.
    Lost,
    /// Nobody said so, but the receiver told of later ones: the feedback itself got lost, and the packet counts as arrived.
    Assumed,
    /// It arrived.
    Arrived,
}

/// A packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// The lower bits of the time in us: what is remembered is at most some seconds old.
    at: i32,
    /// UDP payload; 0 for a number that was never used.
    pub(super) bytes: u16,
    pub(super) is_probe: bool,
    pub(super) fate: Fate,
}

impl Sent {
    pub(super) fn new(at: i64, bytes: u16, is_probe: bool) -> Self {
        Self { at: at as i32, bytes: bytes.max(1), is_probe, fate: Fate::Unknown }
    }

    /// When it was sent, us of our clock, given a time after that.
    pub(super) fn at(self, now: i64) -> i64 {
        now - self.age(now)
    }

    fn age(self, now: i64) -> i64 {
        i64::from((now as i32).wrapping_sub(self.at))
    }
}

/// The packets sent of late, by number.
#[derive(Debug, Default)]
pub(super) struct History {
    packets: VecDeque<Sent>,
    first: u16,
    /// How many of the oldest were sent before one that the receiver told of.
    settled: usize,
}

impl History {
    /// Notes down a packet that is sent now.
    pub(super) fn push(&mut self, now: i64, number: u16, sent: Sent) {
        let gap = number.wrapping_sub(self.next());
        let idle = self.packets.back().map_or(i64::MAX, |newest| newest.age(now));
        // Even the newest may be too old, which also keeps ages far from what 32 bits hold.
        if gap > LARGEST_GAP || !(0..=KEPT).contains(&idle) {
            self.packets.clear();
            (self.first, self.settled) = (number, 0);
        } else if gap > 0 {
            let hole = Sent { bytes: 0, fate: Fate::Lost, ..sent };
            (0..gap).for_each(|_| self.packets.push_back(hole));
        }
        self.packets.push_back(sent);
        if number.is_multiple_of(TIDIED) || gap > 0 || self.packets.len() > MOST {
            self.forget(now);
        }
    }

    fn forget(&mut self, now: i64) {
        while let Some(oldest) = self.packets.front() {
            let kept = if self.settled > 0 { SETTLED } else { KEPT };
            if self.packets.len() <= MOST && oldest.age(now) <= kept {
                break;
            }
            self.packets.pop_front();
            self.first = self.first.wrapping_add(1);
            self.settled = self.settled.saturating_sub(1);
        }
        // Room is given back long after it was taken, so that a steady flow never allocates.
        let room = self.packets.capacity();
        if room > ROOM && self.packets.len() < room / 4 {
            self.packets.shrink_to(room / 2);
        }
    }

    fn next(&self) -> u16 {
        // Never more than MOST, so that nothing is cut off.
        self.first.wrapping_add(u16::try_from(self.packets.len()).unwrap_or(u16::MAX))
    }

    fn place(&self, number: u16) -> usize {
        usize::from(number.wrapping_sub(self.first))
    }

    pub(super) fn get_mut(&mut self, number: u16) -> Option<&mut Sent> {
        let place = self.place(number);
        self.packets.get_mut(place).filter(|sent| sent.bytes > 0)
    }

    /// The receiver told of everything before this number, as far as feedback arrives.
    pub(super) fn settle(&mut self, number: u16) {
        let place = self.place(number);
        if place < self.packets.len() {
            self.settled = self.settled.max(place);
        }
    }

    /// The packets before this number of which the receiver should have told and did not.
    pub(super) fn untold(&mut self, number: u16) -> impl Iterator<Item = &mut Sent> {
        let place = self.place(number);
        let end = if place < self.packets.len() { place } else { 0 };
        let begin = self.settled.min(end);
        self.packets.range_mut(begin..end).filter(|sent| sent.fate == Fate::Unknown)
    }

    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.packets.capacity() * size_of::<Sent>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(history: &mut History, at: i64, number: u16) {
        history.push(at, number, Sent::new(at, 100, false));
    }

    fn at(history: &mut History, now: i64, number: u16) -> Option<i64> {
        history.get_mut(number).map(|sent| sent.at(now))
    }

    #[test]
    fn a_packet_takes_8_bytes() {
        assert_eq!(size_of::<Sent>(), 8);
    }

    #[test]
    fn numbers_wrap_and_so_does_time() {
        let mut history = History::default();
        let now = 1 << 31;
        (0..10_u16).for_each(|n| push(&mut history, now - 5 + i64::from(n), 65_530_u16.wrapping_add(n)));
        assert_eq!(at(&mut history, now + 9, 65_535), Some(now));
        assert_eq!(at(&mut history, now + 9, 3), Some(now + 4));
        assert!(history.get_mut(4).is_none() && history.get_mut(65_529).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_room_is_given_back() {
        let mut history = History::default();
        (0..200_000_u32).for_each(|n| push(&mut history, 0, (n % 65_536) as u16));
        assert_eq!(history.packets.len(), MOST);
        let next = history.next();
        push(&mut history, 10_000_000, next);
        assert_eq!(history.packets.len(), 1);
        (1..100_u16).for_each(|n| push(&mut history, 10_000_000, next.wrapping_add(n)));
        assert!(history.heap() < 8 * 1_024, "{}", history.heap());
    }

    #[test]
    fn what_was_told_of_is_forgotten_sooner() {
        let mut history = History::default();
        (0..300_u16).for_each(|n| push(&mut history, i64::from(n) * 10_000, n));
        assert!(history.get_mut(0).is_some(), "nobody told of anything: it is kept for 3 s");
        history.settle(290);
        push(&mut history, 3_000_000, 300);
        (301..=304).for_each(|n| push(&mut history, 3_000_000, n));
        assert!(history.get_mut(199).is_none() && history.get_mut(200).is_some());
        assert_eq!(history.untold(295).count(), 5);
    }

    #[test]
    fn numbers_of_others_are_never_found() {
        let mut history = History::default();
        push(&mut history, 0, 10);
        push(&mut history, 1, 13);
        assert!(history.get_mut(11).is_none() && history.get_mut(13).is_some());
        push(&mut history, 2, 5_000);
        assert!(history.get_mut(13).is_none() && history.get_mut(5_000).is_some());
    }
}
