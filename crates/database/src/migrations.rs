//! The shape of the database, as a list of steps that only ever grows at its end.
//!
//! A database says how many steps it has taken (`PRAGMA user_version`) and whose it is (`PRAGMA application_id`). Both
//! change in the same transaction as the tables, so a half-applied step does not exist.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::Error;

/// The steps, in order. One that was released is never changed: what it should have been is a new one.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_refresh_tokens.sql")];

/// `WHRF`: marks a SQLite file as ours.
const APPLICATION_ID: i64 = 0x5748_5246;

/// How far a database has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing is in it.
    Empty,
    /// It has this program's shape.
    Current,
    /// Steps are missing.
    Behind,
    /// A newer program has been here; the number is the database's version.
    Newer(i64),
    /// Another program's tables are in it.
    Foreign,
}

/// The number of steps this program knows.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// How far the database behind `connection` has come. Nothing is changed.
pub(crate) fn state(connection: &Connection) -> Result<State, Error> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (id, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(match (id, version) {
        (0, 0) if tables == 0 => State::Empty,
        (APPLICATION_ID, VERSION) => State::Current,
        (APPLICATION_ID, 0..VERSION) => State::Behind,
        (APPLICATION_ID, VERSION..) => State::Newer(version),
        _ => State::Foreign,
    })
}

/// Takes the steps that are missing, all or none. The database must be empty or ours, and nobody else may migrate it.
pub(crate) fn apply(connection: &Connection) -> Result<(), Error> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let done: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(done).unwrap_or_default()) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}
