//! The connection on which a read or a write runs its statements.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, ToSql, params_from_iter};

use crate::postgres::PostgresStatements;
use crate::{DatabaseRow, DatabaseValue, Error};

/// A connection in a transaction, of either kind of database.
///
/// Statements are written in the SQL that both understand, with the placeholders `?1`, `?2`, …. They
/// are prepared once for each connection. Names compare as bytes.
pub struct DatabaseConnection<'a>(Source<'a>);

enum Source<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a PostgresStatements<'a>),
}

impl<'a> DatabaseConnection<'a> {
    pub(crate) fn sqlite(connection: &'a rusqlite::Connection) -> Self {
        Self(Source::Sqlite(connection))
    }

    pub(crate) fn postgres(statements: &'a PostgresStatements<'a>) -> Self {
        Self(Source::Postgres(statements))
    }
}

impl DatabaseConnection<'_> {
    /// Runs a statement without result, and returns how many rows it changed.
    ///
    /// # Errors
    /// When the statement or the database fails.
    pub fn execute(&self, sql: &str, values: &[DatabaseValue<'_>]) -> Result<usize, Error> {
        match &self.0 {
            Source::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                Ok(statement.execute(params_from_iter(values))?)
            }
            Source::Postgres(statements) => statements.execute(sql, values),
        }
    }

    /// What `read` makes of each row of the result.
    ///
    /// # Errors
    /// When the statement or the database fails, and what `read` returned.
    pub fn query<T>(
        &self,
        sql: &str,
        values: &[DatabaseValue<'_>],
        mut read: impl FnMut(&DatabaseRow<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        match &self.0 {
            Source::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params_from_iter(values))?;
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    all.push(read(&DatabaseRow::sqlite(row))?);
                }
                Ok(all)
            }
            Source::Postgres(statements) => {
                let rows = statements.query(sql, values)?;
                rows.iter()
                    .map(|row| read(&DatabaseRow::postgres(row)))
                    .collect()
            }
        }
    }

    /// What `read` makes of the first row of the result; `None` if it has none.
    ///
    /// # Errors
    /// When the statement or the database fails, and what `read` returned.
    pub fn query_optional<T>(
        &self,
        sql: &str,
        values: &[DatabaseValue<'_>],
        read: impl FnOnce(&DatabaseRow<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match &self.0 {
            Source::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let read = |row: &rusqlite::Row<'_>| Ok(read(&DatabaseRow::sqlite(row)));
                let row = statement.query_row(params_from_iter(values), read);
                row.optional()?.transpose()
            }
            Source::Postgres(statements) => {
                let rows = statements.query(sql, values)?;
                let first = rows.first().map(|row| read(&DatabaseRow::postgres(row)));
                first.transpose()
            }
        }
    }

    /// What `read` makes of the first row of a result that has one.
    ///
    /// # Errors
    /// When the statement or the database fails, what `read` returned, and when there is no row.
    pub fn query_one<T>(
        &self,
        sql: &str,
        values: &[DatabaseValue<'_>],
        read: impl FnOnce(&DatabaseRow<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let row = self.query_optional(sql, values, read)?;
        row.ok_or(Error::NoRow)
    }
}

impl ToSql for DatabaseValue<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Boolean(value) => ValueRef::Integer(i64::from(value)),
            Self::Integer(number) => ValueRef::Integer(number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
