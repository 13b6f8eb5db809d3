//! Manifests with their verified digests.

use bytes::Bytes;
use oci::{Descriptor, Digest, DigestAlgorithm, Manifest, media_type};
use serde_json::{Map, Value};

use crate::hasher::DigestHasher;
use crate::{Error, json};

/// A manifest as the registry sent it.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    /// Its media type, without parameters.
    pub media_type: String,
    /// Its digest, which is verified.
    pub digest: Digest,
    /// Its bytes, unchanged.
    pub bytes: Bytes,
}

impl FetchedManifest {
    /// `bytes` as a manifest. If `name` is given, it must be their digest.
    pub(crate) fn new(
        media_type: String,
        bytes: Bytes,
        name: Option<Digest>,
        what: &str,
    ) -> Result<Self, Error> {
        let algorithm = name.map_or(DigestAlgorithm::Sha256, |name| name.algorithm());
        let digest = DigestHasher::digest(algorithm, &bytes);
        match name {
            Some(expected) if expected != digest => Err(Error::Digest {
                what: what.to_owned(),
                expected: expected.into(),
                found: digest.into(),
            }),
            _ => Ok(Self {
                media_type,
                digest,
                bytes,
            }),
        }
    }

    /// The parsed manifest. It is read as other clients read it: a registry that took it in may be
    /// less strict than ours.
    ///
    /// # Errors
    /// When it is not a manifest of a supported type.
    pub fn parsed(&self) -> Result<Manifest, Error> {
        let parsed = Manifest::parse_stored(Some(&self.media_type), &self.bytes);
        parsed.map_err(|source| Error::Manifest {
            what: self.digest.to_string(),
            source,
        })
    }

    /// Its descriptor.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest,
            size: self.bytes.len() as u64,
            urls: Vec::new(),
            platform: None,
            artifact_type: None,
            annotations: std::collections::BTreeMap::new(),
        }
    }
}

/// The graph of an image: its manifests and blobs, each once.
pub(crate) struct ImageGraph {
    /// The requested manifest.
    pub(crate) root: FetchedManifest,
    /// All manifests, the root among them. Children come before their parents, referrers after what
    /// they refer to.
    pub(crate) manifests: Vec<FetchedManifest>,
    /// All blobs that they refer to.
    pub(crate) blobs: Vec<Descriptor>,
}

/// The media type that a manifest itself tells.
pub(crate) fn media_type_of(bytes: &[u8]) -> Option<String> {
    let members: Map<String, Value> = json::parse(bytes).ok()?;
    let member = |name| json::member(&members, name);
    let guessed = || match member("schemaVersion")?.as_u64()? {
        1 if member("signatures").is_some_and(Value::is_array) => {
            Some(media_type::DOCKER_SCHEMA_1[0])
        }
        1 => Some(media_type::DOCKER_SCHEMA_1[1]),
        // Only OCI manifests may leave it out (image-spec, manifest.md, `mediaType`).
        2 if member("manifests").is_some_and(Value::is_array) => Some(media_type::OCI_INDEX),
        2 if member("config").is_some_and(Value::is_object) => Some(media_type::OCI_MANIFEST),
        _ => None,
    };
    let stated = json::text(&members, "mediaType");
    stated.or_else(guessed).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_another_registry_took_in_is_read_as_others_read_it() {
        let digest = format!("sha256:{}", "00".repeat(32));
        let config = format!(r#"{{"digest":"{digest}","size":7}}"#);
        for members in [
            format!(r#""config":{config},"layers":null,"subject":5"#),
            format!(r#""config":{config},"layers":[],"layers":[]"#),
            format!(r#""Config":{config},"annotations":{{"k":"\ud800"}}"#),
        ] {
            let text = format!(r#"{{"schemaVersion":2,{members}}}"#);
            let media_type = media_type::OCI_MANIFEST.to_owned();
            let manifest = FetchedManifest::new(media_type, text.clone().into(), None, "it");
            let parsed = manifest.unwrap().parsed();
            assert_eq!(parsed.unwrap().blobs().count(), 1, "{text}");
        }
    }

    #[test]
    fn a_manifest_says_what_it_is() {
        let said = |text: &str| media_type_of(text.as_bytes());
        assert_eq!(
            said(r#"{"schemaVersion":2,"mediaType":"a/b"}"#).as_deref(),
            Some("a/b")
        );
        assert_eq!(
            said(r#"{"schemaVersion":2,"manifests":[]}"#).as_deref(),
            Some(media_type::OCI_INDEX)
        );
        assert_eq!(
            said(r#"{"schemaVersion":2,"config":{}}"#).as_deref(),
            Some(media_type::OCI_MANIFEST)
        );
        assert_eq!(
            said(r#"{"schemaVersion":1,"signatures":[]}"#).as_deref(),
            Some(media_type::DOCKER_SCHEMA_1[0])
        );
        assert_eq!(
            said(r#"{"schemaVersion":1}"#).as_deref(),
            Some(media_type::DOCKER_SCHEMA_1[1])
        );
        let odd = r#"{"SchemaVersion":2,"mediaType":null,"mediatype":"","manifests":null,"config":{},"config":{}}"#;
        assert_eq!(said(odd).as_deref(), Some(media_type::OCI_MANIFEST));
        assert_eq!(said("{}"), None);
        assert_eq!(said("<html>"), None);
    }

    #[test]
    fn a_name_must_be_the_content_s() {
        let wrong = Digest::new(DigestAlgorithm::Sha256, &[0; 32]);
        let error = FetchedManifest::new(
            "a/b".into(),
            Bytes::from_static(b"{}"),
            wrong,
            "r.example/a@1",
        )
        .unwrap_err();
        assert!(
            error.to_string().starts_with(
                "r.example/a@1: content does not match its digest: expected sha256:0000"
            ),
            "{error}"
        );
        let right =
            FetchedManifest::new("a/b".into(), Bytes::from_static(b"{}"), None, "").unwrap();
        assert!(right.digest.to_string().starts_with("sha256:44136fa3"));
        assert_eq!(right.descriptor().size, 2);
    }
}
