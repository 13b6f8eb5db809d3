//! Verification: every blob and every manifest is read and compared with its digest.

use std::ops::ControlFlow;

use oci::{Digest, RepositoryName};

use crate::hash::{self, ContentHasher};
use crate::{AffectedRepository, Blob, Error, PageRequest, Storage};

/// Rows that are read at once.
const ROWS: u32 = 500;

/// The result for one blob or manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyResult {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes, as its row says.
    pub size: u64,
    /// The key of a blob, or the repository of a manifest.
    pub place: String,
    /// Its state.
    pub health: ContentHealth,
    /// If it is damaged: the repositories that need it.
    pub affected: Vec<AffectedRepository>,
}

/// The state of a blob or manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentHealth {
    /// Its bytes have its digest.
    Sound,
    /// Its bytes were changed on the disk.
    Changed {
        /// The digest of its bytes.
        computed: Digest,
    },
    /// It is missing, or has the wrong length.
    Missing,
    /// The disk cannot read it.
    Unreadable,
}

impl Storage {
    /// Reads every blob and every manifest and compares it with its digest. `report` is called with
    /// each result, and may end the verification.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn verify(
        &self,
        mut report: impl FnMut(VerifyResult) -> ControlFlow<()> + Send,
    ) -> Result<(), Error> {
        let mut page = PageRequest {
            after: None,
            limit: ROWS,
        };
        loop {
            let blobs = self.shared.metadata.inventory.blobs(page.clone()).await?;
            page.after = blobs.entries.last().map(|blob| blob.generation);
            for blob in blobs.entries {
                if let Some(result) = self.check(blob).await?
                    && report(result).is_break()
                {
                    return Ok(());
                }
            }
            if !blobs.more {
                break;
            }
        }
        self.verify_manifests(report).await
    }

    /// The result for a blob; `None` if it was removed meanwhile.
    async fn check(&self, blob: Blob) -> Result<Option<VerifyResult>, Error> {
        let health = match self.digest(&blob).await {
            Ok(computed) if computed == blob.digest => ContentHealth::Sound,
            Ok(computed) => ContentHealth::Changed { computed },
            Err(Error::Damaged { .. }) => {
                if !self.still_exists(&blob).await? {
                    return Ok(None);
                }
                ContentHealth::Missing
            }
            Err(Error::Io { .. }) => ContentHealth::Unreadable,
            Err(error) => return Err(error),
        };
        Ok(Some(VerifyResult {
            digest: blob.digest,
            size: blob.size,
            place: blob.key,
            health,
            affected: self.affected(&blob.digest, health).await?,
        }))
    }

    async fn still_exists(&self, blob: &Blob) -> Result<bool, Error> {
        let page = PageRequest {
            after: Some(blob.generation - 1),
            limit: 1,
        };
        let found = self.shared.metadata.inventory.blobs(page).await?.entries;
        Ok(found
            .first()
            .is_some_and(|now| now.generation == blob.generation))
    }

    async fn affected(
        &self,
        digest: &Digest,
        health: ContentHealth,
    ) -> Result<Vec<AffectedRepository>, Error> {
        match health {
            ContentHealth::Sound => Ok(Vec::new()),
            _ => self.shared.metadata.inventory.affected(digest).await,
        }
    }

    /// The digest of a blob's content on the disk.
    async fn digest(&self, blob: &Blob) -> Result<Digest, Error> {
        let mut source = self.shared.content.open(blob, 0..blob.size).await?;
        let mut hasher = ContentHasher::new(blob.digest.algorithm());
        while let Some(chunk) = source.next().await {
            hasher.update(&chunk?);
            // Hashing keeps a thread busy that other tasks need, too.
            tokio::task::yield_now().await;
        }
        Ok(hasher.finish())
    }

    async fn verify_manifests(
        &self,
        mut report: impl FnMut(VerifyResult) -> ControlFlow<()> + Send,
    ) -> Result<(), Error> {
        let mut page = PageRequest {
            after: None,
            limit: ROWS,
        };
        loop {
            let names = self.manifests().repositories(page.clone()).await?;
            page.after = names.entries.last().cloned();
            for name in names.entries.iter().filter_map(|name| name.parse().ok()) {
                if self.verify_repository(&name, &mut report).await?.is_break() {
                    return Ok(());
                }
            }
            if !names.more {
                return Ok(());
            }
        }
    }

    async fn verify_repository(
        &self,
        name: &RepositoryName,
        report: &mut (impl FnMut(VerifyResult) -> ControlFlow<()> + Send),
    ) -> Result<ControlFlow<()>, Error> {
        let mut page = PageRequest {
            after: None,
            limit: ROWS,
        };
        loop {
            let manifests = self
                .shared
                .metadata
                .inventory
                .manifests(name, page.clone())
                .await?;
            page.after = manifests.entries.last().map(|manifest| manifest.digest);
            for manifest in &manifests.entries {
                let computed = hash::digest(manifest.digest.algorithm(), &manifest.bytes);
                let health = if computed == manifest.digest {
                    ContentHealth::Sound
                } else {
                    ContentHealth::Changed { computed }
                };
                let (digest, size) = (manifest.digest, manifest.bytes.len() as u64);
                let affected = self.affected(&digest, health).await?;
                if report(VerifyResult {
                    digest,
                    size,
                    place: name.to_string(),
                    health,
                    affected,
                })
                .is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if !manifests.more {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }
}
