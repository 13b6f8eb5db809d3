//! Data directories of Distribution's registry, written by hand.

use std::fs;
use std::path::Path;

use oci::{Digest, DigestAlgorithm, media_type};
use storage::hash;
use tempfile::TempDir;

pub(crate) const BASE: &str = "docker/registry/v2";

/// A data directory that goes with its test.
pub(crate) struct Layout(TempDir);

impl Layout {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// For files by the ten thousand, which are gone again soon: in memory where that can be.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() {
            Self(tempfile::tempdir_in(memory).unwrap())
        } else {
            Self::new()
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file; `path` is relative to where everything lies.
    pub(crate) fn write(&self, path: &str, content: &[u8]) {
        let path = self.path().join(BASE).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn content(&self, content: &[u8]) -> Digest {
        let digest = hash::digest(DigestAlgorithm::Sha256, content);
        self.write(&data(&digest), content);
        digest
    }

    pub(crate) fn remove(&self, digest: &Digest) {
        fs::remove_file(self.path().join(BASE).join(data(digest))).unwrap();
    }

    pub(crate) fn layer(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = self.content(content);
        self.link(
            repository,
            &format!("_layers/sha256/{}", digest.encoded()),
            &digest,
        );
        digest
    }

    pub(crate) fn manifest(&self, repository: &str, manifest: &[u8], tag: &str) -> Digest {
        let digest = self.content(manifest);
        self.link(
            repository,
            &format!("_manifests/revisions/sha256/{}", digest.encoded()),
            &digest,
        );
        self.tag(repository, tag, &digest);
        digest
    }

    pub(crate) fn tag(&self, repository: &str, tag: &str, digest: &Digest) {
        self.link(
            repository,
            &format!("_manifests/tags/{tag}/current"),
            digest,
        );
    }

    fn link(&self, repository: &str, place: &str, digest: &Digest) {
        self.write(
            &format!("repositories/{repository}/{place}/link"),
            digest.to_string().as_bytes(),
        );
    }
}

/// Where a blob or a manifest lies.
pub(crate) fn data(digest: &Digest) -> String {
    let hash = digest.encoded();
    format!("blobs/sha256/{}/{hash}/data", &hash[..2])
}

/// An image that is nothing but its configuration.
pub(crate) fn image(config: &Digest, size: usize) -> String {
    let (manifest, empty) = (
        media_type::OCI_MANIFEST,
        "application/vnd.oci.empty.v1+json",
    );
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{manifest}","config":{{"mediaType":"{empty}","digest":"{config}","size":{size}}},"layers":[]}}"#
    )
}
