//! Where the servers are, and how they are reached.

mod parameters;
mod url;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use client_tls::ServerVerification;
use common::Secret;
use tokio_postgres::config::ChannelBinding;

/// How long it may take to connect to one server if the URL says nothing.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One or more PostgreSQL servers of one cluster, and how they are reached.
///
/// Neither `{}` nor `{:?}` shows the password.
#[derive(Clone)]
pub struct PostgresLocation {
    pub(crate) hosts: Vec<PostgresHost>,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    pub(crate) database: String,
    pub(crate) tls: PostgresTls,
    pub(crate) target: TargetSession,
    pub(crate) connect_timeout: Duration,
    pub(crate) application_name: String,
    pub(crate) channel_binding: ChannelBinding,
    /// UrlParameters of the session, such as `search_path`.
    pub(crate) session: Vec<(String, String)>,
    warnings: Vec<&'static str>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresHost {
    /// A name, an address, or the directory of a Unix socket, which begins with a slash.
    pub name: String,
    /// The port. It is a part of the name of a Unix socket, too.
    pub port: u16,
}

/// Whether a connection is protected. Those through a Unix socket never are.
#[derive(Clone)]
pub enum PostgresTls {
    /// It is not.
    Off,
    /// It is, or there is none.
    Required(PostgresTlsSettings),
}

/// How a connection is protected.
#[derive(Clone)]
pub struct PostgresTlsSettings {
    /// What is verified of the server's certificate.
    pub verification: ServerVerification,
    /// The authorities to trust; the system's if it is absent.
    pub authorities: Option<PemSource>,
    /// The client's own certificate and key.
    pub certificate: Option<(PemSource, PemSource)>,
}

/// Where PEM comes from. A file is read for each connection, so that it can be replaced.
#[derive(Clone)]
pub enum PemSource {
    /// A file.
    File(PathBuf),
    /// The PEM itself.
    Text(Secret),
}

/// Which of the servers is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetSession {
    /// The first that accepts the connection.
    Any,
    /// The first that accepts writes: the primary, not a standby.
    ReadWrite,
}

/// Why a URL cannot be used. No message repeats a part of it that could be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// It does not have the form of such a URL.
    #[error("{0}: write postgres://user@host:5432/database?sslmode=verify-full")]
    Form(&'static str),
    /// A parameter has a value that cannot be used.
    #[error("`{name}` must be {wanted}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What is possible.
        wanted: &'static str,
    },
    /// A parameter that is not known. Its name is shown.
    #[error("unknown parameter `{name}`: {known} are known")]
    UnknownParameter {
        /// Its name, shortened and escaped.
        name: String,
        /// Those that are known.
        known: &'static str,
    },
    /// A parameter is there twice.
    #[error("`{0}` is there twice: write it once")]
    Repeated(&'static str),
    /// A part is longer than the server, or this program, takes.
    #[error("the {part} is longer than {limit} bytes")]
    TooLong {
        /// The part.
        part: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl PostgresLocation {
    /// Reads `postgres://user:password@host:5432,host2:5433/database?sslmode=verify-full&…`.
    ///
    /// # Errors
    /// When it is not such a URL, or asks for what this program cannot do.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        url::parse(text)
    }

    /// A database on one server, without a password and TLS.
    #[must_use]
    pub fn at(host: PostgresHost, user: String, database: String) -> Self {
        Self {
            hosts: vec![host],
            user,
            password: None,
            database,
            tls: PostgresTls::Off,
            target: TargetSession::Any,
            connect_timeout: CONNECT_TIMEOUT,
            application_name: "wharfinger".to_owned(),
            channel_binding: ChannelBinding::Prefer,
            session: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The same with this password.
    #[must_use]
    pub fn with_password(self, password: Secret) -> Self {
        Self {
            password: Some(password),
            ..self
        }
    }

    /// The same with this protection.
    #[must_use]
    pub fn with_tls(self, tls: PostgresTls) -> Self {
        Self { tls, ..self }
    }

    /// The same with a name that the server shows in its views and logs.
    #[must_use]
    pub fn with_application_name(self, application_name: String) -> Self {
        Self {
            application_name,
            ..self
        }
    }

    /// The same with this time for connecting to each server.
    #[must_use]
    pub fn with_connect_timeout(self, connect_timeout: Duration) -> Self {
        Self {
            connect_timeout,
            ..self
        }
    }

    /// The same with parameters of the session, such as `search_path`.
    #[must_use]
    pub fn with_session(self, session: Vec<(String, String)>) -> Self {
        Self { session, ..self }
    }

    /// Whether it has a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// The name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The servers, in the order in which they are tried.
    #[must_use]
    pub fn hosts(&self) -> &[PostgresHost] {
        &self.hosts
    }

    /// The files that it names, which are read for each connection.
    #[must_use]
    pub fn files(&self) -> Vec<&Path> {
        let PostgresTls::Required(settings) = &self.tls else {
            return Vec::new();
        };
        let own = settings.certificate.iter();
        let own = own.flat_map(|(certificate, key)| [certificate, key]);
        let sources = settings.authorities.iter().chain(own);
        sources
            .filter_map(|source| match source {
                PemSource::File(path) => Some(path.as_path()),
                PemSource::Text(_) => None,
            })
            .collect()
    }

    /// What is valid but probably not intended.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.warnings.iter().copied()
    }
}

impl PostgresHost {
    /// Whether it is the directory of a Unix socket.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.name.starts_with('/')
    }

    /// Whether it is this machine.
    fn is_loopback(&self) -> bool {
        let address = self.name.parse::<std::net::IpAddr>();
        self.name == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for PostgresHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

impl fmt::Display for PostgresLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@", common::escape_line(&self.user))?;
        for (place, host) in self.hosts.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{host}")?;
        }
        write!(f, "/{}", common::escape_line(&self.database))
    }
}

impl fmt::Debug for PostgresLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresLocation({self})")
    }
}

/// Refuses a part that is too long for the server, or has a NUL, which its protocol cannot carry.
fn short_enough(part: &'static str, text: &str, limit: usize) -> Result<(), LocationError> {
    if text.contains('\0') {
        return Err(LocationError::Form("it has a NUL in it"));
    }
    match text.len() > limit {
        true => Err(LocationError::TooLong { part, limit }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
