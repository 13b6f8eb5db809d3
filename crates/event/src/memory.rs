//! An observer for tests.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::{Event, Observer};

/// Keeps the newest events in memory, as JSON.
#[derive(Debug)]
pub struct MemoryObserver {
    limit: usize,
    events: Mutex<VecDeque<Value>>,
}

impl MemoryObserver {
    /// Keeps at most `limit` events; older ones go.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            events: Mutex::default(),
        }
    }

    /// The events that are kept, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.lock().iter().cloned().collect()
    }

    /// The events that are kept, which are forgotten with this.
    #[must_use]
    pub fn take(&self) -> Vec<Value> {
        self.lock().drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Value>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for MemoryObserver {
    fn observe(&self, event: &Event<'_>) {
        // An event is plain data, so this does not fail.
        let Ok(event) = serde_json::to_value(event) else {
            return;
        };
        let mut events = self.lock();
        events.push_back(event);
        while events.len() > self.limit {
            events.pop_front();
        }
    }
}
