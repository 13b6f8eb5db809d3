//! What a backend says of a login besides the account.

use std::time::{Duration, SystemTime};

/// The bounds of an accepted login. By default the configuration alone decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginTerms {
    /// How long the login may be remembered.
    pub retention: LoginRetention,
    /// How long an access token may live.
    pub token_lifetime: LifetimeBound,
    /// Whether the login may open a session, and for how long.
    pub session: SessionAllowance,
    /// What the proof says of its origin, for the log: the rule, the repository, the run. Empty if
    /// it says no more than the account.
    pub origin: String,
}

/// How long an accepted login may be remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoginRetention {
    /// As long as the configuration says.
    #[default]
    Configured,
    /// No longer than this, because the proof ends then.
    Until(SystemTime),
    /// Not at all: each login asks the backend.
    Never,
}

/// A bound on a lifetime that the configuration has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LifetimeBound {
    /// As long as the configuration says.
    #[default]
    Configured,
    /// No longer than this, and no longer than the configuration says.
    AtMost(Duration),
}

/// Whether a login may open a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionAllowance {
    /// It may, for this long.
    Allowed(LifetimeBound),
    /// It may not: a client that asks for a refresh token gets none.
    Refused,
}

impl Default for SessionAllowance {
    fn default() -> Self {
        Self::Allowed(LifetimeBound::Configured)
    }
}

impl LifetimeBound {
    /// `configured`, or the bound if that is shorter.
    ///
    /// ```
    /// use std::time::Duration;
    /// use identity::LifetimeBound;
    ///
    /// let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    /// assert_eq!(LifetimeBound::Configured.limit(hour), hour);
    /// assert_eq!(LifetimeBound::AtMost(minute).limit(hour), minute);
    /// assert_eq!(LifetimeBound::AtMost(hour).limit(minute), minute);
    /// ```
    #[must_use]
    pub fn limit(self, configured: Duration) -> Duration {
        match self {
            Self::Configured => configured,
            Self::AtMost(bound) => bound.min(configured),
        }
    }
}
