//! The same work for the same user at the same moment is done once.
//!
//! A push logs in many times at once. If each login redeemed the user's refresh token, a provider
//! that rotates them would take the second use for theft and end the sign-in.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The work in progress, by the user's name.
pub(crate) struct SingleFlight<T>(Arc<Mutex<Flights<T>>>);

type Flights<T> = HashMap<String, watch::Receiver<Option<T>>>;

/// The work ended without a result: it panicked, or the runtime is going down.
#[derive(Debug, thiserror::Error)]
#[error("the revalidation of an account ended early")]
pub(crate) struct FlightLost;

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// The result of `work` for `user`, or of the same work if it is in progress.
    ///
    /// The work is a task of its own. A client that disconnects does not stop it halfway, when the
    /// provider has rotated a token and the new one is not stored yet.
    pub(crate) async fn run<F>(&self, user: &str, work: impl FnOnce() -> F) -> Result<T, FlightLost>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut result = {
            let mut flights = lock(&self.0);
            match flights.get(user) {
                Some(flight) => flight.clone(),
                None => {
                    let (sender, receiver) = watch::channel(None);
                    flights.insert(user.to_owned(), receiver.clone());
                    let work = work();
                    let flight = Flight {
                        flights: Arc::clone(&self.0),
                        user: user.to_owned(),
                    };
                    tokio::spawn(async move {
                        let result = work.await;
                        // Before the result is told: who comes then begins anew.
                        drop(flight);
                        sender.send_replace(Some(result));
                    });
                    receiver
                }
            }
        };
        let result = result.wait_for(Option::is_some).await;
        result.map_err(|_| FlightLost)?.clone().ok_or(FlightLost)
    }
}

/// An entry of the map, which goes when the work ends, also by a panic.
struct Flight<T> {
    flights: Arc<Mutex<Flights<T>>>,
    user: String,
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        lock(&self.flights).remove(&self.user);
    }
}

fn lock<T>(flights: &Mutex<Flights<T>>) -> MutexGuard<'_, Flights<T>> {
    // No code panics while it holds the lock, so the map is whole even if it is poisoned.
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn all_that_come_meanwhile_get_one_result() {
        let flights = Arc::new(SingleFlight::default());
        let (runs, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let (flights, runs, go) = (flights.clone(), runs.clone(), go.clone());
                tokio::spawn(async move {
                    let work = || async move {
                        go.notified().await;
                        runs.fetch_add(1, Ordering::SeqCst)
                    };
                    flights.run("ann", work).await.unwrap()
                })
            })
            .collect();
        assert_eq!(flights.run("bob", || async { 7 }).await.unwrap(), 7);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), 0);
        }
        assert!(lock(&flights.0).is_empty());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_stops_nothing() {
        let flights: SingleFlight<()> = SingleFlight::default();
        let done = Arc::new(Notify::new());
        let told = done.clone();
        let work = || async move {
            tokio::task::yield_now().await;
            told.notify_one();
        };
        {
            let caller = flights.run("ann", work);
            tokio::select! { biased; _ = caller => panic!("too early"), () = std::future::ready(()) => {} }
        }
        done.notified().await;
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error_and_leaves_nothing_behind() {
        let flights: SingleFlight<()> = SingleFlight::default();
        let lost = flights.run("ann", || async { panic!("on purpose") }).await;
        assert!(lost.is_err());
        assert!(lock(&flights.0).is_empty());
    }
}
