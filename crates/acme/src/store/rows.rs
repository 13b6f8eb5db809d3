//! Documents as rows of the database, which several servers may share.
//!
//! The server that changes something has a lease of a minute with a number, its *fence*. Each change
//! checks, in its transaction, that the fence is still the newest. So a server that was paused and has
//! lost its lease changes nothing any more.

use std::sync::Arc;
use std::time::Duration;

use common::{BoxFuture, Clock, unix_seconds};
use database::{Database, DatabaseConnection, Error, params};

use super::{AcmeLease, AcmeStore, AcmeStoreError};

/// How long a lease lasts that is not renewed.
const LEASE: Duration = Duration::from_secs(60);

/// Keeps documents in the tables `acme_documents` and `acme_lease`.
#[derive(Clone)]
pub struct AcmeRows {
    database: Database,
    clock: Arc<dyn Clock>,
}

/// A lease that was taken as the one with this fence.
struct RowLease {
    store: AcmeRows,
    fence: i64,
}

impl AcmeRows {
    /// The documents in `database`.
    #[must_use]
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    /// Changes something if the lease with this fence is the newest.
    async fn change(
        &self,
        what: String,
        fence: i64,
        work: impl Fn(&DatabaseConnection<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), AcmeStoreError> {
        let write = self
            .database
            .write(move |connection: &DatabaseConnection<'_>| {
                let sql = "SELECT fence FROM acme_lease WHERE one = 1";
                let newest: Option<i64> =
                    connection.query_optional(sql, params![], |row| row.get(0))?;
                let is_newest = newest == Some(fence);
                if is_newest {
                    work(connection)?;
                }
                Ok::<_, Error>(is_newest)
            });
        match write.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(AcmeStoreError::Lost),
            Err(error) => Err(failed(what, error)),
        }
    }

    fn now(&self) -> i64 {
        i64::try_from(unix_seconds(self.clock.now())).unwrap_or(i64::MAX)
    }
}

impl AcmeStore for AcmeRows {
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, AcmeStoreError>> {
        Box::pin(async move {
            let owned = name.to_owned();
            let read = self
                .database
                .read(move |connection: &DatabaseConnection<'_>| {
                    let sql = "SELECT content FROM acme_documents WHERE name = ?1";
                    connection.query_optional(sql, params![owned], |row| row.get(0))
                });
            let read = read.await;
            read.map_err(|error| failed(format!("cannot read the row {name}"), error))
        })
    }

    fn lease(&self) -> BoxFuture<'_, Result<Option<Box<dyn AcmeLease>>, AcmeStoreError>> {
        Box::pin(async move {
            let now = self.now();
            let until = now.saturating_add(seconds(LEASE));
            let taken = self.database.write(move |connection: &DatabaseConnection<'_>| {
                let sql = "SELECT fence, until FROM acme_lease WHERE one = 1";
                let before: Option<(i64, i64)> =
                    connection.query_optional(sql, params![], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })?;
                let (fence, ends) = before.unwrap_or((0, 0));
                // A lease that lasts longer than any is from before a clock was set back.
                if ends > now && ends <= until {
                    return Ok(None);
                }
                let sql = "INSERT INTO acme_lease (one, fence, until) VALUES (1, ?1, ?2)
                           ON CONFLICT (one) DO UPDATE SET fence = excluded.fence, until = excluded.until";
                connection.execute(sql, params![fence + 1, until])?;
                Ok::<_, Error>(Some(fence + 1))
            });
            let taken = taken.await;
            let fence = taken.map_err(|error| failed("cannot take the lease".to_owned(), error))?;
            let store = self.clone();
            Ok(fence.map(|fence| Box::new(RowLease { store, fence }) as Box<dyn AcmeLease>))
        })
    }
}

impl AcmeLease for RowLease {
    fn write<'a>(
        &'a self,
        name: &'a str,
        content: Option<&'a [u8]>,
    ) -> BoxFuture<'a, Result<(), AcmeStoreError>> {
        let what = format!("cannot write the row {name}");
        let (name, content) = (name.to_owned(), content.map(<[u8]>::to_vec));
        Box::pin(self.store.change(what, self.fence, move |connection| {
            match &content {
                Some(content) => connection.execute(
                    "INSERT INTO acme_documents (name, content) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET content = excluded.content",
                    params![name, content],
                )?,
                None => connection
                    .execute("DELETE FROM acme_documents WHERE name = ?1", params![name])?,
            };
            Ok(())
        }))
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), AcmeStoreError>> {
        let until = self.store.now().saturating_add(seconds(LEASE));
        let what = "cannot renew the lease".to_owned();
        Box::pin(self.store.change(what, self.fence, move |connection| {
            let sql = "UPDATE acme_lease SET until = ?1 WHERE one = 1";
            connection.execute(sql, params![until]).map(drop)
        }))
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let what = "cannot end the lease".to_owned();
            let ended = self.store.change(what, self.fence, |connection| {
                let sql = "UPDATE acme_lease SET until = 0 WHERE one = 1";
                connection.execute(sql, params![]).map(drop)
            });
            // Otherwise it ends within a minute.
            let _ = ended.await;
        })
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn failed(what: String, error: Error) -> AcmeStoreError {
    AcmeStoreError::Failed {
        what,
        source: error.into(),
    }
}
