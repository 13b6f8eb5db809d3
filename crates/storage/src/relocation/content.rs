//! The blobs of a repository.

use std::collections::BTreeSet;

use oci::{Digest, RepositoryName};
use tokio::task::JoinSet;

use super::{Pair, RelocationError, RelocationReport, each_entry};
use crate::{Blob, Error, NewUpload, PageRequest, Storage, UploadId};

/// Blobs of a repository that are copied at once.
const BLOBS: usize = 4;
/// The client of the uploads.
const CLIENT: &str = "wharfinger registry copy";

/// What happened to a blob.
enum BlobOutcome {
    Copied(u64),
    /// Another repository has it.
    Mounted,
    /// Its content is missing or damaged here.
    Damaged,
    /// It was removed here meanwhile.
    Gone,
}

impl Pair {
    /// Adds the blobs that the target lacks. Returns those that it has and this storage has not.
    pub(super) async fn add_blobs(
        &self,
        name: &RepositoryName,
        done: &mut RelocationReport,
    ) -> Result<Vec<Digest>, RelocationError> {
        let here = linked(&self.source, name).await;
        let here = here.map_err(RelocationError::Source)?;
        let there = linked(&self.target, name).await;
        let there = there.map_err(RelocationError::Target)?;
        done.blobs += here.len() as u64;
        let mut missing = here.difference(&there).copied();
        let mut tasks = JoinSet::new();
        loop {
            let free = BLOBS.saturating_sub(tasks.len());
            for digest in missing.by_ref().take(free) {
                let (pair, name) = (self.clone(), name.clone());
                tasks.spawn(async move { pair.add_blob(&name, digest).await });
            }
            let Some(added) = tasks.join_next().await else {
                break;
            };
            let added = added.unwrap_or_else(|error| {
                Error::from_join_error(error).map_err(RelocationError::Source)
            })?;
            match added {
                BlobOutcome::Copied(size) => {
                    done.copied_blobs += 1;
                    done.copied_bytes += size;
                }
                BlobOutcome::Mounted => done.added += 1,
                BlobOutcome::Damaged => done.damaged += 1,
                BlobOutcome::Gone => {}
            }
        }
        Ok(there.difference(&here).copied().collect())
    }

    async fn add_blob(
        &self,
        name: &RepositoryName,
        digest: Digest,
    ) -> Result<BlobOutcome, RelocationError> {
        if self
            .mount(name, digest)
            .await
            .map_err(RelocationError::Target)?
        {
            return Ok(BlobOutcome::Mounted);
        }
        let blob = match self.source.blobs().find(name, &digest).await {
            Err(Error::BlobUnknown | Error::RepositoryUnknown) => return Ok(BlobOutcome::Gone),
            found => found.map_err(RelocationError::Source)?,
        };
        self.copy(name, &blob).await
    }

    /// Gives the repository a blob that another one has. Returns false if none has it.
    async fn mount(&self, name: &RepositoryName, digest: Digest) -> Result<bool, Error> {
        let page = PageRequest {
            after: None,
            limit: 1,
        };
        let blobs = self.target.blobs();
        let holders = blobs.holders(&digest, page).await?;
        let Some(holder) = holders.entries.first() else {
            return Ok(false);
        };
        match blobs.mount(&digest, holder, name).await {
            Err(Error::BlobUnknown) => Ok(false),
            mounted => mounted.map(|_| true),
        }
    }

    async fn copy(
        &self,
        name: &RepositoryName,
        blob: &Blob,
    ) -> Result<BlobOutcome, RelocationError> {
        let mut reader = match self.source.read(name, blob, 0..blob.size).await {
            Err(Error::Damaged { digest }) => return Ok(damaged(name, digest)),
            Err(Error::BlobUnknown | Error::RepositoryUnknown) => return Ok(BlobOutcome::Gone),
            opened => opened.map_err(RelocationError::Source)?,
        };
        let mut id = [0; 16];
        let filled = self.entropy.fill(&mut id);
        filled.map_err(|error| {
            RelocationError::Target(Error::Metadata(std::sync::Arc::new(error)))
        })?;
        let upload = NewUpload {
            id: UploadId::from_random(id),
            repository: name.clone(),
            client: CLIENT.to_owned(),
            algorithm: blob.digest.algorithm(),
        };
        let upload = self.target.put(upload).await;
        let mut upload = upload.map_err(RelocationError::Target)?;
        while let Some(chunk) = reader.next().await {
            match chunk {
                Ok(chunk) => upload.write(chunk).await.map_err(RelocationError::Target)?,
                Err(Error::Damaged { digest }) => return Ok(damaged(name, digest)),
                Err(error) => return Err(RelocationError::Source(error)),
            }
        }
        match upload.finish(blob.digest).await {
            Ok(_) => Ok(BlobOutcome::Copied(blob.size)),
            Err(Error::DigestMismatch(mismatch)) => Ok(damaged(name, mismatch.claimed)),
            Err(error) => Err(RelocationError::Target(error)),
        }
    }

    /// Takes blobs from the target's repository.
    pub(super) async fn unlink_blobs(
        &self,
        name: &RepositoryName,
        digests: Vec<Digest>,
        done: &mut RelocationReport,
    ) -> Result<(), RelocationError> {
        for digest in digests {
            match self.target.blobs().unlink(name, &digest).await {
                Err(Error::BlobUnknown | Error::RepositoryUnknown) => {}
                unlinked => {
                    unlinked.map_err(RelocationError::Target)?;
                    done.removed += 1;
                }
            }
        }
        Ok(())
    }
}

fn damaged(repository: &RepositoryName, digest: Digest) -> BlobOutcome {
    tracing::error!(%repository, %digest, "a blob was not copied: its content is missing or damaged");
    BlobOutcome::Damaged
}

/// The digests of a repository's blobs.
async fn linked(storage: &Storage, name: &RepositoryName) -> Result<BTreeSet<Digest>, Error> {
    let inventory = &storage.shared.metadata.inventory;
    let mut all = BTreeSet::new();
    let list = |page| inventory.linked(name, page);
    let add = |blob: Blob| {
        all.insert(blob.digest);
    };
    each_entry(list, |blob| blob.generation, add).await?;
    Ok(all)
}
