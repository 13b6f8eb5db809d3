//! What several tests need.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::Clock;

/// A clock that moves only when a test moves it.
pub(crate) struct HeldClock(Mutex<SystemTime>);

impl HeldClock {
    pub(crate) fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }

    pub(crate) fn set_back(&self, time: Duration) {
        *self.0.lock().unwrap() -= time;
    }
}

impl Default for HeldClock {
    fn default() -> Self {
        Self(Mutex::new(UNIX_EPOCH + Duration::from_secs(1_800_000_000)))
    }
}

impl Clock for HeldClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}
