//! `check --connect`: what PostgreSQL says of itself.

use database::{DatabaseLocation, schema_version};
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

/// A text, and whether there are tables.
async fn describe(pool: &PostgresPool) -> Result<(String, bool), database::Error> {
    let server = facts(pool).await?;
    let schema = schema_version(pool).await?;
    let tables = match schema {
        Some(schema) => format!("tables of version {}", schema.version),
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
}

async fn facts(pool: &PostgresPool) -> Result<ServerFacts, PostgresError> {
    let sql = "SELECT current_setting('server_version'),
                      current_setting('synchronous_standby_names') <> ''
                      AND current_setting('synchronous_commit') NOT IN ('off', 'local')";
    let row = pool.query_one(sql, &[]).await?;
    Ok(ServerFacts {
        version: row.get(0),
        has_synchronous_standby: row.get(1),
    })
}
