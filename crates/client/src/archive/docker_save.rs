//! What `docker save` writes: configurations and layers without a manifest that a registry would
//! take, so one is made.

use oci::{Digest, DigestAlgorithm, media_type};
use serde::Deserialize;
use serde_json::json;

use super::entries::{ArchiveEntries, Extent, compression_of};
use crate::Error;
use crate::hasher::ContentHasher;

/// The largest `manifest.json` or configuration that is read, in bytes.
pub(super) const LARGEST: u64 = 16 * 1024 * 1024;
/// How much of a layer is hashed at once, in bytes.
const PIECE: usize = 256 * 1024;

/// One image of the archive.
#[derive(Debug)]
pub(super) struct SavedImage {
    /// Its names, `HOST/NAME:TAG`.
    pub(super) names: Vec<String>,
    /// The manifest that was made for it, in OCI's words.
    pub(super) manifest: Vec<u8>,
    /// Where configuration and layers lie.
    pub(super) blobs: Vec<(Digest, Extent)>,
}

/// An entry of `manifest.json` (Docker Image Specification v1.2, "Combined Image JSON + Filesystem
/// Changeset Format").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// Reads all images. Every layer is hashed once, for nothing in the archive says its digest for
/// sure.
pub(super) fn read(entries: &ArchiveEntries, list: &[u8]) -> Result<Vec<SavedImage>, Error> {
    let wrong = |what: String| Error::Layout {
        path: entries.path.clone(),
        what,
        missing: false,
    };
    let items: Vec<ManifestEntry> = serde_json::from_slice(list)
        .map_err(|error| wrong(format!("its manifest.json cannot be read: {error}")))?;
    items.into_iter().map(|item| item.read(entries)).collect()
}

impl ManifestEntry {
    fn read(self, entries: &ArchiveEntries) -> Result<SavedImage, Error> {
        let config = named(entries, &self.config)?;
        let mut blobs = vec![(
            ContentHasher::digest(DigestAlgorithm::Sha256, &entries.bytes(config, LARGEST)?),
            config,
        )];
        let mut layers = Vec::new();
        for name in &self.layers {
            let extent = named(entries, name)?;
            let (digest, media_type) = layer(entries, extent)?;
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
        let names = self.repo_tags.unwrap_or_default();
        Ok(SavedImage {
            names,
            manifest: manifest.to_string().into_bytes(),
            blobs,
        })
    }
}

fn named(entries: &ArchiveEntries, name: &str) -> Result<Extent, Error> {
    entries.find(name).ok_or_else(|| Error::Layout {
        path: entries.path.clone(),
        what: format!("its manifest.json names {name}, which is not in it"),
        missing: false,
    })
}

/// A layer's digest, and its type by how it is compressed.
fn layer(entries: &ArchiveEntries, extent: Extent) -> Result<(Digest, &'static str), Error> {
    let mut hasher = ContentHasher::new(DigestAlgorithm::Sha256);
    let mut buffer = vec![0; PIECE];
    let mut compression = None;
    while hasher.length() < extent.size {
        let left = usize::try_from(extent.size - hasher.length())
            .unwrap_or(usize::MAX)
            .min(PIECE);
        entries.read_at(&mut buffer[..left], extent.begin + hasher.length())?;
        if hasher.length() == 0 {
            compression = compression_of(&buffer[..left]);
        }
        hasher.update(&buffer[..left]);
    }
    let media_type = match compression {
        Some("gzip") => "application/vnd.oci.image.layer.v1.tar+gzip",
        Some("zstd") => "application/vnd.oci.image.layer.v1.tar+zstd",
        _ => "application/vnd.oci.image.layer.v1.tar",
    };
    Ok((hasher.finish(), media_type))
}
