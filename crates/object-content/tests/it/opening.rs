//! Opening a bucket that cannot be used, or belongs to another database.

use std::sync::Arc;

use common::SystemClock;
use database::{DatabaseLocation, SqliteDatabase};
use object_content::{S3Credentials, S3Settings, StaticCredentials};
use oci::DigestAlgorithm;
use peers::{Fault, FaultProxy, HttpStub, StubAnswer, VersityGateway};
use storage::{NewUpload, Storage, StorageOpenError, StorageSettings, UploadId};

use crate::bucket::{LEAST_PART, World, content, name, open, settings, sha256};

async fn probe(settings: &S3Settings) -> String {
    content(settings).probe().await.unwrap_err().to_string()
}

fn with_key(settings: &S3Settings, access_key: &str, secret_key: &str) -> S3Settings {
    S3Settings {
        credentials: S3Credentials::Static(StaticCredentials {
            access_key: access_key.to_owned(),
            secret_key: secret_key.into(),
            session_token: None,
        }),
        ..settings.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_says_what_is_wrong_and_no_secret() {
    let gateway = VersityGateway::start();
    let right = settings(&gateway, gateway.host_port(), LEAST_PART);
    content(&right).probe().await.unwrap();
    assert!(gateway.keys("").is_empty() && gateway.multipart_uploads() == 0);
    let missing = S3Settings {
        bucket: "missing".to_owned(),
        ..right.clone()
    };
    let message = probe(&missing).await;
    assert!(
        message.starts_with("s3://missing/registry: cannot write an object: NoSuchBucket"),
        "{message}"
    );
    assert!(
        message.ends_with("(create the bucket, or correct `bucket`)"),
        "{message}"
    );
    let message = probe(&with_key(&right, "unknown", "secret")).await;
    assert!(message.contains("correct `accesskey`"), "{message}");
    let message = probe(&with_key(
        &right,
        gateway.bucket().access_key,
        "open sesame",
    ))
    .await;
    assert!(
        message.contains("correct `secretkey`") && !message.contains("sesame"),
        "{message}"
    );
    let away = settings(&gateway, "127.0.0.1:1", LEAST_PART);
    let message = probe(&away).await;
    assert!(
        message.contains(" http://127.0.0.1:1 cannot be reached: "),
        "{message}"
    );
    assert!(message.contains("Connection refused"), "{message}");
    assert!(
        message.ends_with("(correct `regionendpoint`, or check that the store runs)"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_bulk_deletion_is_served() {
    let world = World::new(LEAST_PART).await;
    for content in ["one", "two", "three"] {
        let id = world.begin().await;
        world.patch(id, 0, content.as_bytes()).await.unwrap();
        world
            .storage
            .cancel(&crate::bucket::name(), id)
            .await
            .unwrap();
    }
    world.proxy.take_seen();
    world.proxy.fail("POST ", 0, Fault::Status(501));
    world.collect().await;
    assert!(world.keys().is_empty(), "{:?}", world.proxy.take_seen());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_belongs_to_one_database() {
    let gateway = VersityGateway::start();
    let proxy = FaultProxy::start(gateway.host_port());
    let right = settings(&gateway, proxy.host_port(), LEAST_PART);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(open(&one, content(&right)).await.unwrap());
    drop(open(&one, content(&right)).await.unwrap());
    let other = open(&two, content(&right)).await;
    assert!(matches!(other, Err(StorageOpenError::OtherContent(_))));
    let elsewhere = S3Settings {
        prefix: "other".to_owned(),
        ..right
    };
    drop(open(&two, content(&elsewhere)).await.unwrap());
    // Nor is a bucket's database used with files, or the other way round.
    let database = |directory: &tempfile::TempDir| {
        let location = DatabaseLocation::at(directory.path().join("w.db"));
        SqliteDatabase::open_exclusive(&location).unwrap()
    };
    let (clock, settings) = (Arc::new(SystemClock), StorageSettings::default());
    let root = two.path().join("data");
    let files = Storage::open(database(&two), root, settings, clock.clone()).await;
    assert!(matches!(files, Err(StorageOpenError::ContentInBucket)));
    let three = tempfile::tempdir().unwrap();
    let root = three.path().join("data");
    let files = Storage::open(database(&three), root, settings, clock)
        .await
        .unwrap();
    let id = UploadId::from_random([7; 16]);
    let upload = NewUpload {
        id,
        repository: name(),
        client: "a client".to_owned(),
        algorithm: DigestAlgorithm::Sha256,
    };
    let mut upload = files.put(upload).await.unwrap();
    upload.write("content".into()).await.unwrap();
    upload.finish(sha256(b"content")).await.unwrap();
    drop(files);
    let bucket = open(&three, content(&elsewhere)).await;
    assert!(matches!(bucket, Err(StorageOpenError::ContentInFiles(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_is_named() {
    let gateway = VersityGateway::start();
    let stub = HttpStub::start(|_| {
        let body = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and \
            the current time is too large.</Message><RequestTime>20261129T100000Z</RequestTime>\
            <ServerTime>2026-11-29T11:00:00Z</ServerTime></Error>";
        StubAnswer::Status(403, body.to_owned())
    });
    let skewed = settings(&gateway, &stub.address().to_string(), LEAST_PART);
    let message = probe(&skewed).await;
    assert!(
        message.contains("The store's clock says 2026-11-29T11:00:00Z"),
        "{message}"
    );
    assert!(
        message.ends_with("(correct the clock of this machine)"),
        "{message}"
    );
}

/// An upload is completed with the ETags of its parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_etags_of_parts_is_refused() {
    let gateway = VersityGateway::start();
    let proxy = FaultProxy::start(gateway.host_port());
    proxy.fail("partNumber", 0, Fault::WithoutHeader("etag"));
    let message = probe(&settings(&gateway, proxy.host_port(), LEAST_PART)).await;
    assert!(
        message.contains("cannot store a part of an upload"),
        "{message}"
    );
    assert_eq!(gateway.multipart_uploads(), 0);
}
