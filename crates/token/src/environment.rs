//! Time and randomness as parameters, so that a test can hold both still.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> SystemTime;
}

/// Where unpredictable bytes come from.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`, every one of them unpredictable.
    ///
    /// # Errors
    /// When the source has none to give; `bytes` must not be used then.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// The operating system has no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct EntropyError;

/// The system's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system for the time"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The system's own randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system for randomness"
    )]
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| EntropyError)
    }
}

/// Whole seconds since the Unix epoch, as a token's claims count them (RFC 7519 §2, NumericDate); 0
/// before it.
#[must_use]
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}
