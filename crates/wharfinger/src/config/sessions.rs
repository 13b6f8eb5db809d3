//! The sections `refresh_tokens` and `database`: sessions that outlive a token, and where they are kept.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use auth::sessions::SessionPolicy;
use database::Location;

use super::section::Section;

/// How long refresh tokens last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefreshTokens {
    /// Unused for this long, one expires.
    pub(crate) idle: Duration,
    /// However much it is used, it expires then.
    pub(crate) absolute: Duration,
    /// How many a user may have.
    pub(crate) per_user: u32,
    /// How long one is good when the backend cannot say whether the user still is.
    pub(crate) recheck_max_age: Duration,
}

/// Where what must last is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Database {
    /// The file.
    pub(crate) location: Location,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Default for RefreshTokens {
    fn default() -> Self {
        Self { idle: 30 * DAY, absolute: 365 * DAY, per_user: 100, recheck_max_age: 12 * HOUR }
    }
}

impl RefreshTokens {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let default = Self::default();
        let idle = section.setting("idle");
        let tokens = Self {
            idle: idle.as_ref().and_then(|idle| idle.duration_within(MINUTE, LONGEST)).unwrap_or(default.idle),
            absolute: section.duration_within("absolute", MINUTE, LONGEST).unwrap_or(default.absolute),
            per_user: section.number("per_user", 1, 1_000_000).unwrap_or(default.per_user),
            recheck_max_age: section
                .duration_within("recheck_max_age", Duration::ZERO, LONGEST)
                .unwrap_or(default.recheck_max_age),
        };
        if let Some(idle) = idle.filter(|_| tokens.idle > tokens.absolute) {
            idle.warn("it is longer than refresh_tokens.absolute, which ends them first");
        }
        Some(tokens)
    }

    /// What the sessions are told.
    pub(crate) fn policy(&self) -> SessionPolicy {
        let Self { idle, absolute, per_user, recheck_max_age } = *self;
        SessionPolicy { idle, absolute, per_user, recheck_max_age }
    }
}

impl Database {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        section.require("url", "as sqlite:///var/lib/wharfinger/wharfinger.db");
        section.parse("url", str::parse).map(|location| Self { location })
    }

    /// In the folder where a registry's cargo lies.
    pub(super) fn beside(cargo: &Path) -> Self {
        Self { location: Location::at(cargo.join("wharfinger.db")) }
    }

    /// In the folder that systemd gives the service, or where it would be.
    pub(super) fn in_state_folder(folder: Option<String>) -> Self {
        Self { location: Location::in_state_directory(folder.map(OsString::from).as_deref()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_sessions_own() {
        assert_eq!(RefreshTokens::default().policy(), SessionPolicy::default());
    }
}
