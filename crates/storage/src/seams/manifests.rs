//! Repositories, their manifests and their tags.

use std::fmt;
use std::sync::Arc;

use oci::{Digest, Reference, RepositoryName, Tag};

use super::NewOutboxRecord;
use crate::{ListPage, NewManifest, PageRequest, ReferrerEntry, StorageFuture, StoredManifest};

/// How many missing blobs [`Error::ReferencesUnknown`](crate::Error::ReferencesUnknown) names.
pub(crate) const MISSING_BLOBS: usize = 100;

/// Repositories, their manifests and their tags.
pub trait ManifestStore: fmt::Debug + Send + Sync {
    /// The manifest with this tag or digest.
    ///
    /// Fails with [`Error::RepositoryUnknown`](crate::Error::RepositoryUnknown) or
    /// [`Error::ManifestUnknown`](crate::Error::ManifestUnknown).
    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> StorageFuture<'a, Arc<StoredManifest>>;

    /// As [`find`](Self::find), for a client that may push and is about to refer to the manifest.
    /// Garbage collection then keeps the manifest for another grace time, even without a tag. A lease
    /// need not be renewed within an eighth of that time, or an hour if that is shorter.
    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> StorageFuture<'a, Arc<StoredManifest>>;

    /// Makes a change and writes its outbox records in one transaction.
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

    /// The tags of a repository, sorted by their bytes. `page.after` need not be an existing tag.
    ///
    /// Fails with [`Error::RepositoryUnknown`](crate::Error::RepositoryUnknown).
    fn tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        page: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<String>>;

    /// The manifests whose subject is `subject`, by digest; with an `artifact_type`, only those of
    /// that type. The subject itself need not exist. An unknown repository has no referrers. A page
    /// ends behind the entry that fills [`ReferrerEntry::PAGE_BYTES`].
    fn referrers<'a>(
        &'a self,
        repository: &'a RepositoryName,
        subject: &'a Digest,
        artifact_type: Option<&'a str>,
        page: PageRequest<Digest>,
    ) -> StorageFuture<'a, ListPage<ReferrerEntry>>;

    /// The repositories that have a manifest, sorted by their bytes.
    fn repositories(&self, page: PageRequest<String>) -> StorageFuture<'_, ListPage<String>>;
}

/// A change of the manifests and tags of a repository.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each request and moved a few times"
)]
pub enum ManifestChange {
    /// Stores a manifest and points `tags` at it. A missing repository is created. An existing
    /// manifest is not changed.
    ///
    /// Fails with [`Error::ReferencesUnknown`](crate::Error::ReferencesUnknown) if the repository
    /// lacks a blob that the manifest needs. The error names the first hundred in their order, each
    /// once. Child manifests and a subject may be missing.
    Push {
        /// The manifest.
        manifest: NewManifest,
        /// The tags that point at it from now on.
        tags: Vec<Tag>,
    },
    /// Removes a manifest and every tag that points at it.
    ///
    /// Fails with [`Error::RepositoryUnknown`](crate::Error::RepositoryUnknown) or
    /// [`Error::ManifestUnknown`](crate::Error::ManifestUnknown).
    Remove(Digest),
    /// Removes a tag, but not its manifest. It fails as `Remove` does.
    Untag(Tag),
}

/// A change, and the outbox records that are written with it.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    /// The change.
    pub change: ManifestChange,
    /// The records.
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
