//! The client's side of the distribution API (OCI distribution-spec).

mod attach;
mod blobs;
mod history;
mod list;
mod manifests;
mod referrers;
mod upload;

use oci::RepositoryName;

pub use attach::{Artifact, Attachment};
pub use blobs::Download;
pub use history::TagHistoryEntry;
pub use list::NamePages;
pub use referrers::Referrer;

use crate::RegistrySession;

/// A registry.
#[derive(Clone)]
pub struct RegistryClient {
    session: RegistrySession,
}

impl RegistryClient {
    /// The registry of the session.
    #[must_use]
    pub fn new(session: RegistrySession) -> Self {
        Self { session }
    }

    /// One of its repositories. It need not exist.
    #[must_use]
    pub fn repository(&self, name: RepositoryName) -> RepositoryClient {
        RepositoryClient {
            session: self.session.clone(),
            name,
        }
    }
}

/// One repository of a registry.
#[derive(Clone)]
pub struct RepositoryClient {
    session: RegistrySession,
    name: RepositoryName,
}

impl RepositoryClient {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// The session with its registry.
    #[must_use]
    pub fn session(&self) -> &RegistrySession {
        &self.session
    }

    /// Whether both belong to one registry, so that blobs can be mounted from one to the other.
    #[must_use]
    pub fn shares_registry_with(&self, other: &Self) -> bool {
        self.session.host() == other.session.host()
    }

    /// The URL of `path` below the repository.
    fn url(&self, path: &str) -> Result<reqwest::Url, crate::Error> {
        self.session.url(&format!("{}/{path}", self.name))
    }

    /// `HOST/NAME@` and a tag or digest, for messages.
    fn place(&self, what: &dyn std::fmt::Display) -> String {
        format!("{}/{}@{what}", self.session.host(), self.name)
    }
}
