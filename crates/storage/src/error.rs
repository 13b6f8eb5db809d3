//! Why a request to the storage failed, by who is at fault.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::BoxFuture;
use oci::{Digest, RepositoryName, Tag};
use tag_rules::RuleOrigin;
use tokio::task::JoinError;

use crate::QuotaExceeded;

/// What a method of a seam returns.
pub type StorageFuture<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Why a request to the storage failed. The caller's faults come first, the server's last.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The repository has no content, or never had any.
    #[error("the repository is unknown")]
    RepositoryUnknown,
    /// The repository has no such manifest or tag.
    #[error("the manifest is unknown in this repository")]
    ManifestUnknown,
    /// The repository has no such blob.
    #[error("the blob is unknown in this repository")]
    BlobUnknown,
    /// The repository has no such upload: it is finished, cancelled or expired, or never began.
    #[error("the upload is unknown in this repository")]
    UploadUnknown,
    /// A manifest refers to blobs that the repository does not have. Of very many, only some are
    /// listed.
    #[error("the manifest refers to {} blobs that are unknown in this repository", .0.len())]
    ReferencesUnknown(Vec<Digest>),
    /// An immutable tag would move or go, or lose what it needs. Nothing was changed.
    #[error(transparent)]
    TagImmutable(Box<ImmutableTag>),
    /// The change adds to what a prefix uses, and it would use more than its quota. Nothing was changed.
    #[error(transparent)]
    QuotaExceeded(Box<QuotaExceeded>),
    /// Content does not have the digest that the caller claimed.
    #[error(transparent)]
    DigestMismatch(Box<DigestMismatch>),
    /// A chunk does not begin where the last one ended. The upload can continue.
    #[error("wrong offset: the next byte of this upload is {received}")]
    OutOfOrder {
        /// How many bytes were received: the next chunk must begin there.
        received: u64,
    },
    /// The upload would be longer than is allowed. It can continue without the last chunk.
    #[error("blob too large: this registry accepts at most {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Another request is writing to the same upload.
    #[error("another request is writing to this upload")]
    UploadBusy,
    /// The client has as many open uploads as it may have.
    #[error("a client may have at most {limit} uploads open")]
    TooManyUploads {
        /// The limit.
        limit: u32,
    },
    /// The disk is full. Reads work. Writes work again when there is room.
    #[error("the disk is full")]
    Full,
    /// The disk is read-only, or the database refuses changes while the registry is copied to another
    /// place.
    #[error(
        "nothing can be stored now: the disk cannot be written to, or the registry is being moved"
    )]
    ReadOnly,
    /// Another process held the database for too long. Another try may succeed.
    #[error("the database is locked by another process")]
    Busy,
    /// The database or a remote store cannot be reached, or not in time. Whether a change has happened is
    /// unknown.
    #[error("{what} cannot be reached now")]
    Unavailable {
        /// What cannot be reached.
        what: RemotePart,
        /// When to try again.
        retry_after: Duration,
    },
    /// Another server changed the same rows at the same time. Nothing was changed; another try may
    /// succeed.
    #[error("another change of the same data interfered: try again")]
    Conflict,
    /// A blob's content is missing, or is not as long as its row says.
    #[error("the file of blob {digest} is missing or too short")]
    Damaged {
        /// The blob.
        digest: Digest,
    },
    /// The operating system failed to read or write a file.
    #[error("cannot {action}")]
    Io {
        /// What failed.
        action: &'static str,
        /// The operating system's error.
        source: Arc<io::Error>,
    },
    /// The store of the metadata failed. Whether a change has happened is unknown.
    #[error("the database failed")]
    Metadata(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// What a registry reaches over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemotePart {
    /// The database.
    Database,
    /// The store of the content of blobs, or another registry's data.
    Content,
}

impl fmt::Display for RemotePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "the database",
            Self::Content => "the store of the content",
        })
    }
}

/// Content does not have the digest that the caller claimed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content's digest is {computed}, not {claimed}")]
pub struct DigestMismatch {
    /// The caller's digest.
    pub claimed: Digest,
    /// The content's digest.
    pub computed: Digest,
}

/// A tag that a rule makes immutable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the tag {tag} of {repository} is immutable ({rule}): it points at {digest}, and neither moves nor goes"
)]
pub struct ImmutableTag {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// The manifest that it points at.
    pub digest: Digest,
    /// The rule.
    pub rule: RuleOrigin,
}

impl From<QuotaExceeded> for Error {
    fn from(exceeded: QuotaExceeded) -> Self {
        Self::QuotaExceeded(Box::new(exceeded))
    }
}

impl Error {
    /// For `map_err`: names the action that failed.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Io {
                action,
                source: Arc::new(source),
            },
        }
    }

    /// For `unwrap_or_else`: continues a task's panic. A task that was cancelled is an error; it
    /// means that the runtime is shutting down.
    pub(crate) fn from_join_error<T>(error: JoinError) -> Result<T, Self> {
        match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Err(Self::Metadata(Arc::new(cancelled))),
        }
    }

    /// Whether the failed change has certainly not happened. A commit that met a failing disk or a
    /// lost connection may turn out to have happened later.
    pub(crate) fn is_certain(&self) -> bool {
        !matches!(self, Self::Metadata(_) | Self::Unavailable { .. })
    }
}
