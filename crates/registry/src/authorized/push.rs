//! What a proof for pushing opens, and one for ending an upload.

use oci::{Digest, DigestAlgorithm, Reference, RepositoryName, Tag};
use storage::{
    Blob, ChangeSet, Error, LinkedBlob, ManifestChange, NewManifest, NewUpload, PageRequest,
    QuotaRoom, QuotaWarning, RepositoryQuotas, Storage, Upload, UploadId,
};

use super::{Authorized, Cancel, Push};
use crate::change_details::ChangeDetails;
use crate::principal::PullableRepositories;

/// How many missing manifests an error names.
const MISSING_NAMED: usize = 100;

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

    /// The quotas that count the repository.
    pub(crate) fn quotas(&self) -> RepositoryQuotas {
        self.resources.quotas.of(&self.repository)
    }

    /// For how many bytes of a blob there is room, of which `bytes` have come or are announced.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`] if there is less room than that, or when the storage fails.
    pub(crate) async fn room_for(
        &self,
        bytes: u64,
        digest: Option<&Digest>,
    ) -> Result<QuotaRoom, Error> {
        let quotas = self.quotas();
        // Without a quota, nothing is asked.
        match quotas.is_empty() {
            true => Ok(QuotaRoom::Unlimited),
            false => self.storage().await?.room_for(&quotas, bytes, digest).await,
        }
    }

    /// Ends an upload for which there is no room.
    ///
    /// # Errors
    /// As [`Authorized::cancel`].
    pub(crate) async fn discard(&self, id: UploadId) -> Result<(), Error> {
        self.storage().await?.cancel(&self.repository, id).await
    }

    /// Gives the repository a blob that another one has. Returns it with that repository's name;
    /// `None` if it cannot be mounted, for whatever reason but one: an upload would exceed a quota as
    /// well, after all of it was sent.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`], or when the storage fails.
    pub(crate) async fn mount(
        &self,
        digest: &Digest,
        source: MountSource,
    ) -> Result<Option<(LinkedBlob, RepositoryName)>, Error> {
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
            let mounted = storage.blobs().mount_within_quotas(
                &blob.digest,
                &from,
                &self.repository,
                self.quotas(),
            );
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

    /// Fails if the repository lacks one of these manifests.
    ///
    /// # Errors
    /// [`Error::ReferencesUnknown`], which names the first that are missing, or when the storage fails.
    pub(crate) async fn require_manifests(
        &self,
        digests: impl Iterator<Item = Digest>,
    ) -> Result<(), Error> {
        let mut missing = Vec::new();
        for digest in digests {
            let reference = Reference::Digest(digest);
            let storage = self.storage().await?;
            match storage.manifests().find(&self.repository, &reference).await {
                Ok(_) => {}
                Err(Error::ManifestUnknown | Error::RepositoryUnknown) => missing.push(digest),
                Err(error) => return Err(error),
            }
            if missing.len() == MISSING_NAMED {
                break;
            }
        }
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Error::ReferencesUnknown(missing)),
        }
    }

    /// Takes in a manifest and points `tags` at it. Returns the quotas that this has brought near their
    /// limits.
    ///
    /// # Errors
    /// [`Error::ReferencesUnknown`], [`Error::TagImmutable`], [`Error::QuotaExceeded`], or when the storage
    /// fails.
    pub async fn push_manifest(
        &self,
        manifest: NewManifest,
        tags: Vec<Tag>,
        details: ChangeDetails,
    ) -> Result<Vec<QuotaWarning>, Error> {
        let storage = self.storage().await?;
        let changes = ChangeSet {
            quotas: self.quotas(),
            ..details.with(ManifestChange::Push { manifest, tags })
        };
        storage.apply(&self.repository, changes).await
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
