//! Uploads, from the first request until their blob can be pulled.

use std::fmt;
use std::time::Duration;

use oci::{Digest, DigestAlgorithm, RepositoryName};

use super::LinkedBlob;
use crate::hash::HashState;
use crate::{Blob, RepositoryQuotas, StorageFuture, UploadId};

/// Uploads, from the first request until their blob can be pulled.
///
/// The row decides: a server reads an upload's row again before each request continues it. Each
/// checkpoint increases the upload's *fence*, and so does a server that takes an upload over. A
/// writer with an old fence changes nothing.
pub trait UploadStore: fmt::Debug + Send + Sync {
    /// Stores a new upload without content. If the client has `limit` uploads already, those that
    /// have been idle longest are removed, but none of `active`. Returns the removed uploads; the
    /// caller removes their content.
    ///
    /// Fails with [`Error::TooManyUploads`](crate::Error::TooManyUploads) if `limit` uploads are
    /// active.
    fn begin(
        &self,
        upload: NewUpload,
        limit: u32,
        active: Vec<UploadId>,
    ) -> StorageFuture<'_, Vec<UploadId>>;

    /// An upload of this repository.
    ///
    /// Fails with [`Error::UploadUnknown`](crate::Error::UploadUnknown).
    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState>;

    /// As [`find`](Self::find), for a request that continues the upload. The upload then does not
    /// expire for at least seven eighths of the time that an upload may be idle.
    ///
    /// If the store is [shared](Self::is_shared), no other server can continue the upload until it is
    /// [released](Self::release), or until this was not called again for some time. Fails with
    /// [`Error::UploadBusy`](crate::Error::UploadBusy) while another server has it.
    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState>;

    /// Lets other servers continue the upload.
    fn release(&self, _id: UploadId) -> StorageFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// How often [`lease`](Self::lease) has to be called while a request writes to an upload.
    fn renewal(&self) -> Duration {
        Duration::from_secs(600)
    }

    /// Whether several servers use the store. Then every upload needs a row.
    fn is_shared(&self) -> bool {
        false
    }

    /// Stores a checkpoint and returns the upload's new fence. Objects that the row no longer names
    /// are unused from then on.
    ///
    /// Fails with [`Error::UploadUnknown`](crate::Error::UploadUnknown), or with
    /// [`Error::UploadBusy`](crate::Error::UploadBusy) if `fence` is not the upload's fence any
    /// more.
    fn record(&self, id: UploadId, fence: i64, checkpoint: Checkpoint) -> StorageFuture<'_, i64>;

    /// Removes an upload. An unknown upload is no error. However an upload ends, its objects are
    /// [unused](crate::CollectionStore::unused_objects) from then on, but for the one that is the blob.
    fn end(&self, id: UploadId) -> StorageFuture<'_, ()>;

    /// The first step from a finished upload to a blob. The upload's content is complete in its
    /// temporary place and has this digest. If the blob exists, the repository gets it and the
    /// upload ends; an upload that names its own key does not end yet. Otherwise a row in state
    /// *pending* says where the content is to go. It replaces an earlier one of the same key. A store
    /// may do without it for an upload that names its own key, because the upload's row names it.
    ///
    /// Fails like [`record`](Self::record) if the upload has a fence, and with
    /// [`Error::QuotaExceeded`](crate::Error::QuotaExceeded) if the blob exists and a quota does not have
    /// room for it.
    fn reserve<'a>(&'a self, finished: FinishedUpload) -> StorageFuture<'a, BlobReservation>;

    /// The last step: the content is where the pending row says. The blob becomes live, the
    /// repository gets it, and the upload ends. If another upload of the same content was faster,
    /// that one's blob is returned, and garbage collection removes the content of this one.
    ///
    /// If the upload replaces a blob, every repository that had the old blob gets the new one.
    ///
    /// Fails with [`Error::UploadUnknown`](crate::Error::UploadUnknown) if the pending row is gone, and
    /// with [`Error::QuotaExceeded`](crate::Error::QuotaExceeded) if a quota does not have room for the
    /// blob.
    fn commit<'a>(&'a self, finished: FinishedUpload, blob: Blob) -> StorageFuture<'a, LinkedBlob>;

    /// Removes a pending row. Its content is back in its temporary place, or was never moved.
    fn abort(&self, blob: Blob) -> StorageFuture<'_, ()>;

    /// The pending rows of an upload that another server has left: it was about to become a blob.
    fn unpublished(&self, _id: UploadId) -> StorageFuture<'_, Vec<Blob>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// At most `limit` uploads that have been idle for longer than an upload may, those that have been
    /// idle longest first.
    fn expired(&self, limit: u32) -> StorageFuture<'_, Vec<UploadId>>;

    /// Removes an upload that has been idle for longer than an upload may. Returns false if it has
    /// not, or if it is unknown.
    fn expire(&self, id: UploadId) -> StorageFuture<'_, bool>;
}

/// Recovery after a crash, for a server that has the store for itself.
///
/// Several servers on one store cannot use this: an upload in *pending* may belong to a server that
/// is running. Such a store removes abandoned uploads when their leases end.
pub trait UploadRecovery: fmt::Debug + Send + Sync {
    /// All pending rows, oldest first.
    fn pending(&self) -> StorageFuture<'_, Vec<PendingUpload>>;

    /// All uploads, by id. Temporary content of any other upload can be removed.
    fn all(&self) -> StorageFuture<'_, Vec<UploadId>>;
}

/// A pending row, and the upload that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingUpload {
    /// The blob that the upload was about to become.
    pub blob: Blob,
    /// The upload.
    pub upload: UploadId,
}

/// A new upload.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Its id.
    pub id: UploadId,
    /// The repository that is to get the blob.
    pub repository: RepositoryName,
    /// The sender: an account, or the address of an anonymous client.
    pub client: String,
    /// The algorithm that hashes the content while it arrives.
    pub algorithm: DigestAlgorithm,
}

/// How much of an upload its row knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many bytes are safe on the disk.
    pub received: u64,
    /// The state of the hash after these bytes. Without it, the content has to be read again.
    pub hash: Option<HashState>,
    /// Where these bytes are, if the store of content does not know it by the upload's id.
    pub objects: Option<UploadObjects>,
}

/// What a store that chooses its own keys has stored for an upload.
///
/// The row has every name before anything is stored under it. So whatever happens, the row or the
/// list of [unused objects](crate::CollectionStore::unused_objects) leads to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadObjects {
    /// The key that the blob gets if no more content comes; `None` if nothing is stored yet.
    pub key: Option<String>,
    /// The names of all that is or will be stored, as
    /// [`BlobStore::remove_objects`](crate::BlobStore::remove_objects) takes them. A name is a key, or
    /// what the store adds to a key to name an unfinished object.
    pub names: Vec<String>,
    /// What the store needs to continue. Only the store knows its meaning. At most 1 MiB.
    pub state: String,
}

/// Whether a name is one of `kept`, or that of an unfinished object with such a key, which is finished
/// when its key is that of a blob.
pub(crate) fn is_kept(name: &str, kept: &[String]) -> bool {
    let is_of = |key: &String| match name.strip_prefix(key.as_str()) {
        Some(rest) => rest.is_empty() || rest.starts_with('?'),
        None => false,
    };
    kept.iter().any(is_of)
}

/// The row of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadState {
    /// The client that began it.
    pub client: String,
    /// The algorithm that hashes the content while it arrives.
    pub algorithm: DigestAlgorithm,
    /// The last checkpoint.
    pub checkpoint: Checkpoint,
    /// How many checkpoints were recorded, and how often it was taken over.
    pub fence: i64,
    /// With [`UploadStore::lease`]: whether the lease of another server has ended, which may not know
    /// it yet and still write to the content.
    pub was_taken_over: bool,
}

/// An upload with all its content, on its way to becoming a blob.
#[derive(Clone, Debug)]
pub struct FinishedUpload {
    /// The upload.
    pub upload: UploadId,
    /// The fence of its row. A blob that is sent in one request has no row, and so no fence.
    pub fence: Option<i64>,
    /// The repository that is to get the blob.
    pub repository: RepositoryName,
    /// The computed digest of the content.
    pub digest: Digest,
    /// The content's length in bytes.
    pub size: u64,
    /// The generation of a blob with this digest whose content is missing or damaged.
    pub replaces: Option<i64>,
    /// The key of the content, if the store of content chooses it. Otherwise the row chooses it.
    pub key: Option<String>,
    /// The quotas of the repository.
    pub quotas: RepositoryQuotas,
}

/// The outcome of [`UploadStore::reserve`].
#[derive(Clone, Debug)]
pub enum BlobReservation {
    /// The blob exists. Nothing is to be stored.
    Exists(LinkedBlob),
    /// The content is to be stored under this blob's key.
    Pending(Blob),
}
