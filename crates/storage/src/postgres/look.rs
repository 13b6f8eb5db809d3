//! What other servers have changed.
//!
//! A *look* is one small query: which repositories were changed since the look before? What was
//! remembered of them is forgotten. A transaction that was running during a look has an id that is
//! not below the look's `xmin`, and the next look asks for all ids from there on. So no commit can be
//! missed.
//!
//! A request is answered from memory only if a look began at most one *period* before it arrived. A
//! server that changes something waits one period after the commit before it reports success. So a
//! client that knows of a change never gets an older answer, from any server. Requests share looks:
//! there is at most one at a time, and one for each period. If looks fail, nothing is answered from
//! memory.
//!
//! While servers with different periods run, each answers from memory for the shortest of all periods,
//! and waits for the longest ([`LookPeriods`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Counter, FINE_DURATION_BOUNDS, Histogram};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Error, LookStatistics};

/// The periods of a server, in the view of all servers of its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookPeriods {
    /// For how long the server answers from memory without a look. No longer than any other server
    /// waits.
    pub memory: Duration,
    /// How long the server waits after a change. No shorter than any other server answers from memory.
    pub wait: Duration,
}

impl LookPeriods {
    /// The longest period that a server may have.
    pub const LONGEST: Duration = Duration::from_secs(1);

    /// For a server that does not know the periods of the others: it answers nothing from memory that
    /// it did not look up, and waits long enough for all of them.
    pub const UNKNOWN: Self = Self {
        memory: Duration::ZERO,
        wait: Self::LONGEST,
    };

    /// All servers have this period.
    #[must_use]
    pub fn of_all(period: Duration) -> Self {
        Self {
            memory: period,
            wait: period,
        }
    }
}

pub(super) struct Look {
    /// In nanoseconds.
    memory: AtomicU64,
    wait: AtomicU64,
    origin: Instant,
    /// When the last look began, in nanoseconds after `origin`; 0 before the first one.
    began: AtomicU64,
    pub(super) seen: Mutex<LookState>,
    /// How long looks took, in nanoseconds.
    duration: Histogram,
    failures: Counter,
}

/// What the last look found.
#[derive(Default)]
pub(super) struct LookState {
    pub(super) last: Option<LastLook>,
    /// When the last look failed, and why. Requests that have waited for it fail, too.
    pub(super) failure: Option<(u64, Error)>,
}

pub(super) struct LastLook {
    pub(super) xmin: u64,
    pub(super) timeline: String,
}

impl Look {
    #[expect(
        clippy::disallowed_methods,
        reason = "the age of what is in memory, on the runtime's timer"
    )]
    pub(super) fn new(periods: LookPeriods) -> Self {
        Self {
            memory: AtomicU64::new(nanoseconds(periods.memory)),
            wait: AtomicU64::new(nanoseconds(periods.wait)),
            origin: Instant::now(),
            began: AtomicU64::new(0),
            seen: Mutex::default(),
            duration: Histogram::new(FINE_DURATION_BOUNDS),
            failures: Counter::default(),
        }
    }

    pub(super) fn set(&self, periods: LookPeriods) {
        let (memory, wait) = (nanoseconds(periods.memory), nanoseconds(periods.wait));
        self.memory.store(memory, Ordering::Release);
        self.wait.store(wait, Ordering::Release);
    }

    /// How long a change waits.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_nanos(self.wait.load(Ordering::Acquire))
    }

    /// Nanoseconds after the origin, at least 1.
    pub(super) fn now(&self) -> u64 {
        nanoseconds(self.origin.elapsed()).max(1)
    }

    /// Whether a request that arrived then may be answered from memory.
    pub(super) fn is_fresh(&self, arrived: u64) -> bool {
        let began = self.began.load(Ordering::Acquire);
        let memory = self.memory.load(Ordering::Acquire);
        began != 0 && began.saturating_add(memory) >= arrived
    }

    /// A look that began then has found what was changed.
    pub(super) fn complete(&self, began: u64) {
        self.began.store(began, Ordering::Release);
        self.duration.observe(self.now().saturating_sub(began));
    }

    /// A look failed.
    pub(super) fn fail(&self) {
        self.failures.increment();
    }

    pub(super) fn statistics(&self) -> LookStatistics {
        LookStatistics {
            duration: self.duration.snapshot(),
            failures: self.failures.value(),
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
