//! Waiting within a time limit.

use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

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
