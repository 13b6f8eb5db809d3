//! Manifests, read as far as a registry must: what kind it is and what it refers to.
//!
//! A manifest is named by the hash of its bytes, so the bytes are kept as they came and never
//! printed from what is read here. Members that are not understood are none of a registry's
//! business.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::descriptor::null_is_empty;
use crate::{Descriptor, media_type};

/// What a manifest says of itself and refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its type, without parameters: one of the four of [`media_type`].
    pub media_type: String,
    /// What it holds together.
    pub content: ManifestContent,
    /// The manifest that it speaks about, where it is a referrer.
    pub subject: Option<Descriptor>,
    /// What kind of artifact it says it is; never empty.
    pub artifact_type: Option<String>,
    /// Whatever else it says.
    pub annotations: BTreeMap<String, String>,
}

/// What a manifest holds together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestContent {
    /// One image or artifact.
    Image {
        /// Its configuration.
        config: Descriptor,
        /// Its layers, from the bottom up; there may be none.
        layers: Vec<Descriptor>,
    },
    /// Other manifests, of either family; there may be none.
    Index {
        /// The manifests, in their order.
        manifests: Vec<Descriptor>,
    },
}

impl Manifest {
    /// Reads a manifest. `content_type` is what it was sent as, with or without parameters; where
    /// it was not said, the manifest itself must say.
    ///
    /// # Errors
    /// When it is no manifest that a registry of today takes: see [`ManifestError`].
    pub fn parse(content_type: Option<&str>, bytes: &[u8]) -> Result<Self, ManifestError> {
        let sent_as = content_type
            .map(media_type::essence)
            .filter(|essence| !essence.is_empty());
        if sent_as.is_some_and(is_schema_1) {
            return Err(ManifestError::Schema1);
        }
        // serde reads a list of the members' values, too; no other registry or client does.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            return Err(ManifestError::NoObject);
        }
        let body: ManifestJson = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::Json(error.to_string()))?;
        let media_type = body.media_type(sent_as)?;
        match media_type.as_str() {
            media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => body.image(media_type),
            media_type::OCI_INDEX | media_type::DOCKER_LIST => body.index(media_type),
            _ => Err(ManifestError::MediaType(media_type)),
        }
    }

    /// What kind of artifact a list of referrers calls it: what it says itself, else the type of an
    /// image's configuration, else nothing (OCI distribution-spec, "Listing Referrers").
    #[must_use]
    pub fn effective_artifact_type(&self) -> Option<&str> {
        match (&self.artifact_type, &self.content) {
            (Some(said), _) => Some(said),
            (None, ManifestContent::Image { config, .. }) => Some(&config.media_type),
            (None, ManifestContent::Index { .. }) => None,
        }
    }

    /// The blobs that it cannot be without: configuration and layers, but not layers that are
    /// fetched from elsewhere.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, layers) = match &self.content {
            ManifestContent::Image { config, layers } => (Some(config), layers.as_slice()),
            ManifestContent::Index { .. } => (None, [].as_slice()),
        };
        config.into_iter().chain(
            layers
                .iter()
                .filter(|layer| !media_type::is_nondistributable(&layer.media_type)),
        )
    }

    /// The manifests under it. A registry need not have them all: an index may be sparse.
    #[must_use]
    pub fn children(&self) -> &[Descriptor] {
        match &self.content {
            ManifestContent::Image { .. } => &[],
            ManifestContent::Index { manifests } => manifests,
        }
    }
}

/// Why bytes are not a manifest that a registry takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or members of the wrong type.
    #[error("the manifest cannot be read: {0}")]
    Json(String),
    /// A list where the members of an object should be.
    #[error("a manifest is a JSON object")]
    NoObject,
    /// Docker's first schema, which has no digests worth the name.
    #[error(
        "manifests of schema 1 are not accepted: push with a client from after 2017, which sends schema 2 or OCI"
    )]
    Schema1,
    /// A schema that nobody knows.
    #[error("`schemaVersion` must be 2")]
    SchemaVersion,
    /// Neither the request nor the manifest says its type.
    #[error("neither `Content-Type` nor `mediaType` says what kind of manifest this is")]
    NoMediaType,
    /// The request and the manifest disagree.
    #[error("sent as {sent_as:?}, but its `mediaType` is {media_type:?}")]
    Disagreement {
        /// The `Content-Type`, without parameters.
        sent_as: String,
        /// The manifest's `mediaType`.
        media_type: String,
    },
    /// Something else, perhaps a type that has yet to be invented.
    #[error("{0:?} is no type of manifest that is known here")]
    MediaType(String),
    /// An image cannot be without it.
    #[error("the manifest has no `config`")]
    NoConfig,
    /// It could be read as two things, and clients would not agree on which (CVE-2021-41190).
    #[error("the manifest has members of both an image and an index")]
    Ambiguous,
}

/// All members of either kind, as they are written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestJson {
    schema_version: Option<u64>,
    #[serde(default, deserialize_with = "null_is_empty")]
    media_type: String,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_is_empty")]
    artifact_type: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    annotations: BTreeMap<String, String>,
}

impl ManifestJson {
    fn media_type(&self, sent_as: Option<&str>) -> Result<String, ManifestError> {
        if is_schema_1(&self.media_type) || self.schema_version == Some(1) {
            return Err(ManifestError::Schema1);
        }
        if self.schema_version != Some(2) {
            return Err(ManifestError::SchemaVersion);
        }
        match (sent_as, self.media_type.as_str()) {
            (None, "") => Err(ManifestError::NoMediaType),
            (None, said) | (Some(said), "") => Ok(said.to_owned()),
            (Some(sent_as), said) if sent_as == said => Ok(said.to_owned()),
            (Some(sent_as), _) => Err(ManifestError::Disagreement {
                sent_as: sent_as.to_owned(),
                media_type: self.media_type.clone(),
            }),
        }
    }

    fn image(self, media_type: String) -> Result<Manifest, ManifestError> {
        if self.manifests.is_some() {
            return Err(ManifestError::Ambiguous);
        }
        let config = self.config.clone().ok_or(ManifestError::NoConfig)?;
        let layers = self.layers.clone().unwrap_or_default();
        Ok(self.with(media_type, ManifestContent::Image { config, layers }))
    }

    fn index(self, media_type: String) -> Result<Manifest, ManifestError> {
        if self.config.is_some() || self.layers.is_some() {
            return Err(ManifestError::Ambiguous);
        }
        let manifests = self.manifests.clone().unwrap_or_default();
        Ok(self.with(media_type, ManifestContent::Index { manifests }))
    }

    fn with(self, media_type: String, content: ManifestContent) -> Manifest {
        let artifact_type = Some(self.artifact_type).filter(|said| !said.is_empty());
        Manifest {
            media_type,
            content,
            subject: self.subject,
            artifact_type,
            annotations: self.annotations,
        }
    }
}

fn is_schema_1(media_type: &str) -> bool {
    media_type::DOCKER_SCHEMA_1.contains(&media_type)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

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
        }
    }
}
