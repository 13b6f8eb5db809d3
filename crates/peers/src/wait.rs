//! Waiting within a time limit.

use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);
/// How long other programs may take. The machine may be busy.
const LIMIT: Duration = Duration::from_secs(300);

/// Waits until another program has brought about that `condition` holds.
///
/// # Panics
/// If it does not hold within five minutes.
#[track_caller]
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let held = until(LIMIT, || condition().then_some(()));
    assert!(held.is_some(), "the condition did not hold in {LIMIT:?}");
}

/// Calls `probe` until it returns a value; `None` if it does not within `limit`.
pub(crate) fn until<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let start = now();
    loop {
        match probe() {
            Some(answer) => return Some(answer),
            None if start.elapsed() >= limit => return None,
            None => thread::sleep(PAUSE),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "limits how long another program may take"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_until_there_is_an_answer_and_at_least_once() {
        let mut asked = 0;
        let answer = until(Duration::from_secs(60), || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer, Some(3));
        assert_eq!(until(Duration::ZERO, || Some("at once")), Some("at once"));
        assert_eq!(until(Duration::ZERO, || None::<()>), None);
    }
}
