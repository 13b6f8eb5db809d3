//! All that is stored with a change of the registry.

use std::sync::Arc;

use event::Event;
use registry::OutboxWriter;
use storage::NewOutboxRecord;

use super::persistent_state::PersistentState;

/// The records of several consumers.
struct OutboxWriters(Vec<Arc<dyn OutboxWriter>>);

/// What makes the records of a change; `None` if there is no consumer. A new one is a line here.
pub(super) fn outbox_writer(state: &PersistentState) -> Option<Arc<dyn OutboxWriter>> {
    let audit = state.audit.as_ref().map(super::audit::AuditLog::outbox);
    let notifications = state
        .notifications
        .as_ref()
        .map(super::notifications::Notifications::outbox);
    let writers: Vec<_> = audit.into_iter().chain(notifications).collect();
    match writers.is_empty() {
        true => None,
        false => Some(Arc::new(OutboxWriters(writers))),
    }
}

impl OutboxWriter for OutboxWriters {
    fn records(&self, events: &[Event<'_>]) -> Vec<NewOutboxRecord> {
        let writers = self.0.iter();
        writers.flat_map(|writer| writer.records(events)).collect()
    }
}
