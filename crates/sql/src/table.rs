//! The tables of `docker_auth`, as its xorm makes them, and what one of them lacks.

use crate::dsn::DatabaseType;
use crate::error::SqlError;

/// A table and all its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    name: &'static str,
    columns: &'static [TableColumn],
}

/// A column's name and its type with what else defines it.
type TableColumn = (&'static str, &'static str);

/// What a database lacks, and the statement that adds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SchemaGap {
    /// As a log says it: `the table t has no column c`.
    pub(crate) description: String,
    pub(crate) statement: String,
}

impl Table {
    /// The table of users.
    pub(crate) fn users(database: DatabaseType) -> Self {
        let columns: &[TableColumn] = match database {
            DatabaseType::Postgres => &[
                ("id", "BIGSERIAL PRIMARY KEY NOT NULL"),
                ("username", "VARCHAR(128) NOT NULL"),
                ("password_hash", "VARCHAR(128) NOT NULL"),
                ("labels", "JSON"),
            ],
            DatabaseType::MySql => &[
                ("id", "BIGINT(20) PRIMARY KEY AUTO_INCREMENT NOT NULL"),
                ("username", "VARCHAR(128) NOT NULL"),
                ("password_hash", "VARCHAR(128) NOT NULL"),
                ("labels", "TEXT"),
            ],
            DatabaseType::Sqlite => &[
                ("id", "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL"),
                ("username", "TEXT NOT NULL"),
                ("password_hash", "TEXT NOT NULL"),
                ("labels", "TEXT"),
            ],
        };
        Self {
            name: "xorm_user",
            columns,
        }
    }

    /// The table of rules.
    pub(crate) fn rules(database: DatabaseType) -> Self {
        let columns: &[TableColumn] = match database {
            DatabaseType::Postgres => &[("acl_entry", "JSON"), ("seq", "BIGINT")],
            DatabaseType::MySql | DatabaseType::Sqlite => {
                &[("acl_entry", "TEXT"), ("seq", "BIGINT")]
            }
        };
        Self {
            name: "xorm_acl_entry",
            columns,
        }
    }

    /// How many gaps it can have at most.
    pub(crate) fn most_gaps(&self) -> usize {
        1 + self.columns.len()
    }

    /// What is missing if a query of this table failed with `error`; `None` if it failed for another
    /// reason.
    pub(crate) fn gap(&self, error: &SqlError) -> Option<SchemaGap> {
        let name = self.name;
        match error {
            SqlError::NoTable(_) => {
                let columns = self.columns.iter();
                let columns = columns.map(|(column, definition)| format!("{column} {definition}"));
                let columns = columns.collect::<Vec<_>>().join(", ");
                Some(SchemaGap {
                    description: format!("the table {name} does not exist"),
                    statement: format!("CREATE TABLE IF NOT EXISTS {name} ({columns})"),
                })
            }
            SqlError::UnknownColumn(source) => {
                let (column, definition) = self.named_in(&source.to_string())?;
                Some(SchemaGap {
                    description: format!("the table {name} has no column {column}"),
                    statement: format!("ALTER TABLE {name} ADD COLUMN {column} {definition}"),
                })
            }
            _ => None,
        }
    }

    /// The first of the columns that an error's text names. A statement may follow in it.
    fn named_in(&self, text: &str) -> Option<TableColumn> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let known = |word| self.columns.iter().find(|(column, _)| *column == word);
        words.into_iter().find_map(known).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_column_is_the_first_that_the_error_names() {
        let table = Table::users(DatabaseType::Sqlite);
        for (text, column) in [
            (r#"column "labels" does not exist"#, Some("labels")),
            ("Unknown column 'id' in 'order clause'", Some("id")),
            (
                "no such column: labels in SELECT username, labels FROM",
                Some("labels"),
            ),
            ("no such column: idle", None),
        ] {
            let found = table.named_in(text);
            assert_eq!(found.map(|(column, _)| column), column, "{text}");
        }
    }
}
