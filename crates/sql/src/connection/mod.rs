//! One connection to one of the three databases.

mod mysql;
mod postgres;
mod sqlite;

use postgresql::PostgresConnection;

use crate::dsn::Target;
use crate::error::SqlError;
use crate::query::SqlQuery;
use crate::row::{Cell, WantedColumn};

/// An open connection. Dropping it while a query runs closes it.
pub(crate) enum Connection {
    Postgres(Box<PostgresConnection>),
    MySql(Box<mysql::MySqlConnection>),
    Sqlite(sqlite::SqliteConnection),
}

/// A query with its parameter and the columns to read.
#[derive(Clone, Copy)]
pub(crate) struct QueryRun<'a> {
    pub(crate) query: &'a SqlQuery,
    /// What stands for the account; empty if the query does not name it.
    pub(crate) account: &'a str,
    pub(crate) columns: &'static [WantedColumn],
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> Result<Self, SqlError> {
        Ok(match target {
            Target::Postgres(target) => Self::Postgres(Box::new(postgres::open(target).await?)),
            Target::MySql(target) => Self::MySql(Box::new(mysql::open(target).await?)),
            Target::Sqlite(target) => Self::Sqlite(sqlite::open(target).await?),
        })
    }

    /// The rows of a query, with the wanted columns in their order. What a table of `docker_auth`
    /// lacks is added, as its xorm does.
    pub(crate) async fn fetch(&mut self, run: QueryRun<'_>) -> Result<Vec<Vec<Cell>>, SqlError> {
        let mut outcome = self.fetch_once(run).await;
        let Some(table) = run.query.table else {
            return outcome;
        };
        for _ in 0..table.most_gaps() {
            let Some(gap) = outcome.as_ref().err().and_then(|error| table.gap(error)) else {
                return outcome;
            };
            let executed = self.execute(&gap.statement).await;
            // Another server may have been faster.
            outcome = self.fetch_once(run).await;
            let remains = outcome.as_ref().err().and_then(|error| table.gap(error));
            match executed {
                Ok(()) => tracing::info!(statement = gap.statement, "{}", gap.description),
                Err(failure) if remains.as_ref() == Some(&gap) => {
                    return Err(SqlError::Schema {
                        gap: gap.description,
                        statement: gap.statement,
                        failure: error_text(&failure),
                    });
                }
                Err(_) => {}
            }
        }
        outcome
    }

    async fn fetch_once(&mut self, run: QueryRun<'_>) -> Result<Vec<Vec<Cell>>, SqlError> {
        match self {
            Self::Postgres(connection) => postgres::fetch(connection, run).await,
            Self::MySql(connection) => mysql::fetch(connection, run).await,
            Self::Sqlite(connection) => connection.fetch(run).await,
        }
    }

    /// Runs a statement of ours that gives no rows.
    async fn execute(&mut self, statement: &str) -> Result<(), SqlError> {
        match self {
            Self::Postgres(connection) => postgres::execute(connection, statement).await,
            Self::MySql(connection) => mysql::execute(connection, statement).await,
            Self::Sqlite(connection) => connection.execute(statement).await,
        }
    }
}

/// An error with its causes, for a text inside another error.
fn error_text(error: &SqlError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
