//! The sections `refresh_tokens` and `database`: sessions that outlive a token, and where they are
//! kept.

use std::time::Duration;

use auth::sessions::SessionPolicy;
use database::DatabaseLocation;

use super::section::Section;

const MINUTE: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How long refresh tokens last, and how many of them a user may have.
pub(super) fn read_policy(section: &mut Section<'_>) -> Option<SessionPolicy> {
    let default = SessionPolicy::default();
    let idle = section.setting("idle");
    let policy = SessionPolicy {
        idle: idle
            .as_ref()
            .and_then(|idle| idle.duration_within(MINUTE, LONGEST))
            .unwrap_or(default.idle),
        absolute: section
            .duration_within("absolute", MINUTE, LONGEST)
            .unwrap_or(default.absolute),
        per_user: section
            .number("per_user", 1, 1_000_000)
            .unwrap_or(default.per_user),
        recheck_max_age: section
            .duration_within("recheck_max_age", Duration::ZERO, LONGEST)
            .unwrap_or(default.recheck_max_age),
    };
    if let Some(idle) = idle.filter(|_| policy.idle > policy.absolute) {
        idle.warn("it is longer than refresh_tokens.absolute, which ends them first");
    }
    Some(policy)
}

/// Where what must last is kept.
pub(super) fn read_location(section: &mut Section<'_>) -> Option<DatabaseLocation> {
    section.require("url", "as sqlite:///var/lib/wharfinger/wharfinger.db");
    section.parse("url", str::parse)
}
