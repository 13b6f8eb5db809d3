//! From an event of this registry to the event of an envelope.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use common::{Origin, rfc3339, unix_seconds};
use event::{BlobEvent, Event, EventKind, ManifestEvent};
use oci::RepositoryName;

use crate::references::references;
use crate::{
    ActorRecord, Notification, NotificationAction, NotificationTarget, RequestRecord, SourceRecord,
};

/// The media type that Distribution gives to every blob.
const BLOB_MEDIA_TYPE: &str = "application/octet-stream";

/// Makes notifications of events.
#[derive(Clone, Debug)]
pub(crate) struct Conversion {
    pub(crate) source: SourceRecord<'static>,
    /// Whether a manifest's notification lists what the manifest refers to.
    pub(crate) include_references: bool,
}

/// What an event tells of, and where the content is.
struct DescribedTarget<'a> {
    action: NotificationAction,
    target: NotificationTarget<'a>,
    /// The directory of the content below its repository.
    content: Option<&'static str>,
}

impl Conversion {
    /// The action and the media type of the notification that an event would become; `None` if it
    /// becomes none.
    pub(crate) fn outline<'e>(kind: &EventKind<'e>) -> Option<(NotificationAction, &'e str)> {
        use NotificationAction::{Delete, Mount, Pull, Push};
        Some(match kind {
            EventKind::ManifestPulled(manifest) | EventKind::ManifestChecked(manifest) => {
                (Pull, manifest.media_type)
            }
            EventKind::ManifestPushed(manifest) => (Push, manifest.media_type),
            EventKind::BlobPulled { .. } | EventKind::BlobChecked(_) => (Pull, BLOB_MEDIA_TYPE),
            EventKind::BlobPushed(_) => (Push, BLOB_MEDIA_TYPE),
            EventKind::BlobMounted { .. } => (Mount, BLOB_MEDIA_TYPE),
            EventKind::ManifestDeleted { .. }
            | EventKind::TagDeleted { .. }
            | EventKind::TagRemovedByRetention { .. }
            | EventKind::BlobDeleted { .. } => (Delete, ""),
            _ => return None,
        })
    }

    /// The notification of an event, without an id; `None` for events of which no endpoint is told.
    pub(crate) fn notification<'e>(&'e self, event: &'e Event<'e>) -> Option<Notification<'e>> {
        let (action, media_type) = Self::outline(&event.kind)?;
        let described = match &event.kind {
            EventKind::ManifestPulled(manifest)
            | EventKind::ManifestChecked(manifest)
            | EventKind::ManifestPushed(manifest) => self.manifest(action, manifest),
            EventKind::BlobPulled { blob, .. }
            | EventKind::BlobChecked(blob)
            | EventKind::BlobPushed(blob) => described_blob(action, blob, None),
            EventKind::BlobMounted { blob, from } => described_blob(action, blob, Some(from)),
            EventKind::ManifestDeleted { repository, digest }
            | EventKind::BlobDeleted { repository, digest } => DescribedTarget {
                action,
                target: NotificationTarget {
                    digest: digest.to_string().into(),
                    repository: repository.as_str().into(),
                    ..NotificationTarget::default()
                },
                content: None,
            },
            EventKind::TagDeleted { repository, tag }
            | EventKind::TagRemovedByRetention {
                repository, tag, ..
            } => DescribedTarget {
                action,
                target: NotificationTarget {
                    repository: repository.as_str().into(),
                    tag: tag.as_str().into(),
                    ..NotificationTarget::default()
                },
                content: None,
            },
            _ => return None,
        };
        debug_assert_eq!(described.target.media_type, media_type);
        Some(self.finished(event, described))
    }

    fn manifest<'a>(
        &self,
        action: NotificationAction,
        manifest: &ManifestEvent<'a>,
    ) -> DescribedTarget<'a> {
        let references = match self.include_references {
            true => references(manifest.content),
            false => Vec::new(),
        };
        DescribedTarget {
            action,
            target: NotificationTarget {
                media_type: manifest.media_type.into(),
                digest: manifest.digest.to_string().into(),
                size: manifest.size,
                length: manifest.size,
                repository: manifest.repository.as_str().into(),
                tag: tag_of(manifest.reference).into(),
                references,
                ..NotificationTarget::default()
            },
            content: Some("manifests"),
        }
    }

    fn finished<'a>(
        &'a self,
        event: &'a Event<'a>,
        described: DescribedTarget<'a>,
    ) -> Notification<'a> {
        let DescribedTarget {
            action,
            mut target,
            content,
        } = described;
        let actor = &event.actor;
        let origin = actor.request.origin;
        if let (Some(origin), Some(kind)) = (origin, content) {
            target.url = url(origin, kind, &target).into();
        }
        let address = actor.address.map(|address| address.to_string());
        let host = origin.and_then(|origin| origin.host.as_deref());
        Notification {
            id: Cow::Borrowed(""),
            timestamp: timestamp(event.time).into(),
            action,
            target,
            request: RequestRecord {
                id: actor.request_id.into(),
                addr: address.unwrap_or_default().into(),
                host: host.unwrap_or_default().into(),
                method: actor.request.method.into(),
                useragent: actor.user_agent.into(),
            },
            actor: ActorRecord {
                name: actor.account.into(),
            },
            source: SourceRecord {
                addr: self.source.addr.as_ref().into(),
                instance_id: self.source.instance_id.as_ref().into(),
            },
        }
    }
}

/// Where a target of this kind is. Each pull has one, and the machinery of `format!` takes several times
/// as long.
fn url(origin: &Origin, kind: &str, target: &NotificationTarget<'_>) -> String {
    let path = ["/v2/", &target.repository, "/", kind, "/", &target.digest];
    let base = match &origin.host {
        Some(host) => [origin.scheme, "://", host.as_str(), origin.prefix.as_str()],
        None => ["", "", "", origin.prefix.as_str()],
    };
    let mut url = String::with_capacity(256);
    for part in base.iter().chain(&path) {
        url.push_str(part);
    }
    url
}

fn described_blob<'a>(
    action: NotificationAction,
    blob: &BlobEvent<'a>,
    from: Option<&'a RepositoryName>,
) -> DescribedTarget<'a> {
    DescribedTarget {
        action,
        target: NotificationTarget {
            media_type: BLOB_MEDIA_TYPE.into(),
            digest: blob.digest.to_string().into(),
            size: blob.size,
            length: blob.size,
            repository: blob.repository.as_str().into(),
            from_repository: from.map(RepositoryName::as_str).unwrap_or_default().into(),
            ..NotificationTarget::default()
        },
        content: Some("blobs"),
    }
}

/// The tag in a reference; empty for a digest, the only one with a colon.
pub(crate) fn tag_of(reference: &str) -> &str {
    match reference.contains(':') {
        true => "",
        false => reference,
    }
}

/// A time as Go prints it in JSON: RFC 3339 with as many digits as it needs, up to nanoseconds.
fn timestamp(time: SystemTime) -> String {
    let mut text = rfc3339(unix_seconds(time));
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut rest = since.subsec_nanos();
    if rest > 0 && text.pop() == Some('Z') {
        text.push('.');
        let mut place = 100_000_000;
        while rest > 0 {
            let digit = char::from_digit(rest / place, 10);
            text.push(digit.unwrap_or('0'));
            rest %= place;
            place /= 10;
        }
        text.push('Z');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_have_the_digits_that_they_need() {
        for (nanoseconds, expected) in [
            (0, "2027-01-15T08:00:00Z"),
            (500_000_000, "2027-01-15T08:00:00.5Z"),
            (1, "2027-01-15T08:00:00.000000001Z"),
            (120_034_000, "2027-01-15T08:00:00.120034Z"),
        ] {
            let time = UNIX_EPOCH + Duration::new(1_800_000_000, nanoseconds);
            assert_eq!(timestamp(time), expected);
        }
    }

    #[test]
    fn a_digest_is_no_tag() {
        assert_eq!(tag_of("latest"), "latest");
        assert_eq!(tag_of("sha256:abc"), "");
    }
}
