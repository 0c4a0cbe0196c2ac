//! A bounded queue from other workers to one: what does not fit is dropped, and nobody ever waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The queue. It is locked once for all that a turn brings, for as long as it takes to move that.
#[derive(Debug)]
pub(super) struct Ring<T> {
    items: Mutex<Vec<T>>,
    capacity: usize,
    woken: Arc<Notify>,
}

impl<T> Ring<T> {
    /// A queue of so many items, whose reader waits for `woken`.
    pub(super) fn new(capacity: usize, woken: Arc<Notify>) -> Self {
        Self { items: Mutex::new(Vec::new()), capacity, woken }
    }

    /// Adds items, which are taken out of `from`, and wakes the reader. Returns how many were dropped: the last ones, as
    /// those before them are of no use without the ones that wait already.
    pub(super) fn put(&self, from: &mut Vec<T>) -> u64 {
        let mut items = self.items();
        let room = self.capacity.saturating_sub(items.len()).min(from.len());
        let dropped = from.len() - room;
        items.extend(from.drain(..room));
        drop(items);
        from.clear();
        self.woken.notify_one();
        dropped as u64
    }

    /// Takes all items. `into` is empty before; its memory stays in the queue, so that none is allocated for each turn.
    pub(super) fn take(&self, into: &mut Vec<T>) {
        std::mem::swap(&mut *self.items(), into);
    }

    /// The items are whole whatever happened to a thread that held them.
    fn items(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_drops_what_is_new_counts_it_and_goes_on() {
        let woken = Arc::new(Notify::new());
        let ring = Ring::new(3, woken.clone());
        let (mut from, mut into) = (vec![1, 2], Vec::new());
        assert_eq!((ring.put(&mut from), from.len()), (0, 0));
        assert_eq!((ring.put(&mut vec![3, 4, 5]), ring.put(&mut vec![6])), (2, 1));
        woken.notified().await;
        ring.take(&mut into);
        assert_eq!(into, [1, 2, 3]);
        into.clear();
        assert_eq!(ring.put(&mut vec![7]), 0, "there is room again");
        ring.take(&mut into);
        assert_eq!(into, [7]);
    }
}
