//! URLs with which clients read from the store itself.

use std::time::Duration;

use bytes::Bytes;
use object_content::{RedirectSettings, S3Settings};
use peers::{Minio, VersityGateway, http};
use storage::{Blob, BlobStore, ContentUrl, Error, StoreId, UploadId, WrittenContent};

use crate::bucket::{LEAST_PART, World, bytes, content, name, settings, settings_of_minio, sha256};

async fn locate(world: &World, blob: &Blob) -> ContentUrl {
    world.storage.locate(blob).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_reads_with_the_url_and_nothing_else() {
    let world = World::new(LEAST_PART).await;
    let text = String::from_utf8(bytes(1000).iter().map(|n| b'a' + n % 26).collect()).unwrap();
    let blob = world.push(text.as_bytes()).await.unwrap();
    let other = world.push(b"other content").await.unwrap();
    world.proxy.take_seen();
    let url = locate(&world, &blob).await;
    assert_eq!(world.proxy.take_seen(), [""; 0], "signing needs no request");
    assert_eq!(locate(&world, &blob).await.expose(), url.expose());
    assert_eq!(url.host(), "127.0.0.1");
    let answer = http::get(url.expose());
    assert_eq!((answer.status, answer.body.as_str()), (200, text.as_str()));
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    assert!(
        answer
            .header("cache-control")
            .unwrap()
            .contains("immutable")
    );
    let part = http::request(&["-H", "Range: bytes=1-3", url.expose()]);
    assert_eq!((part.status, part.body.as_str()), (206, &text[1..4]));
    for wrong in [
        url.expose().replace(&blob.key, &other.key),
        url.expose().replace("Expires=", "Expires=1"),
        url.expose().split('?').next().unwrap().to_owned(),
    ] {
        assert_eq!(http::get(&wrong).status, 403);
    }
    let removal = http::request(&["-X", "DELETE", url.expose()]);
    assert_eq!(removal.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minio_takes_the_urls_too() {
    let minio = Minio::start();
    let store = content(&settings_of_minio(&minio));
    let writer = store.append(UploadId::from_random([7; 16]), WrittenContent::default());
    let text = vec![Bytes::from_static(b"content")];
    let written = writer.complete(text).await.unwrap();
    let key = written.objects.as_ref().unwrap().key.clone().unwrap();
    let id = UploadId::from_random([7; 16]);
    store.publish(id, &written, &key).await.unwrap();
    let blob = Blob {
        digest: sha256(b"content"),
        size: 7,
        generation: 1,
        store: StoreId::OWN,
        key,
    };
    let url = store.locate(&blob).await.unwrap().unwrap();
    let answer = http::get(url.expose());
    assert_eq!((answer.status, answer.body.as_str()), (200, "content"));
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    let wrong = url.expose().replace("Expires=", "Expires=1");
    assert_eq!(http::get(&wrong).status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_that_is_missing_is_not_located_once_that_is_known() {
    let world = World::new(LEAST_PART).await;
    let blob = world.push(b"content").await.unwrap();
    world.gateway.remove_file(&format!("registry/{}", blob.key));
    let read = world.read(&blob).await;
    assert!(matches!(read, Err(Error::Damaged { .. })), "{read:?}");
    assert_eq!(world.storage.locate(&blob).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_can_have_another_endpoint_than_the_server() {
    let gateway = VersityGateway::start();
    let right = settings(&gateway, gateway.host_port(), LEAST_PART);
    let redirect = |endpoint: Option<&str>| S3Settings {
        redirect: Some(RedirectSettings {
            lifetime: Duration::from_secs(1200),
            endpoint: endpoint.map(str::to_owned),
        }),
        ..right.clone()
    };
    let world = World::new(LEAST_PART).await;
    let blob = world.push(b"content").await.unwrap();
    let url = |settings: S3Settings| {
        let blob = blob.clone();
        async move {
            let store = content(&settings);
            store.locate(&blob).await.unwrap()
        }
    };
    let found = url(redirect(Some("https://images.example"))).await.unwrap();
    let expected = format!("https://images.example/content/registry/{}?", blob.key);
    assert!(found.expose().starts_with(&expected), "{}", found.expose());
    let port = gateway.host_port().split_once(':').unwrap().1;
    let hosted = S3Settings {
        path_style: false,
        endpoint: Some(format!("http://s3.example:{port}")),
        ..redirect(None)
    };
    let found = url(hosted).await.unwrap();
    let expected = format!("http://content.s3.example:{port}/registry/{}?", blob.key);
    assert!(found.expose().starts_with(&expected), "{}", found.expose());
    let off = S3Settings {
        redirect: None,
        ..right.clone()
    };
    assert_eq!(url(off).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_that_is_being_read_is_not_removed() {
    let world = World::new(LEAST_PART).await;
    let content = bytes(LEAST_PART + 1000);
    let blob = world.push(&content).await.unwrap();
    let whole = 0..blob.size;
    let mut reader = world.storage.read(&name(), &blob, whole).await.unwrap();
    let first = reader.next().await.unwrap().unwrap();
    world.collect_everything().await;
    let found = world.storage.blobs().find(&name(), &blob.digest).await;
    assert!(matches!(found, Err(Error::BlobUnknown)), "{found:?}");
    assert_eq!(world.keys(), [format!("registry/{}", blob.key)]);
    let mut length = first.len();
    while let Some(chunk) = reader.next().await {
        length += chunk.unwrap().len();
    }
    assert_eq!(length, content.len());
    drop(reader);
    world.collect_everything().await;
    assert_eq!(world.keys(), [""; 0]);
}
