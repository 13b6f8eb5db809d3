//! What is used below prefixes. The triggers of `0013_quotas.sql` count it, and its functions refuse
//! what is too much.

use std::num::NonZeroUsize;

use oci::Digest;
use postgresql::types::ToSql;
use postgresql::{PoolSettings, PostgresError, PostgresPool, Row, SessionTimeouts};

use super::PostgresMetadata;
use super::columns::column;
use super::error::{is_not_counted, usage_without_room};
use super::store::StatementParameters;
use crate::packed_digest::pack;
use crate::quota::UsageChange;
use crate::{
    Error, PrefixUsage, Quota, QuotaCounting, QuotaPrefix, QuotaStore, QuotaUsage, QuotaWarning,
    RepositoryQuotas, StorageFuture, TrackedPrefixes, UsageQuery, WrongCount,
};

/// What becomes of prefixes that are counted, and are not among those that are to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OtherPrefixes {
    Kept,
    Removed,
}

/// How often a change counts prefixes that another server has stopped to count meanwhile.
const ATTEMPTS: u32 = 3;

impl QuotaStore for PostgresMetadata {
    fn track(
        &self,
        prefixes: Vec<QuotaPrefix>,
        counting: QuotaCounting,
    ) -> StorageFuture<'_, TrackedPrefixes> {
        Box::pin(async move {
            let counted = self.count(&prefixes, OtherPrefixes::Removed, counting);
            Ok(counted.await?)
        })
    }

    fn usage(&self, query: UsageQuery) -> StorageFuture<'_, Vec<PrefixUsage>> {
        Box::pin(async move {
            let rows = match query {
                UsageQuery::All => {
                    let sql = "SELECT prefix, bytes, tags FROM quota_prefixes ORDER BY prefix";
                    self.query(sql, &[]).await?
                }
                UsageQuery::Of(prefixes) => {
                    let sql = "SELECT prefix, bytes, tags FROM quota_prefixes
                        WHERE prefix = ANY ($1) ORDER BY prefix";
                    self.query(sql, &[&stored(&prefixes)]).await?
                }
            };
            let usages = rows.iter().map(|row| {
                Ok(PrefixUsage {
                    prefix: prefix(row)?,
                    usage: usage(row, 1)?,
                })
            });
            usages.collect()
        })
    }

    fn measure<'a>(&'a self, prefix: &'a QuotaPrefix) -> StorageFuture<'a, QuotaUsage> {
        Box::pin(async move {
            let sql = "SELECT prefix, bytes, tags FROM measure_usage_1(ARRAY[$1])";
            let rows = self
                .long_statements()
                .query(sql, &[&prefix.stored()])
                .await?;
            usage(rows.first().ok_or(Error::Conflict)?, 1)
        })
    }

    fn wrong_counts(&self) -> StorageFuture<'_, Vec<WrongCount>> {
        Box::pin(async move {
            let sql = "SELECT p.prefix, p.bytes, p.tags, m.bytes, m.tags
                FROM measure_usage_1(ARRAY(SELECT prefix::text FROM quota_prefixes)) m
                JOIN quota_prefixes p ON p.prefix = m.prefix
                WHERE (p.bytes, p.tags) IS DISTINCT FROM (m.bytes, m.tags) ORDER BY p.prefix";
            let rows = self.long_statements().query(sql, &[]).await?;
            let wrong = rows.iter().map(|row| {
                Ok(WrongCount {
                    prefix: prefix(row)?,
                    counted: usage(row, 1)?,
                    measured: usage(row, 3)?,
                })
            });
            wrong.collect()
        })
    }

    fn prefixes_with<'a>(
        &'a self,
        digest: &'a Digest,
        prefixes: Vec<QuotaPrefix>,
    ) -> StorageFuture<'a, Vec<QuotaPrefix>> {
        Box::pin(async move {
            let sql = "SELECT p.prefix FROM blobs b JOIN quota_blobs q ON q.blob = b.generation
                JOIN quota_prefixes p ON p.id = q.prefix
                WHERE b.digest = $1 AND b.state IN (1, 2) AND p.prefix = ANY ($2)";
            let (digest, wanted) = (pack(digest), stored(&prefixes));
            let rows = self.query(sql, &[&digest, &wanted]).await?;
            rows.iter().map(prefix).collect()
        })
    }
}

/// The quotas of a repository, as the functions take them.
pub(super) struct QuotaColumns<'a> {
    quotas: &'a RepositoryQuotas,
    prefixes: Vec<&'a str>,
    byte_limits: Vec<Option<i64>>,
    tag_limits: Vec<Option<i64>>,
}

impl<'a> QuotaColumns<'a> {
    pub(super) fn new(quotas: &'a RepositoryQuotas) -> Self {
        let limit = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
        Self {
            quotas,
            prefixes: quotas.iter().map(|it| it.prefix.stored()).collect(),
            byte_limits: quotas.iter().map(|it| it.max_bytes.map(limit)).collect(),
            tag_limits: quotas.iter().map(|it| it.max_tags.map(limit)).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// The parameters that follow the others.
    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 3] {
        [&self.prefixes, &self.byte_limits, &self.tag_limits]
    }

    /// The warnings of a change that returned what it did to the usage.
    pub(super) fn warnings(&self, row: &Row, number: usize) -> Result<Vec<QuotaWarning>, Error> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let usage: Option<Vec<i64>> = column(row, number)?;
        // The change is committed, so nothing refuses it any more.
        let warnings = self.quotas.check(&self.changes(&usage.unwrap_or_default()));
        Ok(warnings.unwrap_or_default())
    }

    /// What an error of such a function means.
    pub(super) fn refused(&self, error: &PostgresError) -> Option<Error> {
        let usage = usage_without_room(error)?;
        // The limits that were passed are these.
        self.quotas
            .check(&self.changes(&usage))
            .err()
            .map(Error::from)
    }

    fn changes(&self, usage: &[i64]) -> Vec<UsageChange> {
        let changes = self.quotas.iter().zip(usage.chunks_exact(4));
        let changes = changes.map(|(Quota { prefix, .. }, numbers)| {
            let number = |at: usize| numbers[at].max(0).unsigned_abs();
            UsageChange {
                prefix: prefix.clone(),
                used: QuotaUsage {
                    bytes: number(0),
                    tags: number(2),
                },
                added: QuotaUsage {
                    bytes: number(1),
                    tags: number(3),
                },
            }
        });
        changes.collect()
    }
}

/// A statement that calls a function without quotas, and one that calls it with them. The second has
/// three more parameters.
pub(super) struct StatementWithin<'a> {
    pub(super) without: &'a str,
    pub(super) within: &'a str,
}

impl PostgresMetadata {
    /// Makes a change within quotas, if there are any.
    pub(super) async fn change_within(
        &self,
        quotas: &QuotaColumns<'_>,
        sql: StatementWithin<'_>,
        parameters: StatementParameters<'_>,
    ) -> Result<Vec<Row>, Error> {
        if quotas.is_empty() {
            return self.query(sql.without, parameters).await;
        }
        let mut all = parameters.to_vec();
        all.extend(quotas.parameters());
        let changed = self.query_within(quotas, sql.within, &all).await;
        changed.map_err(|error| match quotas.refused(&error) {
            Some(refused) => refused,
            None => error.into(),
        })
    }

    /// As [`try_query`](Self::try_query), of a function that takes quotas. Prefixes that are not counted
    /// yet are counted.
    pub(super) async fn query_within(
        &self,
        quotas: &QuotaColumns<'_>,
        sql: &str,
        parameters: StatementParameters<'_>,
    ) -> Result<Vec<Row>, PostgresError> {
        let mut attempts = 0;
        loop {
            match self.try_query(sql, parameters).await {
                Err(error) if attempts < ATTEMPTS && is_not_counted(&error) => attempts += 1,
                outcome => return outcome,
            }
            let prefixes = quotas.quotas.prefixes();
            self.count(&prefixes, OtherPrefixes::Kept, QuotaCounting::New)
                .await?;
        }
    }

    async fn count(
        &self,
        prefixes: &[QuotaPrefix],
        others: OtherPrefixes,
        counting: QuotaCounting,
    ) -> Result<TrackedPrefixes, PostgresError> {
        let sql = "SELECT counted, removed FROM track_quotas_1($1, $2, $3)";
        let prefixes = stored(prefixes);
        let removes_others = others == OtherPrefixes::Removed;
        let counts_again = counting == QuotaCounting::Again;
        let parameters: StatementParameters<'_> = &[&prefixes, &removes_others, &counts_again];
        let rows = self.long_statements().query(sql, parameters).await?;
        let Some(row) = rows.first() else {
            return Ok(TrackedPrefixes::default());
        };
        let number = |at: usize| Ok::<_, PostgresError>(row.try_get::<_, i64>(at)?.unsigned_abs());
        Ok(TrackedPrefixes {
            counted: number(0)?,
            removed: number(1)?,
        })
    }

    /// The connection for statements that read all rows. Those that come meanwhile wait, so that many
    /// pushes at once do not take all connections.
    fn long_statements(&self) -> &PostgresPool {
        let pool = &self.shared.pool;
        let long_statements = self.shared.long_statements.get_or_init(|| {
            let settings = pool.settings();
            pool.with_settings(PoolSettings {
                connections: NonZeroUsize::MIN,
                timeouts: SessionTimeouts {
                    statement: None,
                    ..settings.timeouts
                },
                ..settings
            })
        });
        if pool.is_closed() {
            long_statements.close();
        }
        long_statements
    }
}

fn stored(prefixes: &[QuotaPrefix]) -> Vec<&str> {
    let mut stored: Vec<_> = prefixes.iter().map(QuotaPrefix::stored).collect();
    stored.sort_unstable();
    stored.dedup();
    stored
}

fn prefix(row: &Row) -> Result<QuotaPrefix, Error> {
    Ok(QuotaPrefix::from_stored(column(row, 0)?))
}

/// What is used, whose columns begin at number `at`. Counts that are wrong may be negative.
fn usage(row: &Row, at: usize) -> Result<QuotaUsage, Error> {
    let number = |at| Ok::<_, Error>(column::<i64>(row, at)?.max(0).unsigned_abs());
    Ok(QuotaUsage {
        bytes: number(at)?,
        tags: number(at + 1)?,
    })
}
