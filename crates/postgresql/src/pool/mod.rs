//! A bounded number of connections, opened when they are needed.
//!
//! A connection that is used counts against a semaphore, whose order is that of arrival. An opened
//! connection never comes on top of idle ones, so that there are never more than there may be. The
//! opening goes on when no request waits for it any more, and its connection becomes idle.

mod opening;
mod pooled;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{Counter, FINE_DURATION_BOUNDS, Histogram, HistogramSnapshot, Stopwatch};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use traces::{SpanKind, in_child_span};

use self::opening::Outage;
pub use self::pooled::PooledConnection;
use crate::connection::{PostgresConnection, SessionTimeouts, at_most_one, exactly_one};
use crate::error::{PostgresError, PostgresFailure};
use crate::jitter::jitter;
use crate::location::PostgresLocation;
use crate::statements::{StatementAnswer, Statements};

/// How long a connection may be idle, and how long it may live. A longer one would stay at a server
/// that has another name by now.
const MAX_IDLE: Duration = Duration::from_secs(300);
const MAX_AGE: Duration = Duration::from_secs(1800);

/// How often what met another transaction is tried again, and the longest wait before the first of
/// these attempts. It doubles each time.
pub(crate) const RETRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(20);

/// How many connections there are, and how long everything may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// The most connections at once.
    pub connections: NonZeroUsize,
    /// How long a connection is waited for.
    pub wait: Duration,
    /// For how long the server works and waits.
    pub timeouts: SessionTimeouts,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            connections: const { NonZeroUsize::new(16).unwrap() },
            wait: Duration::from_secs(2),
            timeouts: SessionTimeouts {
                statement: Some(Duration::from_secs(5)),
                idle_in_transaction: Some(Duration::from_secs(10)),
                lock: Some(Duration::from_secs(4)),
            },
        }
    }
}

/// Connections to the servers of one cluster. A clone shares them.
#[derive(Clone, Debug)]
pub struct PostgresPool(Arc<PoolState>);

/// How the connections of a pool are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatistics {
    /// The most connections at once.
    pub limit: usize,
    /// How many are in use now.
    pub used: usize,
    /// How many are open and not in use.
    pub idle: usize,
    /// How long a free one was waited for, in nanoseconds.
    pub waits: HistogramSnapshot,
    /// How often none was free in time.
    pub timeouts: u64,
}

pub(crate) struct PoolState {
    location: PostgresLocation,
    settings: PoolSettings,
    permits: Arc<Semaphore>,
    idle: Mutex<VecDeque<IdleConnection>>,
    statements: Arc<Statements>,
    /// The place of the server that was good last.
    preferred: AtomicUsize,
    outage: Mutex<Option<Outage>>,
    /// Whether no statement may run any more.
    is_closed: AtomicBool,
    /// How long connections were waited for, in nanoseconds.
    waits: Histogram,
    /// How often none was free in time.
    timeouts: Counter,
    /// Held while a server that is away is tried.
    attempt: tokio::sync::Mutex<()>,
}

struct IdleConnection {
    connection: PostgresConnection,
    opened: Instant,
    since: Instant,
}

impl PostgresPool {
    /// A pool that opens its first connection when it is first used.
    #[must_use]
    pub fn new(location: PostgresLocation, settings: PoolSettings) -> Self {
        Self(Arc::new(PoolState {
            permits: Arc::new(Semaphore::new(
                settings.connections.get().min(Semaphore::MAX_PERMITS),
            )),
            location,
            settings,
            idle: Mutex::default(),
            statements: Arc::default(),
            preferred: AtomicUsize::new(0),
            outage: Mutex::default(),
            is_closed: AtomicBool::new(false),
            waits: Histogram::new(FINE_DURATION_BOUNDS),
            timeouts: Counter::default(),
            attempt: tokio::sync::Mutex::default(),
        }))
    }

    /// Another pool to the same servers, such as one for migrations, which take longer.
    #[must_use]
    pub fn with_settings(&self, settings: PoolSettings) -> Self {
        Self::new(self.0.location.clone(), settings)
    }

    /// Where the servers are.
    #[must_use]
    pub fn location(&self) -> &PostgresLocation {
        &self.0.location
    }

    /// What the pool was made with.
    #[must_use]
    pub fn settings(&self) -> PoolSettings {
        self.0.settings
    }

    /// Whether statements are prepared. They are not behind a pooler, where a function is cheaper than
    /// a statement that the server plans each time. It is known after the first connection.
    #[must_use]
    pub fn prepares(&self) -> bool {
        !self.0.statements.names_are_forbidden()
    }

    /// Lets no further statement run: this program must not use the database any more. Statements that
    /// run end.
    pub fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
        self.0.idle().clear();
    }

    /// Whether no statement may run any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed.load(Ordering::Acquire)
    }

    /// How the connections are used.
    #[must_use]
    pub fn statistics(&self) -> PoolStatistics {
        let limit = self.0.settings.connections.get();
        PoolStatistics {
            limit,
            used: limit.saturating_sub(self.0.permits.available_permits()),
            idle: self.0.idle().len(),
            waits: self.0.waits.snapshot(),
            timeouts: self.0.timeouts.value(),
        }
    }

    /// Whether no server can be reached, which was logged when it began.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.0.outage().is_some()
    }

    /// A connection for statements of the caller's own, such as `BEGIN` and `COMMIT`. It goes back to
    /// the pool when it is dropped, if no statement was given up.
    ///
    /// # Errors
    /// [`PostgresError::Unavailable`] when no connection becomes free, or none can be opened, in time.
    pub async fn connection(&self) -> Result<PooledConnection, PostgresError> {
        if self.is_closed() {
            return Err(PostgresError::unavailable(PostgresFailure::Closed));
        }
        let wait = self.0.settings.wait;
        let deadline = now() + wait;
        let watch = Stopwatch::start();
        let permit = Arc::clone(&self.0.permits).acquire_owned();
        // The semaphore is never closed.
        let Ok(Ok(permit)) = tokio::time::timeout_at(deadline, permit).await else {
            self.0.timeouts.increment();
            return Err(PostgresError::unavailable(PostgresFailure::NoConnection(
                wait,
            )));
        };
        self.0.waits.observe_duration(watch.elapsed());
        match self.0.take_idle() {
            Some(idle) => Ok(PooledConnection::new(
                &self.0,
                idle.connection,
                idle.opened,
                permit,
            )),
            None => opening::open_until(&self.0, permit, deadline).await,
        }
    }

    /// The rows of a statement, which is a transaction by itself. It is one round trip, once its
    /// connection has prepared it. If another transaction was in its way, it is tried again.
    ///
    /// # Errors
    /// When the server refuses it or cannot answer. If the connection breaks, it is not known whether
    /// the statement ran.
    pub async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        Ok(self.answer(sql, parameters).await?.rows)
    }

    /// The row of a statement that has at most one.
    ///
    /// # Errors
    /// When there are several, or as [`query`](Self::query).
    pub async fn query_opt(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, PostgresError> {
        at_most_one(self.query(sql, parameters).await?)
    }

    /// The row of a statement that has exactly one.
    ///
    /// # Errors
    /// When there is none or there are several, or as [`query`](Self::query).
    pub async fn query_one(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, PostgresError> {
        exactly_one(self.query(sql, parameters).await?)
    }

    /// How many rows a statement changed; otherwise as [`query`](Self::query).
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn execute(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, PostgresError> {
        Ok(self.answer(sql, parameters).await?.changed)
    }

    async fn answer(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<StatementAnswer, PostgresError> {
        for retry in 0..RETRIES {
            let connection = self.connection().await?;
            let answer = connection.answer(sql, parameters);
            match in_child_span("database statement", SpanKind::Client, answer).await {
                Err(PostgresError::Conflict(_)) => drop(connection),
                outcome => return outcome,
            }
            wait_before(retry).await;
        }
        self.connection().await?.answer(sql, parameters).await
    }
}

/// Waits before another attempt, the longer the more there were.
pub(crate) async fn wait_before(retry: u32) {
    tokio::time::sleep(jitter(FIRST_WAIT * 2_u32.pow(retry))).await;
}

impl PoolState {
    /// The connection that was used last, if it still works. Those that are idle or open for too
    /// long are closed.
    fn take_idle(&self) -> Option<IdleConnection> {
        let now = now();
        let mut idle = self.idle();
        idle.retain(|idle| {
            idle.connection.is_usable()
                && now - idle.since < MAX_IDLE
                && now - idle.opened < MAX_AGE
        });
        idle.pop_back()
    }

    /// Keeps a connection for the next one who needs it, and then gives its permit back.
    fn put_back(
        &self,
        connection: PostgresConnection,
        opened: Instant,
        permit: OwnedSemaphorePermit,
    ) {
        let since = now();
        if connection.is_lost() {
            // The others go to the same server, and would be found out one by one.
            self.idle().clear();
        }
        if connection.is_usable() {
            self.idle().push_back(IdleConnection {
                connection,
                opened,
                since,
            });
        }
        drop(permit);
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<IdleConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for PoolState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PoolState({})", self.location)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "these are ages and deadlines that only tokio's timer sees"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
