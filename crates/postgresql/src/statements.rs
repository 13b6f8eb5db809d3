//! Statements with names, and without.
//!
//! A statement that is prepared under a name is parsed and planned once for each session. A pooler
//! that gives each transaction another session forbids names: a session may not know a name, or may
//! know it as another client's statement. There a statement is sent unprepared, with the types of
//! its parameters, in one round trip as well. The types are asked for once for each text.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{TryStreamExt, pin_mut};
use tokio_postgres::types::{Kind, ToSql, Type};
use tokio_postgres::{Client, Row, RowStream, SimpleQueryMessage, Statement};

use crate::error::{PostgresError, PostgresServerError};

/// How many statements are remembered. This program has fewer.
const KEPT: usize = 1024;

/// What is known of the statements of one cluster of servers, for all connections to it.
#[derive(Default)]
pub(crate) struct Statements {
    names_are_forbidden: AtomicBool,
    options_are_forbidden: AtomicBool,
    types: Mutex<HashMap<String, Arc<[Type]>>>,
}

/// The statements that one connection has prepared.
#[derive(Default)]
pub(crate) struct PreparedStatements(Mutex<HashMap<String, Statement>>);

/// What a statement brought.
pub(crate) struct StatementAnswer {
    pub(crate) rows: Vec<Row>,
    pub(crate) changed: u64,
}

impl Statements {
    /// From now on, statements have no names.
    pub(crate) fn forbid_names(&self) {
        if !self.names_are_forbidden.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "the database is behind a pooler: statements are not prepared, which costs the \
                 server more"
            );
        }
    }

    pub(crate) fn names_are_forbidden(&self) -> bool {
        self.names_are_forbidden.load(Ordering::Relaxed)
    }

    /// From now on, connections are opened without parameters of the session.
    pub(crate) fn forbid_options(&self) {
        self.options_are_forbidden.store(true, Ordering::Relaxed);
    }

    pub(crate) fn options_are_forbidden(&self) -> bool {
        self.options_are_forbidden.load(Ordering::Relaxed)
    }

    fn types(&self) -> MutexGuard<'_, HashMap<String, Arc<[Type]>>> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PreparedStatements {
    /// Runs a statement, prepared if that is possible.
    pub(crate) async fn query(
        &self,
        client: &Client,
        statements: &Statements,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<StatementAnswer, PostgresError> {
        if statements.names_are_forbidden() {
            return unprepared(client, statements, sql, parameters).await;
        }
        let error = match self.prepared(client, sql, parameters).await {
            Err(error) => error,
            answer => return answer,
        };
        // "cached plan must not change result type": the table has been altered since.
        if state(&error) == Some("0A000") {
            self.forget(sql);
            return Err(into_conflict(error));
        }
        let error = Self::without_names(statements, error);
        if statements.names_are_forbidden() {
            self.forget_all();
        }
        Err(error)
    }

    /// If an error says that the session does not know a name, or knows it already, names are
    /// forbidden from now on, and the statement can be run again.
    pub(crate) fn without_names(statements: &Statements, error: PostgresError) -> PostgresError {
        if !matches!(state(&error), Some("26000" | "42P05")) {
            return error;
        }
        statements.forbid_names();
        into_conflict(error)
    }

    async fn prepared(
        &self,
        client: &Client,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<StatementAnswer, PostgresError> {
        let known = self.statements().get(sql).cloned();
        let statement = match known {
            Some(statement) => statement,
            None => {
                let statement = client.prepare(sql).await?;
                let mut statements = self.statements();
                if statements.len() >= KEPT {
                    statements.clear();
                }
                statements.insert(sql.to_owned(), statement.clone());
                statement
            }
        };
        let rows = client
            .query_raw(&statement, parameters.iter().copied())
            .await?;
        collected(rows).await
    }

    fn forget(&self, sql: &str) {
        self.statements().remove(sql);
    }

    fn forget_all(&self) {
        self.statements().clear();
    }

    fn statements(&self) -> MutexGuard<'_, HashMap<String, Statement>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a statement without a name.
async fn unprepared(
    client: &Client,
    statements: &Statements,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<StatementAnswer, PostgresError> {
    let types = match parameters.is_empty() {
        true => Arc::default(),
        false => types_of(client, statements, sql).await?,
    };
    if types.len() != parameters.len() {
        return Err(PostgresError::Other(Box::new(PostgresServerError {
            code: "08P01".to_owned(),
            message: format!("{} parameters instead of {}", parameters.len(), types.len()),
            constraint: None,
            detail: None,
        })));
    }
    let typed = parameters.iter().copied().zip(types.iter().cloned());
    let answer = match client.query_typed_raw(sql, typed).await {
        Ok(rows) => collected(rows).await,
        Err(error) => Err(error.into()),
    };
    // A column may have got another type.
    if let Err(PostgresError::Other(_)) = &answer {
        statements.types().remove(sql);
    }
    answer
}

/// The types of a statement's parameters: remembered, or asked for. The statement is prepared under
/// a random name and forgotten in the same message, which one session answers.
async fn types_of(
    client: &Client,
    statements: &Statements,
    sql: &str,
) -> Result<Arc<[Type]>, PostgresError> {
    if let Some(types) = statements.types().get(sql) {
        return Ok(Arc::clone(types));
    }
    let name = probe_name();
    let question = format!(
        "PREPARE {name} AS {sql}; \
         SELECT t.oid, t.typname, t.typtype, n.nspname \
         FROM pg_prepared_statements s, unnest(s.parameter_types) WITH ORDINALITY p(type, place), \
         pg_type t, pg_namespace n \
         WHERE s.name = '{name}' AND t.oid = p.type AND n.oid = t.typnamespace ORDER BY p.place; \
         DEALLOCATE {name}"
    );
    let answer = client.simple_query(&question).await?;
    let types = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let types: Option<Arc<[Type]>> = types
        .map(|row| {
            let oid = row.get(0)?.parse().ok()?;
            Some(Type::from_oid(oid).unwrap_or_else(|| {
                let text = |column| row.get(column).unwrap_or_default().to_owned();
                let kind = match row.get(2) {
                    Some("e") => Kind::Enum(Vec::new()),
                    _ => Kind::Simple,
                };
                Type::new(text(1), oid, kind, text(3))
            }))
        })
        .collect();
    let types = types.unwrap_or_default();
    let mut known = statements.types();
    if known.len() >= KEPT {
        known.clear();
    }
    known.insert(sql.to_owned(), Arc::clone(&types));
    Ok(types)
}

/// A name that no other client of the pooler has.
fn probe_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; 8];
    let _ = common::Entropy::fill(&common::SystemEntropy, &mut random);
    format!("wharfinger_{:016x}_{number}", u64::from_be_bytes(random))
}

async fn collected(rows: RowStream) -> Result<StatementAnswer, PostgresError> {
    pin_mut!(rows);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        found.push(row);
    }
    Ok(StatementAnswer {
        rows: found,
        changed: rows.rows_affected().unwrap_or_default(),
    })
}

fn state(error: &PostgresError) -> Option<&str> {
    match error {
        PostgresError::Other(_) => error.sql_state(),
        _ => None,
    }
}

/// The statement was not run, and would be the next time.
fn into_conflict(error: PostgresError) -> PostgresError {
    match error {
        PostgresError::Other(source) => PostgresError::Conflict(source),
        other => other,
    }
}
