//! Manifests of both families, as they are pushed.

use proptest::prelude::*;

use oci::media_type::{self, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use oci::{Manifest, ManifestError};

fn descriptor(media_type: &str, byte: &str) -> String {
    format!(
        r#"{{"mediaType":"{media_type}","digest":"sha256:{}","size":7}}"#,
        byte.repeat(32)
    )
}

fn parse(content_type: &str, text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(Some(content_type), text.as_bytes())
}

#[test]
fn an_image_of_either_family() {
    for family in [OCI_MANIFEST, DOCKER_MANIFEST] {
        let (config, layer) = (descriptor("c/c", "00"), descriptor("l/l", "01"));
        let foreign = descriptor(
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "02",
        );
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{family}","config":{config},"layers":[{layer},{foreign}],"x":[1]}}"#
        );
        let manifest = parse(&format!("{family}; charset=utf-8"), &text).unwrap();
        assert_eq!(manifest.media_type, family);
        let blobs: Vec<_> = manifest
            .blobs()
            .map(|blob| blob.media_type.as_str())
            .collect();
        assert_eq!(blobs, ["c/c", "l/l"]);
        assert!(manifest.children().is_empty());
        assert_eq!(manifest.effective_artifact_type(), Some("c/c"));
    }
}

#[test]
fn an_index_of_mixed_families() {
    let (one, two) = (
        descriptor(DOCKER_MANIFEST, "00"),
        descriptor(OCI_INDEX, "01"),
    );
    for family in [OCI_INDEX, DOCKER_LIST] {
        let manifest = parse(
            family,
            &format!(r#"{{"schemaVersion":2,"manifests":[{one},{two}]}}"#),
        )
        .unwrap();
        assert_eq!(manifest.children().len(), 2);
        assert_eq!(manifest.blobs().count(), 0);
        assert_eq!(manifest.effective_artifact_type(), None);
    }
}

#[test]
fn a_referrer_says_what_it_is() {
    let (config, subject) = (descriptor("c/c", "00"), descriptor(OCI_MANIFEST, "01"));
    let text = format!(
        r#"{{"schemaVersion":2,"config":{config},"layers":[],"subject":{subject},"artifactType":"a/a","annotations":{{"k":"v"}}}}"#
    );
    let manifest = parse(OCI_MANIFEST, &text).unwrap();
    assert_eq!(
        manifest.subject.as_ref().map(|subject| subject.size),
        Some(7)
    );
    assert_eq!(manifest.effective_artifact_type(), Some("a/a"));
    assert_eq!(manifest.annotations["k"], "v");
    let empty = text.replace("\"a/a\"", "\"\"");
    assert_eq!(
        parse(OCI_MANIFEST, &empty)
            .unwrap()
            .effective_artifact_type(),
        Some("c/c")
    );
}

#[test]
fn the_type_comes_from_the_request_or_the_manifest() {
    let said = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":null}}"#);
    assert_eq!(
        Manifest::parse(None, said.as_bytes()).unwrap().media_type,
        OCI_INDEX
    );
    let silent = br#"{"schemaVersion":2,"manifests":[]}"#;
    assert_eq!(
        Manifest::parse(None, silent),
        Err(ManifestError::NoMediaType)
    );
    assert_eq!(
        Manifest::parse(Some(" ;q=1"), silent),
        Err(ManifestError::NoMediaType)
    );
    assert!(matches!(
        parse(DOCKER_LIST, &said),
        Err(ManifestError::Disagreement { .. })
    ));
    assert_eq!(
        parse("text/plain", r#"{"schemaVersion":2}"#),
        Err(ManifestError::MediaType("text/plain".into()))
    );
}

#[test]
fn what_is_no_manifest_says_why() {
    let config = descriptor("c/c", "00");
    assert_eq!(
        parse(media_type::DOCKER_SCHEMA_1[0], "not even read"),
        Err(ManifestError::Schema1)
    );
    assert_eq!(
        parse(OCI_MANIFEST, r#"{"schemaVersion":1,"fsLayers":[]}"#),
        Err(ManifestError::Schema1)
    );
    assert_eq!(
        parse(OCI_MANIFEST, r#"{"schemaVersion":3}"#),
        Err(ManifestError::SchemaVersion)
    );
    assert_eq!(parse(OCI_MANIFEST, "{}"), Err(ManifestError::SchemaVersion));
    assert_eq!(
        parse(OCI_MANIFEST, r#"{"schemaVersion":2}"#),
        Err(ManifestError::NoConfig)
    );
    let both = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":[]}}"#);
    assert_eq!(parse(OCI_MANIFEST, &both), Err(ManifestError::Ambiguous));
    assert_eq!(parse(OCI_INDEX, &both), Err(ManifestError::Ambiguous));
    for text in [
        "",
        "null",
        "{",
        "\u{feff}{}",
        r#"{"schemaVersion":2,"config":{"digest":"sha256:zz"}}"#,
    ] {
        assert!(
            matches!(parse(OCI_MANIFEST, text), Err(ManifestError::Json(_))),
            "{text}"
        );
    }
    let deep = format!(
        r#"{{"schemaVersion":2,"x":{}1{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(
        parse(OCI_MANIFEST, &deep),
        Err(ManifestError::NoConfig),
        "and the stack was not exhausted"
    );
    let list = format!(r#"[2,"{OCI_MANIFEST}",{config},[],null,null,null,null]"#);
    assert_eq!(parse(OCI_MANIFEST, &list), Err(ManifestError::NoObject));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::parse(Some(OCI_MANIFEST), &bytes);
        let _ = Manifest::parse_stored(None, &bytes);
    }
}
