//! Statements of others, whose parameters are texts of a type that the server chooses.
//!
//! As for a literal, `citext` compares by its own rules, and a `uuid` can be compared at all.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use futures_util::{TryStreamExt, pin_mut};
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Row};

use crate::error::PostgresError;
use crate::statements::{PreparedStatements, Statements};

/// The statements whose columns have types that this connection knows.
///
/// The library asks for a type that is not built in by statements with names, once for each
/// connection. Behind a pooler this works in a transaction, which keeps its session, after what
/// others have left there is gone.
#[derive(Default)]
pub(crate) struct UntypedStatements(Mutex<HashSet<String>>);

impl UntypedStatements {
    pub(crate) async fn query(
        &self,
        client: &Client,
        statements: &Statements,
        sql: &str,
        parameters: &[&str],
    ) -> Result<Vec<Row>, PostgresError> {
        let is_known = self.known().contains(sql);
        let rows = if is_known || !statements.names_are_forbidden() {
            run(client, sql, parameters).await
        } else {
            client.batch_execute("BEGIN; DEALLOCATE ALL").await?;
            let rows = run(client, sql, parameters).await;
            // After an error this rolls back.
            client.batch_execute("COMMIT").await?;
            rows
        };
        let rows = rows.map_err(|error| PreparedStatements::without_names(statements, error))?;
        if !is_known {
            self.known().insert(sql.to_owned());
        }
        Ok(rows)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(client: &Client, sql: &str, parameters: &[&str]) -> Result<Vec<Row>, PostgresError> {
    let parameters = parameters
        .iter()
        .map(|text| (UntypedText(text), Type::UNKNOWN));
    let rows = client.query_typed_raw(sql, parameters).await?;
    pin_mut!(rows);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        found.push(row);
    }
    Ok(found)
}

/// A text that is sent as it is.
#[derive(Debug)]
struct UntypedText<'a>(&'a str);

impl ToSql for UntypedText<'_> {
    fn to_sql(
        &self,
        _: &Type,
        buffer: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
