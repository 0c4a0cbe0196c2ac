//! How many WebSockets are open. An upgraded connection is none of HTTP's any more, so that nobody else counts it.

use tokio::sync::watch;

/// The WebSockets that are open.
#[derive(Debug, Clone, Default)]
pub struct Open(watch::Sender<usize>);

/// One of them, until this is dropped.
pub(super) struct Counted(Open);

impl Open {
    /// Waits until there are none.
    pub async fn none(&self) {
        // The sender is here, so that the wait ends with what it waits for.
        let _ = self.0.subscribe().wait_for(|open| *open == 0).await;
    }

    pub(super) fn count(&self) -> Counted {
        self.0.send_modify(|open| *open += 1);
        Counted(self.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_one_ends_the_wait() {
        let open = Open::default();
        open.none().await;
        let (one, two) = (open.count(), open.count());
        drop(one);
        let waiting = tokio::spawn({
            let open = open.clone();
            async move { open.none().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(two);
        waiting.await.expect("it ends");
    }
}
