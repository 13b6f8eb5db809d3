//! The sections `refresh_tokens` and `database`: sessions that outlive a token, and where they are
//! stored.

use std::time::Duration;

use auth::sessions::SessionPolicy;
use common::Secret;
use database::DatabaseLocation;
use storage::{LookPeriods, PostgresSettings};

use super::diagnostics::Problem;
use super::schema::key::{self, from_str};
use super::section::Section;

const MINUTE: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How long refresh tokens last, and how many of them a user may have. The defaults are those of
/// the crate `auth`.
pub(super) fn read_policy(section: &mut Section<'_>) -> SessionPolicy {
    let default = SessionPolicy::default();
    let policy = SessionPolicy {
        idle: section.get(
            key::duration("idle", MINUTE..=LONGEST)
                .means("a refresh token expires when it is not used for this long")
                .default(default.idle),
        ),
        absolute: section.get(
            key::duration("absolute", MINUTE..=LONGEST)
                .means("it expires this long after its login")
                .default(default.absolute),
        ),
        per_user: section.get(
            key::number("per_user", 1..=1_000_000)
                .means("how many an account has; a further login ends the least recently used")
                .default(default.per_user),
        ),
        recheck_max_age: section.get(
            key::duration("recheck_max_age", Duration::ZERO..=LONGEST)
                .means(
                    "users of `ext_auth` and `http_auth` without `recheck`, and of `ldap_auth` with \
                     `initial_bind_as_user`, cannot be checked without a password: their refresh \
                     tokens are refused this long after the login",
                )
                .default(default.recheck_max_age),
        ),
    };
    if let Some(idle) = section
        .present("idle")
        .filter(|_| policy.idle > policy.absolute)
    {
        let message = "longer than refresh_tokens.absolute, which ends them first";
        idle.warn(Problem::NoEffect, message);
    }
    policy
}

/// The most connections of one server to PostgreSQL.
const MOST_CONNECTIONS: i64 = 1000;

/// Where what must last is stored.
pub(super) struct DatabaseConfig {
    pub(super) location: DatabaseLocation,
    /// For how long a server answers from memory without a look at what others have changed.
    pub(super) look: Duration,
}

/// Reads the section `database`.
pub(super) fn read_database(section: &mut Section<'_>) -> Option<DatabaseConfig> {
    let location = section.find(
        key::parsed("url", "URL", from_str)
            .required("write url: \"sqlite:///var/lib/wharfinger/wharfinger.db\"")
            .restart()
            .means(
                "`sqlite:///PATH`, on a local disk, for one server; or \
                 `postgres://USER@HOST,HOST/DATABASE`, for one or more",
            )
            .otherwise(
                "`wharfinger.db` in the first directory of `$STATE_DIRECTORY`, or in \
                 `/var/lib/wharfinger`",
            ),
    );
    let password = section.locate(
        key::path("password_file")
            .restart()
            .means("the file with the password for `postgres://`")
            .otherwise("the password in `url`, or none"),
    );
    let connections = section.find(
        key::count("connections", MOST_CONNECTIONS)
            .restart()
            .means("how many connections to PostgreSQL this server opens at most")
            .otherwise("`16`"),
    );
    let look = section.find(
        key::duration("look", Duration::ZERO..=LookPeriods::LONGEST)
            .restart()
            .means(
                "with `postgres://`, a server answers from memory for this long before it looks again \
                 what other servers have changed, and each change waits as long. A server looks once \
                 in this time at most; `0s` looks for each request. While servers differ, the \
                 shortest counts for answers, the longest for changes",
            )
            .otherwise("`10ms`"),
    );
    let password = password.map(|file| file.read());
    match location? {
        DatabaseLocation::Postgres(server, mut settings) => {
            let warnings: Vec<_> = server.warnings().map(str::to_owned).collect();
            for warning in warnings {
                section.warn_about("url", Problem::Doubtful, warning);
            }
            if let Some(url) = section.present("url") {
                for file in server.files() {
                    url.context.read(file, &url.name, url.position());
                }
            }
            settings.connections = connections.unwrap_or(settings.connections);
            let server = match password {
                None => *server,
                Some(_) if server.has_password() => {
                    let message = "the URL has a password, too: write one of them";
                    section.error_about("password_file", Problem::Conflict, message);
                    *server
                }
                Some(content) => server.with_password(password_of(section, &content?)?),
            };
            Some(DatabaseConfig {
                location: DatabaseLocation::Postgres(Box::new(server), settings),
                look: look.unwrap_or(PostgresSettings::LOOK),
            })
        }
        file @ DatabaseLocation::File(_) => {
            for (name, is_there) in [
                ("password_file", password.is_some()),
                ("connections", connections.is_some()),
                ("look", look.is_some()),
            ] {
                if is_there {
                    let message = "a SQLite file has none: only postgres:// has";
                    section.error_about(name, Problem::NoEffect, message);
                }
            }
            Some(DatabaseConfig {
                location: file,
                look: PostgresSettings::LOOK,
            })
        }
    }
}

/// The first line of a file, without its end.
fn password_of(section: &Section<'_>, content: &[u8]) -> Option<Secret> {
    let text = str::from_utf8(content).ok();
    let text = text.map(|text| text.trim_end_matches(['\r', '\n']));
    match text.filter(|text| !text.is_empty()) {
        Some(text) => Some(Secret::from(text)),
        None => {
            let message = "the file has no password";
            section.error_about("password_file", Problem::Missing, message);
            None
        }
    }
}
