//! A few connections to one database, opened when they are needed.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use common::Clock;
use tokio::sync::Semaphore;

use crate::connection::{Connection, QueryRun};
use crate::dsn::{ConnectionString, SqliteMode, Target};
use crate::error::SqlError;
use crate::row::Cell;

/// How long a connection may be idle before another one is opened in its place. Firewalls forget
/// idle connections without a word.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// Connections to one database.
///
/// A query gets an idle connection or a new one, and waits while all are in use. The whole of it,
/// with the wait and the connecting, has one time limit. A connection whose query was given up is
/// closed, because its answer may still come.
pub struct SqlDatabase {
    target: Target,
    limit: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<IdleConnection>>,
    clock: Arc<dyn Clock>,
}

/// What a query finds that changes nothing.
pub(crate) enum ProbedRows {
    Rows(Vec<Vec<Cell>>),
    /// What is missing, and that a server adds it.
    Missing(String),
}

struct IdleConnection {
    connection: Connection,
    since: SystemTime,
}

impl SqlDatabase {
    /// At most `connections` at once to what `to` names. A query takes no longer than `limit`, or
    /// than a time limit in the connection string if that is shorter. Nothing is opened yet.
    #[must_use]
    pub fn new(
        to: &ConnectionString,
        connections: NonZeroUsize,
        limit: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            target: to.target.clone(),
            limit: to.limit.map_or(limit, |shorter| shorter.min(limit)),
            permits: Semaphore::new(connections.get()),
            idle: Mutex::default(),
            clock,
        }
    }

    /// The rows of a query.
    pub(crate) async fn fetch(&self, run: QueryRun<'_>) -> Result<Vec<Vec<Cell>>, SqlError> {
        let fetched = tokio::time::timeout(self.limit, self.fetch_unlimited(run)).await;
        fetched.unwrap_or(Err(SqlError::TimedOut(self.limit)))
    }

    /// The rows of a query, for which neither a file is made nor a table completed.
    pub(crate) async fn probe(&self, run: QueryRun<'_>) -> Result<ProbedRows, SqlError> {
        if let Target::Sqlite(target) = &self.target
            && target.mode == SqliteMode::Create
            && !target.path.exists()
        {
            return Ok(ProbedRows::Missing(format!(
                "the file {} does not exist yet: the server makes it",
                target.path.display()
            )));
        }
        let query = run.query.changing_nothing();
        let fetched = self.fetch(QueryRun {
            query: &query,
            ..run
        });
        match fetched.await {
            Ok(rows) => Ok(ProbedRows::Rows(rows)),
            Err(error) => match run.query.gap(&error) {
                Some(gap) => Ok(ProbedRows::Missing(format!(
                    "{} yet: the server adds it with `{}`",
                    gap.description, gap.statement
                ))),
                None => Err(error),
            },
        }
    }

    async fn fetch_unlimited(&self, run: QueryRun<'_>) -> Result<Vec<Vec<Cell>>, SqlError> {
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|closed| SqlError::Lost(closed.into()))?;
        // The server may have closed the idle ones. The query only reads, so it can be repeated.
        while let Some(connection) = self.take_idle() {
            match self.fetch_with(connection, run).await {
                Err(error) if error.breaks_connection() => {}
                outcome => return outcome,
            }
        }
        let connection = Connection::open(&self.target).await?;
        self.fetch_with(connection, run).await
    }

    /// The rows; the connection becomes idle again unless it broke.
    async fn fetch_with(
        &self,
        mut connection: Connection,
        run: QueryRun<'_>,
    ) -> Result<Vec<Vec<Cell>>, SqlError> {
        let outcome = connection.fetch(run).await;
        let broke = outcome.as_ref().is_err_and(SqlError::breaks_connection);
        if !broke {
            let since = self.clock.now();
            self.idle().push(IdleConnection { connection, since });
        }
        outcome
    }

    /// The connection that was used last. Those that were idle for too long are closed.
    fn take_idle(&self) -> Option<Connection> {
        let now = self.clock.now();
        let mut idle = self.idle();
        idle.retain(|idle| now.duration_since(idle.since).unwrap_or_default() < MAX_IDLE);
        idle.pop().map(|idle| idle.connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<IdleConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
