//! The sections `refresh_tokens` and `database`: sessions that outlive a token, and where they are
//! stored.

use std::time::Duration;

use auth::sessions::SessionPolicy;
use database::DatabaseLocation;

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

/// Where what must last is stored.
pub(super) fn read_location(section: &mut Section<'_>) -> Option<DatabaseLocation> {
    section.find(
        key::parsed("url", "URL", from_str)
            .required("write url: \"sqlite:///var/lib/wharfinger/wharfinger.db\"")
            .restart()
            .means(
                "`sqlite:///PATH`, on a local disk; `postgres://` is refused until a later version",
            )
            .otherwise(
                "`wharfinger.db` in the first directory of `$STATE_DIRECTORY`, or in \
                 `/var/lib/wharfinger`",
            ),
    )
}
