//! Rows of results.

use rusqlite::types::ValueRef;

use crate::error::ColumnFault;
use crate::postgres::column_value;
use crate::{DatabaseValue, Error, FromValue};

/// A row of a result.
pub struct DatabaseRow<'a>(Source<'a>);

enum Source<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a postgresql::Row),
}

/// The column of a row: by its name, or by its place from 0.
pub trait Column: Copy {
    #[doc(hidden)]
    fn sqlite<'a>(self, row: &'a rusqlite::Row<'_>) -> rusqlite::Result<ValueRef<'a>>;

    #[doc(hidden)]
    fn postgres(self, row: &postgresql::Row) -> Option<usize>;

    #[doc(hidden)]
    fn describe(self) -> String;
}

impl<'a> DatabaseRow<'a> {
    pub(crate) fn sqlite(row: &'a rusqlite::Row<'a>) -> Self {
        Self(Source::Sqlite(row))
    }

    pub(crate) fn postgres(row: &'a postgresql::Row) -> Self {
        Self(Source::Postgres(row))
    }

    /// The value of a column.
    ///
    /// # Errors
    /// When there is no such column, or it has another type.
    pub fn get<T: FromValue>(&self, column: impl Column) -> Result<T, Error> {
        let value = match &self.0 {
            Source::Sqlite(row) => sqlite_value(column.sqlite(row)?),
            Source::Postgres(row) => column
                .postgres(row)
                .and_then(|place| column_value(row, place)),
        };
        let read = value.and_then(T::from_value);
        read.ok_or_else(|| Error::unreadable(ColumnFault::Column(column.describe())))
    }
}

/// SQLite's value, unless it is of a type that no table has.
fn sqlite_value(value: ValueRef<'_>) -> Option<DatabaseValue<'_>> {
    match value {
        ValueRef::Null => Some(DatabaseValue::Null),
        ValueRef::Integer(number) => Some(DatabaseValue::Integer(number)),
        ValueRef::Text(text) => str::from_utf8(text).ok().map(DatabaseValue::Text),
        ValueRef::Blob(bytes) => Some(DatabaseValue::Blob(bytes)),
        ValueRef::Real(_) => None,
    }
}

impl Column for &str {
    fn sqlite<'a>(self, row: &'a rusqlite::Row<'_>) -> rusqlite::Result<ValueRef<'a>> {
        row.get_ref(self)
    }

    fn postgres(self, row: &postgresql::Row) -> Option<usize> {
        row.columns()
            .iter()
            .position(|column| column.name() == self)
    }

    fn describe(self) -> String {
        self.to_owned()
    }
}

impl Column for usize {
    fn sqlite<'a>(self, row: &'a rusqlite::Row<'_>) -> rusqlite::Result<ValueRef<'a>> {
        row.get_ref(self)
    }

    fn postgres(self, _: &postgresql::Row) -> Option<usize> {
        Some(self)
    }

    fn describe(self) -> String {
        format!("number {self}")
    }
}
