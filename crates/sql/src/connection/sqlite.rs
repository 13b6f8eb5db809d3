//! A connection to a SQLite file. Its statements run on a thread for blocking work.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{ErrorCode, InterruptHandle, OpenFlags, params_from_iter};
use tokio::task::spawn_blocking;

use super::QueryRun;
use crate::dsn::{SqliteMode, SqliteTarget};
use crate::error::SqlError;
use crate::row::{self, Cell};

/// How long a lock of another process is waited for, unless `_busy_timeout` says it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// An open file.
pub(crate) struct SqliteConnection(Arc<Mutex<rusqlite::Connection>>);

pub(super) async fn open(target: &SqliteTarget) -> Result<SqliteConnection, SqlError> {
    let (target, path) = (target.clone(), target.path.clone());
    let opened = spawn_blocking(move || open_file(&target)).await;
    let connection = opened.map_err(|error| connect_error(&path, error.into()))?;
    let connection = connection.map_err(|error| connect_error(&path, error.to_string().into()))?;
    Ok(SqliteConnection(Arc::new(Mutex::new(connection))))
}

fn open_file(target: &SqliteTarget) -> rusqlite::Result<rusqlite::Connection> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | match target.mode {
            SqliteMode::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
            SqliteMode::ReadWrite => OpenFlags::SQLITE_OPEN_READ_WRITE,
            SqliteMode::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        };
    let connection = if target.immutable {
        let flags = flags | OpenFlags::SQLITE_OPEN_URI;
        rusqlite::Connection::open_with_flags(immutable_uri(&target.path), flags)?
    } else {
        rusqlite::Connection::open_with_flags(&target.path, flags)?
    };
    connection.busy_timeout(target.busy_timeout.unwrap_or(BUSY_TIMEOUT))?;
    // Opening does not read the file yet.
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    Ok(connection)
}

fn immutable_uri(path: &Path) -> String {
    let path = path.to_string_lossy();
    let path = utf8_percent_encode(&path, NON_ALPHANUMERIC);
    format!("file:{path}?immutable=1")
}

fn connect_error(path: &Path, source: Box<dyn std::error::Error + Send + Sync>) -> SqlError {
    SqlError::Connect {
        place: format!(" {}", path.display()),
        hint: "",
        source,
    }
}

impl SqliteConnection {
    pub(super) async fn fetch(&mut self, run: QueryRun<'_>) -> Result<Vec<Vec<Cell>>, SqlError> {
        let (sql, columns) = (Arc::clone(&run.query.sql), run.columns);
        let accounts = vec![run.account.to_owned(); run.query.parameters];
        self.run(move |connection| {
            let mut statement = connection.prepare(&sql).map_err(query_error)?;
            let mut rows = statement
                .query(params_from_iter(accounts))
                .map_err(query_error)?;
            let mut cells = Vec::new();
            while let Some(found) = rows.next().map_err(query_error)? {
                cells.push(row::of_sqlite(found, columns)?);
            }
            Ok(cells)
        })
        .await
    }

    pub(super) async fn execute(&mut self, statement: &str) -> Result<(), SqlError> {
        let statement = statement.to_owned();
        self.run(move |connection| connection.execute_batch(&statement).map_err(query_error))
            .await
    }

    async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, SqlError> {
        let connection = Arc::clone(&self.0);
        let lock = || connection.lock().unwrap_or_else(PoisonError::into_inner);
        let _interrupts = InterruptOnDrop(lock().get_interrupt_handle());
        let shared = Arc::clone(&self.0);
        let done = spawn_blocking(move || {
            let connection = shared.lock().unwrap_or_else(PoisonError::into_inner);
            work(&connection)
        });
        done.await
            .unwrap_or_else(|error| Err(SqlError::Lost(error.into())))
    }
}

/// Ends the statement that runs when the caller goes away or its time is up.
struct InterruptOnDrop(InterruptHandle);

impl Drop for InterruptOnDrop {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

fn query_error(error: rusqlite::Error) -> SqlError {
    let code = error.sqlite_error_code();
    match code {
        Some(
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted,
        ) => SqlError::Busy(error.into()),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::NotADatabase) => {
            SqlError::Lost(error.into())
        }
        _ if error.to_string().starts_with("no such table") => SqlError::NoTable(error.into()),
        _ if error.to_string().starts_with("no such column") => {
            SqlError::UnknownColumn(error.into())
        }
        _ => SqlError::Query(error.into()),
    }
}
