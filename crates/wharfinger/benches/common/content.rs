//! What is pushed and pulled.

use oci::{Digest, DigestAlgorithm};
use serde_json::json;
use storage::hash::{self, ContentHasher};

use super::http::Connection;

/// Sizes of blobs, in bytes.
pub(crate) const SMALL: usize = 1 << 10;
pub(crate) const MEDIUM: usize = 1 << 20;
pub(crate) const LARGE: usize = 100 << 20;

/// Content that differs from all other of its length in its last eight bytes only, so that its
/// digest is soon known.
pub(crate) struct Content {
    common: Vec<u8>,
    hashed: ContentHasher,
}

impl Content {
    /// Content of this length.
    pub(crate) fn new(length: usize) -> Self {
        // Nothing that a file system or a processor could find a shortcut for.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut common = Vec::with_capacity(length);
        while common.len() < length - 8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            common.extend_from_slice(&state.to_le_bytes());
        }
        common.truncate(length - 8);
        let mut hashed = ContentHasher::new(DigestAlgorithm::Sha256);
        hashed.update(&common);
        Self { common, hashed }
    }

    pub(crate) fn digest(&self, number: u64) -> Digest {
        let mut hasher = self.hashed.clone();
        hasher.update(&number.to_le_bytes());
        hasher.finish()
    }

    pub(crate) fn bytes(&self, number: u64) -> Vec<u8> {
        [self.common.as_slice(), &number.to_le_bytes()].concat()
    }

    /// Pushes it as one PUT.
    pub(crate) fn put(
        &self,
        to: &mut Connection,
        repository: &str,
        headers: &str,
        number: u64,
    ) -> u64 {
        let location = begin(to, repository, headers);
        let path = with_digest(&location, &self.digest(number));
        let answer = to.send(
            "PUT",
            &path,
            headers,
            &[&self.common, &number.to_le_bytes()],
        );
        assert_eq!(answer.status, 201);
        self.length()
    }

    /// Pushes it as a PATCH and a PUT.
    pub(crate) fn patch(
        &self,
        to: &mut Connection,
        repository: &str,
        headers: &str,
        number: u64,
    ) -> u64 {
        let location = begin(to, repository, headers);
        let answer = to.send(
            "PATCH",
            &location,
            headers,
            &[&self.common, &number.to_le_bytes()],
        );
        assert_eq!(answer.status, 202);
        let answer = to.ask(
            "PUT",
            &with_digest(&answer.location, &self.digest(number)),
            headers,
        );
        assert_eq!(answer.status, 201);
        self.length()
    }

    fn length(&self) -> u64 {
        self.common.len() as u64 + 8
    }
}

fn begin(to: &mut Connection, repository: &str, headers: &str) -> String {
    let answer = to.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), headers);
    assert_eq!(answer.status, 202);
    answer.location
}

/// The address that ends the upload at `location`.
pub(crate) fn with_digest(location: &str, digest: &Digest) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

/// The manifest of an image with these blobs, each named with its length.
pub(crate) fn image(
    config: (Digest, usize),
    layers: &[(Digest, usize)],
    subject: Option<(Digest, usize)>,
) -> Vec<u8> {
    let descriptor = |kind: &str, (digest, size): (Digest, usize)| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "size": size, "digest": digest.to_string()});
    let layers: Vec<_> = layers
        .iter()
        .map(|layer| descriptor("layer.v1.tar+gzip", *layer))
        .collect();
    let mut manifest = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": descriptor("config.v1+json", config)});
    manifest["layers"] = layers.into();
    if let Some(subject) = subject {
        manifest["subject"] = descriptor("manifest.v1+json", subject);
        manifest["annotations"] =
            json!({"org.example.kind": "signature", "org.example.signer": "bench"});
    }
    serde_json::to_vec_pretty(&manifest).unwrap()
}

/// The media type of an image's manifest.
pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes a manifest.
pub(crate) fn put_manifest(
    to: &mut Connection,
    repository: &str,
    reference: &str,
    headers: &str,
    manifest: &[u8],
) {
    let headers = format!("{headers}Content-Type: {IMAGE}\r\n");
    let answer = to.send(
        "PUT",
        &format!("/v2/{repository}/manifests/{reference}"),
        &headers,
        &[manifest],
    );
    assert_eq!(answer.status, 201);
}

/// The digest of a manifest.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    hash::digest(DigestAlgorithm::Sha256, bytes)
}
