//! What adoption reports about files that it cannot take over.

use oci::Digest;

/// Something in a data directory that cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptionProblem {
    /// Its path in the data directory.
    pub path: String,
    /// What is wrong with it.
    pub kind: AdoptionProblemKind,
}

/// Why something cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptionProblemKind {
    /// A manifest of Docker's first schema, which only clients from before 2017 can use.
    #[error("a manifest of schema 1, which is not served any more")]
    Schema1,
    /// It is not a valid manifest.
    #[error("not a known kind of manifest: {0}")]
    NoManifest(String),
    /// A link to missing content.
    #[error("a link to {0}, which is missing")]
    Broken(Digest),
    /// A link without a digest, or with another digest than its path has.
    #[error("a broken link")]
    NoLink,
    /// A link by a digest that this registry does not serve. Distribution 2.8 takes SHA-384, too, and
    /// links the same content by its SHA-256.
    #[error(
        "a link by a digest other than sha256 and sha512: the content is served by its sha256 only"
    )]
    Algorithm,
    /// A directory whose name is not valid for a repository or a tag.
    #[error("not the name of a repository or tag")]
    Name,
    /// Content that does not have its digest.
    #[error("its digest is {0}: it was changed on the disk")]
    Changed(Digest),
    /// A symbolic link instead of a directory.
    #[error("a symbolic link, which is not followed")]
    Link,
    /// An upload that was never finished.
    #[error("an upload that was never finished")]
    Upload,
    /// The disk cannot read it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}
