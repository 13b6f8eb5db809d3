//! Limits, and storage that fails.

use oci::DigestAlgorithm;
use registry::{Authentication, RegistrySettings};
use storage::{NewUpload, UploadId, UploadLimits};

use super::script::fill;
use super::world::{World, settings, sha256};

#[tokio::test]
async fn abandoned_uploads_make_room_and_active_ones_are_limited() {
    let limits = UploadLimits {
        uploads_per_client: 3,
        blob: Some(4),
        ..UploadLimits::default()
    };
    let terms = storage::StorageSettings {
        limits,
        ..storage::StorageSettings::default()
    };
    let world = World::bare(settings(Authentication::Open), terms).await;
    let mut begun = Vec::new();
    for _ in 0..4 {
        let response = world.send("POST", "/v2/a/blobs/uploads/", &[], b"").await;
        assert_eq!(response.status, 202);
        begun.push(response.header("location").unwrap().to_owned());
    }
    // An abandoned upload made room.
    let mut left = 0;
    for upload in &begun {
        let status = world.send("GET", upload, &[], b"").await.status;
        assert!(matches!(status, 204 | 404), "{status}");
        left += u32::from(status == 204);
    }
    assert_eq!(left, 3);
    // Uploads that requests write to do not make room.
    let client = world.upload_client(begun.last().unwrap()).await;
    let mut active = Vec::new();
    for number in 0..3 {
        let new = NewUpload {
            id: UploadId::from_random([number; 16]),
            repository: "a".parse().unwrap(),
            client: client.clone(),
            algorithm: DigestAlgorithm::Sha256,
        };
        active.push(world.storage.put(new).await.unwrap());
    }
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"hello"));
    for path in ["/v2/a/blobs/uploads/", &path] {
        let refused = world.send("POST", path, &[], b"").await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (429, "TOOMANYREQUESTS")
        );
        assert!(refused.header("retry-after").is_some());
    }
    drop(active);
    let large = world.send("POST", &path, &[], b"hello").await;
    assert_eq!((large.status, large.code().as_str()), (413, "DENIED"));
}

#[tokio::test]
async fn an_image_without_its_blobs_is_taken_in_only_if_that_is_configured() {
    let image = format!(
        r#"{{"schemaVersion":2,"mediaType":"{0}","config":{{"mediaType":"application/x.config","digest":"{1}","size":1}},
        "layers":[{{"mediaType":"application/x.layer","digest":"{2}","size":1}}]}}"#,
        oci::media_type::OCI_MANIFEST,
        sha256(b"a"),
        sha256(b"b"),
    );
    let headers = [("content-type", oci::media_type::OCI_MANIFEST)];
    let path = "/v2/a/manifests/sparse";
    let world = World::with(settings(Authentication::Open)).await;
    let refused = world.send("PUT", path, &headers, image.as_bytes()).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "MANIFEST_BLOB_UNKNOWN")
    );
    let world = world.again(RegistrySettings {
        validation: registry::ManifestValidation {
            sparse: registry::SparseManifests::All,
            ..registry::ManifestValidation::default()
        },
        ..settings(Authentication::Open)
    });
    let taken = world.send("PUT", path, &headers, image.as_bytes()).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert_eq!(world.get(path, &[]).await.text(), image);
    let blob = format!("/v2/a/blobs/{}", sha256(b"b"));
    assert_eq!(world.get(&blob, &[]).await.status, 404);
    // The blob may follow.
    let push = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"b"));
    assert_eq!(world.send("POST", &push, &[], b"b").await.status, 201);
    assert_eq!(world.get(&blob, &[]).await.status, 200);
}

#[tokio::test]
async fn a_smaller_limit_for_manifests_is_kept() {
    let world = World::with(RegistrySettings {
        manifest_limit: 100,
        ..settings(Authentication::Open)
    })
    .await;
    let headers = [("content-type", oci::media_type::OCI_MANIFEST)];
    let seen = world
        .send("PUT", "/v2/a/manifests/x", &headers, &[b'x'; 101])
        .await;
    assert_eq!(
        (seen.status, seen.code().as_str()),
        (413, "MANIFEST_INVALID")
    );
}

#[tokio::test]
async fn a_blob_whose_file_is_gone_is_our_fault_and_says_no_more() {
    let world = World::open().await;
    let path = fill("/v2/a/blobs/{layer}", &world.names, "");
    let mut removed = 0;
    let mut folders = vec![world.directory.path().join("content")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().contains("blobs/") {
                std::fs::remove_file(path).unwrap();
                removed += 1;
            }
        }
    }
    assert!(removed > 0);
    let seen = world.get(&path, &[]).await;
    assert_eq!((seen.status, seen.code().as_str()), (500, "UNKNOWN"));
    assert!(
        seen.text().contains("request-1") && !seen.text().contains("file"),
        "{}",
        seen.text()
    );
    let head = world.send("HEAD", &path, &[], b"").await;
    assert_eq!(head.status, 404, "a client must not skip the upload");
    let ranges = [("range", "bytes=0-1,4-5")];
    assert_eq!(world.get(&path, &ranges).await.status, 500);
    let mount = fill(
        "/v2/new/blobs/uploads/?mount={layer}&from=a",
        &world.names,
        "",
    );
    let mount = world.send("POST", &mount, &[], b"").await;
    assert_eq!(mount.status, 202, "an ordinary upload");
    let manifest = fill("/v2/a/manifests/{image}", &world.names, "");
    assert_eq!(
        world.send("HEAD", &manifest, &[], b"").await.status,
        200,
        "what needs no file goes on"
    );
}
