//! Which manifests are pulled, for retention.

use oci::{Digest, RepositoryName};
use storage::PullTimes;

/// Notes which manifests are pulled. A request does not wait for it, so it must return at once.
pub trait PullRecorder: Send + Sync {
    /// A client got a manifest, or learned that it has the current one. Asking with `HEAD` counts: an
    /// engine that has an image asks so whether its tag has moved.
    fn pulled(&self, repository: &RepositoryName, digest: &Digest);
}

impl PullRecorder for PullTimes {
    fn pulled(&self, repository: &RepositoryName, digest: &Digest) {
        self.note(repository, digest);
    }
}
