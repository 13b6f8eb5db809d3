//! Where MongoDB is, and how to log in there: from keys one by one, or from a connection string.
//!
//! No error repeats what may be a secret: see [`crate::uri_error`].

use std::fmt;
use std::future::IntoFuture;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use common::Secret;
use mongodb::options::{
    AuthMechanism, ClientOptions, ConnectionString, Credential, HostInfo, ServerAddress, Tls,
    TlsOptions,
};

use crate::uri_error::{message_of, message_without_secrets};

/// The servers of one deployment, and how to log in there.
#[derive(Clone, PartialEq)]
pub struct MongoAddress {
    connection: ConnectionString,
    /// What the file of trusted authorities holds, to see whether it changed.
    authorities: Vec<u8>,
}

/// One server: `HOST`, `HOST:PORT`, or the path of a socket that ends with `.sock`.
#[derive(Clone, Debug, PartialEq)]
pub struct MongoServer(ServerAddress);

/// A user of MongoDB, as which this program logs in.
#[derive(Clone, Debug)]
pub struct MongoLogin {
    /// Its name.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// The database that has the user.
    pub source: String,
    /// How to log in. `None`: the best that the server offers.
    pub mechanism: Option<AuthMechanism>,
}

/// Whether connections are protected, and whose certificates are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MongoTls {
    /// Clear text.
    Off,
    /// The system's authorities.
    System,
    /// Only those of a PEM file.
    Authorities {
        /// The file, which is read again when a client is made.
        file: PathBuf,
        /// What it holds now.
        pem: Vec<u8>,
    },
}

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MongoAddressError {
    /// Not the address of a server.
    #[error("{0}")]
    Server(String),
    /// Not a connection string. The text says why, if that reveals nothing.
    #[error(
        "not a connection string{}; write mongodb://USER:PASSWORD@HOST/DATABASE?OPTION=VALUE, and \
         encode what is special in USER and PASSWORD, such as @ by %40",
        because(.0)
    )]
    Uri(Option<String>),
    /// A way to log in that this program does not have.
    #[error(
        "authMechanism is not supported: take SCRAM-SHA-256, SCRAM-SHA-1, PLAIN or MONGODB-X509"
    )]
    Mechanism,
    /// The system has no file of authorities.
    #[error("the system has no file of trusted authorities; set ca_certificate")]
    NoAuthorities,
}

impl MongoAddress {
    /// These servers, or the replica set to which they belong. There is no login and no TLS.
    #[must_use]
    pub fn of_servers(servers: Vec<MongoServer>) -> Self {
        let servers = servers.into_iter().map(|server| server.0).collect();
        let mut connection = ConnectionString::default();
        connection.host_info = HostInfo::HostIdentifiers(servers);
        Self {
            connection,
            authorities: Vec::new(),
        }
    }

    /// What a connection string names: `mongodb://…` or `mongodb+srv://…`. The records of the latter
    /// are looked up when they are needed.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn from_uri(uri: &str) -> Result<Self, MongoAddressError> {
        let parsed = ConnectionString::parse(uri);
        let mut connection =
            parsed.map_err(|error| MongoAddressError::Uri(message_without_secrets(uri, &error)))?;
        // The driver refuses it. The time limit of the section holds for each operation.
        #[expect(deprecated, reason = "there is no other way to remove it")]
        {
            connection.socket_timeout = None;
        }
        let mechanism = connection.credential.as_ref();
        let mechanism = mechanism.and_then(|credential| credential.mechanism.as_ref());
        if mechanism.is_some_and(|mechanism| !is_supported(mechanism)) {
            return Err(MongoAddressError::Mechanism);
        }
        if let Some(Tls::Enabled(tls)) = &mut connection.tls
            && tls.ca_file_path.is_none()
        {
            tls.ca_file_path = Some(system_authorities()?);
        }
        if let HostInfo::HostIdentifiers(_) = connection.host_info {
            try_options(&connection)
                .map_err(|error| MongoAddressError::Uri(message_without_secrets(uri, &error)))?;
        }
        Ok(Self {
            connection,
            authorities: Vec::new(),
        })
    }

    /// The same, logging in as this user.
    #[must_use]
    pub fn with_login(mut self, login: MongoLogin) -> Self {
        let mut credential = Credential::default();
        credential.username = Some(login.username);
        credential.password = Some(login.password.expose().to_owned());
        credential.source = Some(login.source);
        credential.mechanism = login.mechanism;
        self.connection.credential = Some(credential);
        self
    }

    /// The same with or without TLS.
    ///
    /// # Errors
    /// When the system's authorities are wanted, and it has none.
    pub fn with_tls(mut self, tls: MongoTls) -> Result<Self, MongoAddressError> {
        let (file, pem) = match tls {
            MongoTls::Off => {
                self.connection.tls = Some(Tls::Disabled);
                return Ok(self);
            }
            MongoTls::System => (system_authorities()?, Vec::new()),
            MongoTls::Authorities { file, pem } => (file, pem),
        };
        let mut options = match self.connection.tls.take() {
            Some(Tls::Enabled(options)) => options,
            Some(Tls::Disabled) | None => TlsOptions::default(),
        };
        options.ca_file_path = Some(file);
        self.connection.tls = Some(Tls::Enabled(options));
        self.authorities = pem;
        Ok(self)
    }

    /// The same, for members of this replica set only.
    #[must_use]
    pub fn in_replica_set(mut self, name: String) -> Self {
        self.connection.replica_set = Some(name);
        self
    }

    /// The same, without looking for other members of the server's replica set.
    #[must_use]
    pub fn direct(mut self) -> Self {
        self.connection.direct_connection = Some(true);
        self
    }

    /// The database that a connection string names.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.connection.default_database.as_deref()
    }

    /// Whether connections are protected.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        matches!(self.connection.tls, Some(Tls::Enabled(_)))
    }

    /// Whether any certificate is accepted, as a connection string may say.
    #[must_use]
    pub fn skips_verification(&self) -> bool {
        match &self.connection.tls {
            Some(Tls::Enabled(options)) => options.allow_invalid_certificates == Some(true),
            Some(Tls::Disabled) | None => false,
        }
    }

    /// Whether all servers are on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.connection.host_info {
            HostInfo::HostIdentifiers(servers) => servers.iter().all(is_loopback),
            _ => false,
        }
    }

    /// How to connect.
    pub(crate) fn connection(&self) -> &ConnectionString {
        &self.connection
    }
}

impl fmt::Debug for MongoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoAddress")
            .field("servers", &self.connection.host_info)
            .finish_non_exhaustive()
    }
}

impl std::str::FromStr for MongoServer {
    type Err = MongoAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = ServerAddress::parse(text).map(Self);
        parsed.map_err(|error| MongoAddressError::Server(message_of(&error)))
    }
}

impl fmt::Display for MongoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The options without any look-up, which is not needed if the servers are named one by one.
fn try_options(connection: &ConnectionString) -> Result<(), mongodb::error::Error> {
    let parsing = ClientOptions::parse(connection.clone()).into_future();
    match pin!(parsing).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(options) => options.map(drop),
        Poll::Pending => Ok(()),
    }
}

fn is_supported(mechanism: &AuthMechanism) -> bool {
    matches!(
        mechanism,
        AuthMechanism::ScramSha1
            | AuthMechanism::ScramSha256
            | AuthMechanism::Plain
            | AuthMechanism::MongoDbX509
    )
}

/// The driver itself would trust Mozilla's authorities.
fn system_authorities() -> Result<PathBuf, MongoAddressError> {
    let found = openssl_probe::probe().cert_file;
    found.ok_or(MongoAddressError::NoAuthorities)
}

fn is_loopback(server: &ServerAddress) -> bool {
    match server {
        ServerAddress::Tcp { host, .. } => {
            host == "localhost"
                || host
                    .parse()
                    .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        _ => true,
    }
}

fn because(message: &Option<String>) -> String {
    message
        .as_ref()
        .map_or_else(String::new, |message| format!(": {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(uri: &str) -> String {
        MongoAddress::from_uri(uri).unwrap_err().to_string()
    }

    #[test]
    fn connection_strings() {
        let address = MongoAddress::from_uri(
            "mongodb://u:p%40ss@a.example:27018,b.example/auth?replicaSet=rs0&socketTimeoutMS=5",
        )
        .unwrap();
        assert_eq!(address.database(), Some("auth"));
        assert!(!address.has_tls() && !address.is_loopback());
        let credential = address.connection.credential.as_ref().unwrap();
        assert_eq!(credential.password.as_deref(), Some("p@ss"));
        let debug = format!("{address:?}");
        assert!(
            debug.contains("a.example") && !debug.contains("p@ss"),
            "{debug}"
        );
        let cloud = MongoAddress::from_uri("mongodb+srv://u:p@cluster.example/").unwrap();
        assert!(cloud.has_tls() && !cloud.skips_verification());
        let open =
            MongoAddress::from_uri("mongodb://localhost/?tls=true&tlsInsecure=true").unwrap();
        assert!(open.skips_verification() && open.is_loopback());
        assert!(
            MongoAddress::from_uri("mongodb://127.0.0.1,[::1]:1/")
                .unwrap()
                .is_loopback()
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (uri, said) in [
            (
                "http://a.example",
                "unsupported connection string scheme: http",
            ),
            ("mongodb://a.example/?maxPoolSize=0", "maxPoolSize"),
            (
                "mongodb://user:secret@a.example/?directConnection=perhaps",
                "directconnection",
            ),
            ("mongodb+srv://user:secret@a.example:5/", "a port"),
            ("mongodb+srv://a.example,b.example/", "exactly one host"),
            (
                "mongodb://a.example/?authMechanism=GSSAPI",
                "not a connection string",
            ),
            (
                "mongodb://user:secret@a.example/?authMechanism=MONGODB-CR",
                "authMechanism is not supported",
            ),
            (
                "mongodb://a.example,b.example/?directConnection=true",
                "multiple seeds",
            ),
        ] {
            let found = refused(uri);
            assert!(found.contains(said), "{uri}: {found}");
        }
    }

    /// Each has the password `hunter2` in a place where it is misread.
    #[test]
    fn no_error_repeats_a_password() {
        for uri in [
            "mongodb://u:hunter2",
            "mongodb://u:hunter2?x@a.example/",
            "mongodb://u:hunter2/x@a.example/",
            "mongodb://u:x?hunter2=x@a.example",
            "mongodb://u:x@hunter2:x@a.example",
            "mongodb://u:hunter2@a.example:x/",
            "mongodb://u:hunter2@a.example/?maxPoolSize=hunter2",
            "mongodb://a.example/?authMechanismProperties=hunter2",
            "mongodb://a.example/?tlsCertificateKeyFilePassword=hunter2&maxPoolSize=x",
            "u:hunter2@a.example",
            "hunter2",
        ] {
            let found = refused(uri);
            assert!(!found.contains("hunter2"), "{uri}: {found}");
        }
    }

    #[test]
    fn servers() {
        for text in [
            "db.example",
            "db.example:27018",
            "[::1]:27017",
            "/tmp/mongodb.sock",
        ] {
            assert!(text.parse::<MongoServer>().is_ok(), "{text}");
        }
        for text in ["", ":27017", "db.example:0", "db.example:port", "[::1"] {
            assert!(text.parse::<MongoServer>().is_err(), "{text}");
        }
    }
}
