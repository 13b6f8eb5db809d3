//! Times as the small stores have them: whole seconds since the Unix epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::unix_seconds;

/// A time as a column has it, in seconds since the Unix epoch.
#[must_use]
pub fn column_seconds(time: SystemTime) -> i64 {
    i64::try_from(unix_seconds(time)).unwrap_or(i64::MAX)
}

/// The time that a column has.
#[must_use]
pub fn column_time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}
