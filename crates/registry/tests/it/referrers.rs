//! Lists of referrers that are filtered by type.

use oci::media_type::OCI_MANIFEST;
use serde_json::json;

use super::world::{World, descriptor};

/// `+` in a query is a space to some encoders, and to others it is itself.
#[tokio::test]
async fn a_type_with_a_plus_sign_is_found_however_it_is_encoded() {
    let world = World::open().await;
    let subject = descriptor(OCI_MANIFEST, "a subject");
    let artifact = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.x+json",
        "config": descriptor("application/x.config", "{}"),
        "layers": [],
        "subject": subject,
    });
    let content_type = [("content-type", OCI_MANIFEST)];
    let bytes = artifact.to_string();
    let pushed = world
        .send(
            "PUT",
            "/v2/a/manifests/artifact",
            &content_type,
            bytes.as_bytes(),
        )
        .await;
    assert_eq!(pushed.status, 201);
    let digest = subject["digest"].as_str().unwrap();
    for (kind, found) in [
        ("application/vnd.x+json", 1),
        ("application%2Fvnd.x%2Bjson", 1),
        ("application/vnd.x%20json", 1),
        ("application/vnd.x", 0),
    ] {
        let path = format!("/v2/a/referrers/{digest}?artifactType={kind}");
        let list = world.get(&path, &[]).await;
        let list = list.json()["manifests"].as_array().unwrap().len();
        assert_eq!(list, found, "{kind}");
    }
}
