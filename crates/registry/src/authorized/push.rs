//! What a proof for pushing opens, and one for ending an upload.

use oci::{Digest, DigestAlgorithm, Reference, RepositoryName, Tag};
use storage::{
    Blob, Error, NewManifest, NewOutboxRecord, NewUpload, PageRequest, Storage, Upload, UploadId,
};

use super::{Authorized, Cancel, Push};
use crate::principal::PullableRepositories;

/// Where a mount may take its blob from.
pub(crate) enum MountSource {
    /// From this repository.
    Repository(RepositoryName),
    /// From any repository that the client may pull from.
    Any,
}

impl Authorized<'_, Push> {
    /// Begins an upload with this id. The number of uploads is limited for each `client`.
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

    /// Gives the repository a blob that another one has. Returns it with that repository's name;
    /// `None` if it cannot be mounted, for whatever reason.
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

    /// What each of `tags` points at now; `None` for a new tag, and if that is not known.
    pub(crate) async fn tagged(&self, tags: &[Tag]) -> Vec<Option<Digest>> {
        let mut digests = Vec::with_capacity(tags.len());
        for tag in tags {
            let digest = match self.storage().await {
                Ok(storage) => {
                    let reference = Reference::Tag(tag.clone());
                    let found = storage.manifests().find(&self.repository, &reference).await;
                    found.ok().map(|manifest| manifest.digest)
                }
                Err(_) => None,
            };
            digests.push(digest);
        }
        digests
    }

    /// Takes in a manifest and points `tags` at it. `outbox` is stored with that.
    ///
    /// # Errors
    /// [`Error::ReferencesUnknown`], or when the storage fails.
    pub async fn push_manifest(
        &self,
        manifest: NewManifest,
        tags: Vec<Tag>,
        outbox: Vec<NewOutboxRecord>,
    ) -> Result<(), Error> {
        let storage = self.storage().await?;
        storage
            .push_manifest(&self.repository, manifest, tags, outbox)
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
