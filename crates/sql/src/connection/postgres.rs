//! A connection to PostgreSQL.

use std::time::Duration;

use postgresql::{
    PostgresConnection, PostgresError, PostgresHost, PostgresLocation, SessionTimeouts,
};

use super::QueryRun;
use crate::dsn::PostgresTarget;
use crate::error::SqlError;
use crate::row::{self, Cell};

/// How long one address may take. The time limit of the whole query is shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn open(target: &PostgresTarget) -> Result<PostgresConnection, SqlError> {
    let opened = PostgresConnection::open(&location(target), SessionTimeouts::default()).await;
    opened.map_err(|error| SqlError::Connect {
        place: String::new(),
        hint: "",
        source: match error {
            PostgresError::Unavailable(reason) => reason,
            other => other.into(),
        },
    })
}

fn location(target: &PostgresTarget) -> PostgresLocation {
    let host = PostgresHost {
        name: target.host.clone(),
        port: target.port,
    };
    let location = PostgresLocation::at(host, target.user.clone(), target.database.clone())
        .with_tls(target.tls.clone())
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_application_name(target.application_name.clone())
        .with_session(target.session.clone());
    match &target.password {
        Some(password) => location.with_password(password.clone()),
        None => location,
    }
}

pub(super) async fn fetch(
    connection: &PostgresConnection,
    run: QueryRun<'_>,
) -> Result<Vec<Vec<Cell>>, SqlError> {
    let parameters = vec![run.account; run.query.parameters];
    let rows = connection.query_untyped(&run.query.sql, &parameters).await;
    let rows = rows.map_err(query_error)?;
    let cells = |found| row::of_postgres(found, run.columns);
    rows.iter().map(cells).collect()
}

pub(super) async fn execute(
    connection: &PostgresConnection,
    statement: &str,
) -> Result<(), SqlError> {
    connection
        .batch_execute(statement)
        .await
        .map_err(query_error)
}

/// What the server says, by what it means for the connection and the query.
fn query_error(error: PostgresError) -> SqlError {
    let state = error.sql_state().map(str::to_owned);
    match error {
        PostgresError::Unavailable(source) if state.is_none() => SqlError::Lost(source),
        PostgresError::Unavailable(source)
        | PostgresError::Conflict(source)
        | PostgresError::Full(source) => SqlError::Busy(source),
        PostgresError::Other(source) => match state.as_deref() {
            Some("42P01") => SqlError::NoTable(source),
            Some("42703") => SqlError::UnknownColumn(source),
            _ => SqlError::Query(source),
        },
        unique @ PostgresError::Unique { .. } => SqlError::Query(unique.into()),
    }
}
