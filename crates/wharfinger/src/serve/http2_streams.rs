//! The deadline of an answer on an HTTP/2 stream.
//!
//! A client that stops reading one stream goes on reading the others, so nothing shows on the
//! connection; and hyper asks an answer's body for more only when there is room for it. So each
//! stream is watched from without. Its body notes in a [`StreamProgress`] when it handed out a piece. If the
//! next one is not taken in time, the stream's task is dropped, which resets the stream (RFC 9113
//! §5.4.2).

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, sleep};

tokio::task_local! {
    static STREAM_PROGRESS: Arc<StreamProgress>;
}

/// Runs hyper's streams, each with its deadline.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    /// How long a client may take to read the next piece.
    pub(super) limit: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let (progress, limit) = (Arc::new(StreamProgress::new()), self.limit);
        tokio::spawn(async move {
            let overdue = progress.overdue(limit);
            tokio::select! {
                _ = pin!(STREAM_PROGRESS.scope(Arc::clone(&progress), stream)) => {}
                () = overdue => tracing::debug!("a stream was reset: its client stopped reading the response"),
            }
        });
    }
}

/// How far a client has read a response.
pub(super) struct StreamProgress {
    began: Instant,
    /// When the last piece was given out, in milliseconds after `began`, plus one; 0 while no piece
    /// waits.
    waiting_since: AtomicU64,
}

impl StreamProgress {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a client has not read is measured by tokio's timer alone"
    )]
    fn new() -> Self {
        Self {
            began: Instant::now(),
            waiting_since: AtomicU64::new(0),
        }
    }

    /// The progress of the current request's stream; `None` over HTTP/1.1.
    pub(super) fn current() -> Option<Arc<Self>> {
        STREAM_PROGRESS.try_with(Arc::clone).ok()
    }

    /// Notes that a piece was given out.
    pub(super) fn give(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.waiting_since
            .store(now.saturating_add(1), Ordering::Release);
    }

    /// Notes that hyper asks for the next piece, so that the client has read enough.
    pub(super) fn taken(&self) {
        self.waiting_since.store(0, Ordering::Release);
    }

    /// Returns when a piece has waited for `limit`.
    async fn overdue(&self, limit: Duration) {
        loop {
            let waited = match self.waiting_since.load(Ordering::Acquire) {
                0 => Duration::ZERO,
                since => self
                    .began
                    .elapsed()
                    .saturating_sub(Duration::from_millis(since - 1)),
            };
            match limit.checked_sub(waited) {
                Some(left) if !left.is_zero() => sleep(left).await,
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    /// What becomes of a stream that does `work` with its progress.
    async fn run<F>(
        work: impl FnOnce(Arc<StreamProgress>) -> F + Send + 'static,
    ) -> Result<(), oneshot::error::RecvError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (done, ended) = oneshot::channel();
        StreamExecutor { limit: LIMIT }.execute(async move {
            work(StreamProgress::current().unwrap()).await;
            done.send(()).unwrap();
        });
        ended.await
    }

    #[tokio::test]
    async fn a_piece_that_is_not_taken_ends_the_stream() {
        assert!(StreamProgress::current().is_none());
        let untaken = run(|progress| async move {
            progress.give();
            std::future::pending::<()>().await;
        });
        assert!(untaken.await.is_err(), "it was dropped");
    }

    #[tokio::test]
    async fn a_stream_may_take_as_long_as_it_moves_or_makes_its_answer() {
        let moving = run(|progress| async move {
            for _ in 0..20 {
                progress.taken();
                progress.give();
                sleep(LIMIT / 10).await;
            }
        });
        assert!(moving.await.is_ok());
        let thinking = run(|progress| async move {
            progress.give();
            progress.taken();
            sleep(LIMIT * 2).await;
        });
        assert!(thinking.await.is_ok());
    }
}
