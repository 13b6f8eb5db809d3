//! The same login at the same moment is verified once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::keyed_hash::KeyedDigest;

/// The logins in progress, by their digest. After a reload a whole fleet logs in with one password
/// at the same moment: one login is verified, and the others find it in the cache.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<HashMap<KeyedDigest, Arc<tokio::sync::Mutex<()>>>>);

/// A login in progress. No other login with the same digest is, until this is dropped.
pub(crate) struct InFlightLogin<'a> {
    in_flight: &'a InFlight,
    digest: KeyedDigest,
    lock: Arc<tokio::sync::Mutex<()>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl InFlight {
    /// Waits until no other login with this digest is in progress.
    pub(crate) async fn enter(&self, digest: KeyedDigest) -> InFlightLogin<'_> {
        let lock = self.map().entry(digest).or_default().clone();
        let mut login = InFlightLogin {
            in_flight: self,
            digest,
            lock,
            held: None,
        };
        login.held = Some(login.lock.clone().lock_owned().await);
        login
    }

    fn map(&self) -> MutexGuard<'_, HashMap<KeyedDigest, Arc<tokio::sync::Mutex<()>>>> {
        // No code panics while it holds the lock, so the map is whole even if it is poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlightLogin<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut map = self.in_flight.map();
        // The map's lock and this one: no other login waits, and none can begin to while the map is
        // locked.
        if Arc::strong_count(&self.lock) == 2 {
            map.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_left_behind() {
        let in_flight = Arc::new(InFlight::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let logins: Vec<_> = (0..50)
            .map(|_| {
                let (in_flight, inside) = (in_flight.clone(), inside.clone());
                tokio::spawn(async move {
                    let _login = in_flight.enter([1; 32]).await;
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for login in logins {
            login.await.unwrap();
        }
        assert!(in_flight.map().is_empty());
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let in_flight = Arc::new(InFlight::default());
        let first = in_flight.enter([1; 32]).await;
        let waiting = in_flight.clone();
        let waits = tokio::spawn(async move { drop(waiting.enter([1; 32]).await) });
        tokio::task::yield_now().await;
        waits.abort();
        assert!(waits.await.unwrap_err().is_cancelled());
        assert_eq!(in_flight.map().len(), 1);
        drop(first);
        assert!(in_flight.map().is_empty());
    }

    #[tokio::test]
    async fn other_logins_do_not_wait() {
        let in_flight = InFlight::default();
        let _one = in_flight.enter([1; 32]).await;
        let _other = in_flight.enter([2; 32]).await;
        assert_eq!(in_flight.map().len(), 2);
    }
}
