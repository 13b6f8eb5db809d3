//! The cache, and the look before it is used.

use super::PostgresMetadata;
use super::columns::{column, invalid};
use super::look::{LastLook, LookState};
use crate::Error;
use crate::cache::{Cache, Stale};

/// How many changed repositories are told apart. If there are more, everything is forgotten.
const CHANGES: i64 = 1000;

/// The newest transactions come first, so the index is used whatever the planner expects. The
/// timeline changes when a standby is promoted: then commits may be lost that this server has seen.
const LOOK: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text,
    left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
    ARRAY(SELECT name FROM (
        (SELECT name FROM repositories WHERE changed >= $1::text::xid8 ORDER BY changed DESC LIMIT $2)
        UNION ALL
        (SELECT name FROM removed_repositories WHERE changed >= $1::text::xid8 ORDER BY changed DESC LIMIT $2)
    ) changes)";

impl PostgresMetadata {
    /// The cache, without entries that another server has made stale.
    pub(super) async fn cache(&self) -> Result<&Cache, Error> {
        let look = &self.shared.look;
        let arrived = look.now();
        if look.is_fresh(arrived) {
            return Ok(&self.shared.cache);
        }
        let mut seen = look.seen.lock().await;
        if look.is_fresh(arrived) {
            return Ok(&self.shared.cache);
        }
        if let Some((at, error)) = &seen.failure
            && *at >= arrived
        {
            return Err(error.clone());
        }
        let began = look.now();
        match self.look(&mut seen).await {
            Ok(()) => {
                seen.failure = None;
                look.complete(began);
                Ok(&self.shared.cache)
            }
            Err(error) => {
                look.fail();
                seen.failure = Some((look.now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn look(&self, seen: &mut LookState) -> Result<(), Error> {
        let since = seen.last.as_ref().map_or(u64::MAX, |last| last.xmin);
        let row = self
            .one(LOOK, &[&since.to_string(), &(CHANGES + 1)])
            .await?;
        let xmin = column::<&str>(&row, 0)?.parse();
        let xmin = xmin.map_err(|_| invalid("read a transaction's id"))?;
        let timeline = column(&row, 1)?;
        let changed: Vec<&str> = column(&row, 2)?;
        let continues = seen
            .last
            .as_ref()
            .is_some_and(|last| last.timeline == timeline && last.xmin <= xmin);
        let cache = &self.shared.cache;
        if continues && changed.len() as u64 <= CHANGES.unsigned_abs() {
            for name in changed {
                cache.invalidate(match name.parse() {
                    Ok(name) => Stale::Repository(name),
                    Err(_) => Stale::Everything,
                });
            }
        } else {
            if seen.last.is_some() && !continues {
                tracing::warn!(
                    "another database server has taken over; nothing is answered from memory that was read before"
                );
            }
            cache.invalidate(Stale::Everything);
        }
        seen.last = Some(LastLook { xmin, timeline });
        Ok(())
    }
}
