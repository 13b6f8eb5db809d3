//! How long tokens last, and how many there may be.

use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

/// What the section `personal_tokens` of the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenPolicy {
    /// How long a secret is valid if its creator does not say.
    pub ttl: Duration,
    /// The longest that a secret is valid, also of those that exist.
    pub max_ttl: Duration,
    /// How many robots and personal tokens one person may own. The system's robots have no limit.
    pub per_owner: u32,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            ttl: 90 * DAY,
            max_ttl: 365 * DAY,
            per_owner: 50,
        }
    }
}

impl TokenPolicy {
    /// When a secret is over that was made to last until `expires_at`.
    pub(crate) fn end(&self, created_at: SystemTime, expires_at: SystemTime) -> SystemTime {
        let latest = created_at.checked_add(self.max_ttl);
        latest.map_or(expires_at, |latest| latest.min(expires_at))
    }
}
