//! `check --connect`: what PostgreSQL says of itself.

use database::{DatabaseLocation, SchemaError, schema_version};
use postgresql::{PostgresError, PostgresPool};

use super::tried_connection::TriedConnection;

/// What was found of the database.
pub(super) struct TriedDatabase {
    pub(super) tried: TriedConnection,
    /// Whether what is in it can be asked for.
    pub(super) has_tables: bool,
}

/// Asks the server for its version, its tables and its standby. `None` if the database is a file.
pub(super) async fn try_database(location: &DatabaseLocation) -> Option<TriedDatabase> {
    let DatabaseLocation::Postgres(server, settings) = location else {
        return None;
    };
    let pool = PostgresPool::new((**server).clone(), *settings);
    let described = describe(&pool).await;
    let has_tables = described.as_ref().is_ok_and(|(_, has_tables)| *has_tables);
    let described = described.map(|(text, _)| Some(text));
    Some(TriedDatabase {
        tried: TriedConnection::new("database", described),
        has_tables,
    })
}

/// Why a server cannot use a database that answers.
#[derive(Debug, thiserror::Error)]
enum DatabaseProblem {
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(
        "the database takes no changes: it is a standby, or default_transaction_read_only is on; name all servers of the cluster in database.url, and the one that takes changes is found"
    )]
    ReadOnly,
    #[error(
        "there are no tables yet, and the role {role} may not create any: make it the owner of the database, or run `GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}`"
    )]
    MayNotCreate { role: String, schema: String },
}

/// A text, and whether there are tables.
async fn describe(pool: &PostgresPool) -> Result<(String, bool), DatabaseProblem> {
    let server = facts(pool).await?;
    let schema = schema_version(pool).await?;
    if server.is_read_only {
        return Err(DatabaseProblem::ReadOnly);
    }
    if server.encoding != "UTF8" {
        return Err(SchemaError::Encoding(server.encoding).into());
    }
    if let Some(schema) = schema {
        schema.require_served()?;
    }
    let tables = match schema {
        Some(schema) => format!("tables of version {}", schema.version),
        None if !server.may_create => {
            return Err(DatabaseProblem::MayNotCreate {
                role: server.role,
                schema: server.schema,
            });
        }
        None => "no tables yet: the first server that starts creates them".to_owned(),
    };
    let pooler = match pool.prepares() {
        true => "",
        false => {
            "; behind a pooler that forbids prepared statements, which costs the server more: \
             PgBouncer 1.21 or newer with max_prepared_statements allows them"
        }
    };
    let standby = match server.has_synchronous_standby {
        true => "; a synchronous standby confirms commits",
        false => {
            "; no synchronous standby confirms commits: if this server is lost, the last commits \
             are lost with it"
        }
    };
    let version = server.version;
    let text = format!("PostgreSQL {version}, {tables}{pooler}{standby}");
    Ok((text, schema.is_some()))
}

struct ServerFacts {
    version: String,
    has_synchronous_standby: bool,
    encoding: String,
    is_read_only: bool,
    role: String,
    /// Where tables are created. Both names are quoted where SQL wants that.
    schema: String,
    may_create: bool,
}

async fn facts(pool: &PostgresPool) -> Result<ServerFacts, PostgresError> {
    let sql = "SELECT current_setting('server_version'),
                      current_setting('synchronous_standby_names') <> ''
                      AND current_setting('synchronous_commit') NOT IN ('off', 'local'),
                      current_setting('server_encoding'),
                      current_setting('transaction_read_only')::boolean,
                      quote_ident(current_user), quote_ident(coalesce(current_schema(), 'public')),
                      coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let row = pool.query_one(sql, &[]).await?;
    Ok(ServerFacts {
        version: row.get(0),
        has_synchronous_standby: row.get(1),
        encoding: row.get(2),
        is_read_only: row.get(3),
        role: row.get(4),
        schema: row.get(5),
        may_create: row.get(6),
    })
}
