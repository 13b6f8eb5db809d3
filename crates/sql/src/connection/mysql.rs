//! A connection to MySQL or MariaDB.

use std::sync::OnceLock;

use data_encoding::BASE64;
use rustls::RootCertStore;
pub(super) use sqlx::mysql::MySqlConnection;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::QueryRun;
use crate::dsn::{MySqlAddress, MySqlTarget, MySqlTls};
use crate::error::SqlError;
use crate::row::{self, Cell};

const ENCRYPTED_PASSWORD: &str = ": the server wants the password encrypted (caching_sha2_password); \
                                  add tls=true or tls=skip-verify to conn_string, or give the \
                                  account mysql_native_password";

pub(super) async fn open(target: &MySqlTarget) -> Result<MySqlConnection, SqlError> {
    let place = format!(" at {}", target.address);
    let connected = options(target).connect().await;
    let mut connection = connected.map_err(|error| SqlError::Connect {
        hint: match &error {
            sqlx::Error::Configuration(cause) if cause.to_string().contains("RSA") => {
                ENCRYPTED_PASSWORD
            }
            _ => "",
        },
        place: place.clone(),
        source: source(error),
    })?;
    for statement in &target.session {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.as_str()));
        let set = statement.execute(&mut connection).await;
        set.map_err(|error| SqlError::Connect {
            place: place.clone(),
            hint: ": a variable of conn_string cannot be set",
            source: source(error),
        })?;
    }
    Ok(connection)
}

fn options(target: &MySqlTarget) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .username(&target.user)
        .charset(&target.charset)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .statement_cache_capacity(0)
        .ssl_mode(match target.tls {
            MySqlTls::Off => MySqlSslMode::Disabled,
            MySqlTls::Preferred => MySqlSslMode::Preferred,
            MySqlTls::Unverified => MySqlSslMode::Required,
            MySqlTls::Verified => MySqlSslMode::VerifyIdentity,
        });
    options = match &target.address {
        MySqlAddress::Tcp { host, port } => options.host(host).port(*port),
        MySqlAddress::Unix(path) => options.socket(path),
    };
    if let Some(password) = &target.password {
        options = options.password(password.expose());
    }
    if let Some(database) = &target.database {
        options = options.database(database);
    }
    if let Some(collation) = &target.collation {
        options = options.collation(collation);
    }
    if target.tls == MySqlTls::Verified {
        options = options.ssl_ca_from_pem(system_authorities().to_vec());
    }
    options.disable_statement_logging()
}

/// The authorities of the system, as PEM. sqlx itself knows only Mozilla's.
fn system_authorities() -> &'static [u8] {
    static PEM: OnceLock<Vec<u8>> = OnceLock::new();
    PEM.get_or_init(|| {
        let mut store = RootCertStore::empty();
        let certificates = rustls_native_certs::load_native_certs().certs.into_iter();
        // sqlx refuses a whole list for one certificate that it cannot read.
        let readable = certificates.filter(|certificate| store.add(certificate.clone()).is_ok());
        let pem = readable.map(|certificate| {
            let body = BASE64.encode(&certificate);
            format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
        });
        pem.collect::<String>().into_bytes()
    })
}

pub(super) async fn fetch(
    connection: &mut MySqlConnection,
    run: QueryRun<'_>,
) -> Result<Vec<Vec<Cell>>, SqlError> {
    let mut query = sqlx::query(AssertSqlSafe(&*run.query.sql)).persistent(false);
    for _ in 0..run.query.parameters {
        query = query.bind(run.account);
    }
    let rows = query.fetch_all(connection).await.map_err(query_error)?;
    rows.iter()
        .map(|found| row::of_mysql(found, run.columns))
        .collect()
}

pub(super) async fn execute(
    connection: &mut MySqlConnection,
    statement: &str,
) -> Result<(), SqlError> {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    let executed = statement.execute(connection).await;
    executed.map(drop).map_err(query_error)
}

/// What the server or sqlx says, by what it means for the connection and the query.
fn query_error(error: sqlx::Error) -> SqlError {
    match &error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {
            SqlError::Lost(source(error))
        }
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default().into_owned();
            match code.as_str() {
                // Undefined table.
                "42S02" => SqlError::NoTable(source(error)),
                // Undefined column.
                "42S22" => SqlError::UnknownColumn(source(error)),
                // Connection exceptions, among them too many connections; a deadlock; a query that
                // was interrupted.
                code if code.starts_with("08") => SqlError::Busy(source(error)),
                "40001" | "70100" => SqlError::Busy(source(error)),
                _ => SqlError::Query(source(error)),
            }
        }
        _ => SqlError::Query(source(error)),
    }
}

/// The error itself: sqlx's own text repeats it.
fn source(error: sqlx::Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        sqlx::Error::Io(error) => error.into(),
        sqlx::Error::Tls(error) | sqlx::Error::Configuration(error) => error,
        sqlx::Error::Database(error) => error.into_error(),
        other => other.into(),
    }
}
