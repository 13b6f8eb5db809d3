//! Attempts that all servers of a database count together.
//!
//! As in memory, a bucket is one moment: when everything that was counted is forgotten. The table has
//! no log of changes, because a count that is lost in a crash only lets a source try again.

use std::time::Duration;

use postgresql::PostgresPool;

use crate::Error;

/// How many buckets that are over are removed when one is counted: more than one, so that they
/// cannot pile up.
const PURGE: i64 = 16;

/// The database's time, in microseconds. The clocks of servers differ.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Counts attempts in PostgreSQL.
#[derive(Clone, Debug)]
pub struct AttemptCounts(PostgresPool);

/// A bucket, and its rate.
#[derive(Clone, Copy, Debug)]
pub struct AttemptBucket {
    /// Whose attempts it has.
    pub key: [u8; 32],
    /// The period of its rate.
    pub period: Duration,
    /// How much of the period an attempt takes.
    pub interval: Duration,
}

impl AttemptCounts {
    /// The counts in this database.
    #[must_use]
    pub fn new(pool: PostgresPool) -> Self {
        Self(pool)
    }

    /// How long until one more attempt fits into all of `buckets`; zero if it does now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wait(&self, buckets: &[AttemptBucket]) -> Result<Duration, Error> {
        let keys: Vec<&[u8]> = buckets.iter().map(|bucket| &bucket.key[..]).collect();
        let sql =
            format!("SELECT key, full_until - {NOW} AS ahead FROM attempts WHERE key = ANY ($1)");
        let mut wait = Duration::ZERO;
        for row in self.0.query(&sql, &[&keys]).await? {
            let (key, ahead): (&[u8], i64) = (row.get(0), row.get(1));
            let ahead = Duration::from_micros(u64::try_from(ahead).unwrap_or_default());
            if let Some(bucket) = buckets.iter().find(|bucket| bucket.key == key) {
                let ahead = ahead.min(bucket.period) + bucket.interval;
                wait = wait.max(ahead.saturating_sub(bucket.period));
            }
        }
        Ok(wait)
    }

    /// Counts an attempt in each of `buckets`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record(&self, buckets: &[AttemptBucket]) -> Result<(), Error> {
        let sql = format!(
            "INSERT INTO attempts AS before (key, full_until) VALUES ($1, {NOW} + $2)
             ON CONFLICT (key) DO UPDATE SET full_until =
                 least(greatest(before.full_until, {NOW}) + $2, {NOW} + $3)"
        );
        for bucket in buckets {
            let (interval, period) = (micros(bucket.interval), micros(bucket.period));
            let key = &bucket.key[..];
            self.0.execute(&sql, &[&key, &interval, &period]).await?;
        }
        let sql = format!(
            "DELETE FROM attempts WHERE key IN (
                 SELECT key FROM attempts WHERE full_until < {NOW} ORDER BY full_until LIMIT $1
                 FOR UPDATE SKIP LOCKED)"
        );
        self.0.execute(&sql, &[&PURGE]).await?;
        Ok(())
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
