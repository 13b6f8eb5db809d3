//! The location of a database, as the configuration names it:
//! `sqlite:///var/lib/wharfinger/wharfinger.db`, or `postgres://wharfinger@db.example.com/wharfinger`.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use postgresql::{LocationError, PoolSettings, PostgresLocation};

/// The state directory of our systemd units and packages.
const STATE_DIRECTORY: &str = "/var/lib/wharfinger";
const FILE_NAME: &str = "wharfinger.db";

/// The location of a database.
#[derive(Clone, Debug)]
pub enum DatabaseLocation {
    /// The absolute path of a SQLite file.
    File(PathBuf),
    /// Servers of PostgreSQL, and how many connections to them there are.
    Postgres(Box<PostgresLocation>, PoolSettings),
}

impl DatabaseLocation {
    /// The file at `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    /// The default database: in the first state directory that systemd passes in `$STATE_DIRECTORY`
    /// (systemd.exec(5), separated by colons), or in `/var/lib/wharfinger`.
    #[must_use]
    pub fn in_state_directory(state_directory: Option<&OsStr>) -> Self {
        let first =
            state_directory.and_then(|list| list.as_bytes().split(|byte| *byte == b':').next());
        let directory = first
            .filter(|first| !first.is_empty())
            .map_or(OsStr::new(STATE_DIRECTORY), OsStr::from_bytes);
        Self::File(Path::new(directory).join(FILE_NAME))
    }

    /// The file's path, if it is a file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Postgres(..) => None,
        }
    }

    /// Whether it is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(..))
    }
}

impl FromStr for DatabaseLocation {
    type Err = DatabaseLocationError;

    fn from_str(url: &str) -> Result<Self, DatabaseLocationError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(DatabaseLocationError::NoUrl);
        };
        match scheme {
            "sqlite" if !rest.starts_with('/') => Err(DatabaseLocationError::Relative),
            "sqlite" if rest.ends_with('/') => Err(DatabaseLocationError::Directory),
            "sqlite" if rest.contains(['?', '#', '%', '\0']) => {
                Err(DatabaseLocationError::Characters)
            }
            "sqlite" => Ok(Self::File(PathBuf::from(rest))),
            "postgres" | "postgresql" => {
                let location = PostgresLocation::parse(url)?;
                Ok(Self::Postgres(Box::new(location), PoolSettings::default()))
            }
            other => Err(DatabaseLocationError::Scheme(other.to_owned())),
        }
    }
}

impl fmt::Display for DatabaseLocation {
    /// As a URL, without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(server, _) => server.fmt(f),
        }
    }
}

/// Why a text is not the location of a database. The text itself is not repeated, because it may
/// contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseLocationError {
    /// It has no `://`.
    #[error("a database is named by a URL, as in sqlite:///var/lib/wharfinger/wharfinger.db")]
    NoUrl,
    /// The path after `sqlite://` is not absolute.
    #[error(
        "a database's path is absolute, behind three slashes: sqlite:///var/lib/wharfinger/wharfinger.db"
    )]
    Relative,
    /// The path ends in a slash.
    #[error(
        "a database is a file, not a directory, as in sqlite:///var/lib/wharfinger/wharfinger.db"
    )]
    Directory,
    /// The path has characters that other programs read as options or escapes.
    #[error("a database's path may not contain ?, #, % or a nul byte")]
    Characters,
    /// It is a URL of PostgreSQL that cannot be used.
    #[error(transparent)]
    Postgres(#[from] LocationError),
    /// It is another kind of URL.
    #[error("unknown kind of database `{0}`: use sqlite:///PATH, or postgres://USER@HOST/DATABASE")]
    Scheme(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file() {
        let location: DatabaseLocation = "sqlite:///var/lib/wharfinger/a b.db".parse().unwrap();
        let path = Path::new("/var/lib/wharfinger/a b.db");
        assert_eq!(location.path(), Some(path));
        assert_eq!(location.to_string(), "sqlite:///var/lib/wharfinger/a b.db");
    }

    #[test]
    fn a_url_names_a_server_and_is_shown_without_its_password() {
        let url = "postgres://registry:sesame@db.example.com/registry";
        let location: DatabaseLocation = url.parse().unwrap();
        assert!(location.is_postgres() && location.path().is_none());
        let shown = "postgres://registry@db.example.com:5432/registry";
        assert_eq!(location.to_string(), shown);
        assert!(!format!("{location:?}").contains("sesame"));
    }

    #[test]
    fn an_invalid_location_is_rejected() {
        for (url, expected) in [
            ("", DatabaseLocationError::NoUrl),
            ("/var/lib/wharfinger.db", DatabaseLocationError::NoUrl),
            ("sqlite::memory:", DatabaseLocationError::NoUrl),
            ("sqlite://", DatabaseLocationError::Relative),
            ("sqlite://wharfinger.db", DatabaseLocationError::Relative),
            ("sqlite:///var/lib/", DatabaseLocationError::Directory),
            ("sqlite:///a.db?mode=ro", DatabaseLocationError::Characters),
            ("sqlite:///a%20b.db", DatabaseLocationError::Characters),
            (
                "mysql://db/wharfinger",
                DatabaseLocationError::Scheme("mysql".into()),
            ),
        ] {
            let refused = url.parse::<DatabaseLocation>().unwrap_err();
            assert_eq!(refused, expected, "{url}");
        }
    }

    #[test]
    fn no_message_repeats_a_password() {
        for url in [
            "postgres://u:hunter2@db/x?sslmode=prefer",
            "mysql://u:hunter2@db/x",
            "u:hunter2@db",
        ] {
            assert!(
                !url.parse::<DatabaseLocation>()
                    .unwrap_err()
                    .to_string()
                    .contains("hunter2"),
                "{url}"
            );
        }
    }

    #[test]
    fn the_default_is_in_the_state_directory() {
        for (state, expected) in [
            (None, "/var/lib/wharfinger/wharfinger.db"),
            (Some(""), "/var/lib/wharfinger/wharfinger.db"),
            (Some("/srv/w"), "/srv/w/wharfinger.db"),
            (Some("/srv/w:/srv/x"), "/srv/w/wharfinger.db"),
        ] {
            assert_eq!(
                DatabaseLocation::in_state_directory(state.map(OsStr::new)).path(),
                Some(Path::new(expected))
            );
        }
    }
}
