//! What was sent, until the receiver had its chance to tell of it.

use std::collections::VecDeque;

use super::words::Purpose;

/// The most packets that are remembered: at 1,200 bytes, 4 s of 10 Mbit/s.
const MOST: usize = 4_096;
/// How long a packet is remembered, us: longer than any sensible way there and back.
const KEPT: i64 = 4_000_000;
/// The largest step in the numbers that is taken for numbers used elsewhere. After a larger one all begins anew.
const LARGEST_GAP: u16 = 256;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nobody said so far.
    Unknown,
    /// It was said to be missing.
    Lost,
    /// It arrived at this time of the receiver's clock, us.
    Arrived(i64),
}

/// A packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// When, us of our clock.
    pub(super) at: i64,
    /// UDP payload; 0 for a number that was never used.
    pub(super) bytes: u32,
    pub(super) purpose: Purpose,
    pub(super) fate: Fate,
}

/// The packets sent of late, by number.
#[derive(Debug, Default)]
pub(super) struct History {
    packets: VecDeque<Sent>,
    first: u16,
}

impl History {
    /// Notes a packet down. Each call forgets at most as much as was noted down.
    pub(super) fn push(&mut self, number: u16, sent: Sent) {
        let gap = number.wrapping_sub(self.next());
        if self.packets.is_empty() || gap > LARGEST_GAP {
            self.packets.clear();
            self.first = number;
        } else {
            let hole = Sent { bytes: 0, fate: Fate::Lost, ..sent };
            (0..gap).for_each(|_| self.packets.push_back(hole));
        }
        self.packets.push_back(sent);
        while self.packets.len() > MOST || self.packets.front().is_some_and(|old| sent.at - old.at > KEPT) {
            self.packets.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    fn next(&self) -> u16 {
        // Never more than MOST, so that nothing is cut off.
        self.first.wrapping_add(u16::try_from(self.packets.len()).unwrap_or(u16::MAX))
    }

    pub(super) fn get(&self, number: u16) -> Option<&Sent> {
        let place = usize::from(number.wrapping_sub(self.first));
        self.packets.get(place).filter(|sent| sent.bytes > 0)
    }

    pub(super) fn get_mut(&mut self, number: u16) -> Option<&mut Sent> {
        let place = usize::from(number.wrapping_sub(self.first));
        self.packets.get_mut(place).filter(|sent| sent.bytes > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(at: i64) -> Sent {
        Sent { at, bytes: 100, purpose: Purpose::Media, fate: Fate::Unknown }
    }

    #[test]
    fn numbers_wrap() {
        let mut history = History::default();
        (0..10_u16).for_each(|n| history.push(65_530_u16.wrapping_add(n), sent(i64::from(n))));
        assert_eq!(history.get(65_535).map(|sent| sent.at), Some(5));
        assert_eq!(history.get(3).map(|sent| sent.at), Some(9));
        assert!(history.get(4).is_none() && history.get(65_529).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut history = History::default();
        (0..200_000_u32).for_each(|n| history.push((n % 65_536) as u16, sent(0)));
        assert_eq!(history.packets.len(), MOST);
        history.push(history.next(), sent(10_000_000));
        assert_eq!(history.packets.len(), 1);
    }

    #[test]
    fn numbers_of_others_are_never_found() {
        let mut history = History::default();
        history.push(10, sent(0));
        history.push(13, sent(1));
        assert!(history.get(11).is_none() && history.get(13).is_some());
        history.push(5_000, sent(2));
        assert!(history.get(13).is_none() && history.get(5_000).is_some());
    }
}
