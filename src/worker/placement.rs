//! Which worker gets the next session: by how busy each is, not by how many it has.
//!
//! Whoever is connected stays where it is. So a room grows over several workers as it gets loaded, and nobody notices.

use std::collections::BTreeMap;

use crate::ids::WorkerId;

/// From this load on a worker gets no more sessions of the rooms that it has, while another is below it.
const FULL: f32 = 0.6;
/// Below this load it gets them again.
const FREE: f32 = 0.45;
/// Loads of the same step count as equal, so that a little noise does not spread what could be together.
const STEP: f32 = 0.05;
/// The least that a new session is taken to cost: a worker carries some thousand viewers.
const LEAST_COST: f32 = 0.000_5;

/// What a worker says of its load.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// The share of time in which its thread was busy of late, 0 to 1.
    pub busy: f32,
    /// The sessions that it had then.
    pub sessions: u64,
    /// The running number of this measurement.
    pub number: u64,
}

/// Remembers what was placed that loads do not show yet.
#[derive(Debug, Default)]
pub struct Placement {
    workers: Vec<Known>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    full: bool,
    number: u64,
    /// Sessions placed since the last measurement, and between the two before: they take a moment to connect.
    placed: u64,
    placed_before: u64,
}

impl Placement {
    /// Chooses the worker of the next session. `loads` has all workers by their ids; `room` has those that the session's
    /// room is on, each with a weight: more where more of what it will watch is published.
    ///
    /// The room's heaviest worker that is not full is taken, else the least busy of all.
    pub fn choose(&mut self, loads: &[Load], room: &BTreeMap<WorkerId, u64>) -> WorkerId {
        self.workers.resize(loads.len(), Known::default());
        let expected: Vec<f32> =
            self.workers.iter_mut().zip(loads).map(|(known, load)| known.take(load)).collect();
        let is_free =
            |worker: &WorkerId| self.workers.get(usize::from(worker.0)).is_some_and(|known| !known.full);
        let free = room.iter().filter(|(worker, _)| is_free(worker));
        let heaviest = free.max_by_key(|(worker, weight)| (**weight, std::cmp::Reverse(**worker)));
        let chosen = heaviest.map_or_else(|| least_busy(&expected), |(worker, _)| *worker);
        if let Some(known) = self.workers.get_mut(usize::from(chosen.0)) {
            known.placed += 1;
        }
        chosen
    }
}

impl Known {
    /// Takes note of a worker's load. Returns what it will be with all that was placed there.
    fn take(&mut self, load: &Load) -> f32 {
        if load.number != self.number {
            self.number = load.number;
            self.placed_before = std::mem::take(&mut self.placed);
        }
        let cost = (load.busy / load.sessions.max(1) as f32).max(LEAST_COST);
        let expected = load.busy + (self.placed + self.placed_before) as f32 * cost.min(STEP);
        self.full = expected >= if self.full { FREE } else { FULL };
        expected
    }
}

/// The first of the least busy workers.
fn least_busy(expected: &[f32]) -> WorkerId {
    let step = |load: &f32| (load / STEP).floor();
    let first = (0..=u8::MAX).zip(expected).min_by(|(_, one), (_, other)| step(one).total_cmp(&step(other)));
    WorkerId(first.map_or(0, |(worker, _)| worker))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(busy: f32, sessions: u64, number: u64) -> Load {
        Load { busy, sessions, number }
    }

    fn on(workers: &[(u8, u64)]) -> BTreeMap<WorkerId, u64> {
        workers.iter().map(|(worker, weight)| (WorkerId(*worker), *weight)).collect()
    }

    #[test]
    fn a_small_deployment_stays_on_one_worker() {
        let mut placement = Placement::default();
        let loads = [load(0.03, 5, 1), load(0.0, 0, 1)];
        for room in [on(&[]), on(&[(0, 1)]), on(&[])] {
            assert_eq!(placement.choose(&loads, &room), WorkerId(0));
        }
    }

    #[test]
    fn rooms_stay_together_until_their_worker_is_loaded() {
        let mut placement = Placement::default();
        let room = on(&[(0, 2), (1, 9)]);
        assert_eq!(
            placement.choose(&[load(0.1, 9, 1), load(0.5, 9, 1), load(0.0, 0, 1)], &room),
            WorkerId(1)
        );
        let loads = [load(0.1, 9, 2), load(0.7, 9, 2), load(0.0, 0, 2)];
        assert_eq!(placement.choose(&loads, &room), WorkerId(0), "where it is too");
        let loads = [load(0.8, 9, 3), load(0.7, 9, 3), load(0.3, 9, 3)];
        assert_eq!(placement.choose(&loads, &room), WorkerId(2), "where there is room");
        let loads = [load(0.8, 9, 4), load(0.7, 9, 4), load(0.9, 9, 4)];
        assert_eq!(placement.choose(&loads, &room), WorkerId(1), "the least busy, when all are");
    }

    #[test]
    fn a_full_worker_gets_sessions_again_when_it_has_become_clearly_free() {
        let mut placement = Placement::default();
        let room = on(&[(0, 1)]);
        let mut at =
            |busy, number| placement.choose(&[load(busy, 100, number), load(0.0, 0, number)], &room).0;
        assert_eq!((at(0.55, 1), at(0.65, 2), at(0.55, 3), at(0.4, 5), at(0.55, 7)), (0, 1, 1, 0, 0));
    }

    #[test]
    fn a_rush_spreads_before_the_load_shows_it() {
        let mut placement = Placement::default();
        let loads = [load(0.3, 100, 1), load(0.0, 0, 1)];
        let chosen: Vec<_> = (0..200).map(|_| placement.choose(&loads, &on(&[(0, 1)])).0).collect();
        let first = chosen.iter().filter(|worker| **worker == 0).count();
        assert!((95..=105).contains(&first), "{first}: each costs what those before did");
        assert!(chosen.is_sorted());
    }

    #[test]
    fn new_rooms_go_where_there_is_least_to_do() {
        let mut placement = Placement::default();
        let loads = [load(0.4, 9, 1), load(0.22, 9, 1), load(0.21, 9, 1)];
        assert_eq!(placement.choose(&loads, &on(&[])), WorkerId(1));
        assert_eq!(Placement::default().choose(&[], &on(&[])), WorkerId(0));
    }
}
