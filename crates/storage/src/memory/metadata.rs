//! One lock over all tables.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{Clock, unix_seconds};

use super::tables::Tables;
use crate::{Error, Retention, StorageFuture};

/// Metadata in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryMetadata {
    shared: Arc<SharedTables>,
}

struct SharedTables {
    tables: Mutex<Tables>,
    retention: Retention,
    clock: Arc<dyn Clock>,
}

impl MemoryMetadata {
    /// Metadata of a registry that is empty.
    #[must_use]
    pub fn new(retention: Retention, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::new(SharedTables {
                tables: Mutex::default(),
                retention,
                clock,
            }),
        }
    }

    /// Reads the tables as they are now.
    pub(super) fn read<'a, T, F>(&'a self, work: F) -> StorageFuture<'a, T>
    where
        F: FnOnce(&Tables) -> Result<T, Error> + Send + 'a,
        T: 'a,
    {
        Box::pin(async move { work(&self.tables()) })
    }

    /// One transaction: `work` changes a copy, which replaces the tables if it succeeds. Its second
    /// argument is the current time in seconds since the Unix epoch.
    pub(super) fn write<'a, T, F>(&'a self, work: F) -> StorageFuture<'a, T>
    where
        F: FnOnce(&mut Tables, i64) -> Result<T, Error> + Send + 'a,
        T: 'a,
    {
        Box::pin(async move {
            let now = self.now();
            let mut tables = self.tables();
            let mut changed = tables.clone();
            let done = work(&mut changed, now)?;
            *tables = changed;
            Ok(done)
        })
    }

    /// The time that was `age` ago, in seconds since the Unix epoch.
    pub(super) fn before(&self, age: Duration) -> i64 {
        self.now().saturating_sub(seconds(age))
    }

    /// An upload that has been idle since before this has expired.
    pub(super) fn retain(&self) -> Duration {
        self.shared.retention.retain
    }

    pub(super) fn upload_expiry(&self) -> i64 {
        self.before(self.shared.retention.upload_expiry)
    }

    /// The current time in seconds since the Unix epoch.
    pub(super) fn now(&self) -> i64 {
        i64::try_from(unix_seconds(self.shared.clock.now())).unwrap_or(i64::MAX)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        let tables = self.shared.tables.lock();
        tables.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryMetadata").finish_non_exhaustive()
    }
}

/// Whole seconds, as times are counted here.
pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
