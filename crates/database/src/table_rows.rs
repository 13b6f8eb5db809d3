//! Rows of tables, whatever they mean.

use crate::{DatabaseConnection, DatabaseValue, Error, FromValue, ToValue, params};

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OwnedValue {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl FromValue for OwnedValue {
    fn from_value(value: DatabaseValue<'_>) -> Option<Self> {
        Some(match value {
            DatabaseValue::Null => Self::Null,
            DatabaseValue::Boolean(value) => Self::Integer(i64::from(value)),
            DatabaseValue::Integer(number) => Self::Integer(number),
            DatabaseValue::Text(text) => Self::Text(text.to_owned()),
            DatabaseValue::Blob(bytes) => Self::Blob(bytes.to_vec()),
        })
    }
}

impl ToValue for OwnedValue {
    fn to_value(&self) -> DatabaseValue<'_> {
        match self {
            Self::Null => DatabaseValue::Null,
            Self::Integer(number) => DatabaseValue::Integer(*number),
            Self::Text(text) => DatabaseValue::Text(text),
            Self::Blob(bytes) => DatabaseValue::Blob(bytes),
        }
    }
}

/// Rows of a table.
pub(crate) type Rows = Vec<Vec<OwnedValue>>;

/// Whether a table exists.
pub(crate) fn has_table(
    connection: &DatabaseConnection<'_>,
    name: &str,
    is_sqlite: bool,
) -> Result<bool, Error> {
    let sql = if is_sqlite {
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1"
    } else {
        "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = ?1"
    };
    let tables: i64 = connection.query_one(sql, params![name], |row| row.get(0))?;
    Ok(tables > 0)
}

/// The number of the last record; 0 if there is none. `None` if there is no audit log.
pub(crate) fn last_audit_number(
    connection: &DatabaseConnection<'_>,
    is_sqlite: bool,
) -> Result<Option<i64>, Error> {
    if !has_table(connection, "audit", is_sqlite)? {
        return Ok(None);
    }
    let sql = "SELECT coalesce(max(id), 0) FROM audit";
    connection.query_one(sql, &[], |row| row.get(0)).map(Some)
}

/// Inserts rows with their numbers.
pub(crate) fn insert(
    connection: &DatabaseConnection<'_>,
    table: &str,
    columns: &[&str],
    identity: Option<&str>,
    rows: &Rows,
    is_sqlite: bool,
) -> Result<(), Error> {
    let places: Vec<_> = (1..=columns.len())
        .map(|place| format!("?{place}"))
        .collect();
    let identity = identity.filter(|_| !is_sqlite);
    let overriding = identity.map_or("", |_| " OVERRIDING SYSTEM VALUE");
    let sql = format!(
        "INSERT INTO {table} ({}){overriding} VALUES ({})",
        columns.join(", "),
        places.join(", ")
    );
    for row in rows {
        let values: Vec<_> = row.iter().map(ToValue::to_value).collect();
        connection.execute(&sql, &values)?;
    }
    if let Some(identity) = identity {
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{identity}'), coalesce(max({identity}), 1)) FROM {table}"
        );
        connection.query(&sql, &[], |_| Ok(()))?;
    }
    Ok(())
}
