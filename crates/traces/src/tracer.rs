//! Begins spans, and keeps those that have ended until they are sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use common::{Clock, Counter, Entropy};
use tokio::sync::Notify;

use crate::Sampler;
use crate::finished::FinishedSpan;

/// Begins spans. Those that end wait here for the exporter; if there are too many, they are counted and
/// lost.
pub struct Tracer {
    sampler: Sampler,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// How many spans may wait.
    limit: usize,
    /// How many are enough to be sent at once.
    batch: usize,
    waiting: Mutex<Vec<FinishedSpan>>,
    pub(crate) has_batch: Notify,
    pub(crate) lost: Counter,
}

impl Tracer {
    pub(crate) fn new(
        sampler: Sampler,
        limit: usize,
        batch: usize,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            sampler,
            clock,
            entropy,
            limit,
            batch,
            waiting: Mutex::default(),
            has_batch: Notify::new(),
            lost: Counter::default(),
        }
    }

    /// Whether a trace is sent, given what the client has decided.
    pub(crate) fn decides(&self, trace_id: &[u8; 16], parent: Option<bool>) -> bool {
        self.sampler.decides(trace_id, parent)
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Keeps a span until it is sent.
    pub(crate) fn finish(&self, span: FinishedSpan) {
        let mut waiting = self.waiting();
        if waiting.len() >= self.limit {
            drop(waiting);
            return self.lost.increment();
        }
        waiting.push(span);
        let is_enough = waiting.len() >= self.batch;
        drop(waiting);
        if is_enough {
            self.has_batch.notify_one();
        }
    }

    /// Takes the oldest spans that wait, at most `limit`.
    pub(crate) fn take(&self, limit: usize) -> Vec<FinishedSpan> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(limit);
        waiting.drain(..count).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<FinishedSpan>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Random bytes that are not all zero (W3C Trace Context §3.2.2.3).
    pub(crate) fn random<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes).ok()?;
        bytes[N - 1] |= u8::from(bytes == [0; N]);
        Some(bytes)
    }
}
