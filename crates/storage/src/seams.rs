//! What anything that keeps metadata must be able to do, split by who asks.
//!
//! One implementation is here, in SQLite. Every other one must pass the same conformance suite.
//! Each method is one transaction: it has happened whole before its answer comes, or not at all,
//! and a change is visible to everybody from then on. Times are the implementation's own.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use oci::{Digest, Reference, RepositoryName, Tag};

use crate::collection::{CollectionHold, CollectionPolicy, DeletableBlob, Garbage};
use crate::distribution::RepositoryPart;
use crate::{
    Blob, Error, ListPage, NewManifest, PageRequest, ReferrerEntry, StoreId, StoredManifest,
    UploadId,
};

/// What a method of a seam returns.
pub type StorageFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Repositories, their manifests and their tags.
pub trait ManifestStore: fmt::Debug + Send + Sync {
    /// The manifest that is meant.
    ///
    /// Fails with [`Error::RepositoryUnknown`] or [`Error::ManifestUnknown`].
    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> StorageFuture<'a, Arc<StoredManifest>>;

    /// As [`find`](Self::find), for somebody who may push and is about to refer to it: collection
    /// leaves the manifest alone for another grace time, tagged or not.
    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> StorageFuture<'a, Arc<StoredManifest>>;

    /// Takes a manifest in and points `tags` at it. The repository is made where there is none; a
    /// manifest that is there already is not changed.
    ///
    /// Fails with [`Error::ReferencesUnknown`] where the repository lacks a blob that the manifest
    /// cannot be without. Children and a subject may be missing.
    fn push<'a>(
        &'a self,
        repository: &'a RepositoryName,
        manifest: NewManifest,
        tags: Vec<Tag>,
    ) -> StorageFuture<'a, ()>;

    /// Removes a manifest and every tag that points at it.
    ///
    /// Fails with [`Error::RepositoryUnknown`] or [`Error::ManifestUnknown`].
    fn remove<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, ()>;

    /// Removes a tag, not what it points at. Errors as for [`remove`](Self::remove).
    fn untag<'a>(&'a self, repository: &'a RepositoryName, tag: &'a Tag) -> StorageFuture<'a, ()>;

    /// The tags of a repository, compared as bytes. `page.after` need not be a tag that exists.
    ///
    /// Fails with [`Error::RepositoryUnknown`].
    fn tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<String>>;

    /// The manifests whose subject is `subject`, whether that exists or not, by digest; only those
    /// of `artifact_type`, where one is named. An unknown repository has none.
    fn referrers<'a>(
        &'a self,
        repository: &'a RepositoryName,
        subject: &'a Digest,
        artifact_type: Option<&'a str>,
        page: PageRequest<Digest>,
    ) -> StorageFuture<'a, ListPage<ReferrerEntry>>;

    /// The repositories that have a manifest, compared as bytes.
    fn repositories(&self, page: PageRequest<String>) -> StorageFuture<'_, ListPage<String>>;
}

/// Which blobs a repository has, and where they lie.
pub trait BlobIndex: fmt::Debug + Send + Sync {
    /// A blob of this repository.
    ///
    /// Fails with [`Error::BlobUnknown`], also where the repository is unknown.
    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, Blob>;

    /// As [`find`](Self::find), for somebody who may push and is about to rely on it: the blob is
    /// revived, and collection leaves it alone for another grace time.
    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, Blob>;

    /// Gives `to` a blob that `from` has, with a lease as [`lease`](Self::lease) does.
    ///
    /// Fails with [`Error::BlobUnknown`] where `from` has it not.
    fn mount<'a>(
        &'a self,
        digest: &'a Digest,
        from: &'a RepositoryName,
        to: &'a RepositoryName,
    ) -> StorageFuture<'a, Blob>;

    /// Repositories that have a blob, by name.
    fn holders<'a>(
        &'a self,
        digest: &'a Digest,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<RepositoryName>>;

    /// Adopted data directories: absolute paths, or from the folder of our own content.
    fn stores(&self) -> StorageFuture<'_, Vec<(StoreId, PathBuf)>>;

    /// Takes a blob from a repository. Other repositories keep it, and its file stays while one
    /// does.
    ///
    /// Fails with [`Error::BlobUnknown`].
    fn unlink<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, ()>;
}

/// Uploads, from the first request to the moment their blob is there for everybody.
pub trait UploadStore: fmt::Debug + Send + Sync {
    /// Remembers a new upload with nothing received yet.
    ///
    /// Fails with [`Error::TooManyUploads`] where the client has `limit` of them already.
    fn begin(&self, upload: NewUpload, limit: u32) -> StorageFuture<'_, ()>;

    /// How many uploads `client` has.
    fn open<'a>(&'a self, client: &'a str) -> StorageFuture<'a, u32>;

    /// An upload of this repository.
    ///
    /// Fails with [`Error::UploadUnknown`].
    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState>;

    /// As [`find`](Self::find), for somebody who goes on with it: it does not expire for most of
    /// the time that an upload may go without a move.
    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState>;

    /// Remembers that `received` bytes are safe on the disk.
    ///
    /// Fails with [`Error::UploadUnknown`].
    fn record(&self, id: UploadId, received: u64) -> StorageFuture<'_, ()>;

    /// Forgets an upload. It is no error when it is unknown.
    fn end(&self, id: UploadId) -> StorageFuture<'_, ()>;

    /// The next step of a finished upload, whose content is safe in its temporary file and has this
    /// digest: either the blob is there already, then the repository has it now and the upload is
    /// ended; or a row in state *pending* now says where the file is to go.
    fn reserve<'a>(&'a self, landing: FinishedUpload) -> StorageFuture<'a, Reservation>;

    /// The last step: the file is safe where the pending row says, so the blob is live, the
    /// repository has it, and the upload is ended. Where another upload of the same content was
    /// faster, its blob is the answer and this one's file is left to collection.
    fn settle<'a>(&'a self, landing: FinishedUpload, blob: Blob) -> StorageFuture<'a, Blob>;

    /// Gives a pending row up: its file is back in its temporary place, or nowhere.
    fn abandon(&self, blob: Blob) -> StorageFuture<'_, ()>;

    /// Pending rows, oldest first, with the upload that each belongs to: what a crash left behind,
    /// when nobody uploads.
    fn pending(&self) -> StorageFuture<'_, Vec<(Blob, UploadId)>>;

    /// At most `limit` uploads that have not moved for as long as an upload may.
    fn expired(&self, limit: u32) -> StorageFuture<'_, Vec<UploadId>>;

    /// Forgets an upload that has not moved for as long as an upload may. False where it has, or is
    /// unknown.
    fn expire(&self, id: UploadId) -> StorageFuture<'_, bool>;

    /// All uploads, by id: whose temporary files are to be kept.
    fn all(&self) -> StorageFuture<'_, Vec<UploadId>>;
}

/// What is begun with an upload.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// The upload's name.
    pub id: UploadId,
    /// Where the blob is to be.
    pub repository: RepositoryName,
    /// Who sends it: an account, or the address of somebody without one.
    pub client: String,
    /// How it is to be hashed while it arrives.
    pub algorithm: oci::DigestAlgorithm,
}

/// What is remembered of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadState {
    /// How it is hashed while it arrives.
    pub algorithm: oci::DigestAlgorithm,
    /// How many bytes were acknowledged.
    pub received: u64,
}

/// A finished upload on its way to being a blob.
#[derive(Clone, Debug)]
pub struct FinishedUpload {
    /// The upload.
    pub upload: UploadId,
    /// Where the blob is to be.
    pub repository: RepositoryName,
    /// The content's digest, computed.
    pub digest: Digest,
    /// The content's length in bytes.
    pub size: u64,
}

/// The answer to [`UploadStore::reserve`].
#[derive(Clone, Debug)]
pub enum Reservation {
    /// The blob was there. Nothing is to be stored.
    Exists(Blob),
    /// The file is to go where this says.
    Pending(Blob),
}

/// Finding what nobody needs any more, and making it go in steps that a push can interrupt.
///
/// A blob is *live*; *condemned* when nothing refers to it and its lease is over; *deleting* from
/// the moment that nothing can bring it back; then gone. See [`collection`](crate::collection) for
/// the walk through these methods.
pub trait CollectionStore: fmt::Debug + Send + Sync {
    /// What would go if everything were collected now, all of one moment. Nothing is changed.
    fn plan(&self, policy: CollectionPolicy) -> StorageFuture<'_, Garbage>;

    /// Removes the untagged manifests of the first repositories after `after` that nothing needs,
    /// and blobs' membership and repositories with nothing in them. Says where to go on; none at
    /// the end.
    fn prune<'a>(
        &'a self,
        policy: CollectionPolicy,
        after: i64,
    ) -> StorageFuture<'a, (Garbage, Option<i64>)>;

    /// Condemns blobs among the first after `after`. Says how many, and where to go on; none at the
    /// end.
    fn mark<'a>(
        &'a self,
        policy: CollectionPolicy,
        after: i64,
    ) -> StorageFuture<'a, (u64, Option<i64>)>;

    /// Moves condemned blobs whose wait is over to *deleting*, and those back to *live* that are
    /// needed after all. Nothing, while somebody [holds](Self::hold) collection. Answers how many
    /// were moved.
    fn sweep(&self, policy: CollectionPolicy) -> StorageFuture<'_, u64>;

    /// At most `limit` blobs whose files are to go. Nothing, while somebody holds collection.
    fn deletable(&self, limit: u32) -> StorageFuture<'_, Vec<DeletableBlob>>;

    /// Forgets blobs whose files are gone for good.
    fn purge<'a>(&'a self, deletable: Vec<DeletableBlob>) -> StorageFuture<'a, ()>;

    /// Keeps every file where it is until [`release`](Self::release), or until the hold is not
    /// renewed for long.
    fn hold(&self, hold: CollectionHold) -> StorageFuture<'_, ()>;

    /// Ends a hold.
    fn release(&self, hold: CollectionHold) -> StorageFuture<'_, ()>;
}

/// Everything there is, for those who check it or carry it elsewhere.
pub trait Inventory: fmt::Debug + Send + Sync {
    /// At most `limit` blobs that anybody has, by generation, the first after `after`.
    fn blobs(&self, after: i64, limit: u32) -> StorageFuture<'_, Vec<Blob>>;

    /// The manifests of a repository, by digest.
    fn manifests<'a>(
        &'a self,
        repository: &'a RepositoryName,
        page: PageRequest<Digest>,
    ) -> StorageFuture<'a, ListPage<StoredManifest>>;

    /// The tags of a repository, and where they point.
    fn tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<(Tag, Digest)>>;

    /// The blobs of a repository, by generation, the first after `after`.
    fn linked<'a>(
        &'a self,
        repository: &'a RepositoryName,
        after: i64,
        limit: u32,
    ) -> StorageFuture<'a, Vec<Blob>>;

    /// Copies the metadata, all of one moment, to a new file at `path`, as that of a server which
    /// has no uploads under way and whose blobs are all in its own store. Answers each blob, and
    /// its key there.
    fn copy_to<'a>(&'a self, path: &'a Path) -> StorageFuture<'a, Vec<(Blob, String)>>;
}

/// Taking over what another registry has written, where it lies. A place is an absolute path, or
/// one from the folder of our own content.
pub trait AdoptionStore: fmt::Debug + Send + Sync {
    /// How far the adoption of `place` is.
    fn stage<'a>(&'a self, place: &'a str) -> StorageFuture<'a, AdoptionStage>;

    /// Begins the adoption of `place`, or goes on with it where it was interrupted: answers the
    /// store, and the repositories that were read. One that had come to its end begins anew, and is
    /// not final any more.
    fn begin<'a>(&'a self, place: &'a str) -> StorageFuture<'a, (StoreId, Vec<RepositoryName>)>;

    /// Takes in a part of a repository; the last part makes it one that was read. What is there
    /// already stays as it is, tags included. Of a repository that was read, nothing is taken in.
    fn adopt(&self, store: StoreId, part: RepositoryPart) -> StorageFuture<'_, ()>;

    /// Every repository was read.
    fn end(&self, store: StoreId) -> StorageFuture<'_, ()>;

    /// From now on the files are ours, and collection may remove them: where the adoption has come
    /// to its end, else nothing is changed. Answers the stage that it is in then.
    fn finish<'a>(&'a self, place: &'a str) -> StorageFuture<'a, AdoptionStage>;

    /// The places whose adoption is under way.
    fn unfinished(&self) -> StorageFuture<'_, Vec<String>>;
}

/// How far an adoption is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptionStage {
    /// It was never begun.
    Unknown,
    /// It was begun, and has not come to its end.
    Reading,
    /// Everything was read.
    Complete,
    /// The files are ours.
    Final,
}
