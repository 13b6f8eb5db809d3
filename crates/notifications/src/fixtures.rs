//! What the tests of several modules use.

use crate::{
    ActorRecord, Notification, NotificationAction, NotificationTarget, RequestRecord, SourceRecord,
};

/// A notification of an action.
pub(crate) fn notification(action: NotificationAction) -> Notification<'static> {
    Notification {
        id: "".into(),
        timestamp: "2027-01-15T08:00:00Z".into(),
        action,
        target: NotificationTarget {
            repository: "a".into(),
            ..NotificationTarget::default()
        },
        request: RequestRecord::default(),
        actor: ActorRecord::default(),
        source: SourceRecord::default(),
    }
}
