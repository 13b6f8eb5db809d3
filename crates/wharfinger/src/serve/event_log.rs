//! The log as an observer of events: who changed what, and who was refused.
//!
//! Pulls are not among these lines: the access log has them. Names are a client's choice, so they
//! are recorded as strings, which every format of the log escapes.

use event::{AccessRefusal, Actor, Event, EventKind, Manifest, Observer};

/// Writes a line for each change and each refusal.
pub(super) struct EventLog;

/// The target of the lines.
const TARGET: &str = "wharfinger::event";

impl Observer for EventLog {
    fn observe(&self, event: &Event<'_>) {
        let Actor {
            account,
            address,
            request_id,
            ..
        } = event.actor;
        let address = address.map(|address| address.to_string());
        macro_rules! line {
            ($message:literal $(, $name:ident = $value:expr)*) => {
                tracing::info!(
                    target: TARGET,
                    $($name = $value,)*
                    account,
                    address,
                    request_id,
                    $message
                )
            };
        }
        match &event.kind {
            EventKind::ManifestPushed(Manifest {
                repository,
                digest,
                reference,
                ..
            }) => line!(
                "manifest pushed",
                repository = repository.as_str(),
                digest = digest.to_string(),
                reference = *reference
            ),
            EventKind::TagMoved {
                repository,
                tag,
                to,
                ..
            } => line!(
                "tag set",
                repository = repository.as_str(),
                tag = tag.as_str(),
                digest = to.to_string()
            ),
            EventKind::ManifestDeleted { repository, digest } => line!(
                "manifest deleted",
                repository = repository.as_str(),
                digest = digest.to_string()
            ),
            EventKind::TagDeleted { repository, tag } => line!(
                "tag deleted",
                repository = repository.as_str(),
                tag = tag.as_str()
            ),
            EventKind::BlobDeleted { repository, digest } => line!(
                "blob deleted",
                repository = repository.as_str(),
                digest = digest.to_string()
            ),
            // Distribution's words, so that a search for them finds its answers.
            EventKind::AccessRefused(AccessRefusal {
                requested, reason, ..
            }) => line!(
                "error authorizing context",
                requested = *requested,
                reason = *reason
            ),
            _ => {}
        }
    }
}
