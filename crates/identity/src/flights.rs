//! The same question asked at once, asked once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::keyed::Fingerprint;

/// Logins under way, by their fingerprint. After a reload a whole fleet logs in with the same
/// password in the same moment: one of them is verified, and the others find it remembered.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Fingerprint, Arc<tokio::sync::Mutex<()>>>>);

/// A login under way: no other with the same fingerprint is, until this is dropped.
pub(crate) struct Flight<'a> {
    flights: &'a Flights,
    fingerprint: Fingerprint,
    lock: Arc<tokio::sync::Mutex<()>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Flights {
    /// Waits until no other login with this fingerprint is under way.
    pub(crate) async fn enter(&self, fingerprint: Fingerprint) -> Flight<'_> {
        let lock = self.map().entry(fingerprint).or_default().clone();
        let mut flight = Flight {
            flights: self,
            fingerprint,
            lock,
            held: None,
        };
        flight.held = Some(flight.lock.clone().lock_owned().await);
        flight
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Fingerprint, Arc<tokio::sync::Mutex<()>>>> {
        // Nothing panics while it holds the lock, so what a poisoned lock guards is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut map = self.flights.map();
        // The map's own and this one: nobody else waits, and nobody can begin to while the map is
        // locked.
        if Arc::strong_count(&self.lock) == 2 {
            map.remove(&self.fingerprint);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_left_behind() {
        let flights = Arc::new(Flights::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let logins: Vec<_> = (0..50)
            .map(|_| {
                let (flights, inside) = (flights.clone(), inside.clone());
                tokio::spawn(async move {
                    let _flight = flights.enter([1; 32]).await;
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for login in logins {
            login.await.unwrap();
        }
        assert!(flights.map().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_nothing_behind() {
        let flights = Arc::new(Flights::default());
        let first = flights.enter([1; 32]).await;
        let waiting = flights.clone();
        let waits = tokio::spawn(async move { drop(waiting.enter([1; 32]).await) });
        tokio::task::yield_now().await;
        waits.abort();
        assert!(waits.await.unwrap_err().is_cancelled());
        assert_eq!(flights.map().len(), 1);
        drop(first);
        assert!(flights.map().is_empty());
    }

    #[tokio::test]
    async fn others_do_not_wait() {
        let flights = Flights::default();
        let _one = flights.enter([1; 32]).await;
        let _other = flights.enter([2; 32]).await;
        assert_eq!(flights.map().len(), 2);
    }
}
