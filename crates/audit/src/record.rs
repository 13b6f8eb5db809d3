//! What is recorded of an event.

use std::time::{SystemTime, UNIX_EPOCH};

use event::{BlobEvent, Event, EventKind, ManifestEvent};
use oci::{Digest, RepositoryName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Pseudonyms;

/// An event as it is recorded: what is searched for, and all of it as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When it happened, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The name of its kind: `manifest_pulled`.
    pub kind: String,
    /// The account that caused it, as it is recorded; empty for none.
    pub account: String,
    /// The repository, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The tag, or the digest by which a client asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The digest of the manifest or of the blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The event, as a JSON object.
    pub document: String,
}

/// A record with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAuditRecord {
    /// Its number. A record that was written later has a higher one.
    pub id: i64,
    /// When it happened, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The event, as a JSON object.
    pub document: String,
}

/// A record as programs read it: the members of the event, and its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditEvent")]
pub struct EntryDocument {
    /// Its number. A record that was written later has a higher one.
    pub id: i64,
    /// What happened, when, and who caused it. `event` names the kind.
    #[serde(flatten)]
    pub event: Map<String, Value>,
}

impl AuditRecord {
    /// What is recorded of `event`.
    #[must_use]
    pub fn of(event: &Event<'_>, names: &Pseudonyms) -> Self {
        let Subject {
            repository,
            reference,
            digest,
        } = Subject::of(&event.kind);
        Self {
            at: milliseconds(event.time),
            kind: event.kind.name().to_owned(),
            account: names.account(event.actor.account).into_owned(),
            repository: repository.map(|name| name.as_str().to_owned()),
            reference: reference.map(str::to_owned),
            digest: digest.map(ToString::to_string),
            document: document(event, names),
        }
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        let optional = [&self.repository, &self.reference, &self.digest];
        let optional: usize = optional.into_iter().flatten().map(String::len).sum();
        size_of::<Self>() + self.account.len() + self.kind.len() + self.document.len() + optional
    }
}

impl StoredAuditRecord {
    /// Its line in an export: the event as a JSON object, with its number as the first member.
    #[must_use]
    pub fn line(&self) -> String {
        let members = self.document.strip_prefix('{').unwrap_or("}");
        let comma = if members == "}" { "" } else { "," };
        format!("{{\"id\":{}{comma}{members}", self.id)
    }

    /// The same, read.
    #[must_use]
    pub fn read(&self) -> EntryDocument {
        EntryDocument {
            id: self.id,
            // What is stored was an object.
            event: serde_json::from_str(&self.document).unwrap_or_default(),
        }
    }
}

/// What an event is about.
#[derive(Default)]
struct Subject<'a> {
    repository: Option<&'a RepositoryName>,
    reference: Option<&'a str>,
    digest: Option<&'a Digest>,
}

impl<'a> Subject<'a> {
    fn of(kind: &EventKind<'a>) -> Self {
        match *kind {
            EventKind::ManifestPulled(manifest)
            | EventKind::ManifestChecked(manifest)
            | EventKind::ManifestPushed(manifest) => {
                let ManifestEvent {
                    repository,
                    digest,
                    reference,
                    ..
                } = manifest;
                Self {
                    repository: Some(repository),
                    reference: Some(reference),
                    digest: Some(digest),
                }
            }
            EventKind::TagMoved {
                repository,
                tag,
                to,
                ..
            } => Self {
                repository: Some(repository),
                reference: Some(tag.as_str()),
                digest: Some(to),
            },
            EventKind::TagRefused {
                repository,
                tag,
                digest,
                ..
            }
            | EventKind::TagRemovedByRetention {
                repository,
                tag,
                digest,
                ..
            }
            | EventKind::TagRestored {
                repository,
                tag,
                digest,
            } => Self {
                repository: Some(repository),
                reference: Some(tag.as_str()),
                digest: Some(digest),
            },
            EventKind::QuotaExceeded { quota, .. } | EventKind::QuotaWarning(quota) => Self {
                repository: Some(quota.repository),
                reference: None,
                digest: None,
            },
            EventKind::TagDeleted { repository, tag } => Self {
                repository: Some(repository),
                reference: Some(tag.as_str()),
                digest: None,
            },
            EventKind::BlobPulled { blob, .. }
            | EventKind::BlobChecked(blob)
            | EventKind::BlobPushed(blob)
            | EventKind::BlobMounted { blob, .. } => {
                let BlobEvent {
                    repository, digest, ..
                } = blob;
                Self {
                    repository: Some(repository),
                    reference: None,
                    digest: Some(digest),
                }
            }
            EventKind::ManifestDeleted { repository, digest }
            | EventKind::BlobDeleted { repository, digest } => Self {
                repository: Some(repository),
                reference: None,
                digest: Some(digest),
            },
            _ => Self::default(),
        }
    }
}

fn document(event: &Event<'_>, names: &Pseudonyms) -> String {
    // No member of an event has a type that JSON lacks.
    if names.keeps_all() {
        return serde_json::to_string(event).unwrap_or_else(|_| "{}".to_owned());
    }
    let Ok(Value::Object(mut members)) = serde_json::to_value(event) else {
        return "{}".to_owned();
    };
    names.replace(&mut members);
    Value::Object(members).to_string()
}

pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
