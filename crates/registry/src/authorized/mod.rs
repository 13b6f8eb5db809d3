//! The proof that a client may do something, and everything that it opens.
//!
//! A proof is bound to one repository and one kind of action. It has methods for exactly what that
//! action may do with that repository, and it is the only way to the storage: a handler neither
//! names the repository again nor reaches another one.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use oci::{Digest, DigestAlgorithm, Reference, RepositoryName, Tag};
use storage::{
    Blob, BlobReader, Error, ListPage, NewManifest, NewUpload, PageRequest, ReferrerEntry, Storage,
    StoredManifest, Upload, UploadId,
};

use crate::body::OpenRange;
use crate::error::RegistryError;
use crate::principal::{Principal, PullableRepositories};
use crate::upstream::{Upstream, UpstreamBlob, verified};

/// A kind of access to a repository.
pub trait Action: sealed::Sealed {
    /// The actions that a token must grant, as Distribution has them: a change needs `pull`, too.
    const NEEDED: &'static [&'static str];
    /// Whether it changes the repository.
    const CHANGES: bool;
    /// Whether it removes content that others may rely on.
    const DELETES: bool;
}

/// Reading.
pub enum Pull {}
/// Uploading blobs and manifests.
pub enum Push {}
/// Ending an upload. A client that may begin one may end it.
pub enum Cancel {}
/// Deleting manifests, tags and blobs.
pub enum Delete {}

impl Action for Pull {
    const NEEDED: &'static [&'static str] = &["pull"];
    const CHANGES: bool = false;
    const DELETES: bool = false;
}

impl Action for Push {
    const NEEDED: &'static [&'static str] = &["pull", "push"];
    const CHANGES: bool = true;
    const DELETES: bool = false;
}

impl Action for Cancel {
    const NEEDED: &'static [&'static str] = &["push"];
    const CHANGES: bool = true;
    const DELETES: bool = false;
}

impl Action for Delete {
    const NEEDED: &'static [&'static str] = &["delete"];
    const CHANGES: bool = true;
    const DELETES: bool = true;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Pull {}
    impl Sealed for super::Push {}
    impl Sealed for super::Cancel {}
    impl Sealed for super::Delete {}
}

/// What a proof opens.
pub(crate) struct Resources {
    pub(crate) storage: Storage,
    pub(crate) upstream: Option<Arc<dyn Upstream>>,
}

/// Proof that a client may do `A` with one repository. Only access control makes one.
///
/// It opens exactly what `A` may do with that repository. A proof for pushing takes in a manifest:
///
/// ```
/// # use registry::{Authorized, Push};
/// async fn push(proof: Authorized<'_, Push>, manifest: storage::NewManifest) {
///     let _ = proof.push_manifest(manifest, vec![]).await;
/// }
/// ```
///
/// A proof for pulling has no such method:
///
/// ```compile_fail
/// # use registry::{Authorized, Pull};
/// async fn push(proof: Authorized<'_, Pull>, manifest: storage::NewManifest) {
///     let _ = proof.push_manifest(manifest, vec![]).await;
/// }
/// ```
///
/// Nor does a proof for pushing delete, though one for deleting does:
///
/// ```
/// # use registry::{Authorized, Delete};
/// async fn delete(proof: Authorized<'_, Delete>, tag: oci::Tag) {
///     let _ = proof.delete_tag(&tag).await;
/// }
/// ```
/// ```compile_fail
/// # use registry::{Authorized, Push};
/// async fn delete(proof: Authorized<'_, Push>, tag: oci::Tag) {
///     let _ = proof.delete_tag(&tag).await;
/// }
/// ```
///
/// And no proof leads to another repository, or to all of the storage:
///
/// ```compile_fail
/// # use registry::{Authorized, Delete};
/// fn everything<'a>(proof: &'a Authorized<'_, Delete>) -> &'a storage::Storage {
///     proof.storage()
/// }
/// ```
pub struct Authorized<'a, A> {
    resources: &'a Resources,
    repository: RepositoryName,
    principal: Principal,
    /// Whether the client may also push to the repository.
    may_push: bool,
    action: PhantomData<A>,
}

/// A blob that may be pulled.
pub(crate) enum PullableBlob {
    StoredManifest(Blob),
    Upstream(Arc<dyn UpstreamBlob>),
}

/// Where a mount may take its blob from.
pub(crate) enum MountSource {
    /// From this repository.
    Repository(RepositoryName),
    /// From any repository that the client may pull from.
    Any,
}

impl PullableBlob {
    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::StoredManifest(blob) => blob.size,
            Self::Upstream(blob) => blob.size(),
        }
    }
}

impl<'a, A> Authorized<'a, A> {
    /// Only for access control, which has checked that `principal` may do `A`.
    pub(crate) fn new(
        resources: &'a Resources,
        repository: RepositoryName,
        principal: Principal,
        may_push: bool,
    ) -> Self {
        Self {
            resources,
            repository,
            principal,
            may_push,
            action: PhantomData,
        }
    }

    /// The repository that the proof is for.
    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The client's account; empty for an anonymous client.
    pub(crate) fn account(&self) -> &str {
        self.principal.account()
    }

    /// The storage, in which all of the repository is in rows.
    async fn storage(&self) -> Result<&Storage, Error> {
        let storage = &self.resources.storage;
        storage.ensure_adopted(&self.repository).await?;
        Ok(storage)
    }
}

impl Authorized<'_, Pull> {
    /// A manifest, to be sent.
    pub(crate) async fn manifest(
        &self,
        reference: &Reference,
    ) -> Result<Arc<StoredManifest>, RegistryError> {
        let manifests = self.storage().await?.manifests();
        match manifests.find(&self.repository, reference).await {
            Err(error @ (Error::ManifestUnknown | Error::RepositoryUnknown)) => {
                self.upstream_manifest(reference, error).await
            }
            found => Ok(found?),
        }
    }

    /// Whether a manifest exists. A client that may push and asks for that is about to push what
    /// refers to the manifest, so collection leaves it alone for a while.
    pub(crate) async fn check_manifest(
        &self,
        reference: &Reference,
    ) -> Result<Arc<StoredManifest>, RegistryError> {
        if self.may_push {
            let manifests = self.storage().await?.manifests();
            match manifests.lease(&self.repository, reference).await {
                Ok(manifest) => return Ok(manifest),
                // A disk that takes no writes can still be read.
                Err(Error::Full | Error::ReadOnly | Error::Busy) => {}
                Err(error @ (Error::ManifestUnknown | Error::RepositoryUnknown)) => {
                    return self.upstream_manifest(reference, error).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.manifest(reference).await
    }

    async fn upstream_manifest(
        &self,
        reference: &Reference,
        unknown: Error,
    ) -> Result<Arc<StoredManifest>, RegistryError> {
        let Some(upstream) = &self.resources.upstream else {
            return Err(unknown.into());
        };
        match upstream.manifest(&self.repository, reference).await? {
            Some(manifest) => Ok(verified(manifest, reference)?),
            None => Err(unknown.into()),
        }
    }

    /// A blob, to be sent.
    pub(crate) async fn blob(&self, digest: &Digest) -> Result<PullableBlob, RegistryError> {
        let blobs = self.storage().await?.blobs();
        match blobs.find(&self.repository, digest).await {
            Err(Error::BlobUnknown) => self.upstream_blob(digest).await,
            found => Ok(PullableBlob::StoredManifest(found?)),
        }
    }

    /// Whether a blob exists and can be read. It is leased as [`check_manifest`] leases a manifest.
    ///
    /// A blob whose file is missing counts as unknown, so that the client pushes it again.
    ///
    /// [`check_manifest`]: Self::check_manifest
    pub(crate) async fn check_blob(&self, digest: &Digest) -> Result<PullableBlob, RegistryError> {
        let storage = self.storage().await?;
        let found = match storage.blobs() {
            blobs if self.may_push => match blobs.lease(&self.repository, digest).await {
                // A disk that takes no writes can still be read.
                Err(Error::Full | Error::ReadOnly | Error::Busy) => {
                    blobs.find(&self.repository, digest).await
                }
                leased => leased,
            },
            blobs => blobs.find(&self.repository, digest).await,
        };
        let blob = match found {
            Err(Error::BlobUnknown) => return self.upstream_blob(digest).await,
            found => found?,
        };
        match storage.check_blob(&self.repository, &blob).await {
            Ok(()) => Ok(PullableBlob::StoredManifest(blob)),
            Err(Error::Damaged { digest }) => {
                tracing::error!(
                    %digest,
                    repository = %self.repository,
                    "the content of a blob is missing: push it again"
                );
                self.upstream_blob(&digest).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn upstream_blob(&self, digest: &Digest) -> Result<PullableBlob, RegistryError> {
        let blob = match &self.resources.upstream {
            Some(upstream) => upstream.blob(&self.repository, digest).await?,
            None => None,
        };
        blob.map(PullableBlob::Upstream)
            .ok_or(Error::BlobUnknown.into())
    }

    /// The content of a blob, or a range of it.
    pub(crate) async fn read(
        &self,
        blob: &PullableBlob,
        range: Range<u64>,
    ) -> Result<Box<dyn BlobReader>, Error> {
        match blob {
            PullableBlob::StoredManifest(blob) => {
                let storage = &self.resources.storage;
                storage.read(&self.repository, blob, range).await
            }
            PullableBlob::Upstream(blob) => blob.read(range).await,
        }
    }

    /// What opens ranges of a blob after the handler has ended.
    pub(crate) fn range_opener(&self, blob: PullableBlob) -> OpenRange {
        let (storage, repository) = (self.resources.storage.clone(), self.repository.clone());
        match blob {
            PullableBlob::StoredManifest(blob) => Arc::new(move |range| {
                let (storage, repository, blob) =
                    (storage.clone(), repository.clone(), blob.clone());
                Box::pin(async move { storage.read(&repository, &blob, range).await })
            }),
            PullableBlob::Upstream(blob) => Arc::new(move |range| blob.read(range)),
        }
    }

    /// A page of the tags.
    ///
    /// # Errors
    /// [`Error::RepositoryUnknown`], or when the storage fails.
    pub async fn tags(&self, page: PageRequest<String>) -> Result<ListPage<String>, Error> {
        let manifests = self.storage().await?.manifests();
        manifests.tags(&self.repository, page).await
    }

    /// A page of the manifests whose subject is `subject`.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
        page: PageRequest<Digest>,
    ) -> Result<ListPage<ReferrerEntry>, Error> {
        let manifests = self.storage().await?.manifests();
        manifests
            .referrers(&self.repository, subject, artifact_type, page)
            .await
    }

    /// How many bytes of an upload are safe on the disk.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], or when the storage fails.
    pub async fn received(&self, id: UploadId) -> Result<u64, Error> {
        self.storage().await?.received(&self.repository, id).await
    }
}

impl Authorized<'_, Push> {
    /// Begins an upload with this id. `client` is who is limited in the number of uploads.
    ///
    /// # Errors
    /// [`Error::TooManyUploads`], or when the storage fails.
    pub async fn begin(
        &self,
        id: UploadId,
        client: String,
        algorithm: DigestAlgorithm,
    ) -> Result<(), Error> {
        let upload = self.new_upload(id, client, algorithm);
        self.storage().await?.begin(upload).await
    }

    /// Takes in a blob of one request. Parameters as for [`begin`](Self::begin).
    ///
    /// # Errors
    /// [`Error::TooManyUploads`], or when the storage fails.
    pub async fn put(
        &self,
        id: UploadId,
        client: String,
        algorithm: DigestAlgorithm,
    ) -> Result<Upload, Error> {
        let upload = self.new_upload(id, client, algorithm);
        self.storage().await?.put(upload).await
    }

    fn new_upload(&self, id: UploadId, client: String, algorithm: DigestAlgorithm) -> NewUpload {
        NewUpload {
            id,
            repository: self.repository.clone(),
            client,
            algorithm,
        }
    }

    /// Goes on with an upload, at byte `at` if the client says which.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::UploadBusy`], [`Error::OutOfOrder`], or when the storage
    /// fails.
    pub async fn upload(&self, id: UploadId, at: Option<u64>) -> Result<Upload, Error> {
        let storage = self.storage().await?;
        storage.upload(&self.repository, id, at).await
    }

    /// Gives the repository a blob that another one has. The result has that repository's name;
    /// there is none if the blob cannot be had, for whatever reason.
    pub(crate) async fn mount(
        &self,
        digest: &Digest,
        source: MountSource,
    ) -> Result<Option<(Blob, RepositoryName)>, Error> {
        let storage = self.storage().await?;
        let sources = match source {
            MountSource::Repository(from) if self.principal.may(&from, "pull") => vec![from],
            MountSource::Repository(_) => Vec::new(),
            MountSource::Any => match self.principal.pullable_repositories() {
                PullableRepositories::Named(named) => named,
                PullableRepositories::All => {
                    let first = PageRequest {
                        after: None,
                        limit: 1,
                    };
                    storage.blobs().holders(digest, first).await?.entries
                }
            },
        };
        for from in sources {
            storage.ensure_adopted(&from).await?;
            let Some(blob) = readable(storage, &from, digest).await? else {
                continue;
            };
            let mounted = storage.blobs().mount(&blob.digest, &from, &self.repository);
            match mounted.await {
                Ok(blob) => return Ok(Some((blob, from))),
                Err(Error::BlobUnknown) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Takes in a manifest and points `tags` at it.
    ///
    /// # Errors
    /// [`Error::ReferencesUnknown`], or when the storage fails.
    pub async fn push_manifest(&self, manifest: NewManifest, tags: Vec<Tag>) -> Result<(), Error> {
        let storage = self.storage().await?;
        storage
            .push_manifest(&self.repository, manifest, tags)
            .await
    }
}

impl Authorized<'_, Cancel> {
    /// Ends an upload and removes what it received.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::UploadBusy`], or when the storage fails.
    pub async fn cancel(&self, id: UploadId) -> Result<(), Error> {
        self.storage().await?.cancel(&self.repository, id).await
    }
}

impl Authorized<'_, Delete> {
    /// Removes a manifest and every tag that points at it.
    ///
    /// # Errors
    /// [`Error::RepositoryUnknown`], [`Error::ManifestUnknown`], or when the storage fails.
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<(), Error> {
        let manifests = self.storage().await?.manifests();
        manifests.remove(&self.repository, digest).await
    }

    /// Removes a tag, not the manifest.
    ///
    /// # Errors
    /// [`Error::RepositoryUnknown`], [`Error::ManifestUnknown`], or when the storage fails.
    pub async fn delete_tag(&self, tag: &Tag) -> Result<(), Error> {
        let manifests = self.storage().await?.manifests();
        manifests.untag(&self.repository, tag).await
    }

    /// Takes a blob from the repository.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`], or when the storage fails.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), Error> {
        let blobs = self.storage().await?.blobs();
        blobs.unlink(&self.repository, digest).await
    }
}

impl<A> fmt::Debug for Authorized<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("repository", &self.repository)
            .finish_non_exhaustive()
    }
}

/// A blob of `repository` whose content can be read. A mount of any other would promise content
/// that no client could pull.
async fn readable(
    storage: &Storage,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<Blob>, Error> {
    let blob = match storage.blobs().find(repository, digest).await {
        Err(Error::BlobUnknown) => return Ok(None),
        found => found?,
    };
    match storage.check_blob(repository, &blob).await {
        Ok(()) => Ok(Some(blob)),
        Err(Error::Damaged { .. } | Error::BlobUnknown) => Ok(None),
        Err(error) => Err(error),
    }
}
