//! Connection strings (`conn_string`), written as the Go drivers of `docker_auth` read them.
//!
//! No error and no warning repeats a part of the text that could be a password.

mod mysql;
mod postgres;
mod sqlite;
mod value;

use std::fmt;
use std::time::Duration;

pub(crate) use self::mysql::{MySqlAddress, MySqlTarget, MySqlTls};
pub(crate) use self::postgres::PostgresTarget;
pub(crate) use self::sqlite::{SqliteMode, SqliteTarget};

/// The kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseType {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
    /// A SQLite file.
    Sqlite,
}

/// A connection string that was read.
#[derive(Clone)]
pub struct ConnectionString {
    pub(crate) target: Target,
    /// The time limits that it sets. The shortest counts.
    pub(crate) limit: Option<Duration>,
    warnings: Vec<String>,
}

/// What to connect to.
#[derive(Clone)]
pub(crate) enum Target {
    Postgres(PostgresTarget),
    MySql(MySqlTarget),
    Sqlite(SqliteTarget),
}

/// Why a connection string cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    /// There is nothing in it.
    #[error("it is empty: write {0}")]
    Empty(&'static str),
    /// It does not have the form that the driver reads.
    #[error("{0}")]
    Form(&'static str),
    /// A key has a value that cannot be used.
    #[error("`{key}` must be {wanted}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is possible.
        wanted: &'static str,
    },
    /// A key that this program cannot obey.
    #[error("`{key}` is not supported{instead}")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// What to write instead, after `: `; or nothing.
        instead: &'static str,
    },
    /// A key that cannot be the name of a setting.
    #[error("it has a key with characters that no setting has")]
    Key,
    /// A file that the string names cannot be read.
    #[error("`{key}` names a file that cannot be read: {problem}")]
    File {
        /// The key.
        key: &'static str,
        /// What the system says.
        problem: String,
    },
}

impl ConnectionString {
    /// Reads `text`. `environment` has the variables that the driver reads, such as `PGPASSWORD`.
    ///
    /// # Errors
    /// When the driver would not understand it, or it asks for what this program cannot do.
    pub fn parse(
        database_type: DatabaseType,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, DsnError> {
        match database_type {
            DatabaseType::Postgres => postgres::parse(text, environment),
            DatabaseType::MySql => mysql::parse(text),
            DatabaseType::Sqlite => sqlite::parse(text),
        }
    }

    /// What is valid but probably not intended.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.warnings.iter().map(String::as_str)
    }

    /// The kind of the database.
    #[must_use]
    pub fn database_type(&self) -> DatabaseType {
        match self.target {
            Target::Postgres(_) => DatabaseType::Postgres,
            Target::MySql(_) => DatabaseType::MySql,
            Target::Sqlite(_) => DatabaseType::Sqlite,
        }
    }
}

impl fmt::Debug for ConnectionString {
    /// Shows no part of it: a user name may be a secret, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionString({:?} …)", self.database_type())
    }
}

/// The shorter of two limits, of which either may be absent.
fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
