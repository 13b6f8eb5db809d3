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

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Error;

pub(super) struct Look {
    period: Duration,
    origin: Instant,
    /// When the last look began, in nanoseconds after `origin`; 0 before the first one.
    began: AtomicU64,
    pub(super) seen: Mutex<LookState>,
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
    pub(super) fn new(period: Duration) -> Self {
        Self {
            period,
            origin: Instant::now(),
            began: AtomicU64::new(0),
            seen: Mutex::default(),
        }
    }

    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// Nanoseconds after the origin, at least 1.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).map_or(u64::MAX, |now| now.max(1))
    }

    /// Whether a request that arrived then may be answered from memory.
    pub(super) fn is_fresh(&self, arrived: u64) -> bool {
        let began = self.began.load(Ordering::Acquire);
        let period = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX);
        began != 0 && began.saturating_add(period) >= arrived
    }

    /// A look that began then has found what was changed.
    pub(super) fn complete(&self, began: u64) {
        self.began.store(began, Ordering::Release);
    }
}
