//! `[user[:password]@][net[(address)]]/database[?key=value&…]`, as go-sql-driver/mysql reads it. It
//! is not a URL: nothing before the `?` is decoded.

use std::fmt;
use std::path::PathBuf;

use common::Secret;

use super::value::{duration, flag, limit, query_decoded};
use super::{ConnectionString, DsnError, Target, shorter};

/// A MySQL or MariaDB server.
#[derive(Clone)]
pub(crate) struct MySqlTarget {
    pub(crate) address: MySqlAddress,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    pub(crate) database: Option<String>,
    pub(crate) tls: MySqlTls,
    /// `utf8mb4`, or another name for UTF-8 that an old server needs.
    pub(crate) charset: String,
    pub(crate) collation: Option<String>,
    /// Statements that prepare a session: `SET name=value`.
    pub(crate) session: Vec<String>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MySqlAddress {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl fmt::Display for MySqlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MySqlTls {
    Off,
    /// TLS if the server has it. Nothing is verified.
    Preferred,
    /// TLS, without verifying anything.
    Unverified,
    /// TLS with a certificate of the system's authorities for the host's name.
    Verified,
}

const FORM: &str = "user:password@tcp(host:3306)/database";
const NO_SLASH: &str =
    "there is no `/` before the name of the database: write user:password@tcp(host:3306)/database";
const NO_PARENTHESIS: &str =
    "the address does not end in `)` before the `/`: write user:password@tcp(host:3306)/database";
const BAD_NETWORK: &str = "the network is not tcp or unix: write tcp(host:3306) or unix(/socket)";
const BAD_PORT: &str = "the port of the address is not a number from 1 to 65535";

/// Keys that change how the Go driver works and nothing here.
const WITHOUT_MEANING: [&str; 15] = [
    "allowAllFiles",
    "allowFallbackToPlaintext",
    "allowNativePasswords",
    "allowOldPasswords",
    "checkConnLiveness",
    "clientFoundRows",
    "columnsWithAlias",
    "compress",
    "connectionAttributes",
    "interpolateParams",
    "loc",
    "maxAllowedPacket",
    "multiStatements",
    "parseTime",
    "rejectReadOnly",
];

pub(super) fn parse(text: &str) -> Result<ConnectionString, DsnError> {
    if text.is_empty() {
        return Err(DsnError::Empty(FORM));
    }
    let (before, after) = text.rsplit_once('/').ok_or(DsnError::Form(NO_SLASH))?;
    let (login, network) = match before.rsplit_once('@') {
        Some((login, network)) => (login, network),
        None => ("", before),
    };
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(Secret::from(password))),
        None => (login, None),
    };
    let (database, parameters) = match after.split_once('?') {
        Some((database, parameters)) => (database, parameters),
        None => (after, ""),
    };
    let target = MySqlTarget {
        address: address(network)?,
        user: user.to_owned(),
        password: password.filter(|password| !password.is_empty()),
        database: (!database.is_empty()).then(|| database.to_owned()),
        tls: MySqlTls::Off,
        charset: "utf8mb4".to_owned(),
        collation: None,
        session: Vec::new(),
    };
    let mut reader = ParameterReader {
        target,
        limit: None,
        warnings: Vec::new(),
    };
    for parameter in parameters.split('&') {
        // As in Go, what has no `=` does not count.
        if let Some((key, value)) = parameter.split_once('=') {
            reader.read(key, value)?;
        }
    }
    Ok(ConnectionString {
        target: Target::MySql(reader.target),
        limit: reader.limit,
        warnings: reader.warnings,
    })
}

/// `tcp(host:port)`, `unix(path)`, or nothing.
fn address(text: &str) -> Result<MySqlAddress, DsnError> {
    let (network, address) = match text.split_once('(') {
        Some((network, rest)) => {
            let address = rest.strip_suffix(')');
            (network, address.ok_or(DsnError::Form(NO_PARENTHESIS))?)
        }
        None => (text, ""),
    };
    match network {
        "" | "tcp" => tcp(address),
        "unix" if address.is_empty() => Ok(MySqlAddress::Unix("/tmp/mysql.sock".into())),
        "unix" => Ok(MySqlAddress::Unix(address.into())),
        _ => Err(DsnError::Form(BAD_NETWORK)),
    }
}

fn tcp(address: &str) -> Result<MySqlAddress, DsnError> {
    // An IPv6 address is in brackets.
    let has_port = address.rfind(':') > address.rfind(']');
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if has_port => (host, port),
        _ => (address, "3306"),
    };
    let port: u16 = port.parse().map_err(|_| DsnError::Form(BAD_PORT))?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = match host.strip_suffix(']').unwrap_or(host) {
        "" => "127.0.0.1",
        host => host,
    };
    Ok(MySqlAddress::Tcp {
        host: host.to_owned(),
        port,
    })
}

struct ParameterReader {
    target: MySqlTarget,
    limit: Option<std::time::Duration>,
    warnings: Vec<String>,
}

impl ParameterReader {
    fn read(&mut self, key: &str, value: &str) -> Result<(), DsnError> {
        match key {
            "tls" => self.tls(value)?,
            "charset" => self.charset(value)?,
            "collation" => {
                let wanted = "the name of a collation, such as utf8mb4_bin";
                let name = named("collation", value, wanted)?;
                self.target.collation = Some(name);
            }
            "timeout" => self.shorten("timeout", value)?,
            "readTimeout" => self.shorten("readTimeout", value)?,
            "writeTimeout" => self.shorten("writeTimeout", value)?,
            "allowCleartextPasswords" => {
                let wanted = "true or false";
                let key = "allowCleartextPasswords";
                if flag(value).ok_or(DsnError::Value { key, wanted })? {
                    let instead = ": use an account with mysql_native_password";
                    return Err(DsnError::Unsupported { key, instead });
                }
            }
            "serverPubKey" => {
                return Err(DsnError::Unsupported {
                    key: "serverPubKey",
                    instead: ": use tls=true, or an account with mysql_native_password",
                });
            }
            "strict" => {}
            key if WITHOUT_MEANING.contains(&key) => {}
            key => self.session_variable(key, value)?,
        }
        Ok(())
    }

    fn tls(&mut self, value: &str) -> Result<(), DsnError> {
        self.target.tls = match value {
            "preferred" => MySqlTls::Preferred,
            "skip-verify" => MySqlTls::Unverified,
            value => match flag(value) {
                Some(true) => MySqlTls::Verified,
                Some(false) => MySqlTls::Off,
                None => {
                    return Err(DsnError::Value {
                        key: "tls",
                        wanted: "true, false, skip-verify or preferred",
                    });
                }
            },
        };
        if self.target.tls == MySqlTls::Preferred {
            self.warnings.push(
                "tls=preferred verifies nothing, and goes on without TLS if the server has none: \
                 write tls=true"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The first of a list that is UTF-8, because all texts here are.
    fn charset(&mut self, value: &str) -> Result<(), DsnError> {
        let wanted = "utf8mb4, utf8mb3 or utf8";
        let utf8 = value.split(',').find(|name| name.starts_with("utf8"));
        match utf8 {
            Some(name) => self.target.charset = named("charset", name, wanted)?,
            None => self
                .warnings
                .push("charset is not UTF-8: utf8mb4 is used".to_owned()),
        }
        Ok(())
    }

    fn shorten(&mut self, key: &'static str, value: &str) -> Result<(), DsnError> {
        let wanted = "a time with its unit, such as 5s";
        let duration = duration(value).ok_or(DsnError::Value { key, wanted })?;
        self.limit = shorter(self.limit, limit(duration));
        Ok(())
    }

    /// Any other key is a variable of the session.
    fn session_variable(&mut self, key: &str, value: &str) -> Result<(), DsnError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '.' | '$');
        if key.is_empty() || !key.chars().all(is_name) {
            return Err(DsnError::Key);
        }
        let value = query_decoded(value).ok_or(DsnError::Form("a value of it is not UTF-8"))?;
        self.target.session.push(format!("SET {key}={value}"));
        Ok(())
    }
}

/// A name that becomes a part of a statement.
fn named(key: &'static str, value: &str, wanted: &'static str) -> Result<String, DsnError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if value.is_empty() || !value.chars().all(is_name) {
        return Err(DsnError::Value { key, wanted });
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn target(text: &str) -> MySqlTarget {
        match parse(text).unwrap().target {
            Target::MySql(target) => target,
            _ => panic!("{text}"),
        }
    }

    fn refused(text: &str) -> String {
        match parse(text) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{text} is accepted"),
        }
    }

    fn login(text: &str) -> (String, Option<String>) {
        let MySqlTarget { user, password, .. } = target(text);
        (user, password.map(|password| password.expose().to_owned()))
    }

    fn tcp(host: &str, port: u16) -> MySqlAddress {
        MySqlAddress::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn the_last_slash_the_last_at_and_the_first_colon_count() {
        let some = |text: &str| Some(text.to_owned());
        for (text, user, password, address, database) in [
            (
                "u:p@ss/w@tcp(h:1)/db",
                "u",
                some("p@ss/w"),
                tcp("h", 1),
                some("db"),
            ),
            (
                "@/db?charset=utf8",
                "",
                None,
                tcp("127.0.0.1", 3306),
                some("db"),
            ),
            ("/", "", None, tcp("127.0.0.1", 3306), None),
            (
                "u:a:b:c@/db",
                "u",
                some("a:b:c"),
                tcp("127.0.0.1", 3306),
                some("db"),
            ),
            ("u:@tcp(h)/db", "u", None, tcp("h", 3306), some("db")),
            (
                "u:%41@tcp([::1]:3307)/db",
                "u",
                some("%41"),
                tcp("::1", 3307),
                some("db"),
            ),
            (
                "u@tcp([2001:db8::1])/",
                "u",
                None,
                tcp("2001:db8::1", 3306),
                None,
            ),
            ("u@tcp(:99)/db", "u", None, tcp("127.0.0.1", 99), some("db")),
            (
                "u:p@unix(/run/mysqld/mysqld.sock)/db",
                "u",
                some("p"),
                MySqlAddress::Unix("/run/mysqld/mysqld.sock".into()),
                some("db"),
            ),
            (
                "u@unix/db",
                "u",
                None,
                MySqlAddress::Unix("/tmp/mysql.sock".into()),
                some("db"),
            ),
        ] {
            assert_eq!(login(text), (user.to_owned(), password), "{text}");
            let read = target(text);
            assert_eq!((read.address, read.database), (address, database), "{text}");
        }
    }

    #[test]
    fn parameters() {
        assert_eq!(target("/db").tls, MySqlTls::Off);
        for (value, tls) in [
            ("true", MySqlTls::Verified),
            ("1", MySqlTls::Verified),
            ("false", MySqlTls::Off),
            ("skip-verify", MySqlTls::Unverified),
            ("preferred", MySqlTls::Preferred),
        ] {
            assert_eq!(target(&format!("/db?tls={value}")).tls, tls);
        }
        assert_eq!(target("/db?charset=utf8mb4,utf8").charset, "utf8mb4");
        assert_eq!(target("/db?charset=utf8").charset, "utf8");
        assert_eq!(target("/db?charset=latin1").charset, "utf8mb4");
        let collation = target("/db?collation=utf8mb4_bin").collation;
        assert_eq!(collation.as_deref(), Some("utf8mb4_bin"));
        let session = target("/db?parseTime=true&loc=Local&sql_mode=%27ANSI%27&wait_timeout=60");
        assert_eq!(
            session.session,
            ["SET sql_mode='ANSI'", "SET wait_timeout=60"]
        );
        let limit = |text| parse(text).unwrap().limit;
        assert_eq!(limit("/db"), None);
        let two = Some(Duration::from_secs(2));
        assert_eq!(limit("/db?timeout=30s&readTimeout=2s&writeTimeout=0"), two);
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused_and_doubts_are_told() {
        assert!(refused("").starts_with("it is empty: write user:password@tcp"));
        assert!(refused("u:p@tcp(h:1)").starts_with("there is no `/`"));
        assert!(refused("u:p@tcp(h:1/db").starts_with("the address does not end in `)`"));
        assert!(refused("u:p@tcp(h:0x)/db").starts_with("the port"));
        assert!(refused("u:p@udp(h:1)/db").starts_with("the network is not tcp or unix"));
        assert!(refused("/db?tls=mine").starts_with("`tls` must be true, false"));
        assert!(refused("/db?timeout=5").starts_with("`timeout` must be a time"));
        assert!(refused("/db?allowCleartextPasswords=true").contains("is not supported"));
        assert!(refused("/db?serverPubKey=x").contains("is not supported"));
        assert!(refused("/db?collation=x;y").starts_with("`collation` must be"));
        assert!(refused("/db?a;b=x").starts_with("it has a key"));
        assert!(parse("/db?allowCleartextPasswords=false").is_ok());
        let warnings = |text: &str| parse(text).unwrap().warnings.len();
        assert_eq!(warnings("/db?tls=preferred&charset=latin1"), 2);
        assert_eq!(warnings("/db?tls=true&charset=utf8"), 0);
    }

    #[test]
    fn no_error_repeats_a_secret() {
        for text in [
            "u:hunter2@tcp(h:1)",
            "u:hunter2@hunter2(x)/db",
            "/db?tls=hunter2",
            "/?hunter2;=1",
        ] {
            let error = parse(text).map(|_| ()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
        }
        let shown = format!("{:?}", parse("u:hunter2@/db").unwrap());
        assert_eq!(shown, "ConnectionString(MySql …)");
    }

    #[test]
    fn fuzz_mysql_dsn() {
        let seeds = [
            "u:p@ss/w@tcp(h:1)/db",
            "@/db?charset=utf8",
            "u:p@unix(/tmp/mysql.sock)/db?tls=true&timeout=1m30s",
            "u@tcp([::1]:3307)/db?collation=utf8mb4_bin&sql_mode=%27A%27",
        ];
        fuzz::target("mysql dsn", &seeds, |bytes| {
            std::str::from_utf8(bytes).is_ok_and(|text| parse(text).is_ok())
        });
    }
}
