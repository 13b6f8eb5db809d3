//! `index.json`: which of a layout's manifests are its images, and their tags.

use std::fmt;

use oci::{Descriptor, Reference, Tag};
use serde_json::{Map, Value, json};

use crate::FetchedManifest;
use crate::json as lenient;

/// The annotation that holds a manifest's tag (OCI image-spec, annotations.md).
const NAME: &str = "org.opencontainers.image.ref.name";

/// An index, read as Go reads it. Members and entries that are not understood are kept as they are.
pub(crate) struct LayoutIndex {
    json: Value,
    pub(crate) manifests: Vec<Descriptor>,
}

impl LayoutIndex {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let members: Map<String, Value> = serde_json::from_slice(bytes)?;
        let entries = lenient::list(&members, "manifests").iter();
        Ok(Self {
            manifests: entries.filter_map(descriptor_of).collect(),
            json: Value::Object(members),
        })
    }

    /// The tags, in their order.
    pub(crate) fn tags(&self) -> Vec<Tag> {
        self.manifests.iter().filter_map(tag_of).collect()
    }

    /// Adds a manifest. The manifest that had its tag loses it; an entry without a tag is removed.
    pub(crate) fn enter(&mut self, manifest: &FetchedManifest, tag: Option<&Tag>) {
        let mut descriptor = manifest.descriptor();
        descriptor
            .annotations
            .extend(tag.map(|tag| (NAME.to_owned(), tag.to_string())));
        let same_tag = |known: &Descriptor| tag.is_some() && tag_of(known).as_ref() == tag;
        let same_entry =
            |known: &Descriptor| known.digest == descriptor.digest && tag_of(known).is_none();
        let keep = |known: &Descriptor| !(same_tag(known) || same_entry(known));
        let already = tag.is_none()
            && self
                .manifests
                .iter()
                .any(|known| known.digest == descriptor.digest);
        if already {
            return;
        }
        self.manifests.retain(&keep);
        if let Some(entries) = self.json["manifests"].as_array_mut() {
            entries.retain(|entry| descriptor_of(entry).is_none_or(|known| keep(&known)));
            entries.push(json!(descriptor));
        } else {
            self.json["manifests"] = json!([descriptor]);
        }
        self.manifests.push(descriptor);
    }
}

impl Default for LayoutIndex {
    fn default() -> Self {
        Self {
            json: json!({ "schemaVersion": 2, "manifests": [] }),
            manifests: Vec::new(),
        }
    }
}

impl fmt::Display for LayoutIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json.fmt(f)
    }
}

/// The descriptor that an entry is, if it is one.
fn descriptor_of(entry: &Value) -> Option<Descriptor> {
    serde_json::from_value(entry.clone()).ok()
}

/// The entry that a reference means, or why there is none.
pub(crate) fn choose(
    index: &LayoutIndex,
    reference: Option<&Reference>,
) -> Result<Descriptor, String> {
    let find =
        |wanted: &dyn Fn(&&Descriptor) -> bool| index.manifests.iter().rfind(wanted).cloned();
    match (reference, index.manifests.as_slice()) {
        (Some(Reference::Digest(digest)), _) => find(&|known| known.digest == *digest)
            .ok_or_else(|| format!("the manifest {digest} is not in it")),
        (Some(Reference::Tag(tag)), _) => find(&|known| tag_of(known).as_ref() == Some(tag))
            .ok_or_else(|| format!("the tag {tag} is not in it{}", offered(index))),
        (None, []) => Err("it holds no image".to_owned()),
        (None, [only]) => Ok(only.clone()),
        (None, _) => find(&|known| tag_of(known).is_some_and(|tag| tag.as_str() == "latest"))
            .ok_or_else(|| format!("it holds several images: choose one{}", offered(index))),
    }
}

fn offered(index: &LayoutIndex) -> String {
    match index.tags().as_slice() {
        [] => "; its images have no tags".to_owned(),
        tags => format!(
            "; it has: {}",
            tags.iter()
                .map(Tag::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// The tag of an entry. containerd writes a whole name, whose tag follows the last colon.
fn tag_of(descriptor: &Descriptor) -> Option<Tag> {
    let name = descriptor.annotations.get(NAME)?;
    name.parse()
        .ok()
        .or_else(|| name.rsplit_once(':')?.1.parse().ok())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn manifest(text: &'static str) -> FetchedManifest {
        FetchedManifest::new("a/b".into(), Bytes::from_static(text.as_bytes()), None, "").unwrap()
    }

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    #[test]
    fn a_tag_belongs_to_one_manifest() {
        let mut index = LayoutIndex::default();
        let (one, two) = (manifest("1"), manifest("2"));
        index.enter(&one, Some(&tag("a")));
        index.enter(&one, Some(&tag("b")));
        index.enter(&two, Some(&tag("a")));
        index.enter(&two, None);
        assert_eq!(index.tags(), [tag("b"), tag("a")]);
        let chosen = |text: &str| choose(&index, Some(&text.parse().unwrap())).map(|d| d.digest);
        assert_eq!(chosen("a"), Ok(two.digest));
        assert_eq!(chosen("b"), Ok(one.digest));
        assert_eq!(
            chosen("c").unwrap_err(),
            "the tag c is not in it; it has: b, a"
        );
        assert_eq!(
            choose(&index, None).unwrap_err(),
            "it holds several images: choose one; it has: b, a"
        );
    }

    #[test]
    fn what_others_wrote_stays() {
        let digest = manifest("1").digest;
        let before = format!(
            r#"{{"schemaVersion":2,"x":1,"manifests":[{{"mediaType":"a/b","digest":"{digest}","size":1,"platform":{{"os":"linux"}},"annotations":{{"{NAME}":"r.example/a:v1"}}}}]}}"#
        );
        let mut index = LayoutIndex::parse(before.as_bytes()).unwrap();
        assert_eq!(index.tags(), [tag("v1")]);
        index.enter(&manifest("2"), Some(&tag("v2")));
        let after = index.to_string();
        assert!(
            after.contains(r#""x":1"#) && after.contains(r#""platform":{"os":"linux"}"#),
            "{after}"
        );
        assert_eq!(
            LayoutIndex::parse(after.as_bytes()).unwrap().tags().len(),
            2
        );
    }

    /// Go writes an empty list as `null`, and knows digests only as texts.
    #[test]
    fn one_entry_that_cannot_be_read_does_not_hide_the_others() {
        let digest = manifest("1").digest;
        let odd = r#"{"mediaType":"a/b","digest":"blake3:00","size":1},null,{},7"#;
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{odd},{{"mediaType":"a/b","digest":"{digest}","size":1,"annotations":{{"{NAME}":"v1"}}}}]}}"#
        );
        let mut index = LayoutIndex::parse(text.as_bytes()).unwrap();
        assert_eq!(index.tags(), [tag("v1")]);
        index.enter(&manifest("2"), Some(&tag("v1")));
        assert_eq!(index.tags(), [tag("v1")]);
        let after: Value = serde_json::from_str(&index.to_string()).unwrap();
        assert_eq!(after["manifests"].as_array().unwrap().len(), 5);
        assert_eq!(after["manifests"][0]["digest"], "blake3:00");
        for empty in [
            r#"{"manifests":null}"#,
            "{}",
            r#"{"manifests":[],"manifests":[]}"#,
        ] {
            let mut index = LayoutIndex::parse(empty.as_bytes()).unwrap();
            index.enter(&manifest("1"), Some(&tag("v1")));
            assert_eq!(index.tags(), [tag("v1")], "{empty}");
        }
        LayoutIndex::parse(b"[]").err().unwrap();
    }

    #[test]
    fn one_image_needs_no_name() {
        assert_eq!(
            choose(&LayoutIndex::default(), None).unwrap_err(),
            "it holds no image"
        );
        let mut index = LayoutIndex::default();
        index.enter(&manifest("1"), None);
        assert_eq!(choose(&index, None).unwrap().digest, manifest("1").digest);
        assert_eq!(
            choose(&index, Some(&"a".parse().unwrap())).unwrap_err(),
            "the tag a is not in it; its images have no tags"
        );
    }
}
