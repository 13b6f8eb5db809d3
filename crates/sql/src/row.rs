//! Rows, read column by column as text or whole number, whatever the column's type is called.

use std::error::Error;
use std::fmt::Display;

use postgresql::Row as PostgresRow;
use postgresql::types::{FromSql, Type};
use sqlx::mysql::{MySql, MySqlRow};
use sqlx::{Column, ColumnIndex, Database, Decode, Row, TypeInfo, ValueRef};

use crate::error::SqlError;

/// A value of a row.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Text(String),
}

/// A column to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WantedColumn {
    pub(crate) name: &'static str,
    pub(crate) presence: Presence,
}

/// Whether a query must have a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    /// It reads as null if it is absent.
    Optional,
}

impl WantedColumn {
    pub(crate) const fn required(name: &'static str) -> Self {
        Self {
            name,
            presence: Presence::Required,
        }
    }

    pub(crate) const fn optional(name: &'static str) -> Self {
        Self {
            name,
            presence: Presence::Optional,
        }
    }

    /// Its place among `columns`, in any case.
    fn find<'n>(
        self,
        mut columns: impl Iterator<Item = &'n str>,
    ) -> Result<Option<usize>, SqlError> {
        let place = columns.position(|name| name.eq_ignore_ascii_case(self.name));
        match (place, self.presence) {
            (None, Presence::Required) => Err(SqlError::NoColumn(self.name)),
            (place, _) => Ok(place),
        }
    }

    /// What `row` has in it; `None` if that is null, or the column is absent.
    fn value<'r, R>(
        self,
        row: &'r R,
    ) -> Result<Option<<R::Database as Database>::ValueRef<'r>>, SqlError>
    where
        R: Row,
        usize: ColumnIndex<R>,
    {
        let Some(place) = self.find(row.columns().iter().map(Column::name))? else {
            return Ok(None);
        };
        let value = row
            .try_get_raw(place)
            .map_err(|error| SqlError::Query(error.into()))?;
        Ok((!value.is_null()).then_some(value))
    }

    fn type_error(self, found: &impl Display) -> SqlError {
        SqlError::ColumnType {
            column: self.name,
            found: found.to_string(),
        }
    }

    fn text(self, bytes: &[u8]) -> Result<Cell, SqlError> {
        let text = std::str::from_utf8(bytes).map_err(|_| SqlError::NotUtf8(self.name))?;
        Ok(Cell::Text(text.to_owned()))
    }
}

/// The wanted cells of a row of PostgreSQL.
pub(crate) fn of_postgres(
    row: &PostgresRow,
    wanted: &[WantedColumn],
) -> Result<Vec<Cell>, SqlError> {
    let read = |&column: &WantedColumn| {
        let Some(place) = column.find(row.columns().iter().map(postgresql::Column::name))? else {
            return Ok(Cell::Null);
        };
        let kind = row.columns()[place].type_();
        let value = row.try_get::<_, Option<RawValue<'_>>>(place);
        let value = value.map_err(|error| SqlError::Query(error.into()))?;
        let Some(RawValue(bytes)) = value else {
            return Ok(Cell::Null);
        };
        match kind.name() {
            "int2" | "int4" | "int8" => {
                integer(bytes).ok_or_else(|| column.type_error(&type_name(kind)))
            }
            // A version comes first.
            "jsonb" => column.text(bytes.get(1..).unwrap_or_default()),
            // The blanks at its end are padding.
            "bpchar" => column.text(bytes.trim_ascii_end()),
            "text" | "varchar" | "name" | "json" | "citext" | "unknown" => column.text(bytes),
            _ => Err(column.type_error(&type_name(kind))),
        }
    };
    wanted.iter().map(read).collect()
}

/// A value of any type, as the server sends it.
struct RawValue<'a>(&'a [u8]);

impl<'a> FromSql<'a> for RawValue<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The name of a type as SQL has it: `_text` is that of an array.
fn type_name(kind: &Type) -> String {
    match kind.name().strip_prefix('_') {
        Some(item) => format!("{item}[]").to_ascii_uppercase(),
        None => kind.name().to_ascii_uppercase(),
    }
}

/// The wanted cells of a row of MySQL.
pub(crate) fn of_mysql(row: &MySqlRow, wanted: &[WantedColumn]) -> Result<Vec<Cell>, SqlError> {
    let read = |&column: &WantedColumn| {
        let Some(value) = column.value(row)? else {
            return Ok(Cell::Null);
        };
        let kind = value.type_info().into_owned();
        let name = kind.name();
        if name.contains("INT") {
            return if name.ends_with("UNSIGNED") {
                let number = <u64 as Decode<MySql>>::decode(value).map_err(SqlError::Query)?;
                i64::try_from(number)
                    .map(Cell::Integer)
                    .map_err(|_| column.type_error(&kind))
            } else {
                let number = <i64 as Decode<MySql>>::decode(value).map_err(SqlError::Query)?;
                Ok(Cell::Integer(number))
            };
        }
        match name {
            "VARCHAR" | "CHAR" | "ENUM" | "JSON" | "VARBINARY" => {}
            name if name.ends_with("TEXT") || name.ends_with("BLOB") => {}
            _ => return Err(column.type_error(&kind)),
        }
        column.text(<&[u8] as Decode<MySql>>::decode(value).map_err(SqlError::Query)?)
    };
    wanted.iter().map(read).collect()
}

/// The wanted cells of a row of SQLite.
pub(crate) fn of_sqlite(
    row: &rusqlite::Row<'_>,
    wanted: &[WantedColumn],
) -> Result<Vec<Cell>, SqlError> {
    use rusqlite::types::ValueRef;
    let statement: &rusqlite::Statement<'_> = row.as_ref();
    let read = |&column: &WantedColumn| {
        let Some(place) = column.find(statement.column_names())? else {
            return Ok(Cell::Null);
        };
        match row
            .get_ref(place)
            .map_err(|error| SqlError::Query(error.into()))?
        {
            ValueRef::Null => Ok(Cell::Null),
            ValueRef::Integer(number) => Ok(Cell::Integer(number)),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => column.text(bytes),
            ValueRef::Real(_) => Err(column.type_error(&"REAL")),
        }
    };
    wanted.iter().map(read).collect()
}

/// A whole number in network order, of 2, 4 or 8 bytes.
fn integer(bytes: &[u8]) -> Option<Cell> {
    let number = match bytes.len() {
        2 => i16::from_be_bytes(bytes.try_into().ok()?).into(),
        4 => i32::from_be_bytes(bytes.try_into().ok()?).into(),
        8 => i64::from_be_bytes(bytes.try_into().ok()?),
        _ => return None,
    };
    Some(Cell::Integer(number))
}
