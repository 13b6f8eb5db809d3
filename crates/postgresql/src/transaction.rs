//! Transactions, tried again when another one is in their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::commit::{self, TransactionId};
use crate::connection::exactly_one;
use crate::error::{PostgresError, PostgresFailure};
use crate::pool::{PooledConnection, PostgresPool, RETRIES, wait_before};

/// What a transaction sees of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// Each statement sees what is committed when it begins.
    ReadCommitted,
    /// All statements see what was committed when the first one began.
    RepeatableRead,
    /// The outcome is one that some order of the transactions has. Any of them can be rolled back
    /// with [`PostgresError::Conflict`].
    Serializable,
    /// As `RepeatableRead`, and nothing can be changed.
    ReadOnly,
}

/// A transaction that was begun. A clone is the same transaction. What is not committed is rolled
/// back.
#[derive(Clone)]
pub struct Transaction(Arc<TransactionState>);

struct TransactionState {
    connection: PooledConnection,
    pool: PostgresPool,
    /// Its number, if it can change anything.
    id: Option<TransactionId>,
    has_failed: AtomicBool,
    has_conflict: AtomicBool,
    has_ended: AtomicBool,
}

impl PostgresPool {
    /// Runs `steps` in a transaction and commits it. If another transaction is in the way, all of it
    /// is tried again, three times at most. If the connection breaks while it is committed, the
    /// server is asked on another one whether it was.
    ///
    /// ```no_run
    /// # use postgresql::{IsolationLevel, PostgresError, PostgresPool};
    /// # async fn add(pool: &PostgresPool, name: &str) -> Result<i64, PostgresError> {
    /// pool.transaction(IsolationLevel::ReadCommitted, |transaction| async move {
    ///     let sql = "INSERT INTO repositories (name) VALUES ($1) RETURNING id";
    ///     let row = transaction.query_one(sql, &[&name]).await?;
    ///     Ok(row.get(0))
    /// })
    /// .await
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `steps` return: then it is rolled back. Otherwise what begin and commit return.
    pub async fn transaction<T, E, F>(
        &self,
        level: IsolationLevel,
        mut steps: impl FnMut(Transaction) -> F,
    ) -> Result<T, E>
    where
        E: From<PostgresError>,
        F: Future<Output = Result<T, E>>,
    {
        let mut retry = 0;
        loop {
            let transaction = self.begin(level).await?;
            let error = match steps(transaction.clone()).await {
                Ok(value) => match transaction.commit().await {
                    Ok(()) => return Ok(value),
                    Err(error @ PostgresError::Conflict(_)) if retry < RETRIES => error.into(),
                    Err(error) => return Err(error.into()),
                },
                Err(error) => {
                    let may_retry = transaction.has_conflict() && retry < RETRIES;
                    transaction.roll_back().await;
                    if !may_retry {
                        return Err(error);
                    }
                    error
                }
            };
            drop(error);
            wait_before(retry).await;
            retry += 1;
        }
    }

    /// Begins a transaction, to be ended by the caller.
    ///
    /// # Errors
    /// As [`connection`](Self::connection), and when the server cannot answer.
    pub async fn begin(&self, level: IsolationLevel) -> Result<Transaction, PostgresError> {
        let connection = self.connection().await?;
        let level_text = match level {
            IsolationLevel::ReadCommitted => "READ COMMITTED",
            IsolationLevel::RepeatableRead => "REPEATABLE READ",
            IsolationLevel::Serializable => "SERIALIZABLE",
            IsolationLevel::ReadOnly => "REPEATABLE READ READ ONLY",
        };
        let limits = connection.local_timeouts();
        let begin = format!("BEGIN ISOLATION LEVEL {level_text}{limits}");
        let begun = match level {
            IsolationLevel::ReadOnly => connection.batch_execute(&begin).await.map(|()| None),
            _ => commit::begin(&connection, &begin).await.map(Some),
        };
        let id = match begun {
            Ok(id) => id,
            Err(error) => {
                connection.close();
                return Err(error);
            }
        };
        Ok(Transaction(Arc::new(TransactionState {
            connection,
            pool: self.clone(),
            id,
            has_failed: AtomicBool::new(false),
            has_conflict: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        })))
    }
}

impl Transaction {
    /// The rows of a statement.
    ///
    /// # Errors
    /// When the server refuses it, which makes every statement after it fail, or cannot answer.
    pub async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        let connection = self.open_connection()?;
        self.noted(connection.query(sql, parameters)).await
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

    /// How many rows a statement changed.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn execute(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, PostgresError> {
        let connection = self.open_connection()?;
        self.noted(connection.execute(sql, parameters)).await
    }

    /// Runs statements without parameters, divided by semicolons.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn batch_execute(&self, sql: &str) -> Result<(), PostgresError> {
        let connection = self.open_connection()?;
        self.noted(connection.batch_execute(sql)).await
    }

    /// Commits it.
    ///
    /// # Errors
    /// [`PostgresError::Conflict`] when another transaction was in its way. When one of its
    /// statements failed and it was rolled back. [`PostgresError::Unavailable`] when the connection
    /// broke and the server could not be asked for the outcome.
    pub async fn commit(self) -> Result<(), PostgresError> {
        let connection = self.open_connection()?;
        if self.0.has_failed.load(Ordering::Relaxed) {
            // COMMIT would roll back and not say so.
            let check = connection.batch_execute("SELECT").await;
            check.map_err(|error| match error {
                PostgresError::Other(_) => PostgresError::other(PostgresFailure::RolledBack),
                other => other,
            })?;
        }
        let outcome = connection.batch_execute("COMMIT").await;
        self.0.has_ended.store(true, Ordering::Relaxed);
        match (outcome, &self.0.id) {
            (Err(error), Some(id)) if error.breaks_connection() => {
                connection.give_up();
                commit::settle(&self.0.pool, id, error).await
            }
            (Err(error), _) => {
                connection.give_up();
                Err(error)
            }
            (Ok(()), _) => Ok(()),
        }
    }

    /// Rolls it back. If that fails, its connection is closed, which does the same.
    pub async fn roll_back(self) {
        let Ok(connection) = self.open_connection() else {
            return;
        };
        match connection.batch_execute("ROLLBACK").await {
            Ok(()) => self.0.has_ended.store(true, Ordering::Relaxed),
            Err(_) => connection.give_up(),
        }
    }

    /// Whether one of its statements failed because of another transaction, so that the whole of it
    /// can be tried again.
    #[must_use]
    pub fn has_conflict(&self) -> bool {
        self.0.has_conflict.load(Ordering::Relaxed)
    }

    fn open_connection(&self) -> Result<&PooledConnection, PostgresError> {
        match self.0.has_ended.load(Ordering::Relaxed) {
            true => Err(PostgresError::other(PostgresFailure::Ended)),
            false => Ok(&self.0.connection),
        }
    }

    async fn noted<T>(
        &self,
        running: impl Future<Output = Result<T, PostgresError>>,
    ) -> Result<T, PostgresError> {
        let outcome = running.await;
        if let Err(error) = &outcome {
            self.0.has_failed.store(true, Ordering::Relaxed);
            if matches!(error, PostgresError::Conflict(_)) {
                self.0.has_conflict.store(true, Ordering::Relaxed);
            }
        }
        outcome
    }
}

impl Drop for TransactionState {
    /// A connection with an open transaction is closed, and the server rolls it back.
    fn drop(&mut self) {
        if !*self.has_ended.get_mut() {
            self.connection.give_up();
        }
    }
}
