//! The parsers of foreign bytes, tried with mutations.

use std::str::from_utf8;

use oci::{Digest, Manifest, Reference, RepositoryName, Tag};

#[test]
fn fuzz_manifest() {
    let digest = format!("sha256:{}", "0f".repeat(32));
    let config =
        format!(r#"{{"mediaType":"c/c","digest":"{digest}","size":7,"annotations":{{"k":null}}}}"#);
    let image = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{config},"layers":[{config},{config}],"subject":{config}}}"#
    );
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{config}]}}"#
    );
    fuzz::target("manifest", &[image, index], |bytes| {
        let (pushed, stored) = (
            Manifest::parse(None, bytes),
            Manifest::parse_stored(None, bytes),
        );
        if let Ok(pushed) = &pushed {
            // What is accepted from a push is read back from the store as the same.
            assert_eq!(stored.as_ref(), Ok(pushed));
        }
        stored.is_ok()
    });
}

#[test]
fn fuzz_names() {
    let digest = format!("sha512:{}", "0f".repeat(64));
    let seeds = [digest.as_str(), "v1.2.3-rc_1", "library/ubuntu__x/a---b"];
    fuzz::target("names", &seeds, |bytes| {
        let Ok(text) = from_utf8(bytes) else {
            return false;
        };
        let digest = text.parse::<Digest>().map(|digest| digest.to_string());
        let tag = text.parse::<Tag>().map(|tag| tag.to_string());
        let name = text.parse::<RepositoryName>().map(|name| name.to_string());
        let reference = text
            .parse::<Reference>()
            .map(|reference| reference.to_string());
        let read = [digest.ok(), tag.ok(), name.ok(), reference.ok()];
        assert!(read.iter().flatten().all(|printed| printed == text));
        read.iter().any(Option::is_some)
    });
}
