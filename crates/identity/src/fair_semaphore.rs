//! A semaphore whose permits go to sources in turn.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::LoginSource;
use crate::fair_queue::FairQueue;

/// When a client that was turned away may try again.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How many callers may wait for each permit.
pub(crate) const WAITING: usize = 4;

/// So many permits, and a bounded queue of callers that wait for one. Addresses take turns, and at
/// each address its accounts.
pub struct FairSemaphore {
    state: Arc<Mutex<State>>,
    limit: Duration,
}

struct State {
    free: usize,
    waiting: FairQueue<oneshot::Sender<Permit>>,
}

/// A permit. The next caller gets it when it is dropped.
pub struct Permit(Option<Arc<Mutex<State>>>);

/// Too many callers are waiting, or the wait was as long as it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many are waiting")]
pub struct TooManyWaiting;

impl FairSemaphore {
    /// A semaphore for which four callers may wait for each permit, and none for longer than `limit`.
    #[must_use]
    pub fn new(permits: NonZeroUsize, limit: Duration) -> Self {
        let permits = permits.get();
        Self::with_queue(permits, permits.saturating_mul(WAITING), limit)
    }

    fn with_queue(permits: usize, waiting: usize, limit: Duration) -> Self {
        let state = Mutex::new(State {
            free: permits,
            waiting: FairQueue::new(waiting),
        });
        Self {
            state: Arc::new(state),
            limit,
        }
    }

    /// Waits for the turn of `source`.
    ///
    /// # Errors
    /// When too many callers are waiting, another source has a better claim to the place, or the wait
    /// was as long as it may be.
    pub async fn acquire(&self, source: &LoginSource) -> Result<Permit, TooManyWaiting> {
        let turn = timeout(self.limit, self.turn(source));
        turn.await.unwrap_or(Err(TooManyWaiting))
    }

    async fn turn(&self, source: &LoginSource) -> Result<Permit, TooManyWaiting> {
        let turn = {
            let mut state = lock(&self.state);
            if state.free > 0 {
                state.free -= 1;
                return Ok(Permit(Some(self.state.clone())));
            }
            // Callers that gave up take no place.
            state.waiting.retain(|waiting| !waiting.is_closed());
            let (sender, turn) = oneshot::channel();
            state
                .waiting
                .push(source, sender)
                .map_err(|_| TooManyWaiting)?;
            turn
        };
        // The sender is dropped when another source takes this place.
        turn.await.map_err(|_| TooManyWaiting)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(state) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = lock(&state);
                let next = state.waiting.pop();
                state.free += usize::from(next.is_none());
                next
            };
            let Some(next) = next else { return };
            match next.send(Self(Some(state.clone()))) {
                Ok(()) => return,
                // That caller gave up; the permit must not be released twice.
                Err(mut unused) => unused.0 = None,
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // No code panics while it holds the lock, so the state is whole even if it is poisoned.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn source(address: u8) -> LoginSource {
        let address = IpAddr::from(Ipv4Addr::new(192, 0, 2, address));
        LoginSource::new(Some(address), "ann")
    }

    #[tokio::test]
    async fn a_client_gets_its_turn_although_another_took_every_place() {
        let semaphore = Arc::new(FairSemaphore::with_queue(1, 4, LIMIT));
        let first = semaphore.acquire(&source(1)).await.unwrap();
        let wait = |address| {
            let semaphore = semaphore.clone();
            tokio::spawn(async move { semaphore.acquire(&source(address)).await.map(drop).is_ok() })
        };
        let mut flood = Vec::new();
        for _ in 0..4 {
            flood.push(wait(1));
            tokio::task::yield_now().await;
        }
        assert!(semaphore.acquire(&source(1)).await.is_err());
        let other = wait(2);
        tokio::task::yield_now().await;
        drop(first);
        assert!(other.await.unwrap());
        let mut served = 0;
        for one in flood {
            served += usize::from(one.await.unwrap());
        }
        assert_eq!(served, 3, "one gave its place to the other client");
        drop(semaphore.acquire(&source(3)).await.unwrap());
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_neither_keeps_a_place_nor_a_permit() {
        let semaphore = Arc::new(FairSemaphore::with_queue(1, 1, LIMIT));
        let first = semaphore.acquire(&source(1)).await.unwrap();
        for _ in 0..3 {
            let waiting = semaphore.clone();
            let gives_up = tokio::spawn(async move { waiting.acquire(&source(1)).await.is_ok() });
            tokio::task::yield_now().await;
            gives_up.abort();
            assert!(gives_up.await.unwrap_err().is_cancelled());
        }
        drop(first);
        drop(semaphore.acquire(&source(1)).await.unwrap());
        assert_eq!(lock(&semaphore.state).free, 1);
    }
}
