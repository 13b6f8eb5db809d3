//! Why cargo was not found, not taken in or not handed over, told apart by whose fault it is.

use std::io;
use std::sync::Arc;

use oci::Digest;
use tokio::task::JoinError;

/// Why a request to the storage failed. What the caller got wrong comes first, what went wrong here
/// last.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was ever pushed under this name, or all of it is gone.
    #[error("the repository is unknown")]
    RepositoryUnknown,
    /// The repository has no such manifest or tag.
    #[error("the manifest is unknown in this repository")]
    ManifestUnknown,
    /// The repository has no such blob.
    #[error("the blob is unknown in this repository")]
    BlobUnknown,
    /// There is no such upload in this repository: finished, cancelled, expired, or never begun.
    #[error("the upload is unknown in this repository")]
    UploadUnknown,
    /// A manifest refers to blobs that the repository does not have. Of many, only some are here.
    #[error("the manifest refers to {} blobs that are unknown in this repository", .0.len())]
    ReferencesUnknown(Vec<Digest>),
    /// Content does not have the digest that it was sent as.
    #[error(transparent)]
    DigestMismatch(Box<DigestMismatch>),
    /// A chunk does not begin where the last one ended. The upload lives on.
    #[error("the upload goes on at byte {received}")]
    OutOfOrder {
        /// How many bytes are there: where the next chunk must begin.
        received: u64,
    },
    /// The upload would be longer than is allowed. It lives on without what was sent last.
    #[error("a blob has at most {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Another request is writing to the same upload.
    #[error("another request is writing to this upload")]
    UploadBusy,
    /// One client has as many uploads open as one client may have.
    #[error("a client may have at most {limit} uploads open")]
    TooManyUploads {
        /// The limit.
        limit: u32,
    },
    /// No room is left. Reads go on, and writes once there is room.
    #[error("the disk is full")]
    Full,
    /// The disk may only be read.
    #[error("the disk cannot be written to")]
    ReadOnly,
    /// Another process held the database for too long. Trying again may help.
    #[error("the database is locked by another process")]
    Busy,
    /// A blob's file is gone or shorter than its row says.
    #[error("the file of blob {digest} is missing or too short")]
    Damaged {
        /// The blob.
        digest: Digest,
    },
    /// The operating system failed to read or write a file.
    #[error("cannot {action}")]
    Io {
        /// What was to be done.
        action: &'static str,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] database::Error),
}

/// Content does not have the digest that it was sent as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content's digest is {computed}, not {claimed}")]
pub struct DigestMismatch {
    /// What the caller said.
    pub claimed: Digest,
    /// What arrived.
    pub computed: Digest,
}

impl Error {
    /// For `map_err`: what could not be done, and why.
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

    /// For `unwrap_or_else`: a task's panic goes on here; what else ends a task is the end of the
    /// runtime.
    pub(crate) fn ended<T>(error: JoinError) -> Result<T, Self> {
        match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Self::Database(database::Error::Closed)),
        }
    }
}

impl From<database::Error> for Error {
    fn from(error: database::Error) -> Self {
        match error {
            database::Error::Full(_) => Self::Full,
            database::Error::ReadOnly(_) => Self::ReadOnly,
            database::Error::Busy(_) => Self::Busy,
            other => Self::Database(other),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        database::Error::from(error).into()
    }
}
