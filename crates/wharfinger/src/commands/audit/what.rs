//! What an event is about, in the text of a table.

use serde_json::{Map, Value};

use crate::commands::registry::{count, size};

/// What an event is about, in a few words.
pub(super) fn what(event: &Map<String, Value>) -> String {
    let members = |names: &[&str]| joined(event, names);
    match text(event, "event").as_str() {
        "token_issued" => members(&["granted", "rules"]),
        "token_refused" | "access_refused" => members(&["requested", "reason"]),
        "administration" => members(&["action", "object"]),
        "tag_moved" => members(&["repository", "tag", "to"]),
        "manifest_pulled" | "manifest_pushed" => members(&["repository", "reference", "digest"]),
        "blob_mounted" => format!(
            "{} from {}",
            members(&["repository", "digest"]),
            text(event, "from")
        ),
        "quota_exceeded" => format!(
            "{}, {} more requested",
            quota(event),
            number(event, "requested")
        ),
        "quota_warning" => quota(event),
        "catalog_read" => counted(event, "repositories", "repository"),
        "collection" => format!(
            "removed {}, {}, {}: {}",
            counted(event, "manifests", "manifest"),
            counted(event, "blobs", "blob"),
            counted(event, "uploads", "upload"),
            size(number(event, "bytes"))
        ),
        "retention_run" => format!(
            "removed {} of {} in {}, {} skipped",
            number(event, "removed"),
            counted(event, "tags", "tag"),
            counted(event, "repositories", "repository"),
            number(event, "skipped")
        ),
        "events_lost" => counted(event, "events", "event"),
        _ => members(&[
            "repository",
            "tag",
            "digest",
            "backend",
            "reason",
            "session",
            "service",
        ]),
    }
}

/// `team/app: quota of team: 98 of 100 bytes used`.
fn quota(event: &Map<String, Value>) -> String {
    format!(
        "{}: quota of {}: {} of {} {} used",
        text(event, "repository"),
        text(event, "prefix"),
        number(event, "used"),
        number(event, "limit"),
        text(event, "resource"),
    )
}

fn joined(event: &Map<String, Value>, members: &[&str]) -> String {
    let shown = members.iter().map(|member| text(event, member));
    let shown: Vec<String> = shown.filter(|text| !text.is_empty()).collect();
    shown.join(" ")
}

fn counted(event: &Map<String, Value>, member: &str, noun: &str) -> String {
    count(number(event, member), noun)
}

fn number(event: &Map<String, Value>, member: &str) -> u64 {
    event
        .get(member)
        .and_then(Value::as_u64)
        .unwrap_or_default()
}

/// The text of a member; empty if the event lacks it.
pub(super) fn text(event: &Map<String, Value>, member: &str) -> String {
    match event.get(member) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use event::{BlobEvent, EventKind, QuotaEvent};
    use oci::RepositoryName;

    use super::*;

    #[test]
    fn numbers_say_what_they_count() {
        let repository: RepositoryName = "team/app".parse().unwrap();
        let other: RepositoryName = "team/base".parse().unwrap();
        let digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let quota = QuotaEvent {
            repository: &repository,
            prefix: "team",
            resource: "bytes",
            used: 98,
            limit: 100,
        };
        for (kind, expected) in [
            (
                EventKind::QuotaExceeded {
                    quota,
                    requested: 5,
                },
                "team/app: quota of team: 98 of 100 bytes used, 5 more requested".to_owned(),
            ),
            (
                EventKind::QuotaWarning(quota),
                "team/app: quota of team: 98 of 100 bytes used".to_owned(),
            ),
            (
                EventKind::Collection {
                    manifests: 1,
                    blobs: 2,
                    bytes: 1_500_000,
                    uploads: 0,
                },
                "removed 1 manifest, 2 blobs, 0 uploads: 1.4 MiB".to_owned(),
            ),
            (
                EventKind::RetentionRun {
                    repositories: 2,
                    tags: 40,
                    removed: 3,
                    skipped: 1,
                },
                "removed 3 of 40 tags in 2 repositories, 1 skipped".to_owned(),
            ),
            (
                EventKind::CatalogRead { repositories: 2 },
                "2 repositories".to_owned(),
            ),
            (
                EventKind::BlobMounted {
                    blob: BlobEvent {
                        repository: &repository,
                        digest: &digest,
                        size: 7,
                    },
                    from: &other,
                },
                format!("team/app {digest} from team/base"),
            ),
        ] {
            let document = serde_json::to_value(&kind).unwrap();
            assert_eq!(what(document.as_object().unwrap()), expected);
        }
    }
}
