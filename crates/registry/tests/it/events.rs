//! The events that observers get.

use std::sync::Arc;

use event::{Event, MemoryObserver, Observer, Observers};
use registry::{Authentication, OutboxWriter, RegistrySettings};
use serde_json::{Value, json};
use storage::NewOutboxRecord;

use super::script::fill;
use super::tokens::Issuer;
use super::world::{World, settings};

async fn world(auth: Authentication) -> (World, Arc<MemoryObserver>) {
    let memory = Arc::new(MemoryObserver::new(100));
    let observers = Observers::new([Arc::clone(&memory) as Arc<dyn Observer>]);
    let settings = RegistrySettings {
        observers,
        ..settings(auth)
    };
    (World::with(settings).await, memory)
}

/// The events so far, without the members that every event has.
fn taken(memory: &MemoryObserver) -> Vec<Value> {
    let mut events = memory.take();
    for event in &mut events {
        let event = event.as_object_mut().unwrap();
        for name in ["time", "address", "request_id", "user_agent"] {
            event.remove(name);
        }
    }
    events
}

#[tokio::test]
async fn every_change_and_every_read_is_an_event() {
    let (world, memory) = world(Authentication::Open).await;
    let path = |text: &str| fill(text, &world.names, "");
    let name = |name: &str| &world.names[name];
    let hello = || json!({"repository": "a", "digest": name("hello"), "size": 5});
    let with = |mut event: Value, more: Value| {
        let more = more.as_object().unwrap().clone();
        event.as_object_mut().unwrap().extend(more);
        event
    };
    let manifest_type = [("content-type", oci::media_type::OCI_MANIFEST)];
    world
        .send(
            "POST",
            &path("/v2/a/blobs/uploads/?digest={hello}"),
            &[],
            b"hello",
        )
        .await;
    assert_eq!(
        taken(&memory),
        [with(hello(), json!({"event": "blob_pushed"}))]
    );
    world
        .send(
            "POST",
            &path("/v2/b/blobs/uploads/?mount={hello}&from=a"),
            &[],
            b"",
        )
        .await;
    let mounted = json!({"event": "blob_mounted", "repository": "b", "from": "a"});
    assert_eq!(taken(&memory), [with(hello(), mounted)]);
    let blob = path("/v2/a/blobs/{hello}");
    world.get(&blob, &[("range", "bytes=1-2")]).await;
    world.send("HEAD", &blob, &[], b"").await;
    let pulled = json!({"event": "blob_pulled", "length": 2});
    let checked = json!({"event": "blob_checked"});
    assert_eq!(
        taken(&memory),
        [with(hello(), pulled), with(hello(), checked)]
    );
    world.send("DELETE", &blob, &[], b"").await;
    assert_eq!(
        taken(&memory),
        [json!({"event": "blob_deleted", "repository": "a", "digest": name("hello")})]
    );
    let bytes = name("image.bytes").clone();
    let put = path("/v2/a/manifests/new?tag=more");
    world
        .send("PUT", &put, &manifest_type, bytes.as_bytes())
        .await;
    let image = |event: &str| {
        json!({
            "event": event,
            "repository": "a",
            "digest": name("image"),
            "reference": "new",
            "media_type": oci::media_type::OCI_MANIFEST,
            "size": bytes.len(),
        })
    };
    let moved =
        |tag| json!({"event": "tag_moved", "repository": "a", "tag": tag, "to": name("image")});
    assert_eq!(
        taken(&memory),
        [image("manifest_pushed"), moved("new"), moved("more")]
    );
    world.get("/v2/a/manifests/new", &[]).await;
    world.get("/v2/a/manifests/never", &[]).await;
    assert_eq!(taken(&memory), [image("manifest_pulled")]);
    world.send("DELETE", "/v2/a/manifests/new", &[], b"").await;
    world
        .send("DELETE", &path("/v2/a/manifests/{image}"), &[], b"")
        .await;
    world.get("/v2/_catalog", &[]).await;
    assert_eq!(
        taken(&memory),
        [
            json!({"event": "tag_deleted", "repository": "a", "tag": "new"}),
            json!({"event": "manifest_deleted", "repository": "a", "digest": name("image")}),
            json!({"event": "catalog_read", "repositories": 2}),
        ]
    );
}

#[tokio::test]
async fn a_tag_that_moves_says_where_it_pointed() {
    let (world, memory) = world(Authentication::Open).await;
    let name = |name: &str| &world.names[name];
    let push = async |names: &str, tags: &str| {
        let index = [("content-type", oci::media_type::OCI_INDEX)];
        let image = [("content-type", oci::media_type::OCI_MANIFEST)];
        let headers = if names == "index" { index } else { image };
        let bytes = name(&format!("{names}.bytes")).clone();
        let put = format!("/v2/a/manifests/{tags}");
        world.send("PUT", &put, &headers, bytes.as_bytes()).await;
        let mut events = taken(&memory);
        events.retain(|event| event["event"] == "tag_moved");
        events
    };
    let moved = |tag: &str, from: &str, to: &str| {
        json!({
            "event": "tag_moved",
            "repository": "a",
            "tag": tag,
            "from": name(from),
            "to": name(to),
        })
    };
    assert_eq!(
        push("index", "one?tag=all&tag=new").await,
        [
            moved("one", "image", "index"),
            // `all` pointed there already.
            json!({"event": "tag_moved", "repository": "a", "tag": "new", "to": name("index")}),
        ]
    );
    assert_eq!(push("index", "one").await, Vec::<Value>::new());
    assert_eq!(push("image", "one").await, [moved("one", "index", "image")]);
}

/// What [`Recorder`] calls its records.
const KIND: &str = "test";

/// Records each event as it is.
struct Recorder;

impl OutboxWriter for Recorder {
    fn records(&self, events: &[Event<'_>]) -> Vec<NewOutboxRecord> {
        let record = |event| NewOutboxRecord {
            kind: KIND.to_owned(),
            payload: serde_json::to_vec(event).unwrap(),
        };
        events.iter().map(record).collect()
    }
}

#[tokio::test]
async fn a_record_is_stored_with_its_change_or_not_at_all() {
    let settings = RegistrySettings {
        outbox: Some(Arc::new(Recorder)),
        pulls: None,
        ..settings(Authentication::Open)
    };
    let world = World::with(settings).await;
    let headers = [("content-type", oci::media_type::OCI_MANIFEST)];
    let bytes = world.names["image.bytes"].clone();
    let push = async |path: &str| {
        world
            .send("PUT", path, &headers, bytes.as_bytes())
            .await
            .status
    };
    assert_eq!(push("/v2/a/manifests/new").await, 201);
    assert_eq!(push("/v2/lacks-blobs/manifests/new").await, 400);
    let delete = async |path: &str| world.send("DELETE", path, &[], b"").await.status;
    assert_eq!(delete("/v2/a/manifests/new").await, 202);
    assert_eq!(delete("/v2/a/manifests/new").await, 404);
    let digest = &world.names["image"];
    assert_eq!(delete(&format!("/v2/a/manifests/{digest}")).await, 202);
    let outbox = world.storage.outbox();
    let records = outbox.records(KIND, None, 100).await.unwrap();
    let events: Vec<Value> = records
        .iter()
        .map(|record| serde_json::from_slice(&record.record.payload).unwrap())
        .collect();
    let kinds: Vec<&Value> = events.iter().map(|event| &event["event"]).collect();
    assert_eq!(
        kinds,
        [
            "manifest_pushed",
            "tag_moved",
            "tag_deleted",
            "manifest_deleted"
        ]
    );
    let moved = &events[1];
    assert_eq!(
        (&moved["tag"], &moved["to"]),
        (&json!("new"), &json!(digest))
    );
    assert_eq!(records[0].repository.as_str(), "a");
}

#[tokio::test]
async fn an_event_says_who_caused_it() {
    let issuer = Issuer::new();
    let (world, memory) = world(issuer.auth()).await;
    let bearer = issuer.bearer(&["repository:a:pull"]);
    let headers = [
        ("authorization", bearer.as_str()),
        ("user-agent", "docker/27"),
    ];
    world.get("/v2/a/manifests/one", &headers).await;
    let event = memory.take().remove(0);
    for (name, value) in [
        ("event", "manifest_pulled"),
        ("account", "alice"),
        ("address", "127.0.0.1"),
        ("user_agent", "docker/27"),
        ("request_id", "request-1"),
        ("time", "2027-01-15T08:00:00Z"),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_refusal_is_an_event_and_a_question_for_credentials_is_none() {
    let issuer = Issuer::new();
    let (world, memory) = world(issuer.auth()).await;
    world.get("/v2/a/manifests/one", &[]).await;
    assert!(memory.take().is_empty());
    let bearer = issuer.bearer(&["repository:b:pull"]);
    world
        .get("/v2/a/manifests/one", &[("authorization", &bearer)])
        .await;
    let other = Issuer::new().bearer(&["repository:a:pull"]);
    world
        .get("/v2/a/manifests/one", &[("authorization", &other)])
        .await;
    let refused = |account: Option<&str>| {
        let mut event = json!({
            "event": "access_refused",
            "status": 401,
            "requested": "repository:a:pull",
        });
        if let Some(account) = account {
            event["account"] = account.into();
        }
        event
    };
    let mut events = taken(&memory);
    let reasons: Vec<Value> = events
        .iter_mut()
        .map(|event| event.as_object_mut().unwrap().remove("reason").unwrap())
        .collect();
    assert_eq!(events, [refused(Some("alice")), refused(None)]);
    assert_eq!(reasons[0], "the token does not grant enough");
    assert!(
        reasons[1].as_str().unwrap().contains("key"),
        "{}",
        reasons[1]
    );
}
