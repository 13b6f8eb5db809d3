//! A check that anyone may ask for, and that costs something.
//!
//! Requests that arrive while it runs share its outcome. If requests follow each other too fast, they
//! have the last one.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// So many checks may follow each other at once, and then one in so much time.
const BURST: u32 = 20;
const INTERVAL: Duration = Duration::from_millis(100);

/// The outcome of a check, shared.
pub(super) struct SharedCheck<T>(Mutex<Option<LastOutcome<T>>>);

struct LastOutcome<T> {
    began: Instant,
    /// How many more may follow at once.
    left: u32,
    outcome: T,
}

impl<T> Default for SharedCheck<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> SharedCheck<T> {
    /// The outcome of a check that began after this call; or of the last one, if there were too many.
    pub(super) async fn outcome(&self, check: impl Future<Output = T>) -> T {
        let asked = now();
        let mut last = self.0.lock().await;
        let began = now();
        let left = match &*last {
            None => BURST,
            Some(last) => {
                let intervals = (began - last.began).as_millis() / INTERVAL.as_millis();
                let regained = u32::try_from(intervals).unwrap_or(BURST);
                let left = last.left.saturating_add(regained).min(BURST);
                if last.began > asked || left == 0 {
                    return last.outcome.clone();
                }
                left
            }
        };
        let outcome = check.await;
        *last = Some(LastOutcome {
            began,
            left: left - 1,
            outcome: outcome.clone(),
        });
        outcome
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the age of an outcome, which only this process sees"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn checks_that_follow_too_fast_have_the_last_outcome() {
        let (shared, runs) = (SharedCheck::default(), AtomicU32::new(0));
        let check = || shared.outcome(async { runs.fetch_add(1, Ordering::Relaxed) });
        let start = now();
        for number in 0..BURST {
            assert_eq!(check().await, number);
        }
        let mut last = BURST - 1;
        for _ in 0..1000 {
            let found = check().await;
            assert!(found >= last);
            last = found;
        }
        let intervals = start.elapsed().as_millis() / INTERVAL.as_millis();
        let most = BURST + u32::try_from(intervals).unwrap();
        assert!(runs.load(Ordering::Relaxed) <= most);
    }

    #[tokio::test]
    async fn requests_that_wait_share_the_next_check() {
        let (shared, runs) = (SharedCheck::default(), AtomicU32::new(0));
        let slow = || {
            shared.outcome(async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                runs.fetch_add(1, Ordering::Relaxed)
            })
        };
        let found = tokio::join!(slow(), slow(), slow(), slow());
        assert_eq!(found.0, 0);
        // Those that came while it ran wait for one that began after they came.
        assert_eq!((found.1, found.2, found.3), (1, 1, 1));
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }
}
