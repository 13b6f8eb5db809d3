//! Parallel reads, on threads that may block.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task;

use super::access::FileAccess;
use super::connection;
use super::file::DatabaseFile;
use crate::Error;

/// A read takes mostly processor time. More reads at once would only slow each other.
const PARALLEL: usize = 4;

/// Connections for reads, which are opened on demand and kept.
#[derive(Debug)]
pub(crate) struct ReaderPool {
    place: DatabaseFile,
    access: FileAccess,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl ReaderPool {
    pub(crate) fn new(place: DatabaseFile, access: FileAccess) -> Arc<Self> {
        Arc::new(Self {
            place,
            access,
            permits: Arc::new(Semaphore::new(PARALLEL)),
            idle: Mutex::default(),
        })
    }

    /// Runs `work` on a connection of its own, on one snapshot.
    pub(crate) async fn read<T, E, F>(self: &Arc<Self>, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        // Moved into the task: the connection is in use even if the caller stops waiting.
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            return Err(Error::Closed.into());
        };
        let readers = Arc::clone(self);
        let task = task::spawn_blocking(move || {
            let _permit = permit;
            let connection = readers.connection()?;
            let result = snapshot(&connection, work);
            // What was read from a file that changed meanwhile is no answer, and no error of the file.
            readers.access.require_valid()?;
            let result = result?;
            readers.idle().push(connection);
            result
        });
        match task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::Closed.into()),
            },
        }
    }

    fn connection(&self) -> Result<Connection, Error> {
        if let Some(idle) = self.idle().pop() {
            return Ok(idle);
        }
        // The writer has the first file. No reader may open another one.
        self.place.check()?;
        connection::reader(self.place.path(), &self.access)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outer error is the connection's, which is then not used again, nor is it after a panic: so
/// no one rolls back here.
fn snapshot<T, E>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<Result<T, E>, Error> {
    let execute = |sql: &str| connection.prepare_cached(sql)?.execute(());
    execute("BEGIN")?;
    let result = work(connection);
    execute("COMMIT")?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_while_a_server_opened_the_file_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.db");
        let made = Connection::open(&path).unwrap();
        made.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)")
            .unwrap();
        drop(made);
        let place = DatabaseFile::of(&path).unwrap();
        let readers = ReaderPool::new(place, FileAccess::read_closed(&path));
        let count = |connection: &Connection| -> Result<i64, Error> {
            Ok(connection.query_row("SELECT count(*) FROM t", (), |row| row.get(0))?)
        };
        assert_eq!(readers.read(count).await.unwrap(), 1);
        let index = directory.path().join("w.db-shm");
        let meanwhile = move |connection: &Connection| {
            std::fs::write(&index, "").unwrap();
            count(connection)
        };
        let error = readers.read(meanwhile).await.unwrap_err();
        assert!(matches!(error, Error::Busy(_)), "{error:?}");
    }
}
