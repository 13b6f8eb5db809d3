//! What is recorded of each kind of event.

use std::time::{Duration, UNIX_EPOCH};

use audit::{AuditRecord, PersonalData, Pseudonyms, Recording, is_written_with_its_change};
use event::{Actor, BlobEvent, Event, EventKind, ManifestEvent, QuotaEvent};
use oci::{Digest, RepositoryName, Tag};
use serde_json::Value;

fn actor() -> Actor<'static> {
    Actor {
        account: "ann",
        personal_token: "t1",
        address: Some([192, 0, 2, 7].into()),
        user_agent: "docker/27",
        request_id: "r1",
        ..Actor::default()
    }
}

fn recorded(kind: EventKind<'_>, data: PersonalData) -> AuditRecord {
    let time = UNIX_EPOCH + Duration::from_millis(1_234_567);
    AuditRecord::of(
        &Event {
            time,
            actor: actor(),
            kind,
        },
        &Pseudonyms::new(data, &[3; 32]),
    )
}

#[test]
fn what_is_searched_for_is_in_columns() {
    let (repository, tag): (RepositoryName, Tag) = ("a/b".parse().unwrap(), "1.0".parse().unwrap());
    let digest: Digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    let (repository, tag, digest) = (&repository, &tag, &digest);
    let manifest = ManifestEvent {
        repository,
        digest,
        reference: "1.0",
        media_type: "m",
        size: 5,
        content: b"{}",
    };
    let blob = BlobEvent {
        repository,
        digest,
        size: 5,
    };
    let quota = QuotaEvent {
        repository,
        prefix: "a",
        resource: "bytes",
        used: 9,
        limit: 10,
    };
    let cases = [
        (
            EventKind::ManifestPulled(manifest),
            Some("1.0"),
            true,
            false,
        ),
        (EventKind::ManifestPushed(manifest), Some("1.0"), true, true),
        (
            EventKind::TagMoved {
                repository,
                tag,
                from: None,
                to: digest,
            },
            Some("1.0"),
            true,
            true,
        ),
        (
            EventKind::TagDeleted { repository, tag },
            Some("1.0"),
            false,
            true,
        ),
        (
            EventKind::ManifestDeleted { repository, digest },
            None,
            true,
            true,
        ),
        (
            EventKind::TagRemovedByRetention {
                repository,
                tag,
                digest,
                reason: "rule 1 does not keep it",
            },
            Some("1.0"),
            true,
            true,
        ),
        (
            EventKind::TagRestored {
                repository,
                tag,
                digest,
            },
            Some("1.0"),
            true,
            true,
        ),
        (
            EventKind::QuotaExceeded {
                quota,
                requested: 7,
            },
            None,
            false,
            false,
        ),
        (EventKind::QuotaWarning(quota), None, false, false),
        (EventKind::BlobPulled { blob, length: 5 }, None, true, false),
        (EventKind::BlobPushed(blob), None, true, false),
        (
            EventKind::BlobMounted {
                blob,
                from: repository,
            },
            None,
            true,
            false,
        ),
        (
            EventKind::BlobDeleted { repository, digest },
            None,
            true,
            false,
        ),
    ];
    for (kind, reference, has_digest, is_with_change) in cases {
        assert_eq!(
            is_written_with_its_change(&kind),
            is_with_change,
            "{kind:?}"
        );
        let record = recorded(kind, PersonalData::default());
        assert_eq!((record.at, record.account.as_str()), (1_234_567, "ann"));
        assert_eq!(record.repository.as_deref(), Some("a/b"));
        assert_eq!(record.reference.as_deref(), reference, "{}", record.kind);
        assert_eq!(record.digest.is_some(), has_digest, "{}", record.kind);
        let document: Value = serde_json::from_str(&record.document).unwrap();
        let members = [
            "account",
            "personal_token",
            "address",
            "user_agent",
            "request_id",
            "time",
            "event",
        ];
        for member in members {
            assert!(document[member].is_string(), "{member}: {document}");
        }
    }
    let read = recorded(
        EventKind::CatalogRead { repositories: 3 },
        PersonalData::default(),
    );
    assert_eq!(
        (read.repository, read.reference, read.digest),
        (None, None, None)
    );
}

#[test]
fn a_name_that_is_not_recorded_is_nowhere_in_the_record() {
    for accounts in [Recording::Hash, Recording::Omit] {
        let data = PersonalData {
            accounts,
            addresses: accounts,
        };
        let reason = "incorrect password of \"ann\"";
        let record = recorded(EventKind::LoginRefused { reason }, data);
        let all = serde_json::to_string(&record).unwrap();
        for personal in ["\"ann\"", "192.0.2.7", "docker/27"] {
            assert!(!all.contains(personal), "{all}");
        }
        assert!(all.contains("login_refused") && all.contains("r1"), "{all}");
        assert_eq!(record.account.is_empty(), accounts == Recording::Omit);
    }
}
