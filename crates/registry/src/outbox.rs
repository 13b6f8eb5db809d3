//! Records of changes, for delivery to other systems.
//!
//! An observer hears of a change after it was made, so a crash may lose the event. A record is part
//! of the change's transaction instead: it is stored if, and only if, the change is.

use event::Event;
use storage::NewOutboxRecord;

/// Makes the records of a change to manifests and tags. They are read with
/// [`storage::OutboxStore`].
pub trait OutboxWriter: Send + Sync {
    /// The records of a change that is about to be made, of which `events` tell. It may still fail.
    fn records(&self, events: &[Event<'_>]) -> Vec<NewOutboxRecord>;
}
