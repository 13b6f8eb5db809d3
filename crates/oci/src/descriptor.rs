//! Descriptors: how one piece of content refers to another.

use std::collections::BTreeMap;

use serde::de::{DeserializeSeed, MapAccess};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::Digest;
use crate::json::{Members, ObjectSeed, Strictness};

/// What content refers to: its type, its name and its size (OCI image-spec, descriptor.md). Members
/// that a registry has no use for are ignored when one is read; the manifest around it is kept as
/// it came.
///
/// `Deserialize` reads what another server answers, as forgiving as Go's `encoding/json`; see
/// [`Manifest::parse`](crate::Manifest::parse) for what is pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The type of the content; empty if the descriptor does not say.
    pub media_type: String,
    /// The name of the content.
    pub digest: Digest,
    /// The length of the content in bytes; 0 if a stored descriptor does not say.
    pub size: u64,
    /// Where else the content is, if the descriptor says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What the content runs on, if it is an image of an index that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Box<DescriptorPlatform>>,
    /// What kind of artifact the content is, if it is a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Further properties. A `null` is read as an empty text, as Go does.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What an image runs on (OCI image-spec, image-index.md): the members that every platform has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DescriptorPlatform {
    /// `linux`, `windows`, …
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        ObjectSeed::<DescriptorJson>::new(Strictness::Stored)
            .deserialize(from)?
            .finish()
            .map_err(serde::de::Error::custom)
    }
}

/// The members of a descriptor as they are written.
#[derive(Clone, Default)]
pub(crate) struct DescriptorJson {
    media_type: Option<String>,
    digest: Option<String>,
    size: Option<i64>,
    urls: Vec<String>,
    platform: Option<Box<DescriptorPlatform>>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
}

impl<'de> Members<'de> for DescriptorJson {
    const NAMES: &'static [&'static str] = &[
        "mediaType",
        "digest",
        "size",
        "urls",
        "platform",
        "artifactType",
        "annotations",
    ];

    fn read<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        map: &mut A,
        _: Strictness,
    ) -> Result<(), A::Error> {
        match name {
            "mediaType" => overwrite(&mut self.media_type, map.next_value()?),
            "digest" => overwrite(&mut self.digest, map.next_value()?),
            "size" => overwrite(&mut self.size, map.next_value()?),
            // What is neither a list nor an object says nothing, as before these members were read.
            "urls" => self.urls = texts(map.next_value()?),
            "platform" => self.platform = platform(&map.next_value()?),
            "artifactType" => overwrite(&mut self.artifact_type, map.next_value()?),
            _ => self.annotations.extend(annotations(map)?),
        }
        Ok(())
    }

    fn check(&self, strictness: Strictness) -> Result<(), String> {
        if strictness == Strictness::Stored {
            return Ok(());
        }
        self.digest()?;
        match self.size {
            None => Err("\"size\" is missing".to_owned()),
            Some(size) if size < 0 => Err(format!(
                "\"size\" is {size}, but a size is a number of bytes"
            )),
            Some(_) => Ok(()),
        }
    }
}

impl DescriptorJson {
    fn digest(&self) -> Result<Digest, String> {
        let text = self.digest.as_deref().ok_or("\"digest\" is missing")?;
        text.parse().map_err(|error| format!("\"digest\": {error}"))
    }

    /// The descriptor, unless it names nothing.
    pub(crate) fn finish(self) -> Result<Descriptor, String> {
        Ok(Descriptor {
            digest: self.digest()?,
            media_type: self.media_type.unwrap_or_default(),
            size: self.size.unwrap_or_default().try_into().unwrap_or_default(),
            urls: self.urls,
            platform: self.platform,
            artifact_type: self.artifact_type.filter(|text| !text.is_empty()),
            annotations: self.annotations,
        })
    }
}

/// The texts of a list.
fn texts(value: Value) -> Vec<String> {
    let Value::Array(items) = value else {
        return Vec::new();
    };
    let texts = items.into_iter().filter_map(|item| match item {
        Value::String(text) => Some(text),
        _ => None,
    });
    texts.collect()
}

fn platform(value: &Value) -> Option<Box<DescriptorPlatform>> {
    let platform = value.as_object()?;
    let text = |name| {
        platform
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    Some(Box::new(DescriptorPlatform {
        os: text("os").to_owned(),
        architecture: text("architecture").to_owned(),
    }))
}

/// `null` changes nothing, as in Go.
pub(crate) fn overwrite<T>(slot: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *slot = value;
    }
}

/// A map of texts. `null` instead of a text is an empty one.
pub(crate) fn annotations<'de, A: MapAccess<'de>>(
    map: &mut A,
) -> Result<BTreeMap<String, String>, A::Error> {
    let read: Option<BTreeMap<String, Option<String>>> = map.next_value()?;
    Ok(read
        .into_iter()
        .flatten()
        .map(|(name, text)| (name, text.unwrap_or_default()))
        .collect())
}
