//! A data directory, as Distribution's registry writes it.

use std::fs;
use std::path::Path;

use oci::Digest;
use storage::NewManifest;

use super::world::sha256;

pub(crate) const BASE: &str = "docker/registry/v2";

/// The data directory of another registry.
pub(crate) struct DataDirectory(tempfile::TempDir);

impl DataDirectory {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join(BASE).join("repositories")).unwrap();
        Self(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, path: &str, content: &[u8]) {
        let path = self.path().join(BASE).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn content(&self, content: &[u8]) -> Digest {
        let digest = sha256(content);
        self.write(&data(&digest), content);
        digest
    }

    pub(crate) fn layer(&self, repository: &str, content: &[u8]) {
        let digest = self.content(content);
        let link = format!(
            "repositories/{repository}/_layers/sha256/{}/link",
            digest.encoded()
        );
        self.write(&link, digest.to_string().as_bytes());
    }

    pub(crate) fn manifest(
        &self,
        repository: &str,
        manifest: &NewManifest,
        tags: &[&str],
    ) -> Digest {
        self.raw_manifest(repository, manifest.bytes(), tags)
    }

    pub(crate) fn raw_manifest(&self, repository: &str, bytes: &[u8], tags: &[&str]) -> Digest {
        let digest = self.content(bytes);
        self.revision(repository, &digest);
        for tag in tags {
            self.tag(repository, tag, &digest);
        }
        digest
    }

    /// Gives a repository a manifest that another one has.
    pub(crate) fn link(&self, repository: &str, digest: &Digest, tag: &str) {
        self.revision(repository, digest);
        self.tag(repository, tag, digest);
    }

    fn revision(&self, repository: &str, digest: &Digest) {
        let link = format!(
            "repositories/{repository}/_manifests/revisions/sha256/{}/link",
            digest.encoded()
        );
        self.write(&link, digest.to_string().as_bytes());
    }

    pub(crate) fn tag(&self, repository: &str, tag: &str, digest: &Digest) {
        let link = format!("repositories/{repository}/_manifests/tags/{tag}/current/link");
        self.write(&link, digest.to_string().as_bytes());
    }

    /// Every file and its content.
    pub(crate) fn everything(&self) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let (mut files, mut open) = (Vec::new(), vec![self.path().to_owned()]);
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory)
                .unwrap()
                .map(|entry| entry.unwrap().path())
            {
                if entry.is_dir() {
                    open.push(entry);
                } else {
                    files.push((entry.clone(), fs::read(entry).unwrap()));
                }
            }
        }
        files.sort();
        files
    }
}

pub(crate) fn data(digest: &Digest) -> String {
    let hash = digest.encoded();
    format!("blobs/{}/{}/{hash}/data", digest.algorithm(), &hash[..2])
}
