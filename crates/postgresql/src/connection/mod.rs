//! One connection: statements that are prepared once, within a limit of time.

mod open;
mod process_id;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) use open::open;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, SimpleQueryMessage};

use crate::error::{PostgresError, PostgresFailure};
use crate::location::PostgresLocation;
use crate::statements::{PreparedStatements, StatementAnswer, Statements};
use crate::untyped::UntypedStatements;

/// How much longer than the server an answer is waited for.
const GRACE: Duration = Duration::from_secs(1);

/// For how long the server works and waits for a session. Without a value it does so without end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionTimeouts {
    /// A statement. Its answer is waited for a second longer.
    pub statement: Option<Duration>,
    /// The next statement of a transaction.
    pub idle_in_transaction: Option<Duration>,
    /// A lock that another transaction has.
    pub lock: Option<Duration>,
}

/// An open connection.
///
/// A statement is prepared when it is first used. What a dropped future was waiting for may still
/// come, so a connection whose statement was given up is broken.
pub struct PostgresConnection {
    client: Client,
    driver: JoinHandle<Result<(), tokio_postgres::Error>>,
    timeouts: SessionTimeouts,
    statements: Arc<Statements>,
    prepared: PreparedStatements,
    untyped: UntypedStatements,
    waiting: AtomicUsize,
    broken: AtomicBool,
    lost: AtomicBool,
    /// Whether the server itself keeps the timeouts. Behind a pooler it does so in transactions
    /// only, which set them.
    session_has_timeouts: bool,
    timeline: Option<u32>,
}

impl PostgresConnection {
    /// Opens a connection of its own, without a pool.
    ///
    /// # Errors
    /// When no server of `location` can be used. The error says why each of them cannot.
    pub async fn open(
        location: &PostgresLocation,
        timeouts: SessionTimeouts,
    ) -> Result<Self, PostgresError> {
        let opened = open(location, 0, timeouts, &Arc::default()).await;
        let (connection, _) = opened.map_err(PostgresError::unavailable)?;
        Ok(connection)
    }

    fn new(
        client: Client,
        driver: JoinHandle<Result<(), tokio_postgres::Error>>,
        timeouts: SessionTimeouts,
        statements: Arc<Statements>,
    ) -> Self {
        Self {
            client,
            driver,
            timeouts,
            statements,
            prepared: PreparedStatements::default(),
            untyped: UntypedStatements::default(),
            waiting: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            session_has_timeouts: false,
            timeline: None,
        }
    }

    /// The rows of a statement, in one round trip once it is prepared.
    ///
    /// # Errors
    /// When the server refuses it or cannot answer.
    pub async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        Ok(self.answer(sql, parameters).await?.rows)
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
        Ok(self.answer(sql, parameters).await?.changed)
    }

    /// The rows of a statement whose parameters are texts of types that the server chooses, as for
    /// literals. It is not prepared. It may run twice, so it should only read.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn query_untyped(
        &self,
        sql: &str,
        parameters: &[&str],
    ) -> Result<Vec<Row>, PostgresError> {
        let untyped = &self.untyped;
        let outcome = self
            .within(untyped.query(&self.client, &self.statements, sql, parameters))
            .await;
        if matches!(outcome, Err(PostgresError::Conflict(_))) {
            self.give_up();
        }
        outcome
    }

    /// Runs statements without parameters, divided by semicolons, as one transaction if they do not
    /// divide themselves otherwise.
    ///
    /// # Errors
    /// As [`query`](Self::query). The statements after the one that failed did not run.
    pub async fn batch_execute(&self, sql: &str) -> Result<(), PostgresError> {
        let running = async { Ok(self.client.batch_execute(sql).await?) };
        self.within(running).await
    }

    /// Runs statements without parameters, and returns the first column of the last row.
    pub(crate) async fn last_value(&self, sql: &str) -> Result<Option<String>, PostgresError> {
        let running = async { Ok(self.client.simple_query(sql).await?) };
        let messages = self.within(running).await?;
        let row = messages.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(row.and_then(|row| row.get(0)).map(str::to_owned))
    }

    pub(crate) async fn answer(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<StatementAnswer, PostgresError> {
        let prepared = &self.prepared;
        self.within(prepared.query(&self.client, &self.statements, sql, parameters))
            .await
    }

    /// The timeline of the server's log of changes when the connection was opened. It changes when
    /// a standby is promoted. A standby has none, and some services do not show it.
    #[must_use]
    pub fn timeline(&self) -> Option<u32> {
        self.timeline
    }

    /// Whether it can be used for another statement.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.client.is_closed()
            && !self.broken.load(Ordering::Relaxed)
            && self.waiting.load(Ordering::Relaxed) == 0
    }

    /// Whether its server has gone, fallen silent, or become a standby.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// What sets the timeouts in a transaction, if the session does not have them.
    pub(crate) fn local_timeouts(&self) -> String {
        if self.session_has_timeouts {
            return String::new();
        }
        let parameters = self.timeouts.parameters();
        let parameters = parameters
            .iter()
            .filter(|(name, _)| *name != CHECK_CONNECTION);
        parameters
            .map(|(name, value)| format!("; SET LOCAL {name} = {value}"))
            .collect()
    }

    pub(crate) fn statements(&self) -> &Statements {
        &self.statements
    }

    /// It must not be used any more.
    pub(crate) fn give_up(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// What `asking` answers, within the time that the server has for a statement.
    async fn within<T>(
        &self,
        asking: impl Future<Output = Result<T, PostgresError>>,
    ) -> Result<T, PostgresError> {
        let waiting = Waiting::new(&self.waiting);
        let answer = match self.timeouts.statement {
            None => asking.await,
            Some(limit) => match tokio::time::timeout(limit + GRACE, asking).await {
                Ok(answer) => answer,
                Err(_) => Err(PostgresError::unavailable(PostgresFailure::TimedOut(limit))),
            },
        };
        waiting.end();
        if answer.as_ref().is_err_and(PostgresError::breaks_connection) {
            self.give_up();
            self.lost.store(true, Ordering::Relaxed);
        }
        answer
    }
}

impl Drop for PostgresConnection {
    /// A connection that is in order takes leave of the server. Any other is cut, and the server
    /// notices that within two seconds.
    fn drop(&mut self) {
        if !self.is_usable() {
            self.driver.abort();
        }
    }
}

impl fmt::Debug for PostgresConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usable = self.is_usable();
        write!(f, "PostgresConnection {{ usable: {usable} }}")
    }
}

/// The server asks now and then whether the client of a long statement is still there.
const CHECK_CONNECTION: &str = "client_connection_check_interval";

impl SessionTimeouts {
    /// The server's parameters for them.
    fn parameters(self) -> Vec<(&'static str, String)> {
        let limits = [
            ("statement_timeout", self.statement),
            (
                "idle_in_transaction_session_timeout",
                self.idle_in_transaction,
            ),
            ("lock_timeout", self.lock),
            (
                CHECK_CONNECTION,
                self.statement.map(|_| Duration::from_secs(2)),
            ),
        ];
        let limits = limits.into_iter();
        limits
            .filter_map(|(name, limit)| Some((name, limit?.as_millis().to_string())))
            .collect()
    }
}

/// Counts a statement that is waited for. If it is dropped before its end, the count stays.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }

    fn end(self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn at_most_one(mut rows: Vec<Row>) -> Result<Option<Row>, PostgresError> {
    match rows.len() {
        0 | 1 => Ok(rows.pop()),
        count => Err(PostgresError::other(PostgresFailure::Rows(count))),
    }
}

pub(crate) fn exactly_one(rows: Vec<Row>) -> Result<Row, PostgresError> {
    at_most_one(rows)?.ok_or_else(|| PostgresError::other(PostgresFailure::Rows(0)))
}
