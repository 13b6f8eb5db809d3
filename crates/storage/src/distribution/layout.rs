//! Paths in a data directory of Distribution's registry.

use oci::{Digest, RepositoryName};

/// The directory that has everything.
pub(crate) const BASE: &str = "docker/registry/v2";

/// The path of a blob's content.
pub(super) fn blob_path(digest: &Digest) -> String {
    let encoded = digest.encoded();
    format!(
        "{BASE}/blobs/{}/{}/{encoded}/data",
        digest.algorithm(),
        &encoded[..2]
    )
}

/// The path of all repositories.
pub(super) fn repositories_path() -> String {
    format!("{BASE}/repositories")
}

/// The path of a repository.
pub(super) fn repository_path(repository: &RepositoryName) -> String {
    format!("{}/{repository}", repositories_path())
}
