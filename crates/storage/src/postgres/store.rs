//! The store of metadata in PostgreSQL.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use postgresql::types::ToSql;
use postgresql::{PostgresError, PostgresPool, Row};

use super::clock::{DatabaseClock, StoreClock};
use super::columns::{column, seconds};
use super::error::has_lost_a_race;
use super::look::{Look, LookPeriods};
use crate::cache::Cache;
use crate::shared::{ContentRows, OwnBlobs};
use crate::{Error, Retention};

/// How often a statement is tried again that another server's statement was in the way of.
const RACES: u32 = 5;

/// Metadata in PostgreSQL. Clones share it.
#[derive(Clone)]
pub struct PostgresMetadata {
    pub(super) shared: Arc<PostgresState>,
}

/// How a server uses the metadata.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// Identifies this server in leases: a random number.
    pub server: [u8; 16],
    /// How long things are kept.
    pub retention: Retention,
    /// For how long the server answers from memory without looking what others have changed, and how
    /// long it waits after a change.
    pub look: LookPeriods,
    /// The clock of leases and ages.
    pub clock: DatabaseClock,
}

impl PostgresSettings {
    /// How long a server may answer from memory without a look, unless it is configured.
    pub const LOOK: Duration = Duration::from_millis(10);
}

pub(super) struct PostgresState {
    pub(super) pool: PostgresPool,
    /// One connection more, for statements that read all rows, which may take long.
    pub(super) long_statements: OnceLock<PostgresPool>,
    pub(super) server: [u8; 16],
    pub(super) retention: Retention,
    pub(super) clock: StoreClock,
    pub(super) cache: Cache,
    pub(super) look: Look,
}

/// The parameters of a statement.
pub(super) type StatementParameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl PostgresMetadata {
    /// Metadata in the database of `pool`, whose migrations have run. Nothing is asked yet.
    #[must_use]
    pub fn new(pool: PostgresPool, settings: PostgresSettings) -> Self {
        let PostgresSettings {
            server,
            retention,
            look,
            clock,
        } = settings;
        Self {
            shared: Arc::new(PostgresState {
                pool,
                long_statements: OnceLock::new(),
                server,
                retention,
                clock: StoreClock::new(clock),
                cache: Cache::new(),
                look: Look::new(look),
            }),
        }
    }

    /// From now on, the server has these periods.
    pub fn set_look(&self, periods: LookPeriods) {
        self.shared.look.set(periods);
    }

    /// The identity of the directory that has the content, if it is in one.
    pub(crate) async fn directory_identity(&self) -> Result<Option<String>, Error> {
        let sql = "SELECT substring(identity FROM 11) FROM content_store
                   WHERE starts_with(identity, 'directory ')";
        let rows = self.query(sql, &[]).await?;
        rows.first().map(|row| column(row, 0)).transpose()
    }

    /// A random text that no other server makes.
    pub(crate) fn new_identity(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.shared.server))
    }

    /// From now on, content is in the bucket with this identity, or in the `directory` with it, unless
    /// another server was faster.
    /// Returns the identity that counts.
    pub(crate) async fn set_content_identity(&self, identity: &str) -> Result<String, Error> {
        let sql = "INSERT INTO content_store (one, identity) VALUES (1, $1)
                   ON CONFLICT (one) DO UPDATE SET identity = content_store.identity
                   RETURNING identity";
        column(&self.one(sql, &[&identity]).await?, 0)
    }

    /// The rows of a statement, which is a transaction.
    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: StatementParameters<'_>,
    ) -> Result<Vec<Row>, Error> {
        Ok(self.try_query(sql, parameters).await?)
    }

    /// The same, with the database's own errors.
    pub(super) async fn try_query(
        &self,
        sql: &str,
        parameters: StatementParameters<'_>,
    ) -> Result<Vec<Row>, PostgresError> {
        let mut races = 0;
        loop {
            match self.shared.pool.query(sql, parameters).await {
                Err(error) if races < RACES && has_lost_a_race(&error) => races += 1,
                result => return result,
            }
        }
    }

    /// The one row of a statement.
    pub(super) async fn one(
        &self,
        sql: &str,
        parameters: StatementParameters<'_>,
    ) -> Result<Row, Error> {
        let rows = self.query(sql, parameters).await?;
        rows.into_iter().next().ok_or(Error::Conflict)
    }

    /// Waits until no server answers what it had in memory before a change that was committed.
    pub(super) async fn settle(&self) {
        let wait = self.shared.look.wait();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// How old a lease must be before it is renewed.
    pub(super) fn renewal(&self) -> Duration {
        (self.shared.retention.grace / 8).min(Duration::from_secs(3600))
    }

    /// The same, in seconds.
    pub(super) fn renewal_seconds(&self) -> f64 {
        seconds(self.renewal())
    }
}

impl ContentRows for PostgresMetadata {
    async fn own_blobs(&self) -> Result<OwnBlobs, Error> {
        let sql = "SELECT EXISTS (SELECT 1 FROM blobs WHERE store = 0),
                   EXISTS (SELECT 1 FROM blobs WHERE store = 0 AND state IN (1, 2))";
        let row = self.one(sql, &[]).await?;
        Ok(OwnBlobs {
            any: column(&row, 0)?,
            any_live: column(&row, 1)?,
        })
    }

    async fn content_identity(&self) -> Result<Option<String>, Error> {
        let rows = self
            .query(
                "SELECT identity FROM content_store WHERE NOT starts_with(identity, 'directory ')",
                &[],
            )
            .await?;
        rows.first().map(|row| column(row, 0)).transpose()
    }
}

impl fmt::Debug for PostgresMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresMetadata")
            .field("pool", &self.shared.pool)
            .finish_non_exhaustive()
    }
}
