//! When which session wants to be driven.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::ids::{IdMap, SessionId};

/// The deadlines of all sessions, one each.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, SessionId)>>,
    sessions: IdMap<SessionId, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// When the session wants to be driven.
    deadline: Instant,
    /// Its place in the heap, never later than the deadline. Other places of the session are stale.
    queued: Instant,
}

impl Timers {
    /// Sets the deadline of a session.
    pub(super) fn set(&mut self, session: SessionId, deadline: Instant) {
        // Most sessions move their deadline later with every packet. That leaves the place in the heap as it is, to
        // be corrected when it comes up: one heap operation per timeout instead of one per packet.
        let queued = match self.sessions.get(&session) {
            Some(entry) if entry.queued <= deadline => entry.queued,
            _ => {
                self.heap.push(Reverse((deadline, session)));
                deadline
            }
        };
        self.sessions.insert(session, Entry { deadline, queued });
    }

    /// Forgets a session.
    pub(super) fn remove(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// The earliest time at which something may be due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one session out that is due. It must be [`Self::set`] again.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<SessionId> {
        loop {
            let Reverse((at, session)) = *self.heap.peek()?;
            if at > now {
                return None;
            }
            self.heap.pop();
            let Some(entry) = self.sessions.get_mut(&session).filter(|entry| entry.queued == at) else {
                continue;
            };
            if entry.deadline <= now {
                self.sessions.remove(&session);
                return Some(session);
            }
            entry.queued = entry.deadline;
            self.heap.push(Reverse((entry.deadline, session)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_deadline_counts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(SessionId(1), at(100));
        timers.set(SessionId(1), at(300));
        timers.set(SessionId(2), at(200));
        timers.set(SessionId(3), at(150));
        timers.remove(SessionId(3));
        assert_eq!(timers.pop_due(at(160)), None);
        assert_eq!(timers.pop_due(at(200)), Some(SessionId(2)));
        assert_eq!(timers.pop_due(at(250)), None);
        timers.set(SessionId(1), at(260));
        assert_eq!((timers.pop_due(at(300)), timers.pop_due(at(400))), (Some(SessionId(1)), None));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_restless_session_leaves_nothing_behind() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        for round in 0..100 {
            timers.set(SessionId(1), at(1_000 + round));
            timers.set(SessionId(1), at(500 - round));
        }
        assert_eq!((timers.pop_due(at(2_000)), timers.pop_due(at(2_000))), (Some(SessionId(1)), None));
        assert!(timers.heap.is_empty());
    }
}
