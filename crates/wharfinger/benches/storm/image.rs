//! The images that are pulled and pushed.

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm};
use serde_json::json;
use storage::hash;

/// The media type of an image's manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Sizes of the layers that a node pulls, in bytes.
const LAYERS: [usize; 5] = [1 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// An image: its blobs (the configuration first) and its manifest.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) blobs: Vec<(Digest, Bytes)>,
    pub(crate) manifest: Bytes,
}

impl Image {
    /// The image of the fleet.
    pub(crate) fn new() -> Self {
        Self::of(&LAYERS, 0)
    }

    /// The image of one CI job: a configuration and a layer of 1 KiB.
    pub(crate) fn small(number: usize) -> Self {
        Self::of(&[1 << 10], 1 + number as u64)
    }

    fn of(layers: &[usize], seed: u64) -> Self {
        let sizes = std::iter::once(&1024).chain(layers).enumerate();
        let blobs: Vec<(Digest, Bytes)> = sizes
            .map(|(place, size)| {
                let bytes = Bytes::from(noise(*size, seed << 8 | place as u64));
                (hash::digest(DigestAlgorithm::Sha256, &bytes), bytes)
            })
            .collect();
        let descriptor = |(digest, bytes): &(Digest, Bytes), media_type: &str| json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()});
        let layers = blobs[1..]
            .iter()
            .map(|blob| descriptor(blob, "application/vnd.oci.image.layer.v1.tar"));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(&blobs[0], "application/vnd.oci.image.config.v1+json"),
            "layers": layers.collect::<Vec<_>>(),
        });
        Self {
            manifest: Bytes::from(manifest.to_string()),
            blobs,
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        hash::digest(DigestAlgorithm::Sha256, &self.manifest)
    }
}

/// Bytes that do not compress (xorshift).
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ seed.wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
