//! The log as an observer of events: each decision of the token server, each change in the
//! registry, and each refusal.
//!
//! Pulls are not among these lines: the access log has them. Names are a client's choice, so they
//! are recorded as strings, which every format of the log escapes.

use event::{AccessRefusal, Actor, Event, EventKind, ManifestEvent, Observer, TokenDecision};

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

/// The line of a change or a refusal; some events have none.
fn write_change(event: &Event<'_>) {
    let Actor {
        account,
        personal_token,
        address,
        request_id,
        ..
    } = event.actor;
    let address = address.map(|address| address.to_string());
    let personal_token = non_empty(personal_token);
    macro_rules! line {
        ($message:literal $(, $name:ident = $value:expr)*) => {
            tracing::info!(
                target: TARGET,
                $($name = $value,)*
                account,
                personal_token,
                address,
                request_id,
                $message
            )
        };
    }
    match &event.kind {
        EventKind::SessionEnded { session, reason } => {
            line!("session ended", session = *session, reason = *reason);
        }
        EventKind::ManifestPushed(ManifestEvent {
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
            from,
            to,
        } => line!(
            "tag set",
            repository = repository.as_str(),
            tag = tag.as_str(),
            digest = to.to_string(),
            from = from.map(ToString::to_string)
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
