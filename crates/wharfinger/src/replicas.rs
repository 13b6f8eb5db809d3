//! The servers that share a database in PostgreSQL, as each notes itself in the table `replicas`.

use std::time::Duration;

use postgresql::types::ToSql;
use postgresql::{PostgresError, PostgresPool};
use storage::LookPeriods;

/// How long a server may be silent before it counts as away: it notes itself every ten seconds.
const PRESENT: &str = "interval '35 seconds'";

/// What a server says of itself.
#[derive(Clone)]
pub(crate) struct Replica {
    /// Random, made at each start.
    pub(crate) id: [u8; 16],
    pub(crate) name: String,
    pub(crate) version: &'static str,
    /// The version of the tables that it knows.
    pub(crate) schema: i64,
    /// Equal for equal configurations.
    pub(crate) config_hash: [u8; 32],
    /// For how long it answers from memory without a look at what others have changed.
    pub(crate) look: Duration,
}

/// Another server with another version or configuration, for longer than a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DifferentReplica {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) has_other_configuration: bool,
}

/// A row of the table.
#[derive(Clone)]
pub(crate) struct ListedReplica {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) schema: i64,
    pub(crate) config_hash: Vec<u8>,
    pub(crate) started: Duration,
    pub(crate) seen: Duration,
    pub(crate) is_present: bool,
}

impl Replica {
    /// Writes the server's row, removes those of a day ago, and returns who is different. All times
    /// are the database's.
    pub(crate) async fn note(
        &self,
        pool: &PostgresPool,
    ) -> Result<Vec<DifferentReplica>, PostgresError> {
        let sql = format!(
            "WITH own AS ( \
                 INSERT INTO replicas AS r (id, name, version, schema, config_hash, look) \
                 VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (id) DO UPDATE SET \
                     name = excluded.name, version = excluded.version, schema = excluded.schema, \
                     config_hash = excluded.config_hash, seen_at = now(), \
                     changed_at = CASE WHEN r.config_hash = excluded.config_hash \
                         THEN r.changed_at ELSE now() END \
                 RETURNING id, version, config_hash, changed_at \
             ), gone AS ( \
                 DELETE FROM replicas WHERE seen_at < now() - interval '1 day' AND id <> $1 \
             ) \
             SELECT other.name, other.version, other.config_hash <> own.config_hash \
             FROM replicas other, own \
             WHERE other.id <> own.id AND other.seen_at > now() - {PRESENT} \
               AND greatest(other.changed_at, own.changed_at) < now() - interval '1 minute' \
               AND (other.version <> own.version OR other.config_hash <> own.config_hash) \
             ORDER BY other.name, other.id LIMIT 16"
        );
        let (id, hash) = (&self.id[..], &self.config_hash[..]);
        let look = milliseconds(self.look);
        let own: [&(dyn ToSql + Sync); 6] =
            [&id, &self.name, &self.version, &self.schema, &hash, &look];
        let rows = pool.query(&sql, &own).await?;
        let different = rows.iter().map(|row| DifferentReplica {
            name: row.get(0),
            version: row.get(1),
            has_other_configuration: row.get(2),
        });
        Ok(different.collect())
    }

    /// Removes the row: the server ends.
    pub(crate) async fn leave(&self, pool: &PostgresPool) -> Result<(), PostgresError> {
        let sql = "DELETE FROM replicas WHERE id = $1";
        pool.execute(sql, &[&&self.id[..]]).await.map(drop)
    }
}

/// The periods of a server that has noted `own`, or of a command. Two servers that start at once cannot
/// both miss the other one: each has committed its row before it asks. So no server answers from memory
/// for longer than another one waits.
pub(crate) async fn look_periods(
    pool: &PostgresPool,
    own: Duration,
) -> Result<LookPeriods, PostgresError> {
    let sql = "SELECT least(min(look), $1::bigint), greatest(max(look), $1::bigint) FROM replicas";
    let row = pool.query_one(sql, &[&milliseconds(own)]).await?;
    let period = |column| Duration::from_millis(row.get::<_, i64>(column).unsigned_abs());
    Ok(LookPeriods {
        memory: period(0),
        wait: period(1),
    })
}

fn milliseconds(period: Duration) -> i64 {
    i64::try_from(period.as_millis()).unwrap_or(i64::MAX)
}

/// Every server of the last day, by name.
pub(crate) async fn list(pool: &PostgresPool) -> Result<Vec<ListedReplica>, PostgresError> {
    let sql = format!(
        "SELECT name, version, schema, config_hash, \
             extract(epoch FROM now() - started_at)::float8, \
             extract(epoch FROM now() - seen_at)::float8, \
             seen_at > now() - {PRESENT} \
         FROM replicas WHERE seen_at > now() - interval '1 day' ORDER BY name, id LIMIT 1000"
    );
    let rows = pool.query(&sql, &[]).await?;
    let ago = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let listed = rows.iter().map(|row| ListedReplica {
        name: row.get(0),
        version: row.get(1),
        schema: row.get(2),
        config_hash: row.get(3),
        started: ago(row.get(4)),
        seen: ago(row.get(5)),
        is_present: row.get(6),
    });
    Ok(listed.collect())
}
