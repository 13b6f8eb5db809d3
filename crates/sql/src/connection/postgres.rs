//! A connection to PostgreSQL.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgConnectOptions, PgConnection, PgRow, PgSslMode, PgTypeInfo, Postgres,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Encode, Type};

use postgresql::PostgresTls;

use super::postgres_tls::{self, TlsTunnel};
use super::{QueryRun, query_error};
use crate::dsn::PostgresTarget;
use crate::error::SqlError;
use crate::row::{self, Cell};

/// A connection, and what carries it if it is protected.
pub(crate) struct PostgresSession {
    connection: PgConnection,
    _tunnel: Option<TlsTunnel>,
}

pub(super) async fn open(target: &PostgresTarget) -> Result<PostgresSession, SqlError> {
    let options = options(target);
    let (options, tunnel) = match &target.tls {
        PostgresTls::Off => (options, None),
        PostgresTls::Required(settings) => {
            let tunnel = postgres_tls::open(&target.host, target.port, settings).await?;
            (options.socket(tunnel.socket_directory()), Some(tunnel))
        }
    };
    let connected = options.connect().await.map_err(|error| SqlError::Connect {
        hint: "",
        source: error.into(),
    });
    Ok(PostgresSession {
        connection: connected?,
        _tunnel: tunnel,
    })
}

/// Nothing is left to sqlx's own defaults and variables of the environment.
fn options(target: &PostgresTarget) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&target.host)
        .port(target.port)
        .username(&target.user)
        .database(&target.database)
        .password(
            target
                .password
                .as_ref()
                .map_or("", |password| password.expose()),
        )
        .application_name(&target.application_name)
        .ssl_mode(PgSslMode::Disable)
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .options(target.session.iter().map(|(key, value)| (key, value)));
    options.disable_statement_logging()
}

impl PostgresSession {
    pub(super) async fn fetch(&mut self, run: QueryRun<'_>) -> Result<Vec<Vec<Cell>>, SqlError> {
        let rows = match self.fetch_rows(run).await {
            // sqlx asked the server about a type that it did not know, and that query took the place
            // of ours. It knows the type now.
            Err(error) if is_statement_gone(&error) => self.fetch_rows(run).await,
            rows => rows,
        };
        let rows = rows.map_err(query_error)?;
        let cells = |found| row::of_postgres(found, run.columns);
        rows.iter().map(cells).collect()
    }

    async fn fetch_rows(&mut self, run: QueryRun<'_>) -> sqlx::Result<Vec<PgRow>> {
        // A statement with a name would not survive a pooler such as PgBouncer.
        let mut query = sqlx::query(AssertSqlSafe(&*run.query.sql)).persistent(false);
        for _ in 0..run.query.parameters {
            query = query.bind(Untyped(run.account));
        }
        query.fetch_all(&mut self.connection).await
    }

    pub(super) async fn execute(&mut self, statement: &str) -> Result<(), SqlError> {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement));
        let executed = statement.execute(&mut self.connection).await;
        executed.map(drop).map_err(query_error)
    }
}

/// SQLSTATE 26000: there is no prepared statement of that name.
fn is_statement_gone(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().as_deref() == Some("26000"))
}

/// A text whose type the server chooses, as for a literal. So a column of type `citext` compares by
/// its own rules, and a `uuid` can be compared at all.
struct Untyped<'a>(&'a str);

impl Type<Postgres> for Untyped<'_> {
    fn type_info() -> PgTypeInfo {
        // `unknown`, in pg_type.
        PgTypeInfo::with_oid(Oid(705))
    }
}

impl Encode<'_, Postgres> for Untyped<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend(self.0.as_bytes());
        Ok(IsNull::No)
    }
}
