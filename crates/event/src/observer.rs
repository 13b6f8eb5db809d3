//! What gets the events.

use std::fmt;
use std::sync::Arc;

use crate::Event;

/// Something that gets every event, on the thread that serves the request.
///
/// An implementation must return at once: it does no I/O and waits for nothing but a short lock.
/// What it keeps is bounded in bytes. If it has no room, it drops the event and counts that. It
/// does not fail and does not panic: no observer can undo what has happened. An observer that must
/// not lose events reads them from the database instead, where the change itself wrote them.
pub trait Observer: Send + Sync {
    /// Handles `event`.
    fn observe(&self, event: &Event<'_>);
}

/// A list of observers, each of which gets every event, in order. The default is empty.
#[derive(Clone, Default)]
pub struct Observers(Arc<[Arc<dyn Observer>]>);

impl Observers {
    /// Passes events on to each of `observers`.
    pub fn new(observers: impl IntoIterator<Item = Arc<dyn Observer>>) -> Self {
        Self(observers.into_iter().collect())
    }

    /// Whether there is no observer, so that an emitter need not make an event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Observer for Observers {
    fn observe(&self, event: &Event<'_>) {
        for observer in self.0.iter() {
            observer.observe(event);
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observers").field(&self.0.len()).finish()
    }
}
