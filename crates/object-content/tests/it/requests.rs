//! How many requests to the store each request of a client costs.

use oci::media_type;
use storage::{ManifestChange, NewManifest};

use crate::bucket::{World, bytes, name, sha256};

/// The part of a server.
const PART: usize = 8 << 20;

fn manifest(config: &[u8], layer: &[u8]) -> NewManifest {
    let descriptor = |content: &[u8]| {
        let (digest, size) = (sha256(content), content.len());
        format!(r#"{{"mediaType":"application/octet-stream","digest":"{digest}","size":{size}}}"#)
    };
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
        media_type::OCI_MANIFEST,
        descriptor(config),
        descriptor(layer),
    );
    NewManifest::parse(None, text.into(), None).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_small_blobs_and_a_manifest_are_two_requests() {
    let world = World::new(PART).await;
    let (config, layer) = (b"{}".to_vec(), bytes(4096));
    for content in [&config, &layer] {
        world.push(content).await.unwrap();
    }
    let manifest = manifest(&config, &layer);
    let tags = vec!["1".parse().unwrap()];
    let storage = &world.storage;
    let repository = name();
    let push = ManifestChange::Push { manifest, tags };
    let pushed = storage.apply(&repository, push.into());
    pushed.await.unwrap();
    let seen = world.proxy.take_seen();
    assert!(
        seen.len() == 2 && seen.iter().all(|request| request.starts_with("PUT ")),
        "{seen:#?}"
    );
    // The same again: clients ask for each blob, and rows answer.
    for content in [&config, &layer] {
        let blobs = world.storage.blobs();
        let blob = blobs.lease(&name(), &sha256(content)).await.unwrap();
        world.storage.check_blob(&name(), &blob).await.unwrap();
    }
    let manifests = world.storage.manifests();
    manifests
        .find(&name(), &"1".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(world.proxy.take_seen(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_read_once_and_a_layer_by_clients() {
    let world = World::new(PART).await;
    let (config, layer) = (b"{}".to_vec(), bytes(100_000));
    let small = world.push(&config).await.unwrap();
    let large = world.push(&layer).await.unwrap();
    world.proxy.take_seen();
    for _ in 0..3 {
        assert!(world.storage.locate(&large).await.unwrap().is_some());
        assert_eq!(world.read(&small).await.unwrap(), config);
    }
    assert_eq!(world.proxy.take_seen().len(), 1);
    let part = 1..2;
    let mut reader = world.storage.read(&name(), &small, part).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap(), b"}".as_slice());
    assert!(reader.next().await.is_none());
    assert_eq!(world.proxy.take_seen(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_of_25_mib_and_a_configuration_are_seven_requests() {
    let world = World::new(PART).await;
    let layer = bytes(25 << 20);
    let blob = world.push(&layer).await.unwrap();
    world.push(b"{}").await.unwrap();
    let seen = world.proxy.take_seen();
    assert!(seen.len() == 7, "{seen:#?}");
    assert!(world.read(&blob).await.unwrap() == layer);
    assert_eq!(world.proxy.take_seen().len(), 1, "a pull is one request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_in_one_request_that_exists_costs_none() {
    let world = World::new(PART).await;
    let content = bytes(5000);
    let one = world.put(&content).await.unwrap();
    assert_eq!(world.proxy.take_seen().len(), 1);
    assert_eq!(world.put(&content).await.unwrap(), one);
    assert_eq!(world.proxy.take_seen(), [""; 0]);
}
