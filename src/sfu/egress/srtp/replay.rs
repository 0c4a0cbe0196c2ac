//! Which SRTCP packets have come already (RFC 3711 section 3.3.2).

use std::collections::VecDeque;

use crate::ids::Ssrc;

/// How many packets behind the newest a late one may be. RFC 3711 section 3.3.2 asks for 64 at least.
const WINDOW: u32 = 128;

/// For how many senders a window is kept.
const SENDERS: usize = 64;

/// For how many more, which have long been silent, the newest index is remembered.
const RETIRED: usize = 512;

/// The packets of one sender.
#[derive(Debug, Clone, Copy)]
struct Window {
    ssrc: Ssrc,
    newest: u32,
    /// Bit `n` stands for the packet `n` before the newest.
    seen: u128,
}

impl Window {
    fn admits(&self, index: u32) -> bool {
        match self.newest.checked_sub(index) {
            None => true,
            Some(age) => age < WINDOW && self.seen & (1 << age) == 0,
        }
    }

    fn note(&mut self, index: u32) {
        match self.newest.checked_sub(index) {
            None => {
                // Further on than the window is wide, nothing of it remains.
                self.seen = self.seen.checked_shl(index - self.newest).unwrap_or_default() | 1;
                self.newest = index;
            }
            Some(age) => self.seen |= 1u128.checked_shl(age).unwrap_or_default(),
        }
    }
}

/// The windows of all senders of a session.
///
/// Only authenticated packets get here, so whoever fills this is the other end itself. It has one sender for each of
/// its streams and may replace them as often as it likes; memory stays bounded all the same. The sender that was
/// silent for longest loses its window first, but not its newest index: should it speak again, everything up to
/// there counts as replayed. Only when 512 more have been dropped after it is it forgotten. Someone who recorded its
/// packets can then bring them again: reports that are long out of date, against which what they ask for is bounded
/// in any case.
#[derive(Debug, Default)]
pub(super) struct Replays {
    /// The one that was heard last stands first.
    windows: Vec<Window>,
    /// The one that was dropped last stands last.
    retired: VecDeque<(Ssrc, u32)>,
}

impl Replays {
    /// Whether a packet is new, should it prove to be authentic.
    pub(super) fn admits(&self, ssrc: Ssrc, index: u32) -> bool {
        if let Some(window) = self.windows.iter().find(|window| window.ssrc == ssrc) {
            return window.admits(index);
        }
        self.retired.iter().find(|(retired, _)| *retired == ssrc).is_none_or(|&(_, newest)| index > newest)
    }

    /// Keeps in mind that an authentic packet came.
    pub(super) fn note(&mut self, ssrc: Ssrc, index: u32) {
        if let Some(at) = self.windows.iter().position(|window| window.ssrc == ssrc) {
            if let Some(upto) = self.windows.get_mut(..=at) {
                upto.rotate_right(1);
            }
        } else {
            self.add(ssrc, index);
        }
        if let Some(window) = self.windows.first_mut() {
            window.note(index);
        }
    }

    fn add(&mut self, ssrc: Ssrc, index: u32) {
        // A sender that comes back has proved above that it went on counting.
        self.retired.retain(|(retired, _)| *retired != ssrc);
        if self.windows.len() >= SENDERS
            && let Some(silent) = self.windows.pop()
        {
            self.retired.push_back((silent.ssrc, silent.newest));
            if self.retired.len() > RETIRED {
                self.retired.pop_front();
            }
        }
        self.windows.insert(0, Window { ssrc, newest: index, seen: 1 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(replays: &mut Replays, ssrc: u32, index: u32) -> bool {
        let is_new = replays.admits(Ssrc(ssrc), index);
        if is_new {
            replays.note(Ssrc(ssrc), index);
        }
        is_new
    }

    #[test]
    fn a_packet_is_new_once() {
        let mut replays = Replays::default();
        assert!(take(&mut replays, 1, 1_000));
        assert!(!take(&mut replays, 1, 1_000));
        assert!(take(&mut replays, 1, 1_000 - 127), "late, but within the window");
        assert!(!take(&mut replays, 1, 1_000 - 127));
        assert!(!take(&mut replays, 1, 1_000 - 128), "older than the window");
        assert!(take(&mut replays, 1, 1_127), "moves on by almost a whole window");
        assert!(!take(&mut replays, 1, 1_000), "the last one that the window still has");
        assert!(take(&mut replays, 1, 1_001));
        assert!(take(&mut replays, 1, u32::MAX >> 1), "far ahead");
        assert!(!take(&mut replays, 1, 1_127));
        assert!(take(&mut replays, 2, 1_000), "another sender counts for itself");
    }

    #[test]
    fn many_senders_stay_bounded_and_are_not_forgotten_at_once() {
        let mut replays = Replays::default();
        for ssrc in 0..400 {
            assert!(take(&mut replays, ssrc, 7));
            assert!(take(&mut replays, 9_999, ssrc), "a sender that keeps talking keeps its window");
        }
        assert_eq!(replays.windows.len(), SENDERS);
        assert!(take(&mut replays, 9_999, 400) && !take(&mut replays, 9_999, 0));
        assert!(!take(&mut replays, 0, 7), "silent for long, and still no replay");
        assert!(!take(&mut replays, 0, 6), "its window is gone: all up to its newest count as old");
        assert!(take(&mut replays, 0, 8), "it may speak again");
        for ssrc in 0..100_000 {
            take(&mut replays, ssrc, 9);
        }
        assert!(replays.windows.len() == SENDERS && replays.retired.len() == RETIRED);
        assert!(take(&mut replays, 1, 1), "after hundreds of others a sender is forgotten");
    }
}
