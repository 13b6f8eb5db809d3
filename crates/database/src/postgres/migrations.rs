//! The tables of PostgreSQL: a list of steps, to which new ones are only appended.
//!
//! Several servers use the tables at once, of this version and of the one before, while they are
//! replaced one by one. So a step only adds what older programs can ignore, and says which programs
//! that is: those that know the version `serves_from`. The first new server applies the missing
//! steps. Commands never do.

use std::time::Duration;

use common::BoxFuture;
use postgresql::{IsolationLevel, PoolSettings, PostgresPool, SessionTimeouts, Transaction};

use crate::{Error, SchemaError};

/// A step. The statements of a released one are never changed; a new step corrects them.
struct MigrationStep {
    sql: &'static str,
    /// The oldest version that a program may know if this step was applied.
    serves_from: i64,
}

/// No released program knows less than all of these.
const FIRST_RELEASE: i64 = 10;

const MIGRATIONS: &[MigrationStep] = &[
    first_release(include_str!(
        "../../migrations/postgresql/0001_small_stores.sql"
    )),
    first_release(include_str!(
        "../../migrations/postgresql/0002_registry.sql"
    )),
    first_release(include_str!(
        "../../migrations/postgresql/0003_registry_functions.sql"
    )),
    first_release(include_str!(
        "../../migrations/postgresql/0004_upload_functions.sql"
    )),
    first_release(include_str!(
        "../../migrations/postgresql/0005_collection_functions.sql"
    )),
    first_release(include_str!("../../migrations/postgresql/0006_audit.sql")),
    first_release(include_str!(
        "../../migrations/postgresql/0007_replicas.sql"
    )),
    first_release(include_str!(
        "../../migrations/postgresql/0008_notifications.sql"
    )),
    // Programs without it know no immutable tag and write no history, as before it.
    first_release(include_str!("../../migrations/postgresql/0009_tags.sql")),
    first_release(include_str!("../../migrations/postgresql/0010_look.sql")),
    first_release(include_str!("../../migrations/postgresql/0011_acme.sql")),
    first_release(include_str!(
        "../../migrations/postgresql/0012_retention.sql"
    )),
    // Programs without it refuse nothing. Triggers count what they change.
    first_release(include_str!("../../migrations/postgresql/0013_quotas.sql")),
    first_release(include_str!(
        "../../migrations/postgresql/0014_audit_reads.sql"
    )),
    first_release(include_str!("../../migrations/postgresql/0015_plans.sql")),
];

const fn first_release(sql: &'static str) -> MigrationStep {
    MigrationStep {
        sql,
        serves_from: FIRST_RELEASE,
    }
}

/// The number of PostgreSQL's steps that this program knows.
pub const SCHEMA_VERSION: i64 = VERSION;

const VERSION: i64 = MIGRATIONS.len() as i64;

/// `WHRF`: two servers that migrate at once wait for each other.
const LOCK: i64 = 0x5748_5246;

/// How long a step waits for a lock of the servers that run. Their requests would wait behind it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// A table of the version, before there is any other.
const SCHEMA_TABLE: &str = "CREATE TABLE schema (
    one         bigint PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    -- How many steps were applied, and the oldest version that a program may know to run on them.
    version     bigint NOT NULL,
    serves_from bigint NOT NULL
); INSERT INTO schema (version, serves_from) VALUES (0, 0);";

/// The version of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaVersion {
    /// How many steps were applied.
    pub version: i64,
    /// The oldest version that a program may know to run on them.
    pub serves_from: i64,
}

impl SchemaVersion {
    /// Requires that this program may run on the tables.
    ///
    /// # Errors
    /// [`SchemaError::Newer`].
    pub fn require_served(self) -> Result<(), SchemaError> {
        match self.serves_from <= VERSION {
            true => Ok(()),
            false => Err(SchemaError::Newer {
                serves_from: self.serves_from,
                known: VERSION,
            }),
        }
    }
}

/// What a migration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The version before; `None` if there were no tables.
    pub before: Option<i64>,
    /// The version now, or after the migration if only that was asked for.
    pub after: i64,
}

/// The version of the tables; `None` if there are none.
pub(crate) async fn version(pool: &PostgresPool) -> Result<Option<SchemaVersion>, Error> {
    let sql = "SELECT to_regclass('schema') IS NOT NULL";
    if !pool.query_one(sql, &[]).await?.get::<_, bool>(0) {
        return Ok(None);
    }
    let sql = "SELECT version, serves_from FROM schema";
    let row = pool.query_opt(sql, &[]).await?;
    Ok(row.map(|row| SchemaVersion {
        version: row.get(0),
        serves_from: row.get(1),
    }))
}

/// Requires tables that this program can use.
pub(crate) async fn check(pool: &PostgresPool) -> Result<(), Error> {
    let found = version(pool).await?.ok_or(SchemaError::Missing)?;
    if found.version < VERSION {
        return Err(Error::Schema(SchemaError::Older {
            found: found.version,
            known: VERSION,
        }));
    }
    Ok(found.require_served()?)
}

/// What [`migrate`] would do.
pub(crate) async fn pending(pool: &PostgresPool) -> Result<MigrationReport, Error> {
    let found = version(pool).await?;
    match found {
        Some(found) => found.require_served()?,
        None => require_encoding(pool).await?,
    }
    let before = found.map(|found| found.version);
    Ok(MigrationReport {
        before,
        after: before.map_or(VERSION, |before| before.max(VERSION)),
    })
}

/// Requires that tables can be made.
async fn require_encoding(pool: &PostgresPool) -> Result<(), Error> {
    let sql = "SELECT current_setting('server_encoding')";
    let encoding: String = pool.query_one(sql, &[]).await?.get(0);
    match encoding.as_str() {
        "UTF8" => Ok(()),
        _ => Err(Error::Schema(SchemaError::Encoding(encoding))),
    }
}

/// Applies the missing steps, each in a transaction of its own: what one has locked is not held while the
/// next one works.
pub(crate) fn migrate(pool: &PostgresPool) -> BoxFuture<'_, Result<MigrationReport, Error>> {
    Box::pin(async move {
        let pending = pending(pool).await?;
        if pending.before == Some(pending.after) {
            return Ok(pending);
        }
        // A step may take as long as it needs, but does not wait for long.
        let pool = pool.with_settings(PoolSettings {
            timeouts: SessionTimeouts {
                statement: None,
                idle_in_transaction: None,
                lock: Some(LOCK_TIMEOUT),
            },
            ..pool.settings()
        });
        loop {
            let transaction = pool.begin(IsolationLevel::ReadCommitted).await?;
            let version = match apply_next(&transaction).await {
                Ok(version) => version,
                Err(error) => {
                    transaction.roll_back().await;
                    return Err(error);
                }
            };
            transaction.commit().await?;
            if version >= VERSION {
                return Ok(MigrationReport {
                    before: pending.before,
                    after: version,
                });
            }
        }
    })
}

/// Applies the first step that is missing, if there is one. Returns the version then.
fn apply_next(transaction: &Transaction) -> BoxFuture<'_, Result<i64, Error>> {
    Box::pin(async move {
        let sql = "SELECT pg_advisory_xact_lock($1)";
        transaction.query(sql, &[&LOCK]).await?;
        let sql = "SELECT to_regclass('schema') IS NOT NULL";
        let is_there: bool = transaction.query_one(sql, &[]).await?.get(0);
        if !is_there {
            transaction.batch_execute(SCHEMA_TABLE).await?;
        }
        let sql = "SELECT version, serves_from FROM schema FOR UPDATE";
        let row = transaction.query_one(sql, &[]).await?;
        let before = SchemaVersion {
            version: row.get(0),
            serves_from: row.get(1),
        };
        before.require_served()?;
        let mut steps = MIGRATIONS.iter().zip(1..);
        let Some((step, version)) = steps.find(|(_, version)| *version > before.version) else {
            return Ok(before.version);
        };
        transaction.batch_execute(step.sql).await?;
        let sql = "UPDATE schema SET version = $1, serves_from = greatest(serves_from, $2)";
        transaction
            .execute(sql, &[&version, &step.serves_from])
            .await?;
        Ok(version)
    })
}
