//! A path, or `file:path?mode=ro&_busy_timeout=5000`, as mattn/go-sqlite3 reads it.

use std::path::PathBuf;
use std::time::Duration;

use super::value::percent_decoded;
use super::{ConnectionString, DsnError, Target};

/// A SQLite file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqliteTarget {
    pub(crate) path: PathBuf,
    pub(crate) mode: SqliteMode,
    /// Whether nothing changes the file while it is open, so that no lock is needed.
    pub(crate) immutable: bool,
    /// How long a lock of another process is waited for.
    pub(crate) busy_timeout: Option<Duration>,
}

/// What may be done with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SqliteMode {
    ReadOnly,
    /// Tables may be made if they are missing.
    ReadWrite,
    /// The file may be made, too.
    Create,
}

const FORM: &str = "the path of the file, such as /var/lib/auth.db";

/// Keys of the Go driver, and of SQLite, that change nothing here.
const WITHOUT_MEANING: [&str; 26] = [
    "cache",
    "psow",
    "_auto_vacuum",
    "_vacuum",
    "_cache_size",
    "_case_sensitive_like",
    "_cslike",
    "_defer_foreign_keys",
    "_defer_fk",
    "_foreign_keys",
    "_fk",
    "_ignore_check_constraints",
    "_journal_mode",
    "_journal",
    "_loc",
    "_locking_mode",
    "_locking",
    "_mutex",
    "_recursive_triggers",
    "_rt",
    "_secure_delete",
    "_synchronous",
    "_sync",
    "_txlock",
    "_writable_schema",
    "nolock",
];

pub(super) fn parse(text: &str) -> Result<ConnectionString, DsnError> {
    let (path, parameters) = text.split_once('?').unwrap_or((text, ""));
    let path = match path.strip_prefix("file:") {
        Some(uri) => {
            // file:///path, file:/path, file:path
            let uri = uri.strip_prefix("//").unwrap_or(uri);
            let path = percent_decoded(uri).ok_or(DsnError::Form("its path is not UTF-8"))?;
            path.into_owned()
        }
        None => path.to_owned(),
    };
    if path.is_empty() || path == ":memory:" {
        return Err(DsnError::Empty(FORM));
    }
    if path.contains('\0') {
        return Err(DsnError::Form("its path has a NUL in it"));
    }
    let mut target = SqliteTarget {
        path: path.into(),
        mode: SqliteMode::ReadWrite,
        immutable: false,
        busy_timeout: None,
    };
    for (key, value) in form_urlencoded::parse(parameters.as_bytes()) {
        read(&mut target, &key, &value)?;
    }
    Ok(ConnectionString {
        target: Target::Sqlite(target),
        limit: None,
        warnings: Vec::new(),
    })
}

fn read(target: &mut SqliteTarget, key: &str, value: &str) -> Result<(), DsnError> {
    match (key, value) {
        ("mode", "ro") => target.mode = SqliteMode::ReadOnly,
        ("mode", "rw") => target.mode = SqliteMode::ReadWrite,
        ("mode", "rwc") => target.mode = SqliteMode::Create,
        ("mode", _) => {
            let wanted = "ro, rw or rwc";
            return Err(DsnError::Value {
                key: "mode",
                wanted,
            });
        }
        ("immutable", value) => target.immutable = value == "1",
        ("_query_only", "1" | "true") => target.mode = SqliteMode::ReadOnly,
        ("_query_only", _) => {}
        ("_busy_timeout" | "_timeout", value) => {
            let milliseconds = value.parse().map_err(|_| DsnError::Value {
                key: "_busy_timeout",
                wanted: "a number of milliseconds",
            })?;
            target.busy_timeout = Some(Duration::from_millis(milliseconds));
        }
        (key, _) if key.starts_with("_auth") => {
            let instead = ": the file must not be encrypted or need a login";
            return Err(DsnError::Unsupported {
                key: "_auth",
                instead,
            });
        }
        (key, _) if WITHOUT_MEANING.contains(&key) => {}
        _ => {
            return Err(DsnError::Form(
                "it has a key that is not known: mode, immutable and _busy_timeout count here",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> SqliteTarget {
        match parse(text).unwrap().target {
            Target::Sqlite(target) => target,
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn paths_and_uris() {
        for (text, path, mode) in [
            (
                "/var/lib/auth.db",
                "/var/lib/auth.db",
                SqliteMode::ReadWrite,
            ),
            ("auth%20b.db", "auth%20b.db", SqliteMode::ReadWrite),
            (
                "file:auth%20b.db?mode=ro",
                "auth b.db",
                SqliteMode::ReadOnly,
            ),
            (
                "file:///a/b.db?mode=rwc&cache=shared",
                "/a/b.db",
                SqliteMode::Create,
            ),
            (
                "file:/a/b.db?mode=rw&_fk=1",
                "/a/b.db",
                SqliteMode::ReadWrite,
            ),
            ("/a/b.db?_query_only=true", "/a/b.db", SqliteMode::ReadOnly),
        ] {
            let read = target(text);
            assert_eq!((read.path, read.mode), (path.into(), mode), "{text}");
        }
        assert!(target("a.db?immutable=1").immutable);
        let busy = target("a.db?_busy_timeout=1500").busy_timeout;
        assert_eq!(busy, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused() {
        for text in [
            "",
            ":memory:",
            "file::memory:?cache=shared",
            "a.db?mode=memory",
            "a.db?_busy_timeout=soon",
            "a.db?_auth&_auth_user=x",
            "a.db?_busy_timeot=1",
            "a\0.db",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn fuzz_sqlite_dsn() {
        let seeds = [
            "/var/lib/auth.db",
            "file:a%20b.db?mode=ro&_busy_timeout=5000&cache=shared",
        ];
        fuzz::target("sqlite dsn", &seeds, |bytes| {
            std::str::from_utf8(bytes).is_ok_and(|text| parse(text).is_ok())
        });
    }
}
