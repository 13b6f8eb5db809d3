//! Opens connections, and what happens while no server can be reached.
//!
//! For as long as a request waits for a connection, a restart of the server is waited out. Servers
//! that are away for longer are tried once in a second at most, by one request at a time, and all
//! others fail at once with the reason.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{MutexGuard, OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::{PoolState, PooledConnection, now};
use crate::connection;
use crate::error::{PostgresError, PostgresFailure};
use crate::jitter::jitter;

/// The longest pause between two attempts to reach a server that is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// No server could be reached.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    since: Instant,
    next_attempt: Instant,
    failure: PostgresFailure,
}

/// A new connection, unless it takes longer than until `deadline`.
pub(super) async fn open_until(
    pool: &Arc<PoolState>,
    permit: OwnedSemaphorePermit,
    deadline: Instant,
) -> Result<PooledConnection, PostgresError> {
    let (sender, receiver) = oneshot::channel();
    let opening = Arc::clone(pool);
    // It goes on when its request has given up: the next request needs a connection, too.
    tokio::spawn(async move {
        let opened = open(&opening, permit, deadline).await;
        let _ = sender.send(opened);
    });
    match tokio::time::timeout_at(deadline, receiver).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(_)) | Err(_) => Err(match pool.outage() {
            Some(outage) => outage.error(),
            None => PostgresError::unavailable(PostgresFailure::NotOpened {
                location: pool.location.to_string(),
                limit: pool.settings.wait,
            }),
        }),
    }
}

async fn open(
    pool: &Arc<PoolState>,
    permit: OwnedSemaphorePermit,
    deadline: Instant,
) -> Result<PooledConnection, PostgresError> {
    loop {
        let attempt = turn(pool, deadline).await?;
        let preferred = pool.preferred.load(Ordering::Relaxed);
        let (location, timeouts) = (&pool.location, pool.settings.timeouts);
        let failure = match connection::open(location, preferred, timeouts, &pool.statements).await
        {
            Ok((connection, place)) => {
                pool.preferred.store(place, Ordering::Relaxed);
                pool.is_reached();
                return Ok(PooledConnection::new(pool, connection, now(), permit));
            }
            Err(failure) => failure,
        };
        pool.is_not_reached(&failure);
        drop(attempt);
        if now() >= deadline {
            return Err(PostgresError::unavailable(failure));
        }
    }
}

/// Waits for the turn to try a server that is away; at once if none is.
async fn turn(
    pool: &PoolState,
    deadline: Instant,
) -> Result<Option<MutexGuard<'_, ()>>, PostgresError> {
    let Some(outage) = pool.outage() else {
        return Ok(None);
    };
    // Another request tries it, or has just done so.
    if outage.is_long(pool.settings.wait) {
        return match pool.attempt.try_lock() {
            Ok(attempt) if now() >= outage.next_attempt => Ok(Some(attempt)),
            _ => Err(outage.error()),
        };
    }
    let waiting = tokio::time::timeout_at(deadline, pool.attempt.lock()).await;
    let attempt = waiting.map_err(|_| outage.error())?;
    let Some(outage) = pool.outage() else {
        return Ok(Some(attempt));
    };
    if outage.next_attempt > deadline {
        tokio::time::sleep_until(deadline).await;
        return Err(outage.error());
    }
    tokio::time::sleep_until(outage.next_attempt).await;
    Ok(Some(attempt))
}

impl PoolState {
    pub(super) fn outage(&self) -> Option<Outage> {
        self.locked_outage().clone()
    }

    fn locked_outage(&self) -> std::sync::MutexGuard<'_, Option<Outage>> {
        self.outage
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn is_reached(&self) {
        if let Some(outage) = self.locked_outage().take() {
            let seconds = (now() - outage.since).as_secs();
            tracing::info!(location = %self.location, seconds, "the database is back");
        }
    }

    fn is_not_reached(&self, failure: &PostgresFailure) {
        let now = now();
        let mut outage = self.locked_outage();
        if outage.is_none() {
            let (location, reason) = (&self.location, failure);
            match failure {
                PostgresFailure::LoginRefused { .. } => {
                    tracing::error!(%location, %reason, "the database refuses the login; it is tried again");
                }
                _ => {
                    tracing::warn!(%location, %reason, "the database cannot be reached; it is tried again");
                }
            }
        }
        *outage = Some(Outage {
            since: outage.as_ref().map_or(now, |outage| outage.since),
            next_attempt: now + jitter(LONGEST_PAUSE),
            failure: failure.clone(),
        });
    }
}

impl Outage {
    /// Whether it has lasted for longer than a request waits.
    fn is_long(&self, wait: Duration) -> bool {
        now() - self.since > wait
    }

    fn error(&self) -> PostgresError {
        PostgresError::unavailable(self.failure.clone())
    }
}
