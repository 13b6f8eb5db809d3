//! Images that the tests push.

use oci::{Digest, DigestAlgorithm};
use storage::hash;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image's manifest.
pub(super) fn manifest(config: &(Digest, &Vec<u8>), layers: &[(Digest, &Vec<u8>)]) -> String {
    let descriptor = |kind: &str, (digest, content): &(Digest, &Vec<u8>)| {
        let size = content.len();
        format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{digest}\",\"size\":{size}}}")
    };
    let layer = |layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer);
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{},\"layers\":[{}]}}",
        descriptor("application/vnd.oci.image.config.v1+json", config),
        layers.iter().map(layer).collect::<Vec<_>>().join(",")
    )
}

pub(super) fn digest(content: &[u8]) -> Digest {
    hash::digest(DigestAlgorithm::Sha256, content)
}
