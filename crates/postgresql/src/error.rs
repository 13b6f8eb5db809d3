//! What can go wrong with the database, by what the caller does about it.

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio_postgres::error::SqlState;

/// When a failed request is worth another attempt.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the database did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// It cannot be reached, is starting or stopping, refuses the login, or does not answer in time.
    /// The same request may succeed later.
    #[error("{}", unavailable(&**.0))]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// Another transaction changed the same rows at the same time, and this one was rolled back.
    #[error("another transaction changed the same rows at the same time")]
    Conflict(#[source] Box<dyn Error + Send + Sync>),
    /// The disk of the server is full.
    #[error("the disk of the database server is full")]
    Full(#[source] Box<dyn Error + Send + Sync>),
    /// A unique constraint is violated.
    #[error("a row that has the same values is there already (constraint {constraint})")]
    Unique {
        /// The constraint's name.
        constraint: String,
    },
    /// Anything else: a mistake in a statement, missing rights, a value of another type.
    #[error("the database refused a statement")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

/// What the server says. Its detail can contain values of rows, so only that of our own functions is
/// kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
pub struct PostgresServerError {
    /// The SQLSTATE.
    pub code: String,
    /// The message.
    pub message: String,
    /// The constraint that is violated.
    pub constraint: Option<String>,
    /// The detail, if the SQLSTATE is one of this program's functions (`WH…`).
    pub detail: Option<String>,
}

/// How the SQLSTATEs of this program's functions begin.
const OWN_CLASS: &str = "WH";

/// What this program finds out itself.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PostgresFailure {
    #[error("it did not answer within {} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error(
        "{location} did not answer within {} seconds: check that PostgreSQL listens there, and not another program",
        .limit.as_secs_f64()
    )]
    NotOpened { location: String, limit: Duration },
    #[error("no connection became free within {} seconds", .0.as_secs_f64())]
    NoConnection(Duration),
    #[error(
        "the connection broke while a transaction was committed, and it is not known whether it was"
    )]
    UnknownOutcome,
    #[error("the transaction was rolled back, because one of its statements failed")]
    RolledBack,
    #[error("the transaction has ended")]
    Ended,
    #[error("this program must not use it any more; the log says why")]
    Closed,
    #[error("the query returned {0} rows instead of one")]
    Rows(usize),
    #[error("{0}")]
    NoServer(String),
    #[error("{reasons}")]
    LoginRefused { user: String, reasons: String },
}

/// What is wrong with a database that is not available, without the reason.
fn unavailable(reason: &(dyn Error + Send + Sync + 'static)) -> String {
    match reason.downcast_ref() {
        Some(PostgresFailure::LoginRefused { user, .. }) => {
            format!("the database refuses the login of the user {user:?}")
        }
        _ => "the database cannot answer now".to_owned(),
    }
}

impl PostgresError {
    /// After which time the same request may succeed; nothing if it never will.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable(_) | Self::Conflict(_) => Some(RETRY_AFTER),
            Self::Full(_) | Self::Unique { .. } | Self::Other(_) => None,
        }
    }

    /// What the server says, if it said something and the case does not say it all.
    #[must_use]
    pub fn server_error(&self) -> Option<&PostgresServerError> {
        match self {
            Self::Unavailable(source)
            | Self::Conflict(source)
            | Self::Full(source)
            | Self::Other(source) => source.downcast_ref(),
            Self::Unique { .. } => None,
        }
    }

    /// The SQLSTATE, if the server said one.
    #[must_use]
    pub fn sql_state(&self) -> Option<&str> {
        match self {
            Self::Unique { .. } => Some("23505"),
            other => other.server_error().map(|error| error.code.as_str()),
        }
    }

    /// Whether no server can be reached, which the pool has logged when it began.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        let Self::Unavailable(source) = self else {
            return false;
        };
        matches!(
            source.downcast_ref(),
            Some(
                PostgresFailure::NoServer(_)
                    | PostgresFailure::LoginRefused { .. }
                    | PostgresFailure::Closed
            )
        )
    }

    /// Whether the connection that it happened on is of no use any more.
    pub(crate) fn breaks_connection(&self) -> bool {
        match self {
            // These end the statement or the transaction, not the session.
            Self::Unavailable(_) => !matches!(self.sql_state(), Some("57014" | "55P03")),
            Self::Conflict(_) | Self::Full(_) | Self::Unique { .. } | Self::Other(_) => false,
        }
    }

    pub(crate) fn unavailable(failure: PostgresFailure) -> Self {
        Self::Unavailable(failure.into())
    }

    pub(crate) fn other(failure: PostgresFailure) -> Self {
        Self::Other(failure.into())
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code().cloned() else {
            return match is_of_the_connection(&error) {
                true => Self::Unavailable(error.into()),
                false => Self::Other(error.into()),
            };
        };
        let server = PostgresServerError::of(&error, &state);
        if state == SqlState::UNIQUE_VIOLATION {
            let constraint = server.constraint.unwrap_or_default();
            return Self::Unique { constraint };
        }
        let code = state.code();
        match code {
            // serialization_failure, deadlock_detected
            "40001" | "40P01" => Self::Conflict(server.into()),
            "53100" => Self::Full(server.into()),
            // read_only_sql_transaction: it has become a standby. query_canceled: its time is up.
            // lock_not_available. too_many_connections is of class 53. 25P03: idle in a
            // transaction for too long.
            "25006" | "57014" | "55P03" | "25P03" => Self::Unavailable(server.into()),
            // Connection exceptions, resources, an operator's shutdown, errors of the system.
            _ if ["08", "53", "57P", "58"]
                .iter()
                .any(|class| code.starts_with(class)) =>
            {
                Self::Unavailable(server.into())
            }
            _ => Self::Other(server.into()),
        }
    }
}

impl PostgresServerError {
    pub(crate) fn of(error: &tokio_postgres::Error, state: &SqlState) -> Self {
        let db = error.as_db_error();
        Self {
            code: state.code().to_owned(),
            message: db.map_or_else(|| error.to_string(), |db| db.message().to_owned()),
            constraint: db.and_then(|db| db.constraint()).map(str::to_owned),
            detail: db
                .filter(|_| state.code().starts_with(OWN_CLASS))
                .and_then(|db| db.detail())
                .map(str::to_owned),
        }
    }
}

/// Whether the error is not about a statement but about the connection: it is closed, or what came
/// could not be understood.
fn is_of_the_connection(error: &tokio_postgres::Error) -> bool {
    let io = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    match io {
        // A text with a NUL, or one that is too long: it was not sent.
        Some(error) => error.kind() != io::ErrorKind::InvalidInput,
        None => error.is_closed() || error.to_string().ends_with("from server"),
    }
}
