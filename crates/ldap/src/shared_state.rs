//! State that all logins share: behind a lock, and valid for some time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use common::Clock;

/// Whether `since` is less than `age` ago. After the clock was set back it is not.
pub(crate) fn is_younger(clock: &dyn Clock, since: SystemTime, age: Duration) -> bool {
    let passed = clock.now().duration_since(since);
    passed.is_ok_and(|passed| passed < age)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds the lock, so the value is whole even if it is poisoned.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
