//! `postgres://…` or `key=value key='a value'`, as lib/pq reads them, with the variables of the
//! environment (`PGHOST`, …) for what is absent.

mod keywords;
mod passfile;
mod url;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::Secret;
use identity::tls::ServerVerification;
use postgresql::{PemSource, PostgresTls, PostgresTlsSettings};

use super::{ConnectionString, DsnError, Target};

/// A PostgreSQL server.
#[derive(Clone)]
pub(crate) struct PostgresTarget {
    /// A name, an address, or the directory of a Unix socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    pub(crate) database: String,
    pub(crate) tls: PostgresTls,
    pub(crate) application_name: String,
    /// Parameters of the session, such as `search_path`.
    pub(crate) session: Vec<(String, String)>,
}

const FORM: &str = "postgres://user:password@host:5432/database?sslmode=verify-full";
const BAD_TLS_MODE: DsnError = DsnError::Value {
    key: "sslmode",
    wanted: "disable, require, verify-ca or verify-full",
};

/// The variables that lib/pq reads, with the keys that they stand for.
const VARIABLES: [(&str, &str); 13] = [
    ("PGHOST", "host"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGAPPNAME", "application_name"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLSNI", "sslsni"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
];

/// Keys that change how the Go driver works and nothing here.
const WITHOUT_MEANING: [&str; 5] = [
    "binary_parameters",
    "disable_prepared_binary_result",
    "extra_float_digits",
    "datestyle",
    "client_encoding",
];

pub(super) fn parse(
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<ConnectionString, DsnError> {
    if text.trim().is_empty() {
        return Err(DsnError::Empty(FORM));
    }
    let is_url = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    let written = if is_url {
        url::parse(text)?
    } else {
        keywords::parse(text)?
    };
    let mut keys = Keys(written);
    for (variable, key) in VARIABLES {
        if let Some(value) = environment(variable).filter(|value| !value.is_empty())
            && keys.find(key).is_none()
        {
            keys.0.push((key.to_owned(), value));
        }
    }
    let mut warnings = Vec::new();
    let mut target = server(&mut keys, environment)?;
    // lib/pq has no TLS on Unix sockets either.
    let tls = tls(&mut keys, &mut warnings)?;
    if !target.host.starts_with('/') {
        target.tls = tls;
    }
    let limit = connect_timeout(&mut keys)?;
    target.session = session(keys)?;
    Ok(ConnectionString {
        target: Target::Postgres(target),
        limit,
        warnings,
    })
}

/// What was written, of which the last of a key counts.
struct Keys(Vec<(String, String)>);

impl Keys {
    fn find(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().rfind(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of `key`, which is then no longer there.
    fn take(&mut self, key: &str) -> Option<String> {
        let value = self.find(key).map(str::to_owned);
        self.0.retain(|(known, _)| known != key);
        value
    }

    fn take_or(&mut self, key: &str, default: &str) -> String {
        self.take(key)
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| default.to_owned())
    }
}

fn server(
    keys: &mut Keys,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<PostgresTarget, DsnError> {
    let wanted = "a number from 1 to 65535";
    let port = keys.take_or("port", "5432");
    let port = port.parse::<u16>().ok().filter(|port| *port > 0);
    let port = port.ok_or(DsnError::Value {
        key: "port",
        wanted,
    })?;
    let host = keys.take_or("host", "localhost");
    let user = keys.take("user").filter(|user| !user.is_empty());
    let user = user
        .or_else(|| environment("USER"))
        .unwrap_or_else(|| "postgres".to_owned());
    let database = keys.take_or("dbname", &user);
    let fallback = keys.take_or("fallback_application_name", "wharfinger");
    let application_name = keys.take_or("application_name", &fallback);
    let passfile = match keys.take("passfile") {
        Some(file) => Some(PathBuf::from(file)),
        None => environment("HOME").map(|home| Path::new(&home).join(".pgpass")),
    };
    let password = match keys
        .take("password")
        .filter(|password| !password.is_empty())
    {
        Some(password) => Some(Secret::from(password)),
        None => passfile
            .and_then(|file| passfile::find(&file, [&host, &port.to_string(), &database, &user])),
    };
    Ok(PostgresTarget {
        host,
        port,
        user,
        password,
        database,
        tls: PostgresTls::Off,
        application_name,
        session: Vec::new(),
    })
}

fn tls(keys: &mut Keys, warnings: &mut Vec<String>) -> Result<PostgresTls, DsnError> {
    let is_inline = keys.take("sslinline").as_deref() == Some("true");
    let mut pem = |key: &'static str| {
        let value = keys.take(key).filter(|value| !value.is_empty())?;
        Some(match is_inline {
            true => PemSource::Text(value.into()),
            false => PemSource::File(value.into()),
        })
    };
    let (root, certificate, key) = (pem("sslrootcert"), pem("sslcert"), pem("sslkey"));
    if keys.take("sslsni").as_deref() == Some("0") {
        warnings.push("sslsni=0 has no effect: the host's name is sent".to_owned());
    }
    let mode = keys.take_or("sslmode", "require");
    let root_is_there = match &root {
        Some(PemSource::File(file)) => file.metadata().map(drop),
        Some(PemSource::Text(_)) => Ok(()),
        None => Err(std::io::Error::other("no file")),
    };
    let verification = match mode.as_str() {
        "disable" => return Ok(PostgresTls::Off),
        // As in lib/pq: a root that is there is a reason to verify.
        "require" if root_is_there.is_ok() => ServerVerification::Authority,
        "require" => ServerVerification::Nothing,
        "verify-ca" => ServerVerification::Authority,
        "verify-full" => ServerVerification::AuthorityAndName,
        _ => return Err(BAD_TLS_MODE),
    };
    match (verification, root.is_some(), root_is_there) {
        (ServerVerification::Nothing, true, _) => warnings.push(
            "the file of sslrootcert does not exist, so the server is not verified: write \
             sslmode=verify-full and correct the path"
                .to_owned(),
        ),
        (ServerVerification::Nothing, false, _) => warnings.push(
            "sslmode=require does not verify the server: write sslmode=verify-full".to_owned(),
        ),
        (_, true, Err(error)) => {
            return Err(DsnError::File {
                key: "sslrootcert",
                problem: error.to_string(),
            });
        }
        _ => {}
    }
    let certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(DsnError::Form(
                "sslcert and sslkey need each other: write both",
            ));
        }
    };
    Ok(PostgresTls::Required(PostgresTlsSettings {
        verification,
        authorities: root.filter(|_| verification != ServerVerification::Nothing),
        certificate,
    }))
}

fn connect_timeout(keys: &mut Keys) -> Result<Option<Duration>, DsnError> {
    let Some(text) = keys.take("connect_timeout") else {
        return Ok(None);
    };
    let seconds = text.parse::<u64>().map_err(|_| DsnError::Value {
        key: "connect_timeout",
        wanted: "a number of seconds",
    })?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// All other keys are parameters of the session.
fn session(keys: Keys) -> Result<Vec<(String, String)>, DsnError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let mut session = Vec::new();
    for (key, value) in keys.0 {
        match key.as_str() {
            "krbsrvname" | "krbspn" => {
                return Err(DsnError::Unsupported {
                    key: "krbsrvname",
                    instead: ": use a password or a client certificate",
                });
            }
            known if WITHOUT_MEANING.contains(&known) => {}
            name if !name.is_empty() && name.chars().all(is_name) => session.push((key, value)),
            _ => return Err(DsnError::Key),
        }
    }
    Ok(session)
}

#[cfg(test)]
mod tests;
