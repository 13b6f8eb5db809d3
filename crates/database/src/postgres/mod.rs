//! PostgreSQL: the same statements in serializable transactions.
//!
//! The small stores are synchronous inside a read or a write. So a transaction is begun first, and the
//! caller's work then runs on a thread that may block. There are never more of these threads than
//! connections. A write that meets another one is rolled back and run again. If the connection breaks
//! during COMMIT, the server is asked for the outcome.

mod error;
mod migrations;
mod open;
mod placeholders;
mod schema_error;
mod statements;
mod values;

use std::sync::Arc;
use std::time::Duration;

use postgresql::{IsolationLevel, PoolSettings, PostgresLocation, PostgresPool, Transaction};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, watch};
use tokio::task;

pub use migrations::{MigrationReport, SCHEMA_VERSION, SchemaVersion};
pub(crate) use migrations::{migrate, pending, version};
pub use schema_error::SchemaError;
pub(crate) use statements::PostgresStatements;
pub(crate) use values::column_value;

use crate::{ClusterSecret, DatabaseConnection, Error};
use open::OpeningProgress;
use placeholders::Placeholders;

/// How often a write is run that meets others. Each attempt waits longer than the one before.
const ATTEMPTS: u32 = 12;
/// The longest wait before the second attempt, and before any other.
const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// A database on a PostgreSQL server. Clones share its connections.
#[derive(Clone, Debug)]
pub(crate) struct PostgresDatabase(Arc<PostgresState>);

#[derive(Debug)]
struct PostgresState {
    pool: PostgresPool,
    schema: Schema,
    placeholders: Placeholders,
    secret: OnceCell<ClusterSecret>,
}

/// Who makes sure that the tables are there.
#[derive(Debug)]
enum Schema {
    /// A task of this server.
    Server(watch::Receiver<OpeningProgress>, task::AbortHandle),
    /// No one: a command looks once.
    Command(OnceCell<()>),
}

impl Drop for Schema {
    fn drop(&mut self) {
        if let Self::Server(_, task) = self {
            task.abort();
        }
    }
}

impl PostgresDatabase {
    /// The database of a server. A task reaches it, and creates or migrates its tables, as often as
    /// that is needed. It must be called in a tokio runtime.
    pub(crate) fn of_server(location: PostgresLocation, settings: PoolSettings) -> Self {
        let pool = PostgresPool::new(location, settings);
        let (opening, task) = open::start(pool.clone());
        Self::new(pool, Schema::Server(opening, task))
    }

    /// The database of a command, which changes no tables.
    pub(crate) fn of_command(location: PostgresLocation, settings: PoolSettings) -> Self {
        let pool = PostgresPool::new(location, settings);
        Self::new(pool, Schema::Command(OnceCell::new()))
    }

    fn new(pool: PostgresPool, schema: Schema) -> Self {
        Self(Arc::new(PostgresState {
            pool,
            schema,
            placeholders: Placeholders::default(),
            secret: OnceCell::new(),
        }))
    }

    pub(crate) fn pool(&self) -> &PostgresPool {
        &self.0.pool
    }

    /// Returns when the tables are there.
    ///
    /// # Errors
    /// [`Error::Schema`] when this program cannot use them, and for a command when the server cannot
    /// be reached.
    pub(crate) async fn ready(&self) -> Result<(), Error> {
        match &self.0.schema {
            Schema::Server(opening, _) => open::ready(opening.clone()).await,
            Schema::Command(_) => self.require_schema().await,
        }
    }

    /// Requires that the database answers.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        self.require_schema().await?;
        self.0.pool.query("SELECT 1", &[]).await?;
        Ok(())
    }

    /// What all servers of this database share.
    pub(crate) async fn secret(&self) -> Result<ClusterSecret, Error> {
        let read = || async {
            self.require_schema().await?;
            let sql = "SELECT secret FROM cluster";
            let row = self.0.pool.query_one(sql, &[]).await?;
            ClusterSecret::from_bytes(row.get(0)).ok_or(Error::NoRow)
        };
        self.0.secret.get_or_try_init(read).await.cloned()
    }

    pub(crate) async fn write<T, E, F>(&self, mut work: F) -> Result<T, E>
    where
        F: FnMut(&DatabaseConnection<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.require_schema().await?;
        let mut attempt = 1;
        loop {
            let transaction = self.begin(IsolationLevel::Serializable).await?;
            let run = self.run(transaction.clone(), move |connection| {
                let result = work(connection);
                (result, work)
            });
            let Finished {
                value: (result, again),
                met_other,
            } = run.await?;
            work = again;
            let error = match result {
                Ok(value) => match transaction.commit().await.map_err(Error::from) {
                    Ok(()) => return Ok(value),
                    Err(error @ Error::Busy(_)) => E::from(error),
                    Err(error) => return Err(error.into()),
                },
                Err(error) => {
                    transaction.roll_back().await;
                    match met_other {
                        true => error,
                        false => return Err(error),
                    }
                }
            };
            if attempt == ATTEMPTS {
                return Err(error);
            }
            wait_before(attempt).await;
            attempt += 1;
        }
    }

    pub(crate) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&DatabaseConnection<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.require_schema().await?;
        let transaction = self.begin(IsolationLevel::ReadOnly).await?;
        let result = self.run(transaction.clone(), work).await?.value;
        // Nothing is to be committed, but COMMIT leaves the connection usable.
        transaction.roll_back().await;
        result
    }

    /// Requires tables that this program knows. A server's task waits for them; nothing else does.
    async fn require_schema(&self) -> Result<(), Error> {
        match &self.0.schema {
            Schema::Server(opening, _) => opening.borrow().require(),
            Schema::Command(checked) => {
                let check = || async { migrations::check(&self.0.pool).await };
                checked.get_or_try_init(check).await.map(drop)
            }
        }
    }

    async fn begin(&self, level: IsolationLevel) -> Result<Transaction, Error> {
        Ok(self.0.pool.begin(level).await?)
    }

    /// Runs `work` on a thread that may block. There is a connection for it already.
    async fn run<T, W>(&self, transaction: Transaction, work: W) -> Result<Finished<T>, Error>
    where
        W: FnOnce(&DatabaseConnection<'_>) -> T + Send + 'static,
        T: Send + 'static,
    {
        let (runtime, database) = (Handle::current(), Arc::clone(&self.0));
        let task = task::spawn_blocking(move || {
            let placeholders = &database.placeholders;
            let statements = PostgresStatements::new(transaction, runtime, placeholders);
            let value = work(&DatabaseConnection::postgres(&statements));
            let met_other = statements.met_other();
            Finished { value, met_other }
        });
        match task.await {
            Ok(finished) => Ok(finished),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::Closed),
            },
        }
    }
}

/// What became of work on a thread that may block.
struct Finished<T> {
    value: T,
    /// Whether a statement failed because of another transaction.
    met_other: bool,
}

/// Waits before another attempt, the longer the more there were. Two that met must not meet again.
async fn wait_before(attempt: u32) {
    let longest = (FIRST_WAIT * 2_u32.saturating_pow(attempt - 1)).min(LONGEST_WAIT);
    tokio::time::sleep(longest.mul_f64(open::fraction())).await;
}
