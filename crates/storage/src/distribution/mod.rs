//! The way from Distribution's registry (2.x and 3.x) to this one, and back.
//!
//! *Adoption* reads a data directory of that registry into rows and leaves every file where it is.
//! *Export* writes such a directory, with links to our files where the file system has them. The
//! layout, under `docker/registry/v2`:
//!
//! ```text
//! blobs/sha256/ab/abcdef…/data                                   a blob, or a manifest
//! repositories/NAME/_layers/sha256/abcdef…/link                  the repository has this blob: its digest
//! repositories/NAME/_manifests/revisions/sha256/abcdef…/link     … this manifest; no file where it was deleted
//! repositories/NAME/_manifests/tags/TAG/current/link             where the tag points
//! repositories/NAME/_manifests/tags/TAG/index/sha256/…/link      where it has ever pointed
//! repositories/NAME/_uploads/UUID/                               an upload under way
//! ```

mod adopt;
mod export;
mod ongoing;
mod read;

use oci::{Digest, RepositoryName, Tag};

use crate::NewManifest;

pub use adopt::{AdoptError, AdoptionCheck, AdoptionReport, Discovery};
pub use export::{ExportError, ExportReport};
pub use ongoing::OngoingAdoption;

/// Where everything lies in a data directory.
const BASE: &str = "docker/registry/v2";

/// A part of a repository that another registry has written.
#[derive(Clone, Debug)]
pub struct RepositoryPart {
    /// The repository.
    pub repository: RepositoryName,
    /// Its blobs.
    pub blobs: Vec<AdoptedBlob>,
    /// Its manifests.
    pub manifests: Vec<NewManifest>,
    /// Its tags, and the manifests, of this part or an earlier one, that they point at.
    pub tags: Vec<(Tag, Digest)>,
    /// With the last part of a repository, what was found in all of it.
    pub totals: Option<AdoptionTotals>,
}

/// How much was found in repositories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdoptionTotals {
    /// Manifests.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
    /// Blobs, each counted once a repository.
    pub blobs: u64,
}

/// A blob that another registry has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedBlob {
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its path in the data directory.
    pub key: String,
}

/// Something in a data directory that could not be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptionProblem {
    /// Where, as a path in the data directory.
    pub path: String,
    /// What about it.
    pub kind: AdoptionProblemKind,
}

/// What about something that could not be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptionProblemKind {
    /// A manifest of Docker's first schema, which only clients from before 2017 can use.
    #[error("a manifest of schema 1, which is not served any more")]
    Schema1,
    /// It is no manifest.
    #[error("no manifest that is known here: {0}")]
    NoManifest(String),
    /// A link to content that is not there.
    #[error("a link to {0}, which is not there")]
    Broken(Digest),
    /// A link that says no digest, or another than its path does.
    #[error("a broken link")]
    NoLink,
    /// A directory that has no name of a repository or a tag.
    #[error("not the name of a repository or tag")]
    Name,
    /// Content that is not what it is called.
    #[error("its digest is {0}: it was changed on the disk")]
    Changed(Digest),
    /// An upload that was never finished.
    #[error("an upload that was never finished")]
    Upload,
    /// The disk cannot read it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

fn blob_key(digest: &Digest) -> String {
    let encoded = digest.encoded();
    format!(
        "{BASE}/blobs/{}/{}/{encoded}/data",
        digest.algorithm(),
        &encoded[..2]
    )
}
