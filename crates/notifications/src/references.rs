//! What a manifest refers to, as an envelope has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A descriptor with the members, the order and the omissions of Go's `v1.Descriptor`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DescriptorRecord {
    /// The media type of the content.
    pub media_type: String,
    /// The digest of the content.
    pub digest: String,
    /// The size of the content in bytes.
    pub size: u64,
    #[serde(skip_serializing_if = "is_absent")]
    urls: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_absent")]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "is_absent")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<PlatformRecord>,
    #[serde(skip_serializing_if = "is_absent")]
    artifact_type: Option<String>,
}

/// The platform that a manifest of an index is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct PlatformRecord {
    architecture: String,
    os: String,
    #[serde(rename = "os.version", skip_serializing_if = "is_absent")]
    os_version: Option<String>,
    #[serde(rename = "os.features", skip_serializing_if = "is_absent")]
    os_features: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_absent")]
    variant: Option<String>,
}

/// The members of a manifest that refer to other content.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ReferringMembers {
    config: Option<DescriptorRecord>,
    layers: Option<Vec<DescriptorRecord>>,
    manifests: Option<Vec<DescriptorRecord>>,
}

/// What the manifest `content` refers to: the configuration and the layers of an image, the manifests
/// of an index. A subject is not among them, as in Distribution.
pub(crate) fn references(content: &[u8]) -> Vec<DescriptorRecord> {
    let Ok(members) = serde_json::from_slice::<ReferringMembers>(content) else {
        return Vec::new();
    };
    let lists = [members.layers, members.manifests];
    let listed = lists.into_iter().flatten().flatten();
    members.config.into_iter().chain(listed).collect()
}

/// Go leaves out what is empty as well.
fn is_absent<T: Default + PartialEq>(value: &Option<T>) -> bool {
    value.as_ref().is_none_or(|value| *value == T::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(manifest: &str) -> String {
        serde_json::to_string(&references(manifest.as_bytes())).unwrap()
    }

    #[test]
    fn an_image_refers_to_its_configuration_and_its_layers() {
        let manifest = r#"{"schemaVersion":2,
            "subject":{"mediaType":"s","digest":"sha256:3","size":3},
            "layers":[{"size":2,"annotations":{"b":"1","a":"2"},"digest":"sha256:2","mediaType":"l","urls":[]}],
            "config":{"mediaType":"c","digest":"sha256:1","size":1,"data":"e30=","more":1}}"#;
        assert_eq!(
            shown(manifest),
            r#"[{"mediaType":"c","digest":"sha256:1","size":1,"data":"e30="},{"mediaType":"l","digest":"sha256:2","size":2,"annotations":{"a":"2","b":"1"}}]"#
        );
    }

    #[test]
    fn an_index_refers_to_its_manifests() {
        let index = r#"{"manifests":[{"mediaType":"m","digest":"sha256:1","size":1,"artifactType":"a/b",
            "platform":{"variant":"v8","os":"linux","architecture":"arm64","os.features":["x"]}}]}"#;
        assert_eq!(
            shown(index),
            r#"[{"mediaType":"m","digest":"sha256:1","size":1,"platform":{"architecture":"arm64","os":"linux","os.features":["x"],"variant":"v8"},"artifactType":"a/b"}]"#
        );
    }

    #[test]
    fn what_cannot_be_read_refers_to_nothing() {
        for manifest in ["", "[]", "{}", r#"{"config":3}"#, r#"{"manifests":null}"#] {
            assert_eq!(shown(manifest), "[]", "{manifest}");
        }
    }
}
