//! How many offers are answered at a time.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::error::Problem;

/// How many offers are answered at once. It is all computing, a millisecond or so for what browsers send, so more at
/// once would finish no earlier; one that takes long holds up only the other half.
const AT_ONCE: usize = 2;

/// How many more may wait for their turn. When an event begins everybody comes in the same second: that many are
/// through in a fraction of it. Each holds its offer while it waits, 192 KiB at most, so 48 MiB together.
const WAITING: usize = 256;

/// Keeps the answering of offers away from the threads that serve HTTP, and within bounds: anybody may post an offer,
/// and whoever posts many must not stop pages, health checks and the sessions' own requests.
#[derive(Debug, Clone)]
pub struct Answering {
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Default for Answering {
    fn default() -> Self {
        Self::new(AT_ONCE, WAITING)
    }
}

impl Answering {
    fn new(at_once: usize, waiting: usize) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { admitted: semaphore(at_once + waiting), running: semaphore(at_once) }
    }

    /// Does the work on a thread that may block, when its turn has come.
    ///
    /// # Errors
    /// 503 at once, when too many are waiting already; 500 when the work panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| Problem::busy())?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| Problem::busy())?;
        // The permits go with the work: a client that hangs up does not end it, and frees no place before it is done.
        let done = spawn_blocking(move || {
            let _held = (admitted, running);
            work()
        });
        done.await.map_err(|_| Problem::bug())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::{StatusCode, header};
    use axum::response::IntoResponse;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    /// When a test gives up.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Work that ends when it is told to.
    fn work() -> (oneshot::Sender<()>, impl FnOnce() + Send + 'static) {
        let (end, ended) = oneshot::channel();
        (end, move || drop(ended.blocking_recv()))
    }

    #[tokio::test]
    async fn who_finds_too_many_waiting_is_sent_away_at_once() {
        let answering = Answering::new(2, 3);
        let mut working = Vec::new();
        for _ in 0..5 {
            let (end, work) = work();
            let answering = answering.clone();
            working.push((end, tokio::spawn(async move { answering.run(work).await })));
        }
        // This test has one thread, and work that stood on it would never let it come here.
        while answering.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let sixth = timeout(PATIENCE, answering.run(|| ())).await.expect("nobody else waits");
        let refused = sixth.expect_err("five are in").into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()), Some("1"));
        for (end, task) in working {
            end.send(()).expect("it works or waits");
            assert_eq!(task.await.expect("no panic"), Ok(()));
        }
        assert_eq!(answering.run(|| 7).await, Ok(7), "all places are free again");
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_frees_no_place_before_its_work_is_done() {
        let answering = Answering::new(1, 0);
        let (end, work) = work();
        let (began, begun) = oneshot::channel();
        let working = answering.clone();
        let task = tokio::spawn(async move {
            let work = move || {
                began.send(()).expect("the test waits");
                work();
            };
            working.run(work).await
        });
        begun.await.expect("it began");
        task.abort();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(answering.run(|| ()).await, Err(Problem::busy()));
        end.send(()).expect("it still works");
        while answering.run(|| ()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_place() {
        let answering = Answering::new(1, 0);
        assert_eq!(answering.run(|| panic!("on purpose")).await, Err(Problem::bug()));
        assert_eq!(answering.run(|| 7).await, Ok(7));
    }
}
