//! How often and how soon a request is sent again.

use std::time::{Duration, SystemTime};

use common::Entropy;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often something is tried, the first time included.
const ATTEMPTS: u32 = 5;
/// The first pause; each is twice the one before.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause that this client chooses itself.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest pause that a server may ask for. For a longer one, the error is shown at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// After this many bytes, in bytes, a broken connection is replaced at once.
const PLENTY: u64 = 1024 * 1024;

/// Counts the failed tries of one transfer.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failed: u32,
    /// Bytes since the last failure.
    gained: u64,
}

impl Backoff {
    /// How long to wait before the next try; `None` when there is none. `wanted` is what the server
    /// asked for.
    pub(crate) fn pause(
        &mut self,
        wanted: Option<Duration>,
        entropy: &dyn Entropy,
    ) -> Option<Duration> {
        if std::mem::take(&mut self.gained) >= PLENTY && wanted.is_none() {
            return Some(Duration::ZERO);
        }
        self.failed += 1;
        if self.failed >= ATTEMPTS || wanted.is_some_and(|wanted| wanted > PATIENCE) {
            return None;
        }
        let doubled = FIRST.saturating_mul(1 << (self.failed - 1)).min(LONGEST);
        // Up to half of it is random, so that many clients do not come back at the same moment.
        let mut byte = [0];
        let chance = entropy.fill(&mut byte).map_or(0, |()| u32::from(byte[0]));
        Some(wanted.unwrap_or(doubled / 2 + doubled / 2 * chance / 255))
    }

    /// Counts bytes that have moved: the next failure is the first again.
    pub(crate) fn progress(&mut self, bytes: u64) {
        self.failed = 0;
        self.gained += bytes;
    }
}

/// Whether a response with this status may be another one a moment later.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// RFC 9110 §10.2.3: seconds, or a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(
            httpdate::parse_http_date(value)
                .ok()?
                .duration_since(now)
                .unwrap_or_default(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use common::EntropyError;

    use super::*;

    struct Most;

    impl Entropy for Most {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            bytes.fill(255);
            Ok(())
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut attempts = Backoff::default();
        let pauses: Vec<_> = std::iter::from_fn(|| attempts.pause(None, &Most))
            .map(|p| p.as_millis())
            .collect();
        assert_eq!(pauses, [250, 500, 1000, 2000]);
        attempts.progress(1);
        assert_eq!(attempts.pause(None, &Most), Some(FIRST));
        attempts.progress(PLENTY);
        assert_eq!(
            [attempts.pause(None, &Most), attempts.pause(None, &Most)],
            [Some(Duration::ZERO), Some(FIRST)]
        );
    }

    #[test]
    fn a_server_may_ask_for_a_pause_of_up_to_a_minute() {
        let pause = |seconds| Backoff::default().pause(Some(Duration::from_secs(seconds)), &Most);
        assert_eq!(pause(30), Some(Duration::from_secs(30)));
        assert_eq!(pause(3600), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wish = |value: &'static str| {
            let headers = HeaderMap::from_iter([(
                RETRY_AFTER,
                reqwest::header::HeaderValue::from_static(value),
            )]);
            retry_after(&headers, UNIX_EPOCH + Duration::from_secs(784_111_777 - 7))
        };
        assert_eq!(wish("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            wish("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(7))
        );
        assert_eq!(wish("Sun, 06 Nov 1994 08:40:37 GMT"), Some(Duration::ZERO));
        assert_eq!(wish("soon"), None);
    }
}
