//! Immutable tags and the history of tags, as clients see them.

use std::sync::Arc;

use event::{MemoryObserver, Observer, Observers};
use registry::{Authentication, HistoryNames, ImmutableTagSource, RegistrySettings, TagSettings};
use serde_json::{Value, json};
use tag_rules::{ImmutabilityRule, ImmutabilityRules, RuleOrigin};

use super::tokens::{Issuer, claims};
use super::world::{Seen, World, settings};

struct Plain;

impl HistoryNames for Plain {
    fn recorded(&self, account: &str) -> String {
        format!("<{account}>")
    }
}

/// Rules that were never read.
struct Unknown;

impl ImmutableTagSource for Unknown {
    fn current(&self) -> Option<ImmutabilityRules> {
        None
    }
}

fn rules(tag: &str) -> ImmutabilityRules {
    let rule = ImmutabilityRule {
        origin: RuleOrigin::Configuration("registry.yml:31".to_owned()),
        repository: "**".parse().unwrap(),
        tag: tag.parse().unwrap(),
        except: Vec::new(),
    };
    [rule].into_iter().collect()
}

fn with_tags(
    immutable: impl ImmutableTagSource + 'static,
    auth: Authentication,
) -> RegistrySettings {
    RegistrySettings {
        tags: TagSettings {
            immutable: Arc::new(immutable),
            history: Some(Arc::new(Plain)),
        },
        ..settings(auth)
    }
}

async fn push(world: &World, names: &str, to: &str) -> Seen {
    let kind = match names {
        "index" => oci::media_type::OCI_INDEX,
        _ => oci::media_type::OCI_MANIFEST,
    };
    let bytes = world.names[&format!("{names}.bytes")].clone();
    let path = format!("/v2/a/manifests/{to}");
    world
        .send("PUT", &path, &[("content-type", kind)], bytes.as_bytes())
        .await
}

async fn delete(world: &World, what: &str) -> Seen {
    world
        .send("DELETE", &format!("/v2/a/{what}"), &[], b"")
        .await
}

#[tokio::test]
async fn an_immutable_tag_neither_moves_nor_goes() {
    let memory = Arc::new(MemoryObserver::new(100));
    let world = World::with(RegistrySettings {
        observers: Observers::new([Arc::clone(&memory) as Arc<dyn Observer>]),
        ..with_tags(rules("[ao]*"), Authentication::Open)
    })
    .await;
    let (image, index) = (world.names["image"].clone(), world.names["index"].clone());
    drop(memory.take());
    let by_digest = format!("{index}?tag=new&tag=one");
    let attempts = [
        (push(&world, "index", "one").await, "one", &image),
        (push(&world, "index", "free?tag=one").await, "one", &image),
        (push(&world, "index", &by_digest).await, "one", &image),
        (delete(&world, "manifests/one").await, "one", &image),
        (
            delete(&world, &format!("manifests/{index}")).await,
            "all",
            &index,
        ),
        // The index needs it, too. The tag that comes first is named.
        (
            delete(&world, &format!("manifests/{image}")).await,
            "all",
            &index,
        ),
        (
            delete(&world, &format!("blobs/{}", world.names["layer"])).await,
            "all",
            &index,
        ),
    ];
    for (refused, tag, digest) in &attempts {
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "DENIED"),
            "{tag}"
        );
        let error = &refused.json()["errors"][0];
        let detail = json!({
            "repository": "a", "tag": tag, "digest": digest, "rule": "registry.yml:31",
        });
        assert_eq!(error["detail"], detail);
        let message = error["message"].as_str().unwrap();
        for part in [*tag, digest.as_str(), "registry.yml:31", "immutable"] {
            assert!(message.contains(part), "{message}");
        }
    }
    // Each is an event.
    let events = memory.take();
    assert_eq!(events.len(), attempts.len(), "{events:#?}");
    for (event, (_, tag, digest)) in events.iter().zip(&attempts) {
        assert_eq!(event["event"], "tag_refused");
        assert_eq!(
            (&event["tag"], &event["digest"]),
            (&json!(tag), &json!(digest))
        );
        assert_eq!(event["rule"], "registry.yml:31");
    }
    // Nothing has changed: what else the request would have made is not there either.
    assert_eq!(world.get("/v2/a/manifests/free", &[]).await.status, 404);
    assert_eq!(world.get("/v2/a/manifests/new", &[]).await.status, 404);
    let one = world.get("/v2/a/manifests/one", &[]).await;
    assert_eq!(one.headers["docker-content-digest"], image.as_str());
    // The same content again, and new tags.
    assert_eq!(push(&world, "image", "one").await.status, 201);
    assert_eq!(push(&world, "index", "also-new").await.status, 201);
    assert_eq!(push(&world, "image", "latest").await.status, 201);
    assert_eq!(push(&world, "index", "latest").await.status, 201);
    assert_eq!(delete(&world, "manifests/latest").await.status, 202);
}

#[tokio::test]
async fn without_the_rules_nothing_is_changed() {
    let world = World::with(with_tags(Unknown, Authentication::Open)).await;
    for refused in [
        push(&world, "image", "one").await,
        delete(&world, "manifests/one").await,
        delete(&world, &format!("blobs/{}", world.names["layer"])).await,
    ] {
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "UNAVAILABLE")
        );
        assert_eq!(refused.headers["retry-after"], "1");
    }
    assert_eq!(world.get("/v2/a/manifests/one", &[]).await.status, 200);
}

async fn history(world: &World, query: &str) -> Seen {
    world
        .get(&format!("/v2/a/_wharfinger/tags/history?{query}"), &[])
        .await
}

#[tokio::test]
async fn the_history_of_a_tag_is_newest_first() {
    let world = World::with(with_tags(rules("never"), Authentication::Open)).await;
    let (image, index) = (world.names["image"].clone(), world.names["index"].clone());
    assert_eq!(push(&world, "image", "x").await.status, 201);
    assert_eq!(push(&world, "image", "x").await.status, 201);
    assert_eq!(push(&world, "index", "x").await.status, 201);
    assert_eq!(delete(&world, "manifests/x").await.status, 202);
    let seen = history(&world, "tag=x").await;
    assert_eq!(seen.status, 200);
    let entry = |change: Value| {
        let mut entry = json!({
            "time": "2027-01-15T08:00:00Z", "account": "<>", "request_id": "request-1",
        });
        entry
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        entry
    };
    let all = [
        entry(json!({"from": index})),
        entry(json!({"from": image, "to": index})),
        entry(json!({"to": image})),
    ];
    assert_eq!(
        seen.json(),
        json!({"name": "a", "tag": "x", "history": all})
    );
    assert!(!seen.headers.contains_key("link"));
    // In pages.
    let mut path = "/v2/a/_wharfinger/tags/history?tag=x&n=2".to_owned();
    let mut found = Vec::new();
    loop {
        let seen = world.get(&path, &[]).await;
        found.extend(seen.json()["history"].as_array().unwrap().clone());
        let Some(link) = seen.headers.get("link") else {
            break;
        };
        let link = link.to_str().unwrap();
        assert!(link.ends_with(">; rel=\"next\""), "{link}");
        path = link[1..link.find('>').unwrap()].to_owned();
    }
    assert_eq!(found, all);
    // A tag from before the history has none; one that never was is unknown.
    let seen = history(&world, "tag=one").await;
    assert_eq!((seen.status, &seen.json()["history"]), (200, &json!([])));
    let seen = history(&world, "tag=never").await;
    assert_eq!(
        (seen.status, seen.code().as_str()),
        (404, "MANIFEST_UNKNOWN")
    );
    for wrong in ["", "tag=", "tag=a/b", "tag=x&last=y", "tag=x&n=-1"] {
        assert_eq!(history(&world, wrong).await.status, 400, "{wrong}");
    }
    let extensions = world.get("/v2/_oci/ext/discover", &[]).await.json();
    let extensions = extensions["extensions"].as_array().unwrap();
    let found = extensions
        .iter()
        .find(|it| it["name"] == "_wharfinger")
        .unwrap();
    assert_eq!(found["endpoints"], json!(["_wharfinger/tags/history"]));
}

#[tokio::test]
async fn the_history_needs_the_right_to_pull_and_shows_no_names_to_the_anonymous() {
    let issuer = Issuer::new();
    let world = World::with(with_tags(rules("never"), issuer.auth())).await;
    let pusher = issuer.bearer(&["repository:a:pull,push"]);
    let headers = [
        ("authorization", pusher.as_str()),
        ("content-type", oci::media_type::OCI_MANIFEST),
    ];
    let bytes = world.names["image.bytes"].clone();
    let pushed = world
        .send("PUT", "/v2/a/manifests/x", &headers, bytes.as_bytes())
        .await;
    assert_eq!(pushed.status, 201);
    let path = "/v2/a/_wharfinger/tags/history?tag=x";
    let as_client = async |bearer: &str| world.get(path, &[("authorization", bearer)]).await;
    assert_eq!(world.get(path, &[]).await.status, 401);
    let other = issuer.bearer(&["repository:b:pull"]);
    assert_ne!(as_client(&other).await.status, 200);
    let alice = as_client(&issuer.bearer(&["repository:a:pull"])).await;
    assert_eq!(alice.json()["history"][0]["account"], "<alice>");
    let mut anonymous = claims(&["repository:a:pull"]);
    anonymous.subject = String::new();
    let anonymous = format!("Bearer {}", issuer.sign(&anonymous));
    let seen = as_client(&anonymous).await.json();
    let entry = seen["history"][0].as_object().unwrap();
    assert_eq!(entry["to"], json!(world.names["image"]));
    assert!(
        !entry.contains_key("account") && !entry.contains_key("request_id"),
        "{entry:?}"
    );
}
