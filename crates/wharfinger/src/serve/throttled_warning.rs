//! A warning that the log has once in a while, however often its reason occurs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use common::{Clock, SystemClock};

/// How often the log has the line.
const INTERVAL: Duration = Duration::from_secs(60);

/// When a warning was last written.
#[derive(Default)]
pub(super) struct ThrottledWarning(Mutex<Option<SystemTime>>);

impl ThrottledWarning {
    /// Whether it is time for the warning. If so, it counts as written.
    pub(super) fn is_due(&self) -> bool {
        self.is_due_at(SystemClock.now())
    }

    fn is_due_at(&self, now: SystemTime) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now >= last + INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn it_is_due_once_in_an_interval() {
        let warning = ThrottledWarning::default();
        let due = [0, 1, 59, 60, 61, 119, 200].map(|second| {
            let now = UNIX_EPOCH + Duration::from_secs(second);
            warning.is_due_at(now)
        });
        assert_eq!(due, [true, false, false, true, false, false, true]);
    }
}
