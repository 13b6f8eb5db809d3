//! What is told of every event of the token server and the registry.

use std::sync::Arc;

use event::{Observer, Observers};

use super::audit::AuditLog;
use super::event_log::EventLog;

/// The observers of this process. Both servers tell the same ones, and a reload keeps them. A new
/// observer is a line here.
pub(super) fn observers(audit: Option<&AuditLog>) -> Observers {
    let log: Arc<dyn Observer> = Arc::new(EventLog);
    Observers::new([log].into_iter().chain(audit.map(AuditLog::observer)))
}
