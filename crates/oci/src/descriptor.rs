//! Descriptors: how one piece of content speaks of another.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Digest;

/// What content refers to: its type, its name and its size (OCI image-spec, descriptor.md). Members
/// that a registry has no use for are ignored when one is read; the manifest around it is kept as
/// it came.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The type of the content.
    pub media_type: String,
    /// The name of the content.
    pub digest: Digest,
    /// The length of the content in bytes.
    pub size: u64,
    /// What kind of artifact the content is, where it is a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Whatever else is to be said.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// Go programs write an empty map as `null`.
pub(crate) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_ignored_and_absence_stays_absent() {
        let digest = format!("sha256:{}", "00".repeat(32));
        let text = format!(
            r#"{{"mediaType":"a/b","digest":"{digest}","size":3,"annotations":null,"data":"YWJj","urls":["x"],"platform":{{}}}}"#
        );
        let descriptor: Descriptor = serde_json::from_str(&text).unwrap();
        assert!(descriptor.annotations.is_empty());
        let printed = serde_json::to_string(&descriptor).unwrap();
        assert_eq!(
            printed,
            format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":3}}"#)
        );
    }

    #[test]
    fn sizes_are_counts() {
        for size in ["-1", "1.5", "\"1\"", "null", "18446744073709551616"] {
            let text = format!(
                r#"{{"mediaType":"a/b","digest":"sha256:{}","size":{size}}}"#,
                "00".repeat(32)
            );
            assert!(serde_json::from_str::<Descriptor>(&text).is_err(), "{size}");
        }
    }
}
