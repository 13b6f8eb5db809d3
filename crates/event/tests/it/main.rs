//! Events as their observers see them.
#![expect(clippy::unwrap_used, reason = "a test fails on the spot")]

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use event::{
    AccessRefusal, Actor, BlobEvent, Event, EventKind, ManifestEvent, MemoryObserver, Observer,
    Observers, TokenDecision,
};
use oci::{Digest, RepositoryName, Tag};
use serde_json::json;

fn event(kind: EventKind<'_>) -> Event<'_> {
    Event {
        time: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        actor: Actor {
            account: "ann",
            personal_token: "",
            address: Some([10, 0, 0, 1].into()),
            user_agent: "docker/27",
            request_id: "abc",
            ..Actor::default()
        },
        kind,
    }
}

fn digest(last: char) -> Digest {
    format!("sha256:{}{last}", "0".repeat(63)).parse().unwrap()
}

#[test]
fn an_event_is_one_flat_object() {
    let (repository, tag): (RepositoryName, Tag) = ("a/b".parse().unwrap(), "1.0".parse().unwrap());
    let (from, to) = (digest('1'), digest('2'));
    let event = event(EventKind::TagMoved {
        repository: &repository,
        tag: &tag,
        from: Some(&from),
        to: &to,
    });
    assert_eq!(
        serde_json::to_value(&event).unwrap(),
        json!({
            "time": "2027-01-15T08:00:00Z",
            "account": "ann",
            "address": "10.0.0.1",
            "user_agent": "docker/27",
            "request_id": "abc",
            "event": "tag_moved",
            "repository": "a/b",
            "tag": "1.0",
            "from": from.to_string(),
            "to": to.to_string(),
        })
    );
}

#[test]
fn every_kind_has_its_name_in_json() {
    let (repository, tag, digest) = (
        "a".parse::<RepositoryName>().unwrap(),
        "t".parse::<Tag>().unwrap(),
        digest('1'),
    );
    let (repository, tag, digest) = (&repository, &tag, &digest);
    let decision = TokenDecision::default();
    let manifest = ManifestEvent {
        repository,
        digest,
        reference: "t",
        media_type: "m",
        size: 1,
        content: b"{}",
    };
    let blob = BlobEvent {
        repository,
        digest,
        size: 1,
    };
    let kinds = [
        EventKind::TokenIssued(decision),
        EventKind::TokenRefused {
            decision,
            status: 401,
            response: "incorrect username or password",
            reason: "r",
        },
        EventKind::LoginAccepted { backend: "users" },
        EventKind::LoginRefused { reason: "r" },
        EventKind::SessionBegun {
            session: "s",
            service: "x",
        },
        EventKind::SessionEnded {
            session: "s",
            reason: "revoked",
        },
        EventKind::AccessRefused(AccessRefusal {
            status: 401,
            requested: "repository:a:pull",
            reason: "r",
        }),
        EventKind::ManifestPulled(manifest),
        EventKind::ManifestChecked(manifest),
        EventKind::ManifestPushed(manifest),
        EventKind::ManifestDeleted { repository, digest },
        EventKind::TagMoved {
            repository,
            tag,
            from: None,
            to: digest,
        },
        EventKind::TagDeleted { repository, tag },
        EventKind::BlobPulled { blob, length: 1 },
        EventKind::BlobChecked(blob),
        EventKind::BlobPushed(blob),
        EventKind::BlobMounted {
            blob,
            from: repository,
        },
        EventKind::BlobDeleted { repository, digest },
        EventKind::CatalogRead { repositories: 1 },
        EventKind::Collection {
            manifests: 0,
            blobs: 0,
            bytes: 0,
            uploads: 0,
        },
    ];
    for kind in kinds {
        let name = kind.name();
        let value = serde_json::to_value(event(kind)).unwrap();
        assert_eq!(value["event"], name);
    }
}

#[test]
fn every_observer_is_told_and_a_full_one_forgets_the_oldest() {
    let (small, large) = (
        Arc::new(MemoryObserver::new(2)),
        Arc::new(MemoryObserver::new(9)),
    );
    let observers = Observers::new([
        Arc::clone(&small) as Arc<dyn Observer>,
        Arc::clone(&large) as _,
    ]);
    assert!(!observers.is_empty() && Observers::default().is_empty());
    for repositories in 0..3 {
        observers.observe(&event(EventKind::CatalogRead { repositories }));
    }
    let counts = |memory: &MemoryObserver| {
        let events = memory.events();
        let counts = events.iter().map(|event| event["repositories"].as_u64());
        counts.map(Option::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(
        (counts(&small), counts(&large)),
        (vec![1, 2], vec![0, 1, 2])
    );
    assert_eq!((large.take().len(), large.take().len()), (3, 0));
}
