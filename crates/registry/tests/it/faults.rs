//! When there is too much, or something is broken.

use registry::{Authentication, RegistrySettings};
use storage::UploadLimits;

use super::script::fill;
use super::world::{World, settings, sha256};

#[tokio::test]
async fn a_client_has_so_many_uploads_and_no_more() {
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
    let mut begun = String::new();
    for _ in 0..3 {
        let answer = world.send("POST", "/v2/a/blobs/uploads/", &[], b"").await;
        assert_eq!(answer.status, 202);
        answer.header("location").unwrap().clone_into(&mut begun);
    }
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"cargo"));
    for path in ["/v2/a/blobs/uploads/", &path] {
        let refused = world.send("POST", path, &[], b"").await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (429, "TOOMANYREQUESTS")
        );
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(world.send("DELETE", &begun, &[], b"").await.status, 204);
    let large = world.send("POST", &path, &[], b"cargo").await;
    assert_eq!((large.status, large.code().as_str()), (413, "SIZE_INVALID"));
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
    let mut folders = vec![world.directory.path().join("cargo")];
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
    assert_eq!(
        world.send("HEAD", &path, &[], b"").await.status,
        200,
        "what needs no file goes on"
    );
}
