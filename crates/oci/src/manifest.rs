//! Manifests, read as far as a registry must: what kind it is and what it refers to.
//!
//! A manifest is named by the hash of its bytes, so the bytes are kept as they came and never
//! printed from what is read here. Other members are ignored.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess};

use crate::descriptor::{DescriptorJson, annotations, overwrite};
use crate::json::{List, Members, Nullable, ObjectSeed, Strictness, repaired_json};
use crate::{Descriptor, media_type};

/// What a manifest contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its type, without parameters: one of the four of [`media_type`].
    pub media_type: String,
    /// What it holds together.
    pub content: ManifestContent,
    /// The manifest that it refers to, if it is a referrer.
    pub subject: Option<Descriptor>,
    /// The type of artifact that it states; never empty.
    pub artifact_type: Option<String>,
    /// Further properties.
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
    /// Reads a manifest that is pushed. `content_type` is what it was sent as, with or without
    /// parameters; if it was not said, the manifest itself must say.
    ///
    /// Read strictly, but for what registry 2.8 accepts from producers that exist: a descriptor
    /// without `mediaType`, and `null` for an annotation.
    ///
    /// # Errors
    /// When it is not a manifest that a registry accepts today: see [`ManifestError`].
    pub fn parse(content_type: Option<&str>, bytes: &[u8]) -> Result<Self, ManifestError> {
        Self::read(content_type, bytes, Strictness::Pushed)
    }

    /// Reads a manifest that is stored already, or that another server answered: as forgiving as
    /// Go's `encoding/json`. Names count in any case and the last of several members counts; `size`
    /// may be missing or negative. One that does not say its type is an index if it lists
    /// manifests, and an image otherwise.
    ///
    /// Distribution reads only the members that it needs, so the others can be anything. Of those,
    /// `subject`, `artifactType` and `annotations` count if they are what they should be.
    ///
    /// # Errors
    /// When Distribution could not read it either.
    pub fn parse_stored(content_type: Option<&str>, bytes: &[u8]) -> Result<Self, ManifestError> {
        Self::read(content_type, bytes, Strictness::Stored)
    }

    fn read(
        content_type: Option<&str>,
        bytes: &[u8],
        strictness: Strictness,
    ) -> Result<Self, ManifestError> {
        let sent_as = content_type
            .map(media_type::essence)
            .filter(|essence| !essence.is_empty())
            .map(media_type::canonical);
        if sent_as.is_some_and(is_schema_1) {
            return Err(ManifestError::Schema1);
        }
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            return Err(ManifestError::NoObject);
        }
        let bytes = match strictness {
            Strictness::Pushed => Cow::Borrowed(bytes),
            Strictness::Stored => repaired_json(bytes),
        };
        match strictness {
            Strictness::Pushed => {
                let json = ManifestJson::parse(&bytes)?;
                let media_type = json
                    .media_type(sent_as)?
                    .ok_or(ManifestError::NoMediaType)?;
                let kinds = json.kinds();
                json.finish(media_type, kinds, strictness)
            }
            Strictness::Stored => ManifestJson::parse_stored(sent_as, &bytes),
        }
    }

    /// What kind of artifact a list of referrers calls it: its own statement, else the type of
    /// an image's configuration, else nothing (OCI distribution-spec, "Listing Referrers").
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

    /// Its layers, those that are fetched from elsewhere too.
    #[must_use]
    pub fn layers(&self) -> &[Descriptor] {
        match &self.content {
            ManifestContent::Image { layers, .. } => layers,
            ManifestContent::Index { .. } => &[],
        }
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
    /// A schema that does not exist.
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
    #[error("unknown type of manifest {0:?}: use an OCI or Docker image manifest or index")]
    MediaType(String),
    /// An image cannot be without it.
    #[error("the manifest has no `config`")]
    NoConfig,
    /// It could be read as two things, and clients would not agree on which (CVE-2021-41190).
    #[error("the manifest has members of both an image and an index")]
    Ambiguous,
}

/// All members of either kind, as they are written.
#[derive(Clone, Default)]
struct ManifestJson {
    schema_version: Option<i64>,
    media_type: Option<String>,
    config: Option<DescriptorJson>,
    layers: Option<Vec<DescriptorJson>>,
    manifests: Option<Vec<DescriptorJson>>,
    subject: Option<DescriptorJson>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
}

impl<'de> Members<'de> for ManifestJson {
    const NAMES: &'static [&'static str] = &[
        "schemaVersion",
        "mediaType",
        "config",
        "layers",
        "manifests",
        "subject",
        "artifactType",
        "annotations",
    ];

    fn read<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        map: &mut A,
        strictness: Strictness,
    ) -> Result<(), A::Error> {
        match name {
            "schemaVersion" => overwrite(&mut self.schema_version, map.next_value()?),
            "mediaType" => overwrite(&mut self.media_type, map.next_value()?),
            "artifactType" => overwrite(&mut self.artifact_type, map.next_value()?),
            "config" => descriptor(&mut self.config, name, map, strictness)?,
            "subject" => descriptor(&mut self.subject, name, map, strictness)?,
            "layers" => list(&mut self.layers, name, map, strictness)?,
            "manifests" => list(&mut self.manifests, name, map, strictness)?,
            _ => self.annotations.extend(annotations(map)?),
        }
        Ok(())
    }

    fn check(&self, _: Strictness) -> Result<(), String> {
        Ok(())
    }
}

fn descriptor<'de, A: MapAccess<'de>>(
    slot: &mut Option<DescriptorJson>,
    name: &'static str,
    map: &mut A,
    strictness: Strictness,
) -> Result<(), A::Error> {
    let start = slot.clone().unwrap_or_default();
    let value = map
        .next_value_seed(Nullable(ObjectSeed::onto(start, strictness)))
        .map_err(|error| A::Error::custom(format!("{name}: {error}")))?;
    overwrite(slot, value);
    Ok(())
}

fn list<'de, A: MapAccess<'de>>(
    slot: &mut Option<Vec<DescriptorJson>>,
    name: &'static str,
    map: &mut A,
    strictness: Strictness,
) -> Result<(), A::Error> {
    let start = slot.clone().unwrap_or_default();
    let list = List {
        name,
        strictness,
        start,
    };
    overwrite(slot, map.next_value_seed(Nullable(list))?);
    Ok(())
}

/// Which members of the two kinds a manifest has, whatever they hold.
#[derive(Clone, Copy, Default)]
struct Kinds {
    image: bool,
    index: bool,
}

impl<'de> Members<'de> for Kinds {
    const NAMES: &'static [&'static str] = &["config", "layers", "manifests"];

    fn read<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        map: &mut A,
        _: Strictness,
    ) -> Result<(), A::Error> {
        let is_there = map.next_value::<Option<IgnoredAny>>()?.is_some();
        match name {
            "manifests" => self.index |= is_there,
            _ => self.image |= is_there,
        }
        Ok(())
    }

    fn check(&self, _: Strictness) -> Result<(), String> {
        Ok(())
    }
}

/// Reads all of `bytes` as one object.
fn object<'de, T: Members<'de>>(
    bytes: &'de [u8],
    object: ObjectSeed<T>,
) -> Result<T, ManifestError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = object.deserialize(&mut reader);
    let read = read.and_then(|read| reader.end().map(|()| read));
    read.map_err(|error| ManifestError::Json(error.to_string()))
}

impl ManifestJson {
    fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        object(bytes, ObjectSeed::new(Strictness::Pushed))
    }

    /// Reads only what the manifest's type has. Each member of no effect in Distribution is read by
    /// itself, because it may be anything there.
    fn parse_stored(sent_as: Option<&str>, bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let start = Self::default();
        let members = |start: Self, names| {
            let members = ObjectSeed::onto(start, Strictness::Stored).only(names);
            object(bytes, members)
        };
        let json = members(start, &["schemaVersion", "mediaType"])?;
        let kinds: Kinds = object(bytes, ObjectSeed::new(Strictness::Stored))?;
        // Distribution's rule for stored manifests: one that lists manifests is an index.
        let media_type = json
            .media_type(sent_as)?
            .unwrap_or_else(|| match kinds.index {
                true => media_type::OCI_INDEX.to_owned(),
                false => media_type::OCI_MANIFEST.to_owned(),
            });
        let names: &[&str] = match media_type.as_str() {
            media_type::OCI_INDEX | media_type::DOCKER_LIST => &["manifests"],
            _ => &["config", "layers"],
        };
        let mut json = members(json, names)?;
        for name in [&["subject"], &["artifactType"], &["annotations"]] {
            if let Ok(with) = members(json.clone(), name) {
                json = with;
            }
        }
        json.finish(media_type, kinds, Strictness::Stored)
    }

    fn kinds(&self) -> Kinds {
        Kinds {
            image: self.config.is_some() || self.layers.is_some(),
            index: self.manifests.is_some(),
        }
    }

    /// The type; `None` if neither `sent_as` nor the manifest says it.
    fn media_type(&self, sent_as: Option<&str>) -> Result<Option<String>, ManifestError> {
        let own = self.media_type.as_deref().unwrap_or_default();
        if is_schema_1(own) || self.schema_version == Some(1) {
            return Err(ManifestError::Schema1);
        }
        if self.schema_version != Some(2) {
            return Err(ManifestError::SchemaVersion);
        }
        match (sent_as, own) {
            (None, "") => Ok(None),
            (None, own) => Ok(Some(own.to_owned())),
            (Some(sent_as), "") => Ok(Some(sent_as.to_owned())),
            (Some(sent_as), own) if sent_as == own => Ok(Some(own.to_owned())),
            (Some(sent_as), own) => Err(ManifestError::Disagreement {
                sent_as: sent_as.to_owned(),
                media_type: own.to_owned(),
            }),
        }
    }

    fn finish(
        self,
        media_type: String,
        kinds: Kinds,
        strictness: Strictness,
    ) -> Result<Manifest, ManifestError> {
        let finish = |json: DescriptorJson| json.finish().map_err(ManifestError::Json);
        let all = |list: Option<Vec<DescriptorJson>>| {
            let list = list.into_iter().flatten();
            match strictness {
                Strictness::Pushed => list.map(finish).collect(),
                // What names nothing refers to nothing.
                Strictness::Stored => Ok(list.filter_map(|json| finish(json).ok()).collect()),
            }
        };
        // Distribution looks for the members of the other kind in OCI's manifests only.
        let is_checked = |oci| strictness == Strictness::Pushed || media_type == oci;
        let content = match media_type.as_str() {
            media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => {
                if kinds.index && is_checked(media_type::OCI_MANIFEST) {
                    return Err(ManifestError::Ambiguous);
                }
                ManifestContent::Image {
                    config: finish(self.config.ok_or(ManifestError::NoConfig)?)?,
                    layers: all(self.layers)?,
                }
            }
            media_type::OCI_INDEX | media_type::DOCKER_LIST => {
                if kinds.image && is_checked(media_type::OCI_INDEX) {
                    return Err(ManifestError::Ambiguous);
                }
                ManifestContent::Index {
                    manifests: all(self.manifests)?,
                }
            }
            _ => return Err(ManifestError::MediaType(media_type)),
        };
        let subject = self.subject.map(finish);
        Ok(Manifest {
            media_type,
            content,
            subject: match strictness {
                Strictness::Pushed => subject.transpose()?,
                Strictness::Stored => subject.and_then(Result::ok),
            },
            artifact_type: self.artifact_type.filter(|text| !text.is_empty()),
            annotations: self.annotations,
        })
    }
}

fn is_schema_1(media_type: &str) -> bool {
    media_type::DOCKER_SCHEMA_1.contains(&media_type)
}
