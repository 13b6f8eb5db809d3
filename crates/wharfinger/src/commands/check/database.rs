//! `check --connect`: what PostgreSQL says of itself.

use database::{DatabaseLocation, schema_version};
use postgresql::{PostgresError, PostgresPool};

use super::tried_connection::TriedConnection;

/// Asks the server for its version, its tables and its standby. `None` if the database is a file.
pub(super) async fn try_database(location: &DatabaseLocation) -> Option<TriedConnection> {
    let DatabaseLocation::Postgres(server, settings) = location else {
        return None;
    };
    let pool = PostgresPool::new((**server).clone(), *settings);
    let described = describe(&pool).await.map(Some);
    Some(TriedConnection::new("database", described))
}

async fn describe(pool: &PostgresPool) -> Result<String, database::Error> {
    let server = facts(pool).await?;
    let schema = match schema_version(pool).await? {
        Some(schema) => format!("tables of version {}", schema.version),
        None => "no tables yet".to_owned(),
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
    Ok(format!(
        "PostgreSQL {}, {schema}{pooler}{standby}",
        server.version
    ))
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
