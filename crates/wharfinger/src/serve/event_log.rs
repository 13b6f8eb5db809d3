//! The log as an observer of events: each decision of the token server, each change in the
//! registry, and each refusal.
//!
//! Pulls are not among these lines: the access log has them. Names are a client's choice, so they
//! are recorded as strings, which every format of the log escapes.

use event::{
    AccessRefusal, Actor, Event, EventKind, ManifestEvent, Observer, QuotaEvent, TokenDecision,
};
use oci::{Digest, RepositoryName};

/// Writes a line for each decision, each change and each refusal.
pub(super) struct EventLog;

/// The target of the token server's decisions.
const DECISION_TARGET: &str = "wharfinger::decision";

/// The target of all other lines.
const TARGET: &str = "wharfinger::event";

/// What became of a request for a token.
enum TokenOutcome<'a> {
    Issued,
    Refused {
        status: u16,
        response: &'a str,
        reason: &'a str,
    },
}

impl Observer for EventLog {
    fn observe(&self, event: &Event<'_>) {
        match &event.kind {
            EventKind::TokenIssued(decision) => {
                write_decision(&event.actor, decision, &TokenOutcome::Issued);
            }
            EventKind::TokenRefused {
                decision,
                status,
                response,
                reason,
            } => {
                let refused = TokenOutcome::Refused {
                    status: *status,
                    response,
                    reason,
                };
                write_decision(&event.actor, decision, &refused);
            }
            _ => write_change(event),
        }
    }
}

/// The line of a request for a token.
fn write_decision(actor: &Actor<'_>, decision: &TokenDecision<'_>, outcome: &TokenOutcome<'_>) {
    let (status, refused, reason) = match *outcome {
        TokenOutcome::Issued => (200, None, None),
        TokenOutcome::Refused {
            status,
            response,
            reason,
        } => (status, Some(response), Some(reason)),
    };
    tracing::info!(
        target: DECISION_TARGET,
        request_id = actor.request_id,
        status,
        account = actor.account,
        personal_token = non_empty(actor.personal_token),
        grant = decision.grant,
        backend = non_empty(decision.backend),
        asked_before = non_empty(decision.asked_before),
        labels = non_empty(decision.labels),
        origin = non_empty(decision.origin),
        service = decision.service,
        asked = decision.requested,
        granted = decision.granted,
        rule = decision.rules,
        address = actor.address.map(|address| address.to_string()).unwrap_or_default(),
        client_id = decision.client_id,
        session = non_empty(decision.session),
        took_us = u64::try_from(decision.duration.as_micros()).unwrap_or(u64::MAX),
        refused,
        reason = reason.filter(|reason| Some(*reason) != refused),
    );
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A line about a change or a refusal, with who caused it.
macro_rules! write_line {
    ($level:ident, $actor:expr, $message:literal, $($name:ident = $value:expr),*) => {
        tracing::$level!(
            target: TARGET,
            $($name = $value,)*
            account = $actor.account,
            personal_token = non_empty($actor.personal_token),
            address = $actor.address.map(|address| address.to_string()),
            request_id = $actor.request_id,
            $message
        )
    };
}

/// The line of a change or a refusal; some events have none.
fn write_change(event: &Event<'_>) {
    let actor = &event.actor;
    match &event.kind {
        EventKind::SessionEnded { session, reason } => write_line!(
            info,
            actor,
            "session ended",
            session = *session,
            reason = *reason
        ),
        EventKind::ManifestPushed(ManifestEvent {
            repository,
            digest,
            reference,
            ..
        }) => write_line!(
            info,
            actor,
            "manifest pushed",
            repository = repository.as_str(),
            digest = digest.to_string(),
            reference = *reference
        ),
        EventKind::ManifestDeleted { repository, digest } => {
            write_deletion(actor, "manifest deleted", repository, digest);
        }
        EventKind::BlobDeleted { repository, digest } => {
            write_deletion(actor, "blob deleted", repository, digest);
        }
        EventKind::QuotaExceeded { quota, requested } => {
            write_quota(actor, quota, Some(*requested));
        }
        EventKind::QuotaWarning(quota) => write_quota(actor, quota, None),
        // Distribution's words, so that a search for them finds its answers.
        EventKind::AccessRefused(AccessRefusal {
            requested, reason, ..
        }) => write_line!(
            info,
            actor,
            "error authorizing context",
            requested = *requested,
            reason = *reason
        ),
        EventKind::Collection {
            manifests,
            blobs,
            bytes,
            uploads,
        } => tracing::info!(
            target: TARGET,
            manifests,
            blobs,
            bytes,
            uploads,
            "unused content deleted"
        ),
        EventKind::RetentionRun {
            repositories,
            tags,
            removed,
            skipped,
        } => tracing::info!(
            target: TARGET,
            repositories,
            tags,
            removed,
            skipped,
            "retention ended"
        ),
        _ => write_tag(event),
    }
}

/// The line of content that a repository does not have any more.
fn write_deletion(actor: &Actor<'_>, message: &str, repository: &RepositoryName, digest: &Digest) {
    write_line!(
        info,
        actor,
        "{message}",
        repository = repository.as_str(),
        digest = digest.to_string()
    );
}

/// The line of what happened to a tag.
fn write_tag(event: &Event<'_>) {
    let actor = &event.actor;
    match &event.kind {
        EventKind::TagMoved {
            repository,
            tag,
            from,
            to,
        } => write_line!(
            info,
            actor,
            "tag set",
            repository = repository.as_str(),
            tag = tag.as_str(),
            digest = to.to_string(),
            from = from.map(ToString::to_string)
        ),
        EventKind::TagRefused {
            repository,
            tag,
            digest,
            rule,
        } => write_line!(
            info,
            actor,
            "immutable tag kept",
            repository = repository.as_str(),
            tag = tag.as_str(),
            digest = digest.to_string(),
            rule = *rule
        ),
        EventKind::TagDeleted { repository, tag } => write_line!(
            info,
            actor,
            "tag deleted",
            repository = repository.as_str(),
            tag = tag.as_str()
        ),
        EventKind::TagRemovedByRetention {
            repository,
            tag,
            digest,
            reason,
        } => write_line!(
            info,
            actor,
            "tag removed by retention",
            repository = repository.as_str(),
            tag = tag.as_str(),
            digest = digest.to_string(),
            reason = *reason
        ),
        EventKind::TagRestored {
            repository,
            tag,
            digest,
        } => write_line!(
            info,
            actor,
            "tag restored",
            repository = repository.as_str(),
            tag = tag.as_str(),
            digest = digest.to_string()
        ),
        _ => {}
    }
}

/// The line of a quota that refuses what was requested, or of one that is nearly used.
fn write_quota(actor: &Actor<'_>, quota: &QuotaEvent<'_>, requested: Option<u64>) {
    let QuotaEvent {
        repository,
        prefix,
        resource,
        used,
        limit,
    } = *quota;
    match requested {
        Some(requested) => write_line!(
            info,
            actor,
            "quota exceeded",
            repository = repository.as_str(),
            prefix = prefix,
            resource = resource,
            used = used,
            limit = limit,
            requested = requested
        ),
        None => write_line!(
            warn,
            actor,
            "quota nearly used",
            repository = repository.as_str(),
            prefix = prefix,
            resource = resource,
            used = used,
            limit = limit
        ),
    }
}
