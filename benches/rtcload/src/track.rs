//! Bookkeeping of what a subscriber receives.

/// What a packet counter says about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    InOrder,
    /// Ahead of at least one counter that has not been seen.
    AfterGap,
    /// Later than a higher counter: reordered or retransmitted.
    Late,
    Duplicate,
    /// Too far back to tell.
    Ancient,
}

const WINDOW: u32 = 2048;

/// Remembers the last [`WINDOW`] counters.
#[derive(Debug, Clone)]
pub struct Continuity {
    highest: Option<u32>,
    bits: [u64; WINDOW as usize / 64],
}

impl Default for Continuity {
    fn default() -> Self {
        Continuity { highest: None, bits: [0; WINDOW as usize / 64] }
    }
}

impl Continuity {
    pub fn see(&mut self, counter: u32) -> Seen {
        let Some(highest) = self.highest else {
            self.highest = Some(counter);
            self.set(counter);
            return Seen::InOrder;
        };
        let ahead = counter.wrapping_sub(highest) as i32;
        if ahead > 0 {
            if ahead as u32 >= WINDOW {
                self.bits.fill(0);
            } else {
                for c in 1..ahead as u32 {
                    self.clear(highest.wrapping_add(c));
                }
            }
            self.set(counter);
            self.highest = Some(counter);
            return if ahead == 1 { Seen::InOrder } else { Seen::AfterGap };
        }
        if ahead.unsigned_abs() >= WINDOW {
            Seen::Ancient
        } else if self.get(counter) {
            Seen::Duplicate
        } else {
            self.set(counter);
            Seen::Late
        }
    }

    fn at(counter: u32) -> (usize, u64) {
        let c = counter % WINDOW;
        (c as usize / 64, 1 << (c % 64))
    }
    fn set(&mut self, counter: u32) {
        let (i, bit) = Self::at(counter);
        self.bits[i] |= bit;
    }
    fn clear(&mut self, counter: u32) {
        let (i, bit) = Self::at(counter);
        self.bits[i] &= !bit;
    }
    fn get(&self, counter: u32) -> bool {
        let (i, bit) = Self::at(counter);
        self.bits[i] & bit != 0
    }
}

/// RTP sequence numbers of one SSRC as they arrive, before decryption.
#[derive(Debug, Clone, Default)]
pub struct SeqTrack {
    last: Option<u16>,
    extended: u32,
    continuity: Continuity,
    /// Highest extended number when the window opened.
    window_base: Option<u32>,
    /// Highest extended number of the window.
    window_top: u32,
    pub window_packets: u64,
    pub window_unique: u64,
    pub window_late: u64,
    pub window_duplicates: u64,
}

impl SeqTrack {
    /// Takes one sequence number; `in_window` says whether it is counted. Returns it without wraps, and what it means.
    pub fn see(&mut self, seq: u16, in_window: bool) -> (u32, Seen) {
        let delta = match self.last {
            Some(last) => seq.wrapping_sub(last) as i16,
            None => {
                self.extended = 1 << 20 | u32::from(seq);
                0
            }
        };
        let extended = self.extended.wrapping_add_signed(i32::from(delta));
        if in_window && self.window_base.is_none() {
            self.window_base = Some(extended.wrapping_sub(1));
            self.window_top = extended;
        }
        if delta > 0 || self.last.is_none() {
            self.last = Some(seq);
            self.extended = extended;
        }
        let seen = self.continuity.see(extended);
        if in_window {
            self.window_packets += 1;
            self.window_top = self.window_top.max(extended);
            match seen {
                Seen::Duplicate => self.window_duplicates += 1,
                Seen::Late => {
                    self.window_late += 1;
                    self.window_unique += 1;
                }
                _ => self.window_unique += 1,
            }
        }
        (extended, seen)
    }

    pub fn open_window(&mut self) {
        self.window_base = None;
        self.window_packets = 0;
        self.window_unique = 0;
        self.window_late = 0;
        self.window_duplicates = 0;
    }

    /// Sequence numbers that the window should have brought.
    pub fn window_expected(&self) -> u64 {
        self.window_base.map_or(0, |b| u64::from(self.window_top.wrapping_sub(b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_late_ones_and_duplicates_are_told_apart() {
        let mut c = Continuity::default();
        assert_eq!(c.see(10), Seen::InOrder);
        assert_eq!(c.see(11), Seen::InOrder);
        assert_eq!(c.see(14), Seen::AfterGap);
        assert_eq!(c.see(12), Seen::Late);
        assert_eq!(c.see(12), Seen::Duplicate);
        assert_eq!(c.see(14), Seen::Duplicate);
        assert_eq!(c.see(10_000), Seen::AfterGap);
        assert_eq!(c.see(14), Seen::Ancient);
        assert_eq!(c.see(9_999), Seen::Late);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut t = SeqTrack::default();
        for i in 0..300u32 {
            if i != 150 {
                t.see((65_400 + i) as u16, (100..200).contains(&i));
            }
        }
        assert_eq!(t.window_expected(), 100);
        assert_eq!(t.window_unique, 99);
        assert_eq!(t.window_duplicates, 0);
    }
}
