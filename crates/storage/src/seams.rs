//! What anything that keeps metadata must be able to do, split by who asks.
//!
//! One implementation is here, in SQLite. Every other one must pass the same conformance suite.
//! Each method is one transaction: it has happened whole before its answer comes, or not at all,
//! and a change is visible to everybody from then on. Times are the implementation's own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::BoxFuture;

use oci::{Digest, Reference, RepositoryName, Tag};

use crate::collection::{CollectionHold, CollectionPolicy, DeletableBlob, Garbage};
use crate::distribution::{AdoptionTotals, RepositoryPart};
use crate::hash::HashState;
use crate::{
    AffectedRepository, Blob, Error, ListPage, NewManifest, PageRequest, ReferrerEntry, StoreId,
    StoredManifest, UploadId,
};

/// What a method of a seam returns.
pub type StorageFuture<'a, T> = BoxFuture<'a, Result<T, Error>>;

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

    /// Makes a change, and writes the outbox records that belong to it, in one transaction.
    ///
    /// Fails as [`ManifestChange`] says for each change.
    fn apply<'a>(
        &'a self,
        repository: &'a RepositoryName,
        changes: ChangeSet,
    ) -> StorageFuture<'a, ()>;

    /// [`ManifestChange::Push`], without an outbox record.
    fn push<'a>(
        &'a self,
        repository: &'a RepositoryName,
        manifest: NewManifest,
        tags: Vec<Tag>,
    ) -> StorageFuture<'a, ()> {
        self.apply(repository, ManifestChange::Push { manifest, tags }.into())
    }

    /// [`ManifestChange::Remove`], without an outbox record.
    fn remove<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, ()> {
        self.apply(repository, ManifestChange::Remove(*digest).into())
    }

    /// [`ManifestChange::Untag`], without an outbox record.
    fn untag<'a>(&'a self, repository: &'a RepositoryName, tag: &'a Tag) -> StorageFuture<'a, ()> {
        self.apply(repository, ManifestChange::Untag(tag.clone()).into())
    }

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

/// A change of the manifests and tags of a repository.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each request and moved a few times"
)]
pub enum ManifestChange {
    /// Takes a manifest in and points `tags` at it. The repository is made if there is none; a
    /// manifest that exists already is not changed.
    ///
    /// Fails with [`Error::ReferencesUnknown`] if the repository lacks a blob that the manifest
    /// needs. Children and a subject may be missing.
    Push {
        /// The manifest.
        manifest: NewManifest,
        /// The tags that point at it from now on.
        tags: Vec<Tag>,
    },
    /// Removes a manifest and every tag that points at it.
    ///
    /// Fails with [`Error::RepositoryUnknown`] or [`Error::ManifestUnknown`].
    Remove(Digest),
    /// Removes a tag, not the manifest that it points at. Errors as for `Remove`.
    Untag(Tag),
}

/// A change, and what others are to be told of it.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    /// The change.
    pub change: ManifestChange,
    /// Records for the outbox, written with it.
    pub outbox: Vec<NewOutboxRecord>,
}

impl From<ManifestChange> for ChangeSet {
    /// A change without outbox records.
    fn from(change: ManifestChange) -> Self {
        Self {
            change,
            outbox: Vec::new(),
        }
    }
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

    /// Those of `digests` that this repository has, in any order.
    fn find_all<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digests: Vec<Digest>,
    ) -> StorageFuture<'a, Vec<Blob>>;

    /// As [`find`](Self::find), for a client that may push and is about to rely on it: the blob is
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

/// Uploads, from the first request to the moment their blob can be pulled.
///
/// The row is what counts: what a server remembers of an upload besides, it reads from here again
/// before the next request goes on. Each checkpoint moves the upload's *fence* on, so that a writer
/// that was overtaken changes nothing.
pub trait UploadStore: fmt::Debug + Send + Sync {
    /// Stores a new upload with nothing received yet. If the client has `limit` uploads already, the
    /// ones that have been idle for longest make room, but none of `active`. Returns those that did;
    /// the caller removes their content.
    ///
    /// Fails with [`Error::TooManyUploads`] if `limit` uploads are active.
    fn begin(
        &self,
        upload: NewUpload,
        limit: u32,
        active: Vec<UploadId>,
    ) -> StorageFuture<'_, Vec<UploadId>>;

    /// An upload of this repository.
    ///
    /// Fails with [`Error::UploadUnknown`].
    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState>;

    /// As [`find`](Self::find), for a request that goes on with the upload: it does not expire for
    /// most of the time that an upload may be idle.
    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        id: UploadId,
    ) -> StorageFuture<'a, UploadState>;

    /// Stores how far an upload is, and returns its new fence.
    ///
    /// Fails with [`Error::UploadUnknown`], or with [`Error::UploadBusy`] if `fence` is not the
    /// upload's fence any more.
    fn record(&self, id: UploadId, fence: i64, checkpoint: Checkpoint) -> StorageFuture<'_, i64>;

    /// Removes an upload. It is no error if it is unknown.
    fn end(&self, id: UploadId) -> StorageFuture<'_, ()>;

    /// The next step of a finished upload, whose content is safe in its temporary file and has this
    /// digest. If the blob exists already, the repository has it now and the upload is ended. If
    /// not, a row in state *pending* now says where the file is to go.
    ///
    /// Fails like [`record`](Self::record) if the upload has a fence.
    fn reserve<'a>(&'a self, finished: FinishedUpload) -> StorageFuture<'a, Reservation>;

    /// The last step: the file is safe where the pending row says, so the blob is live, the
    /// repository has it, and the upload is ended. If another upload of the same content was
    /// faster, its blob is returned and this one's file is left to collection.
    ///
    /// If the upload replaces a blob, every repository that had that one has this one instead.
    fn settle<'a>(&'a self, finished: FinishedUpload, blob: Blob) -> StorageFuture<'a, Blob>;

    /// Gives a pending row up: its file is back in its temporary place, or nowhere.
    fn abandon(&self, blob: Blob) -> StorageFuture<'_, ()>;

    /// Pending rows, oldest first, with the upload that each belongs to. If no server uploads now,
    /// they are what a crash has left behind.
    fn pending(&self) -> StorageFuture<'_, Vec<(Blob, UploadId)>>;

    /// At most `limit` uploads that have been idle for as long as an upload may.
    fn expired(&self, limit: u32) -> StorageFuture<'_, Vec<UploadId>>;

    /// Removes an upload that has been idle for as long as an upload may. False if it has not, or is
    /// unknown.
    fn expire(&self, id: UploadId) -> StorageFuture<'_, bool>;

    /// All uploads, by id: their temporary files are to be kept.
    fn all(&self) -> StorageFuture<'_, Vec<UploadId>>;
}

/// What is begun with an upload.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// The upload's name.
    pub id: UploadId,
    /// Where the blob is to be.
    pub repository: RepositoryName,
    /// Who sends it: an account, or the address of a client without one.
    pub client: String,
    /// How it is to be hashed while it arrives.
    pub algorithm: oci::DigestAlgorithm,
}

/// How far an upload is: what its row says of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many bytes are safe on the disk.
    pub received: u64,
    /// The state of the hash after these bytes. Without it, the content has to be read again.
    pub hash: Option<HashState>,
}

/// An upload, as its row has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadState {
    /// Who began it.
    pub client: String,
    /// How it is hashed while it arrives.
    pub algorithm: oci::DigestAlgorithm,
    /// How far it is.
    pub checkpoint: Checkpoint,
    /// How often it has been recorded.
    pub fence: i64,
}

/// A finished upload on its way to being a blob.
#[derive(Clone, Debug)]
pub struct FinishedUpload {
    /// The upload.
    pub upload: UploadId,
    /// The fence of its row. A blob that is taken in one request has no row, and no fence.
    pub fence: Option<i64>,
    /// Where the blob is to be.
    pub repository: RepositoryName,
    /// The content's digest, computed.
    pub digest: Digest,
    /// The content's length in bytes.
    pub size: u64,
    /// The generation of a blob with this digest whose content is gone or damaged.
    pub replaces: Option<i64>,
}

/// The outcome of [`UploadStore::reserve`].
#[derive(Clone, Debug)]
pub enum Reservation {
    /// The blob exists. Nothing is to be stored.
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

/// What others are to be told of: written in the transaction that makes it true, and kept until it
/// was delivered.
pub trait OutboxStore: fmt::Debug + Send + Sync {
    /// At most `limit` records, oldest first, those after `after`.
    fn records(&self, after: i64, limit: u32) -> StorageFuture<'_, Vec<OutboxRecord>>;

    /// Removes the records up to and including `last`: they were delivered.
    fn acknowledge(&self, last: i64) -> StorageFuture<'_, ()>;
}

/// A record that is to be written with a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOutboxRecord {
    /// What has happened, as the reader of the outbox calls it.
    pub kind: String,
    /// What else the reader needs.
    pub payload: Vec<u8>,
}

/// A record of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRecord {
    /// Its number; later records have larger ones.
    pub id: i64,
    /// The repository that was changed.
    pub repository: RepositoryName,
    /// What was written with the change.
    pub record: NewOutboxRecord,
    /// When, in seconds since the Unix epoch.
    pub created_at: i64,
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

    /// The repositories that need this content, with the tags that lead to it: a blob, or a manifest.
    /// Of very many, only some.
    fn affected<'a>(&'a self, digest: &'a Digest) -> StorageFuture<'a, Vec<AffectedRepository>>;

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

    /// Begins the adoption of `place`, or goes on with it if it was interrupted. An adoption that was
    /// complete begins again, and is not final any more.
    fn begin<'a>(&'a self, place: &'a str) -> StorageFuture<'a, AdoptionProgress>;

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

/// Where an adoption goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptionProgress {
    /// The store that the adopted blobs belong to.
    pub store: StoreId,
    /// Repositories that were read.
    pub done: Vec<RepositoryName>,
    /// What was found in them.
    pub totals: AdoptionTotals,
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
