//! The time that decides about leases and ages.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use common::{Clock, unix_seconds};
use tokio::time::Instant;

/// The clock by which leases and ages are measured.
#[derive(Clone)]
pub enum DatabaseClock {
    /// That of the database server.
    Server,
    /// Another one, for tests: each statement gets its time.
    Given(Arc<dyn Clock>),
}

/// A [`DatabaseClock`], and the seconds that this process counts itself.
pub(super) struct StoreClock {
    clock: DatabaseClock,
    started: Instant,
}

impl StoreClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the age of what is in memory, on the runtime's timer"
    )]
    pub(super) fn new(clock: DatabaseClock) -> Self {
        Self {
            clock,
            started: Instant::now(),
        }
    }

    /// The time of a statement. `None` is the server's own.
    pub(super) fn at(&self) -> Option<SystemTime> {
        match &self.clock {
            DatabaseClock::Server => None,
            DatabaseClock::Given(clock) => Some(clock.now()),
        }
    }

    /// Seconds since a fixed moment. Only their differences have a meaning.
    pub(super) fn seconds(&self) -> i64 {
        let seconds = match &self.clock {
            DatabaseClock::Server => self.started.elapsed().as_secs(),
            DatabaseClock::Given(clock) => unix_seconds(clock.now()),
        };
        i64::try_from(seconds).unwrap_or(i64::MAX)
    }
}

impl fmt::Debug for DatabaseClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "Server",
            Self::Given(_) => "Given",
        })
    }
}
