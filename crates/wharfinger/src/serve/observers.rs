//! What is told of every event of the token server and the registry.

use std::sync::Arc;

use event::{Observer, Observers};

use super::audit::AuditLog;
use super::event_log::EventLog;
use super::metrics::ServerMetrics;
use super::notifications::Notifications;

/// The observers of this process. Both servers tell the same ones, and a reload keeps them. A new
/// observer is a line here.
pub(super) fn observers(
    audit: Option<&AuditLog>,
    notifications: Option<&Notifications>,
    metrics: Option<&Arc<ServerMetrics>>,
) -> Observers {
    let log: Arc<dyn Observer> = Arc::new(EventLog);
    let others = [
        audit.map(AuditLog::observer),
        notifications.map(Notifications::observer),
        metrics.map(|metrics| Arc::clone(&metrics.events) as Arc<dyn Observer>),
    ];
    Observers::new([log].into_iter().chain(others.into_iter().flatten()))
}
