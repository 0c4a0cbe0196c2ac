//! Allocation: how much of a subscriber's link each of its video tracks gets.
//!
//! Every visible track gets its lowest layer first, the important ones before the others; what is left goes to whatever
//! gains the most for its bits. What is forwarded already is kept unless something gains clearly more, so that pictures
//! do not change with every small change of the estimate.

mod past;
mod ways;
mod wish;

use std::cmp::Reverse;
use std::ops::Range;
use std::time::Instant;

use self::past::Past;
use self::ways::{Way, ways};
pub use self::wish::Wish;
use crate::sfu::forward::ladder::{Ladder, Selection};
use crate::units::Bitrate;

/// What has to be free beside a better picture before it is sent, in percent of all that is allocated: bitrates vary,
/// and an upgrade that has to be taken back is worse than none.
const HEADROOM: u64 = 12;
/// How much more than what it replaces something has to gain for its bits, in percent.
const KEPT: u64 = 150;
/// A track that costs at most this many times as much as the cheapest may be the one that is shown when little fits.
const NEAR_CHEAPEST: u64 = 2;

/// A video track that is to be seen.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The index of its slot. Each is named once.
    pub slot: usize,
    /// What there is of it.
    pub ladder: &'a Ladder,
    /// What the subscriber makes of it.
    pub wish: Wish,
    /// What was allocated last; `None` where nothing was, for a new track and for a paused one.
    pub current: Option<Selection>,
}

/// Allocates one subscriber's link. What it remembers is when each slot went up and down.
#[derive(Debug, Default)]
pub struct Allocator {
    past: Vec<Past>,
    items: Vec<Item>,
    /// The ways of all items, one after another.
    ways: Vec<Way>,
    desired: Bitrate,
}

/// A request while it is worked on. Numbers of ways count from the first of its own.
#[derive(Debug)]
struct Item {
    slot: usize,
    wish: Wish,
    ways: Range<usize>,
    current: Option<usize>,
    chosen: Option<usize>,
    /// The highest way that can still be chosen.
    most: usize,
    /// Whether it went down lately, and must not go up yet.
    is_held: bool,
    /// Whether it had to be paused, and is to come back only where there is headroom for it.
    is_paused: bool,
    step: Option<Step>,
}

/// From what is chosen to something better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    /// The gain for each bit.
    ratio: u64,
    to: usize,
}

impl Item {
    fn cost(&self, all: &[Way], way: usize) -> u64 {
        all.get(self.ways.start + way).map_or(0, |way| way.cost)
    }

    fn lowest(&self, all: &[Way]) -> u64 {
        self.cost(all, 0)
    }

    /// What comes first gets its lowest layer first. Costs are measured and waver, so that they count by powers of two.
    fn order(&self, all: &[Way]) -> impl Ord + use<> {
        let bits = self.lowest(all).checked_ilog2();
        (Reverse(self.wish.rank()), bits, self.current.is_none(), Reverse(self.wish.height), self.slot)
    }

    /// Whether this way is no better than what is sent already.
    fn is_kept(&self, way: usize) -> bool {
        self.current.is_some_and(|current| way <= current)
    }

    /// The best way up.
    fn best(&self, all: &[Way]) -> Option<Step> {
        let from = self.chosen?;
        let own = all.get(self.ways.clone())?;
        let start = own.get(from)?;
        let better = own.iter().enumerate().take(self.most + 1).skip(from + 1);
        let step = |(to, way): (usize, &Way)| {
            let gain = way.worth.saturating_sub(start.worth).saturating_mul(self.wish.weight());
            let ratio =
                (gain << 10).checked_div(way.cost.saturating_sub(start.cost)).unwrap_or(u64::MAX / KEPT);
            let ratio = if self.is_kept(to) { ratio / 100 * KEPT } else { ratio };
            Step { ratio, to }
        };
        better.map(step).max()
    }
}

impl Allocator {
    /// Allocates `budget`, what the link carries beside audio, and writes what each slot gets to `out`, in the order of
    /// the requests: `None` pauses it.
    ///
    /// What is allocated never exceeds the budget, not even by the lowest layer of the most important track: more than a
    /// link carries waits in queues, and the audio with it.
    pub fn allocate(
        &mut self,
        now: Instant,
        budget: Bitrate,
        requests: &[Request<'_>],
        out: &mut Vec<(usize, Option<Selection>)>,
    ) {
        self.prepare(now, budget.0, requests);
        let used = self.show(budget.0);
        self.raise(budget.0, used);
        out.clear();
        for request in requests {
            let item = self.items.iter().find(|item| item.slot == request.slot);
            let (chosen, current) = item.map_or((None, None), |item| (item.chosen, item.current));
            let way = item.and_then(|item| self.ways.get(item.ways.start + chosen?));
            if let Some(past) = self.past.iter_mut().find(|past| past.slot == request.slot) {
                past.learn(now, budget.0, current, chosen);
                past.worth = way.map_or(0, |way| way.worth);
            }
            out.push((request.slot, way.map(|way| way.selection)));
        }
    }

    /// What the tracks of the last round would use if the link were endless, with the headroom that the last upgrade asks
    /// for: probing for more is of no use.
    #[must_use]
    pub fn desired(&self) -> Bitrate {
        self.desired
    }

    /// Forgets how a slot fared, as it shows another track from here on.
    pub fn forget(&mut self, slot: usize) {
        self.past.retain(|past| past.slot != slot);
    }

    fn prepare(&mut self, now: Instant, budget: u64, requests: &[Request<'_>]) {
        self.past.retain(|past| requests.iter().any(|request| request.slot == past.slot));
        self.items.clear();
        self.ways.clear();
        let mut desired = 0_u64;
        for request in requests {
            if !self.past.iter().any(|past| past.slot == request.slot) {
                self.past.push(Past::new(request.slot));
            }
            let start = self.ways.len();
            ways(request.ladder, request.wish, &mut self.ways);
            let own = self.ways.get(start..).unwrap_or_default();
            let Some(most) = own.len().checked_sub(1) else { continue };
            desired = desired.saturating_add(own.iter().map(|way| way.cost).max().unwrap_or_default());
            let past = self.past.iter().find(|past| past.slot == request.slot);
            let worth = past.map_or(0, |past| past.worth);
            let current = request.current.map(|current| place(own, current, worth));
            let is_held = past.is_some_and(|past| past.is_held(now, budget));
            let most = if is_held { current.unwrap_or_default() } else { most };
            self.items.push(Item {
                slot: request.slot,
                wish: request.wish,
                ways: start..self.ways.len(),
                current,
                chosen: None,
                most,
                is_held,
                is_paused: past.is_some_and(|past| past.is_paused),
                step: None,
            });
        }
        self.desired = Bitrate(desired.saturating_add(desired.saturating_mul(HEADROOM) / 100));
    }

    /// Gives each track its lowest layer as long as the budget lasts, and returns what that uses. Who comes later is not
    /// shown instead of who came first and did not fit: with more budget, more is shown, and nothing is paused for it.
    ///
    /// There is one exception, without which one costly track could leave the whole screen black: when the first one costs
    /// several times as much as others, the first of those comes before it.
    fn show(&mut self, budget: u64) -> u64 {
        let all = &self.ways;
        self.items.sort_unstable_by_key(|item| item.order(all));
        let cheapest = self.items.iter().map(|item| item.lowest(all)).min().unwrap_or_default();
        let cheap = |item: &Item| item.lowest(all) <= cheapest.saturating_mul(NEAR_CHEAPEST);
        if let Some(place) = self.items.iter().position(cheap) {
            self.items.get_mut(..=place).unwrap_or_default().rotate_right(1);
        }
        let (mut used, mut reserved) = (0_u64, 0_u64);
        for item in &mut self.items {
            let cost = item.cost(all, 0);
            let is_new = item.current.is_none();
            if is_new && item.is_held {
                // Its place is kept: who comes later would have to go again.
                reserved = reserved.saturating_add(cost);
                continue;
            }
            let after = used.saturating_add(cost);
            // What is the only picture need not leave headroom.
            let limit = if is_new && item.is_paused && used > 0 { with_headroom(budget) } else { budget };
            let fits = after.saturating_add(if is_new { reserved } else { 0 }) <= limit;
            if !fits {
                break;
            }
            (used, item.chosen) = (after, Some(0));
        }
        used
    }

    /// Spends what is left, on what gains the most for its bits first.
    fn raise(&mut self, budget: u64, mut used: u64) {
        for item in &mut self.items {
            item.step = item.best(&self.ways);
        }
        loop {
            // The first of equals is the most important one.
            let best = self.items.iter_mut().filter(|item| item.step.is_some()).reduce(|one, other| {
                if other.step.map(|step| step.ratio) > one.step.map(|step| step.ratio) { other } else { one }
            });
            let Some((item, step)) = best.and_then(|item| item.step.map(|step| (item, step))) else { return };
            let before = item.chosen.map_or(0, |chosen| item.cost(&self.ways, chosen));
            let after = (used - before.min(used)).saturating_add(item.cost(&self.ways, step.to));
            let limit = if item.is_kept(step.to) { budget } else { with_headroom(budget) };
            if after <= limit || after <= used {
                (used, item.chosen) = (after, Some(step.to));
            } else {
                item.most = step.to - 1;
            }
            item.step = item.best(&self.ways);
        }
    }
}

/// Where among the ways of a track what was allocated last is now, when it was worth so much. A layer that is gone counts as
/// the next one below it. Encodings are numbered as their publisher names them, which says nothing of which is better.
fn place(ways: &[Way], current: Selection, worth: u64) -> usize {
    let fits = |way: &Way| {
        let Selection { encoding, spatial, temporal } = way.selection;
        encoding == current.encoding && (spatial, temporal) <= (current.spatial, current.temporal)
    };
    let same = ways.iter().rposition(fits);
    same.or_else(|| ways.iter().rposition(|way| way.worth <= worth)).unwrap_or_default()
}

/// How much of a budget can be used by what is new.
fn with_headroom(budget: u64) -> u64 {
    budget.saturating_mul(100) / (100 + HEADROOM)
}

#[cfg(test)]
#[path = "allocate_tests.rs"]
mod tests;
