//! The output of `docker save`: configurations and layers without a manifest that a registry would
//! accept. A manifest is made for each image.

use std::collections::HashMap;

use oci::{Digest, DigestAlgorithm, media_type};
use serde_json::{Map, Value, json};

use super::compression::Compression;
use super::entries::{ArchiveEntries, Extent};
use crate::Error;
use crate::hasher::DigestHasher;
use crate::json;

/// The largest `manifest.json` or configuration that is read, in bytes.
pub(super) const LARGEST: u64 = 16 * 1024 * 1024;
/// How much of a layer is hashed at once, in bytes.
const PIECE: usize = 256 * 1024;

/// One image of the archive.
#[derive(Debug)]
pub(super) struct SavedImage {
    /// Its names, `HOST/NAME:TAG`.
    pub(super) names: Vec<String>,
    /// The OCI manifest that was made for it.
    pub(super) manifest: Vec<u8>,
    /// Where its configuration and layers lie.
    pub(super) blobs: Vec<(Digest, Extent)>,
}

/// An entry of `manifest.json` (Docker Image Specification v1.2, "Combined Image JSON + Filesystem
/// Changeset Format").
///
/// Docker reads members in any case, and writes `null` for an image without layers.
struct ManifestEntry {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl ManifestEntry {
    fn of(members: &Map<String, Value>) -> Option<Self> {
        let texts = |name| {
            let texts = json::list(members, name).iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        Some(Self {
            config: json::text(members, "Config")?.to_owned(),
            repo_tags: texts("RepoTags"),
            layers: texts("Layers"),
        })
    }
}

/// Reads all images. The digests of layers are not stored in the archive, so every layer is hashed,
/// once however often it is named.
pub(super) fn read(entries: &ArchiveEntries, list: &[u8]) -> Result<Vec<SavedImage>, Error> {
    let wrong = |what: String| Error::Layout {
        path: entries.path.clone(),
        what,
        missing: false,
    };
    let items: Vec<Map<String, Value>> = serde_json::from_slice(list)
        .map_err(|error| wrong(format!("its manifest.json cannot be read: {error}")))?;
    let mut hashed = Hashed::default();
    let images = items.iter().map(|item| {
        let entry = ManifestEntry::of(item);
        let entry = entry.ok_or_else(|| wrong("its manifest.json has no Config".to_owned()))?;
        entry.read(entries, &mut hashed)
    });
    images.collect()
}

/// What was hashed already.
#[derive(Default)]
struct Hashed(HashMap<Extent, (Digest, &'static str)>);

impl Hashed {
    /// The digest of a file and, if it is a layer, its type.
    fn file(
        &mut self,
        entries: &ArchiveEntries,
        extent: Extent,
    ) -> Result<(Digest, &'static str), Error> {
        if let Some(known) = self.0.get(&extent) {
            return Ok(*known);
        }
        let hashed = hash(entries, extent)?;
        self.0.insert(extent, hashed);
        Ok(hashed)
    }
}

impl ManifestEntry {
    fn read(self, entries: &ArchiveEntries, hashed: &mut Hashed) -> Result<SavedImage, Error> {
        let config = named(entries, &self.config)?;
        if config.size > LARGEST {
            return Err(Error::Layout {
                path: entries.path.clone(),
                what: format!(
                    "a configuration of {} bytes; at most {LARGEST} are read",
                    config.size
                ),
                missing: false,
            });
        }
        let mut blobs = vec![(hashed.file(entries, config)?.0, config)];
        let mut layers = Vec::new();
        for name in &self.layers {
            let extent = named(entries, name)?;
            let (digest, media_type) = hashed.file(entries, extent)?;
            layers.push(json!({ "mediaType": media_type, "digest": digest, "size": extent.size }));
            blobs.push((digest, extent));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": blobs[0].0,
                "size": config.size,
            },
            "layers": layers,
        });
        Ok(SavedImage {
            names: self.repo_tags,
            manifest: manifest.to_string().into_bytes(),
            blobs,
        })
    }
}

fn named(entries: &ArchiveEntries, name: &str) -> Result<Extent, Error> {
    entries.find(name).ok_or_else(|| Error::Layout {
        path: entries.path.clone(),
        what: format!("its manifest.json names {name:?}, which is not in the archive"),
        missing: false,
    })
}

/// A file's digest, and the type of a layer that is compressed like it.
fn hash(entries: &ArchiveEntries, extent: Extent) -> Result<(Digest, &'static str), Error> {
    let mut hasher = DigestHasher::new(DigestAlgorithm::Sha256);
    let mut buffer = vec![0; PIECE];
    let mut compression = None;
    while hasher.length() < extent.size {
        let left = usize::try_from(extent.size - hasher.length())
            .unwrap_or(usize::MAX)
            .min(PIECE);
        entries.read_at(&mut buffer[..left], extent.begin + hasher.length())?;
        if hasher.length() == 0 {
            compression = Compression::of(&buffer[..left]);
        }
        hasher.update(&buffer[..left]);
    }
    let media_type = match compression {
        Some(Compression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
        Some(Compression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
        _ => "application/vnd.oci.image.layer.v1.tar",
    };
    Ok((hasher.finish(), media_type))
}
