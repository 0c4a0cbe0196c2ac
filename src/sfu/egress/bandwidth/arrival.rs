//! When packets arrived: the receiver's clock, groups of packets sent together, and how much arrives.

/// What one unit of a feedback's reference stands for, us.
const REFERENCE: i64 = 64_000;
/// What one unit of a feedback's delta stands for, us.
pub(super) const DELTA: i64 = 250;
/// A clock that leaps by more than this against ours is a new one, us.
const LEAP: i64 = 5_000_000;
/// Packets sent within this time form a group (draft-ietf-rmcat-gcc-02 section 5.2), us.
const GROUP: i64 = 5_000;
/// A group is not made longer than this by packets that arrive all at once, us.
const LONGEST_GROUP: i64 = 100_000;

/// The receiver's clock: its reference is a number of 24 bits that wraps every 12 days.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Option<(i32, i64, i64)>,
}

impl Clock {
    /// The moment of a reference in us, which goes on over a wrap. True when the clock is another than before.
    pub(super) fn place(&mut self, reference: i32, now: i64) -> (i64, bool) {
        let Some((last, at, heard)) = self.last else {
            self.last = Some((reference, 0, now));
            return (0, true);
        };
        // The difference of two numbers of 24 bits, as one with sign.
        let units = (reference.wrapping_sub(last) << 8) >> 8;
        let step = i64::from(units) * REFERENCE;
        let is_new = (step - (now - heard)).abs() > LEAP;
        // A new clock goes on where the old one would be, so that times never leap for those who read them.
        let at = if is_new { at + (now - heard) } else { at + step };
        self.last = Some((reference, at, now));
        (at, is_new)
    }
}

/// How two neighbouring groups differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// How much later the second was sent, us.
    pub(super) sent: i64,
    /// How much later it arrived, us.
    pub(super) arrived: i64,
    /// When it arrived, us.
    pub(super) at: i64,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent: i64,
    sent: i64,
    first_arrived: i64,
    arrived: i64,
}

/// Puts packets into groups (draft-ietf-rmcat-gcc-02 section 5.2; Carlucci et al., "Analysis and Design of the Google
/// Congestion Control for WebRTC", 2016, section 4.1).
#[derive(Debug, Default)]
pub(super) struct Groups {
    open: Option<Group>,
    before: Option<Group>,
}

impl Groups {
    /// Takes a packet in. Returns a step when it opens a new group and two are complete.
    pub(super) fn push(&mut self, sent: i64, arrived: i64) -> Option<Step> {
        let fresh = Group { first_sent: sent, sent, first_arrived: arrived, arrived };
        let Some(open) = &mut self.open else {
            self.open = Some(fresh);
            return None;
        };
        if sent < open.first_sent {
            return None;
        }
        let is_burst = arrived - open.arrived <= GROUP
            && (arrived - open.arrived) < (sent - open.sent)
            && arrived - open.first_arrived < LONGEST_GROUP;
        if sent - open.first_sent <= GROUP || is_burst {
            open.sent = open.sent.max(sent);
            open.arrived = open.arrived.max(arrived);
            return None;
        }
        let done = *open;
        self.open = Some(fresh);
        let before = self.before.replace(done)?;
        let step =
            Step { sent: done.sent - before.sent, arrived: done.arrived - before.arrived, at: done.arrived };
        // Groups that arrive in the wrong order say nothing of a queue.
        (step.arrived >= 0 && step.arrived < LEAP).then_some(step)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// How long one slot of a [`Meter`] lasts, us.
const SLOT: i64 = 25_000;
/// How many there are: 1 s.
const SLOTS: i64 = 40;

/// How much flows, over windows of at most 1 s.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// How many bytes came before each slot began. Only differences count, so that wrapping does no harm.
    before: Slots,
    total: u32,
    /// The number of the newest slot since the beginning of the clock.
    newest: i64,
    began: Option<i64>,
}

/// A number for each of the latest slots.
#[derive(Debug)]
struct Slots([u32; SLOTS as usize]);

impl Default for Slots {
    fn default() -> Self {
        Self([0; SLOTS as usize])
    }
}

impl Slots {
    fn place(slot: i64) -> usize {
        usize::try_from(slot.rem_euclid(SLOTS)).unwrap_or(0)
    }

    fn get(&self, slot: i64) -> u32 {
        self.0.get(Self::place(slot)).copied().unwrap_or(0)
    }

    fn change(&mut self, slot: i64, change: impl FnOnce(u32) -> u32) {
        if let Some(number) = self.0.get_mut(Self::place(slot)) {
            *number = change(*number);
        }
    }
}

impl Meter {
    /// Counts bytes at a time. What is older than the window is left out.
    pub(super) fn add(&mut self, at: i64, bytes: u32) {
        let slot = at.div_euclid(SLOT);
        if self.began.is_none() || slot - self.newest > SLOTS {
            *self = Self { newest: slot, began: Some(slot), ..Self::default() };
        }
        while self.newest < slot {
            self.newest += 1;
            self.before.change(self.newest, |_| self.total);
        }
        if self.newest - slot < SLOTS {
            self.total = self.total.wrapping_add(bytes);
            // Those that come late, which hardly any do, were there before all later slots.
            for later in slot + 1..=self.newest {
                self.before.change(later, |before| before.wrapping_add(bytes));
            }
        }
    }

    /// The rate over the last full slots, bits per second. Nothing before there are three.
    pub(super) fn rate(&self, slots: i64) -> Option<f64> {
        let known = (self.newest - self.began?).min(slots).min(SLOTS - 1);
        if known < 3 {
            return None;
        }
        let bytes = self.before.get(self.newest).wrapping_sub(self.before.get(self.newest - known));
        Some(f64::from(bytes) * 8.0 * 1e6 / (known * SLOT) as f64)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_goes_on_over_its_wrap() {
        let mut clock = Clock::default();
        assert_eq!(clock.place((1 << 23) - 1, 0), (0, true));
        assert_eq!(clock.place(-(1 << 23), 64_000), (64_000, false));
        assert_eq!(clock.place(-(1 << 23) + 2, 192_000), (192_000, false));
    }

    #[test]
    fn a_clock_that_leaps_is_a_new_one() {
        let mut clock = Clock::default();
        clock.place(0, 0);
        assert_eq!(clock.place(100_000, 50_000), (50_000, true));
        assert_eq!(clock.place(100_001, 114_000), (114_000, false));
    }

    #[test]
    fn packets_sent_together_are_one_group() {
        let mut groups = Groups::default();
        let arrivals = [(0, 50_000), (2_000, 52_000), (20_000, 71_000), (40_000, 92_000), (60_000, 112_000)];
        let steps: Vec<_> = arrivals.iter().filter_map(|(sent, at)| groups.push(*sent, *at)).collect();
        assert_eq!(steps[0], Step { sent: 18_000, arrived: 19_000, at: 71_000 });
        assert_eq!(steps[1], Step { sent: 20_000, arrived: 21_000, at: 92_000 });
    }

    #[test]
    fn a_meter_tells_the_rate() {
        let mut meter = Meter::default();
        (0..100).for_each(|n| meter.add(n * 10_000, 1_250));
        assert!((meter.rate(20).unwrap() - 1e6).abs() < 1e5, "{:?}", meter.rate(20));
        meter.add(10_000_000, 1_250);
        assert_eq!(meter.rate(20), None);
    }

    #[test]
    fn what_comes_late_counts_where_it_belongs() {
        let (mut in_order, mut shuffled) = (Meter::default(), Meter::default());
        (0..400).for_each(|n| in_order.add(n * 5_000, 1_000));
        for n in (0..400).step_by(8) {
            shuffled.add((n + 7) * 5_000, 1_000);
            (n..n + 7).for_each(|n| shuffled.add(n * 5_000, 1_000));
        }
        for slots in [3, 8, 20, 39] {
            assert_eq!(in_order.rate(slots), shuffled.rate(slots));
        }
    }
}
