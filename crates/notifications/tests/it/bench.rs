//! A notifier with its endpoints, and events for it.

use std::sync::Arc;
use std::time::Duration;

use client_tls::ClientTls;
use common::{Origin, SystemClock, SystemEntropy};
use event::{Actor, BlobEvent, Event, EventKind, EventRequest, ManifestEvent, Observer};
use notifications::{
    DeliveryEntry, DeliveryFilter, DeliveryList, DeliveryState, DeliveryStore, EndpointNames,
    EndpointSettings, EventBatching, Notification, NotificationFilter, NotificationSettings,
    Notifier,
};
use oci::{Digest, RepositoryName, Tag};
use peers::{HttpStub, StubRequest};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::test_database::{DatabaseKind, TestDatabase};

pub(crate) const MANIFEST: &[u8] =
    br#"{"config":{"mediaType":"c","digest":"sha256:1","size":1},"layers":[]}"#;
pub(crate) const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A database, and the notifiers of one server after another.
pub(crate) struct Bench {
    place: TestDatabase,
    pub(crate) settings: NotificationSettings,
    numbers: i64,
}

/// A notifier that delivers until this is dropped.
pub(crate) struct RunningNotifier {
    pub(crate) notifier: Arc<Notifier>,
    tasks: [JoinHandle<()>; 2],
}

/// An endpoint at `url`, which is tried again at once.
pub(crate) fn endpoint(name: &str, url: &str) -> EndpointSettings {
    EndpointSettings {
        name: name.to_owned(),
        url: url.parse().unwrap(),
        headers: http::HeaderMap::new(),
        timeout: Duration::from_secs(5),
        threshold: 3,
        backoff: Duration::from_millis(20),
        filter: NotificationFilter::default(),
    }
}

pub(crate) fn settings(endpoints: Vec<EndpointSettings>) -> NotificationSettings {
    NotificationSettings {
        endpoints,
        include_references: false,
        batching: EventBatching::default(),
        secret: None,
        tls: ClientTls::default(),
        queue: 100,
        memory_queue: 100,
        give_up: Duration::from_secs(3600),
        keep: Duration::from_secs(3600),
    }
}

impl Bench {
    pub(crate) fn new(kind: DatabaseKind, endpoints: Vec<EndpointSettings>) -> Self {
        Self {
            place: TestDatabase::new(kind),
            settings: settings(endpoints),
            numbers: 0,
        }
    }

    pub(crate) fn store(&self) -> DeliveryStore {
        DeliveryStore::new(self.place.database.clone())
    }

    /// The list that an operator has.
    pub(crate) fn deliveries(&self) -> DeliveryList {
        DeliveryList::new(self.store(), EndpointNames::of(&self.settings))
    }

    /// A notifier that only queues.
    pub(crate) fn notifier(&self) -> Arc<Notifier> {
        let notifier = Notifier::new(
            self.settings.clone(),
            "machine:5000".to_owned(),
            self.store(),
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
        );
        Arc::new(notifier.unwrap())
    }

    /// A notifier that delivers.
    pub(crate) fn start(&self) -> RunningNotifier {
        let notifier = self.notifier();
        let (queued, stored) = (Arc::clone(&notifier), Arc::clone(&notifier));
        RunningNotifier {
            notifier,
            tasks: [
                tokio::spawn(async move { queued.deliver_queued().await }),
                tokio::spawn(async move { stored.deliver_stored().await }),
            ],
        }
    }

    /// Queues the notification of a push, as it comes from the outbox. Returns its number there.
    pub(crate) async fn push(&mut self, notifier: &Notifier, repository: &str, tag: &str) -> i64 {
        self.push_all(notifier, repository, &[tag]).await;
        self.numbers
    }

    /// Queues the notifications of several pushes at once.
    pub(crate) async fn push_all(&mut self, notifier: &Notifier, repository: &str, tags: &[&str]) {
        let mut numbered = Vec::new();
        for tag in tags {
            self.numbers += 1;
            let notifications = pushed(notifier, repository, tag);
            numbered.extend(notifications.into_iter().map(|it| (self.numbers, it)));
        }
        notifier.take_over(numbered).await.unwrap();
    }

    pub(crate) async fn list(&self, filter: DeliveryFilter) -> Vec<DeliveryEntry> {
        let mut entries = self.store().list(filter, None, 1000).await.unwrap();
        entries.reverse();
        entries
    }

    /// The tags of the notifications in a state.
    pub(crate) async fn tags(&self, state: DeliveryState) -> Vec<String> {
        let filter = DeliveryFilter {
            state: Some(state),
            ..DeliveryFilter::default()
        };
        let entries = self.list(filter).await;
        entries.iter().map(|entry| tag_of(&entry.event)).collect()
    }

    /// Returns when so many notifications are in a state.
    pub(crate) async fn wait_for(&self, state: DeliveryState, count: usize) {
        while self.tags(state).await.len() != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for RunningNotifier {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The notifications that are stored with a push, as they come back from there.
pub(crate) fn pushed(
    notifier: &Notifier,
    repository: &str,
    tag: &str,
) -> Vec<Notification<'static>> {
    let (repository, digest): (RepositoryName, Digest) = (repository.parse().unwrap(), digest());
    let pushed = EventKind::ManifestPushed(manifest(&repository, &digest, tag));
    let moved: Tag = tag.parse().unwrap();
    let moved = EventKind::TagMoved {
        repository: &repository,
        tag: &moved,
        from: None,
        to: &digest,
    };
    let origin = origin();
    let events = [pushed, moved].map(|kind| event("PUT", &origin, kind));
    let stored = serde_json::to_string(&notifier.stored_with(&events).unwrap()).unwrap();
    serde_json::from_str(&stored).unwrap()
}

/// Tells the notifier of a pull by tag, and of one of a blob.
pub(crate) fn pull(notifier: &Notifier, repository: &str, tag: &str) {
    let (repository, digest): (RepositoryName, Digest) = (repository.parse().unwrap(), digest());
    let origin = origin();
    let pulled = EventKind::ManifestPulled(manifest(&repository, &digest, tag));
    notifier.observe(&event("GET", &origin, pulled));
}

pub(crate) fn push_blob(notifier: &Notifier, repository: &str) {
    let (repository, digest): (RepositoryName, Digest) = (repository.parse().unwrap(), digest());
    let blob = BlobEvent {
        repository: &repository,
        digest: &digest,
        size: 5,
    };
    let origin = origin();
    notifier.observe(&event("PUT", &origin, EventKind::BlobPushed(blob)));
}

pub(crate) fn event<'a>(method: &'a str, origin: &'a Origin, kind: EventKind<'a>) -> Event<'a> {
    Event {
        time: std::time::UNIX_EPOCH + Duration::from_millis(1_800_000_000_250),
        actor: Actor {
            account: "ann",
            address: Some([192, 0, 2, 7].into()),
            user_agent: "docker/27",
            request_id: "r1",
            request: EventRequest {
                method,
                origin: Some(origin),
            },
            ..Actor::default()
        },
        kind,
    }
}

pub(crate) fn manifest<'a>(
    repository: &'a RepositoryName,
    digest: &'a Digest,
    reference: &'a str,
) -> ManifestEvent<'a> {
    ManifestEvent {
        repository,
        digest,
        reference,
        media_type: MEDIA_TYPE,
        size: 7,
        content: MANIFEST,
    }
}

pub(crate) fn digest() -> Digest {
    format!("sha256:{}", "0".repeat(64)).parse().unwrap()
}

pub(crate) fn origin() -> Origin {
    Origin {
        scheme: "https",
        host: Some("hub.example".to_owned()),
        prefix: String::new(),
        certain: true,
    }
}

/// The events of a request that an endpoint got.
pub(crate) fn events_of(request: &StubRequest) -> Vec<Value> {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    body["events"].as_array().unwrap().clone()
}

/// The events that an endpoint got, in its order.
pub(crate) fn received_events(stub: &HttpStub) -> Vec<Value> {
    stub.requests().iter().flat_map(events_of).collect()
}

pub(crate) fn tag_of(event: &Value) -> String {
    event["target"]["tag"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// The tags of what an endpoint got, in its order.
pub(crate) fn received(stub: &HttpStub) -> Vec<String> {
    received_events(stub).iter().map(tag_of).collect()
}

/// Returns when an endpoint has got so many events.
pub(crate) async fn wait_for_events(stub: &HttpStub, count: usize) {
    while received_events(stub).len() < count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
