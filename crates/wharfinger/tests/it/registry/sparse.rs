//! `registry.sparse`: manifests that refer to content that is not there, as the conformance suite of the
//! distribution specification pushes them (its data "sparse").

use std::path::Path;

use oci::{DigestAlgorithm, media_type};
use peers::{Server, http};
use storage::hash;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

#[test]
fn manifests_without_their_content_are_accepted_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    let missing = |text: &[u8], kind: &str| {
        let digest = hash::digest(DigestAlgorithm::Sha256, text);
        format!(
            r#"{{"mediaType":"{kind}","digest":"{digest}","size":{}}}"#,
            text.len()
        )
    };
    let image = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{},{}]}}"#,
        media_type::OCI_MANIFEST,
        missing(b"{}", "application/vnd.oci.image.config.v1+json"),
        missing(b"one", "application/vnd.oci.image.layer.v1.tar"),
        missing(b"two", "application/vnd.oci.image.layer.v1.tar"),
    );
    // One platform is there, the others are not.
    let index = |image: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}}"#,
            media_type::OCI_INDEX,
            missing(image.as_bytes(), media_type::OCI_MANIFEST),
            missing(b"another platform", media_type::OCI_MANIFEST),
        )
    };
    for (setting, image_status) in [
        ("", 400),
        ("  sparse: indexes\n", 400),
        ("  sparse: all\n", 201),
    ] {
        let config = format!(
            "server: {{addr: \"@addr@\"}}\nregistry:\n  storage: {{filesystem: {{root: {}}}}}\n  \
             auth: {{none: true}}\n{setting}",
            folder.path().join(image_status.to_string()).display(),
        );
        let server = Server::start(Path::new(PROGRAM), &config);
        let put = |tag: &str, kind: &str, manifest: &str| {
            let url = server.url(&format!("/v2/a/manifests/{tag}"));
            let kind = format!("Content-Type: {kind}");
            let answer =
                http::request(&["-X", "PUT", "-H", &kind, "--data-binary", manifest, &url]);
            if answer.status == 201 {
                assert_eq!(http::get(&url).body, manifest, "{setting}");
            }
            answer
        };
        let pushed = put("image", media_type::OCI_MANIFEST, &image);
        assert_eq!(pushed.status, image_status, "{setting}: {}", pushed.body);
        let pushed = put("index", media_type::OCI_INDEX, &index(&image));
        assert_eq!(pushed.status, 201, "{setting}: {}", pushed.body);
    }
}
