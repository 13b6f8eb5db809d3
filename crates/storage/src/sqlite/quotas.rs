//! What is used below prefixes. The triggers of `0017_quotas.sql` count it.

use std::collections::BTreeSet;

use oci::Digest;
use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use super::columns::Packed;
use crate::cache::Stale;
use crate::quota::UsageChange;
use crate::{
    Error, PrefixUsage, QuotaCounting, QuotaPrefix, QuotaStore, QuotaUsage, QuotaWarning,
    RepositoryQuotas, StorageFuture, TrackedPrefixes, UsageQuery, WrongCount,
};

impl QuotaStore for Sqlite {
    fn track(
        &self,
        prefixes: Vec<QuotaPrefix>,
        counting: QuotaCounting,
    ) -> StorageFuture<'_, TrackedPrefixes> {
        let work = move |connection: &Connection| track(connection, &prefixes, counting);
        Box::pin(self.write(work, |_| Stale::Nothing))
    }

    fn usage(&self, query: UsageQuery) -> StorageFuture<'_, Vec<PrefixUsage>> {
        Box::pin(self.read(move |connection| {
            let UsageQuery::Of(mut prefixes) = query else {
                return all(connection);
            };
            prefixes.sort_unstable();
            prefixes.dedup();
            let mut found = Vec::with_capacity(prefixes.len());
            for prefix in prefixes {
                if let Some(usage) = counted(connection, &prefix)? {
                    found.push(PrefixUsage { prefix, usage });
                }
            }
            Ok(found)
        }))
    }

    fn measure<'a>(&'a self, prefix: &'a QuotaPrefix) -> StorageFuture<'a, QuotaUsage> {
        let prefix = prefix.clone();
        Box::pin(self.read(move |connection| measure(connection, &prefix)))
    }

    fn wrong_counts(&self) -> StorageFuture<'_, Vec<WrongCount>> {
        Box::pin(self.read(|connection| {
            let mut wrong = Vec::new();
            for PrefixUsage { prefix, usage } in all(connection)? {
                let measured = measure(connection, &prefix)?;
                if measured != usage {
                    wrong.push(WrongCount {
                        prefix,
                        counted: usage,
                        measured,
                    });
                }
            }
            Ok(wrong)
        }))
    }

    fn prefixes_with<'a>(
        &'a self,
        digest: &'a Digest,
        mut prefixes: Vec<QuotaPrefix>,
    ) -> StorageFuture<'a, Vec<QuotaPrefix>> {
        let digest = Packed(*digest);
        Box::pin(self.read(move |connection| {
            let mut find = connection.prepare_cached(
                "SELECT 1 FROM blobs b JOIN quota_prefixes p ON p.prefix = ?2
                 JOIN quota_blobs q ON q.prefix = p.id AND q.blob = b.generation
                 WHERE b.digest = ?1 AND b.state IN (1, 2)",
            )?;
            let mut failed = None;
            prefixes.retain(|prefix| match find.exists((digest, prefix.stored())) {
                Ok(exists) => exists,
                Err(error) => {
                    failed = Some(error);
                    false
                }
            });
            match failed {
                Some(error) => Err(error.into()),
                None => Ok(prefixes),
            }
        }))
    }
}

/// What a change does to the usage of the prefixes that cover its repository. There is one writer, so
/// nothing else changes it meanwhile.
pub(super) struct QuotaCheck<'a> {
    quotas: &'a RepositoryQuotas,
    before: Vec<PrefixUsage>,
}

impl<'a> QuotaCheck<'a> {
    /// Before the change. A prefix that is not counted yet is counted.
    pub(super) fn begin(
        connection: &Connection,
        quotas: &'a RepositoryQuotas,
    ) -> Result<Self, Error> {
        let mut before = Vec::new();
        for quota in quotas.iter() {
            let prefix = quota.prefix.clone();
            let usage = match counted(connection, &prefix)? {
                Some(usage) => usage,
                None => count(connection, &prefix)?,
            };
            before.push(PrefixUsage { prefix, usage });
        }
        Ok(Self { quotas, before })
    }

    /// After it: whether there is room for what it adds.
    pub(super) fn end(self, connection: &Connection) -> Result<Vec<QuotaWarning>, Error> {
        let mut changes = Vec::with_capacity(self.before.len());
        for PrefixUsage { prefix, usage } in self.before {
            let now = counted(connection, &prefix)?.unwrap_or(usage);
            changes.push(UsageChange {
                prefix,
                used: usage,
                added: QuotaUsage {
                    bytes: now.bytes.saturating_sub(usage.bytes),
                    tags: now.tags.saturating_sub(usage.tags),
                },
            });
        }
        Ok(self.quotas.check(&changes)?)
    }
}

fn usage(row: &Row<'_>) -> rusqlite::Result<QuotaUsage> {
    // Counts that are wrong may be negative.
    let number =
        |column: usize| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.max(0).unsigned_abs());
    Ok(QuotaUsage {
        bytes: number(0)?,
        tags: number(1)?,
    })
}

/// What is counted for a prefix, if it is.
fn counted(connection: &Connection, prefix: &QuotaPrefix) -> Result<Option<QuotaUsage>, Error> {
    let sql = "SELECT bytes, tags FROM quota_prefixes WHERE prefix = ?1";
    let mut find = connection.prepare_cached(sql)?;
    Ok(find.query_row([prefix.stored()], usage).optional()?)
}

fn all(connection: &Connection) -> Result<Vec<PrefixUsage>, Error> {
    let sql = "SELECT bytes, tags, prefix FROM quota_prefixes ORDER BY prefix";
    let mut list = connection.prepare_cached(sql)?;
    let rows = list.query_map((), |row| {
        Ok(PrefixUsage {
            prefix: QuotaPrefix::from_stored(row.get_ref(2)?.as_str()?),
            usage: usage(row)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn track(
    connection: &Connection,
    prefixes: &[QuotaPrefix],
    counting: QuotaCounting,
) -> Result<TrackedPrefixes, Error> {
    let mut tracked = TrackedPrefixes::default();
    let wanted: BTreeSet<_> = prefixes.iter().collect();
    for PrefixUsage { prefix, .. } in all(connection)? {
        let is_wanted = wanted.contains(&prefix);
        if is_wanted && counting == QuotaCounting::New {
            continue;
        }
        tracked.removed += u64::from(!is_wanted);
        connection
            .prepare_cached("DELETE FROM quota_prefixes WHERE prefix = ?1")?
            .execute([prefix.stored()])?;
    }
    for prefix in wanted {
        if counted(connection, prefix)?.is_none() {
            count(connection, prefix)?;
            tracked.counted += 1;
        }
    }
    Ok(tracked)
}

/// Repositories `r` that a prefix covers, which is `?1`: ranges of an index. `0` is the character after
/// `/`.
fn below(prefix: &QuotaPrefix) -> &'static str {
    match *prefix == QuotaPrefix::all() {
        true => "?1 = ''",
        false => "(r.name = ?1 OR (r.name > ?1 || '/' AND r.name < ?1 || '0'))",
    }
}

/// Begins to count for a prefix.
fn count(connection: &Connection, prefix: &QuotaPrefix) -> Result<QuotaUsage, Error> {
    let id: i64 = connection
        .prepare_cached("INSERT INTO quota_prefixes (prefix, bytes, tags) VALUES (?1, 0, 0)")?
        .insert([prefix.stored()])?;
    let sql = format!(
        "INSERT INTO quota_repositories (repository, prefix) SELECT r.id, ?2 FROM repositories r WHERE {}",
        below(prefix)
    );
    connection
        .prepare_cached(&sql)?
        .execute((prefix.stored(), id))?;
    connection
        .prepare_cached(
            "INSERT INTO quota_blobs (prefix, blob, size, repositories)
             SELECT ?1, b.generation, b.size, count(*) FROM quota_repositories q
             JOIN links l ON l.repository = q.repository JOIN blobs b ON b.generation = l.blob
             WHERE q.prefix = ?1 GROUP BY b.generation",
        )?
        .execute([id])?;
    connection
        .prepare_cached(
            "UPDATE quota_prefixes SET
                 bytes = (SELECT coalesce(sum(size), 0) FROM quota_blobs WHERE prefix = ?1)
                     + (SELECT coalesce(sum(length(m.bytes)), 0) FROM quota_repositories q
                        JOIN manifests m ON m.repository = q.repository WHERE q.prefix = ?1),
                 tags = (SELECT count(*) FROM quota_repositories q
                         JOIN tags t ON t.repository = q.repository WHERE q.prefix = ?1)
             WHERE id = ?1",
        )?
        .execute([id])?;
    Ok(counted(connection, prefix)?.unwrap_or_default())
}

/// What a prefix uses, by all rows.
fn measure(connection: &Connection, prefix: &QuotaPrefix) -> Result<QuotaUsage, Error> {
    let below = below(prefix);
    let sql = format!(
        "SELECT
             (SELECT coalesce(sum(size), 0) FROM blobs WHERE generation IN (
                 SELECT l.blob FROM repositories r JOIN links l ON l.repository = r.id WHERE {below}))
             + (SELECT coalesce(sum(length(m.bytes)), 0)
                FROM repositories r JOIN manifests m ON m.repository = r.id WHERE {below}),
             (SELECT count(*) FROM repositories r JOIN tags t ON t.repository = r.id WHERE {below})"
    );
    let mut measure = connection.prepare_cached(&sql)?;
    Ok(measure.query_row([prefix.stored()], usage)?)
}
