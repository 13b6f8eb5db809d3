//! What is only in memory: pulls, and pushes of blobs.

use std::time::Duration;

use notifications::{DeliveryState, NotificationAction, NotificationFilter};
use peers::{HttpStub, StubAnswer};

use crate::bench::{
    Bench, endpoint, pull, push_blob, pushed, received, received_events, wait_for_events,
};
use crate::test_database::DatabaseKind;

#[tokio::test]
async fn a_pull_is_told_as_distribution_tells_it() {
    let stub = HttpStub::start(|_| StubAnswer::Status(200, String::new()));
    let mut bench = Bench::new(
        DatabaseKind::Sqlite,
        vec![endpoint("one", &stub.url("/e?x=y"))],
    );
    bench.settings.include_references = true;
    let running = bench.start();
    pull(&running.notifier, "library/app", "latest");
    push_blob(&running.notifier, "library/app");
    wait_for_events(&stub, 2).await;
    let requests = stub.requests();
    assert_eq!(requests[0].path, "/e?x=y");
    assert_eq!(
        requests[0].header("content-type"),
        Some("application/vnd.docker.distribution.events.v2+json")
    );
    assert_eq!(requests[0].header("x-hub-signature-256"), None);
    let events = received_events(&stub);
    let mut event = events[0].clone();
    let id = event["id"].take();
    assert_eq!(id.as_str().unwrap().len(), 36);
    let instance = event["source"]["instanceID"].take();
    assert_eq!(instance.as_str().unwrap().len(), 36);
    let digest = format!("sha256:{}", "0".repeat(64));
    assert_eq!(
        event,
        serde_json::json!({
            "id": null,
            "timestamp": "2027-01-15T08:00:00.25Z",
            "action": "pull",
            "target": {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest,
                "size": 7,
                "length": 7,
                "repository": "library/app",
                "url": format!("https://hub.example/v2/library/app/manifests/{digest}"),
                "tag": "latest",
                "references": [{"mediaType": "c", "digest": "sha256:1", "size": 1}],
            },
            "request": {
                "id": "r1", "addr": "192.0.2.7", "host": "hub.example", "method": "GET",
                "useragent": "docker/27",
            },
            "actor": {"name": "ann"},
            "source": {"addr": "machine:5000", "instanceID": null},
        })
    );
    let blob = &events[1];
    assert_eq!(blob["target"]["mediaType"], "application/octet-stream");
    assert_eq!(
        blob["target"]["url"],
        format!("https://hub.example/v2/library/app/blobs/{digest}")
    );
}

#[tokio::test]
async fn what_does_not_fit_is_dropped_and_counted() {
    let stub = HttpStub::start(|_| StubAnswer::Silence);
    let mut bench = Bench::new(DatabaseKind::Sqlite, vec![endpoint("one", &stub.url("/"))]);
    bench.settings.memory_queue = 10;
    let running = bench.start();
    for number in 0..20 {
        pull(&running.notifier, "a", &number.to_string());
    }
    for _ in 0..20 {
        push_blob(&running.notifier, "a");
    }
    let statistics = running.notifier.statistics().endpoints.remove(0);
    assert_eq!(
        (statistics.events, statistics.dropped, statistics.pending),
        (10, 30, 10)
    );
}

#[tokio::test]
async fn an_ignored_event_is_not_queued() {
    let stub = HttpStub::start(|_| StubAnswer::Status(200, String::new()));
    let mut ignoring = endpoint("one", &stub.url("/"));
    ignoring.filter = NotificationFilter {
        ignored_media_types: vec!["application/octet-stream".to_owned()],
        ignored_actions: vec![NotificationAction::Pull],
    };
    let bench = Bench::new(DatabaseKind::Sqlite, vec![ignoring]);
    let notifier = bench.notifier();
    pull(&notifier, "a", "1");
    push_blob(&notifier, "a");
    assert_eq!(notifier.statistics().endpoints[0].events, 0);
    assert_eq!(pushed(&notifier, "a", "1").len(), 1);
}

#[tokio::test]
async fn what_waits_at_an_orderly_end_is_sent_by_the_next_server() {
    let stub = HttpStub::start(|_| StubAnswer::Status(200, String::new()));
    let bench = Bench::new(DatabaseKind::Sqlite, vec![endpoint("one", &stub.url("/"))]);
    let ending = bench.notifier();
    pull(&ending, "a", "1");
    pull(&ending, "a", "2");
    ending.finish().await;
    assert_eq!(bench.tags(DeliveryState::Pending).await, ["1", "2"]);
    let _running = bench.start();
    wait_for_events(&stub, 2).await;
    assert_eq!(received(&stub), ["1", "2"]);
}

#[tokio::test]
async fn a_push_with_several_tags_is_one_notification_for_each() {
    let bench = Bench::new(
        DatabaseKind::Sqlite,
        vec![endpoint("one", "http://127.0.0.1:1/")],
    );
    let notifier = bench.notifier();
    let by_tag = pushed(&notifier, "a", "1");
    assert_eq!(by_tag.len(), 1);
    let (repository, digest) = ("a".parse().unwrap(), crate::bench::digest());
    let (reference, origin) = (digest.to_string(), crate::bench::origin());
    let manifest = crate::bench::manifest(&repository, &digest, &reference);
    let tags: [oci::Tag; 2] = ["x", "y"].map(|tag| tag.parse().unwrap());
    let moved = tags.iter().map(|tag| event::EventKind::TagMoved {
        repository: &repository,
        tag,
        from: None,
        to: &digest,
    });
    let kinds = std::iter::once(event::EventKind::ManifestPushed(manifest)).chain(moved);
    let events: Vec<_> = kinds
        .map(|kind| crate::bench::event("PUT", &origin, kind))
        .collect();
    let notifications = notifier.stored_with(&events).unwrap();
    let tags: Vec<&str> = notifications
        .iter()
        .map(|it| it.target.tag.as_ref())
        .collect();
    assert_eq!(tags, ["", "x", "y"]);
    assert_ne!(notifications[0].id, notifications[1].id);
    tokio::time::sleep(Duration::ZERO).await;
}
