//! Opens a connection: the servers in their order, each address of each name, TLS, the session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::with_causes;
use rustls::pki_types::ServerName;
use tokio::net::lookup_host;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, Socket};

use super::process_id;
use super::{CHECK_CONNECTION, PostgresConnection, SessionTimeouts};
use crate::error::{PostgresFailure, PostgresServerError};
use crate::location::{PostgresHost, PostgresLocation, PostgresTls, TargetSession};
use crate::statements::Statements;
use crate::tls::{self, ServerTls};

/// How soon a silent connection is asked for a sign of life, how often, and how long data may stay
/// unacknowledged. Firewalls forget idle connections without a word.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
const USER_TIMEOUT: Duration = Duration::from_secs(15);
/// How many addresses of a name are tried.
const MAX_ADDRESSES: usize = 8;

/// Asks in one round trip what counts for the session. The timeline changes when a standby is
/// promoted; a standby has none that could be asked for.
const PROBE: &str = "SELECT pg_backend_pid(), current_setting('transaction_read_only'), \
                     current_setting('wharfinger.session', true), \
                     CASE WHEN pg_is_in_recovery() THEN NULL \
                     ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END";

const SHORT_PROBE: &str = "SELECT pg_backend_pid(), current_setting('transaction_read_only')";

/// A parameter of our own, by which a session is known whose parameters are those of this program. A
/// pooler may drop them without a word.
const MARK: &str = "-c wharfinger.session=own";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("it does not answer within {} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("it is read-only: a standby, or a server that does not accept writes")]
    ReadOnly,
    #[error("the name has no address")]
    NoAddress,
    #[error("the server's answer about the session cannot be read")]
    Probe,
    #[error("the server is too old: PostgreSQL 14 or later is needed")]
    TooOld,
}

/// A connection to the first of the servers that is good enough, beginning with the one at
/// `preferred`, and the place of that server.
pub(crate) async fn open(
    location: &PostgresLocation,
    preferred: usize,
    timeouts: SessionTimeouts,
    statements: &Arc<Statements>,
) -> Result<(PostgresConnection, usize), PostgresFailure> {
    let (mut reasons, mut is_login_refused) = (Vec::new(), false);
    let count = location.hosts.len();
    for place in (0..count).map(|offset| (preferred + offset) % count.max(1)) {
        let host = &location.hosts[place];
        match open_host(location, host, timeouts, statements).await {
            Ok(connection) => return Ok((connection, place)),
            Err(error) => {
                let refusal = LoginRefusal::of(&*error);
                is_login_refused |= refusal.is_some();
                let reason = refusal.map_or_else(|| with_causes(&*error), |refusal| refusal.0);
                reasons.push(format!("{host}: {reason}"));
            }
        }
    }
    let reasons = reasons.join("; ");
    Err(match is_login_refused {
        true => PostgresFailure::LoginRefused {
            user: location.user.clone(),
            reasons,
        },
        false => PostgresFailure::NoServer(reasons),
    })
}

/// What a server says that does not let the user in.
struct LoginRefusal(String);

impl LoginRefusal {
    /// `None` if another thing is wrong.
    fn of(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<Self> {
        let error: &tokio_postgres::Error = error.downcast_ref()?;
        let source = std::error::Error::source(error).map(ToString::to_string);
        if source.as_deref() == Some("password missing") {
            let text = "the server wants a password, and the configuration has none";
            return Some(Self(text.to_owned()));
        }
        // Class 28 is "invalid authorization specification", which a wrong password is, too.
        let state = error
            .code()
            .filter(|state| state.code().starts_with("28"))?;
        Some(Self(PostgresServerError::of(error, state).to_string()))
    }
}

async fn open_host(
    location: &PostgresLocation,
    host: &PostgresHost,
    timeouts: SessionTimeouts,
    statements: &Arc<Statements>,
) -> Result<PostgresConnection, BoxError> {
    let limit = location.connect_timeout;
    if host.is_socket() {
        return open_within(limit, location, host, None, timeouts, statements).await;
    }
    let found = tokio::time::timeout(limit, lookup_host((host.name.as_str(), host.port))).await;
    let found = found.map_err(|_| OpenError::TimedOut(limit))??;
    let mut failure = BoxError::from(OpenError::NoAddress);
    for address in found.take(MAX_ADDRESSES) {
        match open_within(limit, location, host, Some(address), timeouts, statements).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn open_within(
    limit: Duration,
    location: &PostgresLocation,
    host: &PostgresHost,
    address: Option<SocketAddr>,
    timeouts: SessionTimeouts,
    statements: &Arc<Statements>,
) -> Result<PostgresConnection, BoxError> {
    let opening = open_address(location, host, address, timeouts, statements);
    let opened = tokio::time::timeout(limit, opening).await;
    opened.map_err(|_| OpenError::TimedOut(limit))?
}

async fn open_address(
    location: &PostgresLocation,
    host: &PostgresHost,
    address: Option<SocketAddr>,
    timeouts: SessionTimeouts,
    statements: &Arc<Statements>,
) -> Result<PostgresConnection, BoxError> {
    let config = config(location, host, address);
    let tls = match &location.tls {
        PostgresTls::Required(settings) if !host.is_socket() => {
            let name = ServerName::try_from(host.name.clone())?;
            let config = tls::client_config(settings).await?;
            Some(ServerTls { config, name })
        }
        PostgresTls::Required(_) | PostgresTls::Off => None,
    };
    let (client, driver) = match session_options(location, timeouts, statements) {
        None => connect(&config, tls.as_ref()).await?,
        Some(options) => {
            let mut with_options = config.clone();
            with_options.options(&options);
            match connect(&with_options, tls.as_ref()).await {
                Err(error) if is_too_old(&error) => return Err(OpenError::TooOld.into()),
                // A pooler shares sessions, so it refuses what would change one for all.
                Err(error) if refuses_options(&error) && location.session.is_empty() => {
                    statements.forbid_options();
                    connect(&config, tls.as_ref()).await?
                }
                connected => connected?,
            }
        }
    };
    let connection = PostgresConnection::new(client, driver, timeouts, Arc::clone(statements));
    prepare_session(connection, location.target).await
}

fn config(location: &PostgresLocation, host: &PostgresHost, address: Option<SocketAddr>) -> Config {
    let mut config = Config::new();
    config
        .host(&host.name)
        .port(host.port)
        .user(&location.user)
        .dbname(&location.database)
        .application_name(&location.application_name)
        .channel_binding(location.channel_binding)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES)
        .tcp_user_timeout(USER_TIMEOUT)
        .ssl_mode(match (&location.tls, host.is_socket()) {
            (PostgresTls::Required(_), false) => SslMode::Require,
            _ => SslMode::Disable,
        });
    if let Some(address) = address {
        config.hostaddr(address.ip());
    }
    if let Some(password) = &location.password {
        config.password(password.expose());
    }
    config
}

/// `-c name=value …`, in which blanks and backslashes are escaped. There are none if nothing is to be
/// set, or a pooler refused them.
fn session_options(
    location: &PostgresLocation,
    timeouts: SessionTimeouts,
    statements: &Statements,
) -> Option<String> {
    let own = timeouts.parameters();
    let is_wanted = !own.is_empty() && !statements.options_are_forbidden();
    if !is_wanted && location.session.is_empty() {
        return None;
    }
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    let given = location.session.iter();
    let given = given.map(|(name, value)| (name.as_str(), value.as_str()));
    let mut options = MARK.to_owned();
    for (name, value) in own.chain(given) {
        let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
        options.push_str(&format!(" -c {name}={value}"));
    }
    Some(options)
}

/// PgBouncer's message; its code is that of a protocol violation.
fn refuses_options(error: &tokio_postgres::Error) -> bool {
    let error = error.as_db_error();
    error.is_some_and(|error| {
        let message = error.message();
        message.contains("unsupported startup parameter") && message.contains("options")
    })
}

/// Servers before 14 do not know one of the parameters.
fn is_too_old(error: &tokio_postgres::Error) -> bool {
    let error = error.as_db_error();
    error.is_some_and(|error| error.message().contains(CHECK_CONNECTION))
}

type Driver = tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>;

async fn connect(
    config: &Config,
    tls: Option<&ServerTls>,
) -> Result<(Client, Driver), tokio_postgres::Error> {
    match tls {
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            Ok((client, tokio::spawn(connection)))
        }
        Some(tls) => {
            let (client, connection) = config.connect(MakeServerTls(tls)).await?;
            Ok((client, tokio::spawn(connection)))
        }
    }
}

struct MakeServerTls<'a>(&'a ServerTls);

impl tokio_postgres::tls::MakeTlsConnect<Socket> for MakeServerTls<'_> {
    type Stream = tls::ServerStream;
    type TlsConnect = ServerTls;
    type Error = std::convert::Infallible;

    fn make_tls_connect(&mut self, _: &str) -> Result<ServerTls, Self::Error> {
        Ok(ServerTls {
            config: Arc::clone(&self.0.config),
            name: self.0.name.clone(),
        })
    }
}

/// Finds out what the session is: writable or not, whose timeouts count, behind a pooler or not.
async fn prepare_session(
    mut connection: PostgresConnection,
    target: TargetSession,
) -> Result<PostgresConnection, BoxError> {
    let announced = process_id::announced(&connection.client).await;
    let client = &connection.client;
    let probe = match client.simple_query(PROBE).await {
        // Servers before 10, and some services, do not say all of it.
        Err(error) if error.as_db_error().is_some() => client.simple_query(SHORT_PROBE).await?,
        probe => probe?,
    };
    let row = probe.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.ok_or(OpenError::Probe)?;
    let process = row.get(0).and_then(|id| id.parse::<i32>().ok());
    if target == TargetSession::ReadWrite && row.get(1) == Some("on") {
        return Err(OpenError::ReadOnly.into());
    }
    // A pooler announces a process of its own invention.
    if announced != process {
        connection.statements().forbid_names();
    }
    connection.session_has_timeouts = row.try_get(2).ok().flatten() == Some("own");
    connection.timeline = row
        .try_get(3)
        .ok()
        .flatten()
        .and_then(|text| u32::from_str_radix(text, 16).ok());
    Ok(connection)
}
