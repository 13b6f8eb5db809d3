//! Checking that everything that lies here is what it is called.

use std::ops::ControlFlow;

use oci::{Digest, RepositoryName};

use crate::hash::{self, ContentHasher};
use crate::{Blob, Error, PageRequest, Storage};

/// Rows that are read at once.
const ROWS: u32 = 500;

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyResult {
    /// What it is called.
    pub digest: Digest,
    /// Its length in bytes, as its row says.
    pub size: u64,
    /// Where it is: the key of a blob, the repository of a manifest.
    pub place: String,
    /// How it is.
    pub health: ContentHealth,
    /// If it is damaged: the repositories that need it.
    pub affected: Vec<AffectedRepository>,
}

/// A repository that needs damaged content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AffectedRepository {
    /// The repository.
    pub repository: RepositoryName,
    /// Its tags of images that need the content. They are whole again when the content is pushed.
    pub tags: Vec<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentHealth {
    /// It is what it is called.
    Sound,
    /// It is something else: its bytes were changed on the disk.
    Changed {
        /// What its bytes should be called.
        computed: Digest,
    },
    /// It is gone, or too short.
    Missing,
    /// The disk cannot read it.
    Unreadable,
}

impl Storage {
    /// Reads every blob and every manifest and compares it with its digest. `report` hears of each,
    /// and may end it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn verify(
        &self,
        mut report: impl FnMut(VerifyResult) -> ControlFlow<()> + Send,
    ) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let blobs = self.shared.backends.inventory.blobs(after, ROWS).await?;
            let Some(last) = blobs.last() else { break };
            after = last.generation;
            for blob in blobs {
                if let Some(finding) = self.check(blob).await?
                    && report(finding).is_break()
                {
                    return Ok(());
                }
            }
        }
        self.verify_manifests(report).await
    }

    /// How a blob is; none where it was removed while it was looked at.
    async fn check(&self, blob: Blob) -> Result<Option<VerifyResult>, Error> {
        let health = match self.digest(&blob).await {
            Ok(computed) if computed == blob.digest => ContentHealth::Sound,
            Ok(computed) => ContentHealth::Changed { computed },
            Err(Error::Damaged { .. }) => {
                let now = self
                    .shared
                    .backends
                    .inventory
                    .blobs(blob.generation - 1, 1)
                    .await?;
                if now
                    .first()
                    .is_none_or(|now| now.generation != blob.generation)
                {
                    return Ok(None);
                }
                ContentHealth::Missing
            }
            Err(_) => ContentHealth::Unreadable,
        };
        Ok(Some(VerifyResult {
            digest: blob.digest,
            size: blob.size,
            place: blob.key,
            health,
            affected: self.affected(&blob.digest, health).await?,
        }))
    }

    async fn affected(
        &self,
        digest: &Digest,
        health: ContentHealth,
    ) -> Result<Vec<AffectedRepository>, Error> {
        match health {
            ContentHealth::Sound => Ok(Vec::new()),
            _ => self.shared.backends.inventory.affected(digest).await,
        }
    }

    /// A blob's digest, from its content as it lies on the disk.
    async fn digest(&self, blob: &Blob) -> Result<Digest, Error> {
        let mut source = self.shared.backends.store.open(blob, 0..blob.size).await?;
        let mut hasher = ContentHasher::new(blob.digest.algorithm());
        while let Some(chunk) = source.next().await {
            hasher.update(&chunk?);
            // Hashing keeps a thread busy; others have work, too.
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
                .backends
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
