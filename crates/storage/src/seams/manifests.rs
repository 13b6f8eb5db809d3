//! Repositories, their manifests and their tags.

use std::fmt;
use std::sync::Arc;

use oci::{Digest, Reference, RepositoryName, Tag};
use tag_rules::ImmutabilityRules;

use super::NewOutboxRecord;
use crate::{
    ListPage, NewManifest, PageRequest, QuotaWarning, ReferrerEntry, RepositoryQuotas,
    StorageFuture, StoredManifest,
};

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

    /// Makes a change and writes its outbox records, and what it does to tags into their
    /// [history](super::TagHistoryStore), in one transaction.
    ///
    /// Fails as [`ManifestChange`] says for each change, and with
    /// [`Error::TagImmutable`](crate::Error::TagImmutable) if an immutable tag would move or go, or
    /// would lose a manifest that it needs. A push fails with
    /// [`Error::QuotaExceeded`](crate::Error::QuotaExceeded) if a quota does not have room for what it
    /// adds. Returns the quotas that it has brought near their limits.
    fn apply<'a>(
        &'a self,
        repository: &'a RepositoryName,
        changes: ChangeSet,
    ) -> StorageFuture<'a, Vec<QuotaWarning>>;

    /// [`ManifestChange::Push`], without an outbox record.
    fn push<'a>(
        &'a self,
        repository: &'a RepositoryName,
        manifest: NewManifest,
        tags: Vec<Tag>,
    ) -> StorageFuture<'a, ()> {
        let changes = ManifestChange::Push { manifest, tags }.into();
        Box::pin(async move { self.apply(repository, changes).await.map(drop) })
    }

    /// [`ManifestChange::Remove`], without an outbox record.
    fn remove<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> StorageFuture<'a, ()> {
        let changes = ManifestChange::Remove(*digest).into();
        Box::pin(async move { self.apply(repository, changes).await.map(drop) })
    }

    /// [`ManifestChange::Untag`], without an outbox record.
    fn untag<'a>(&'a self, repository: &'a RepositoryName, tag: &'a Tag) -> StorageFuture<'a, ()> {
        let changes = ManifestChange::Untag(tag.clone()).into();
        Box::pin(async move { self.apply(repository, changes).await.map(drop) })
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
    /// Who is written into the history of the tags. `None`: the change is not written there.
    pub author: Option<ChangeAuthor>,
    /// The tags that may not move or go.
    pub immutable: ImmutabilityRules,
    /// The quotas of the repository.
    pub quotas: RepositoryQuotas,
}

/// Who makes a change, as the history of tags has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeAuthor {
    /// The account; empty for an anonymous client, or if names are not recorded.
    pub account: String,
    /// The id of the request.
    pub request_id: String,
}

impl From<ManifestChange> for ChangeSet {
    /// A change without outbox records, of which the history of tags says nothing. No tag is immutable,
    /// and there is no quota.
    fn from(change: ManifestChange) -> Self {
        Self {
            change,
            outbox: Vec::new(),
            author: None,
            immutable: ImmutabilityRules::default(),
            quotas: RepositoryQuotas::default(),
        }
    }
}
