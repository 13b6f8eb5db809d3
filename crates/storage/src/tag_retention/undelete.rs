//! The return of tags that retention has removed.

use oci::{Digest, RepositoryName, Tag};
use retention::ReferrerTag;

use crate::{
    ChangeAuthor, Error, ListPage, NewOutboxRecord, PageRequest, QuotaWarning, RepositoryQuotas,
    RestoreOutcome, RestoredTag, Storage, TagRestoration, Tombstone,
};

/// Tombstones that are read at once.
const PAGE: u32 = 1000;

/// A removed tag that is to be restored.
#[derive(Clone, Debug)]
pub struct Undeletion {
    /// The tag.
    pub tag: Tag,
    /// What it pointed at. `None`: the tag that was removed last.
    pub digest: Option<Digest>,
    /// The name that it gets.
    pub to: Tag,
    /// What the history of the tag has as its author. Without one, it has nothing of it.
    pub author: Option<ChangeAuthor>,
    /// The quotas of the repository.
    pub quotas: RepositoryQuotas,
}

impl Undeletion {
    /// The last removed tag of this name, without an author and without quotas.
    #[must_use]
    pub fn of(tag: Tag) -> Self {
        Self {
            to: tag.clone(),
            tag,
            digest: None,
            author: None,
            quotas: RepositoryQuotas::default(),
        }
    }
}

/// What became of a tag that was to be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndeleteOutcome {
    /// It is there again.
    Restored {
        /// What was left of it.
        tombstone: Tombstone,
        /// Tags that went with its manifest, such as signatures, and came back with it.
        along: Vec<Tag>,
        /// The quotas that the tags have brought near their limits.
        warnings: Vec<QuotaWarning>,
    },
    /// A tag of this name is there, and points at this manifest.
    TagExists(Digest),
    /// Nothing of it is left.
    Unknown,
}

impl Storage {
    /// The tombstones that have not expired, by number; of all repositories, or of one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn tombstones(
        &self,
        repository: Option<&RepositoryName>,
        after: Option<i64>,
    ) -> Result<ListPage<Tombstone>, Error> {
        let page = PageRequest { after, limit: PAGE };
        let store = &self.shared.metadata.tombstones;
        store.tombstones(repository, page).await
    }

    /// Makes a tag again that retention has removed: the one that was removed last, or the last that
    /// pointed at its digest. Tags that belong to its manifest come back with it, unless there are others
    /// of their names, or a quota does not have room for them. `records` makes the records that are
    /// stored with each tag.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`] if a quota does not have room for the tag, or if the database fails.
    pub async fn undelete(
        &self,
        repository: &RepositoryName,
        undeletion: &Undeletion,
        records: impl Fn(&Tombstone, &Tag) -> Vec<NewOutboxRecord>,
    ) -> Result<UndeleteOutcome, Error> {
        let all = self.all_tombstones(repository).await?;
        let found = all.iter().rfind(|tombstone| {
            let digest = undeletion.digest;
            tombstone.tag == undeletion.tag
                && digest.is_none_or(|digest| tombstone.digest == digest)
        });
        let Some(tombstone) = found else {
            return Ok(UndeleteOutcome::Unknown);
        };
        let restored = self
            .restore(tombstone, &undeletion.to, undeletion, &records)
            .await?;
        let mut warnings = restored.warnings;
        match restored.outcome {
            RestoreOutcome::Restored => {}
            RestoreOutcome::TagExists(digest) => return Ok(UndeleteOutcome::TagExists(digest)),
            RestoreOutcome::TombstoneUnknown => return Ok(UndeleteOutcome::Unknown),
        }
        let mut along = Vec::new();
        let belongs = Some(ReferrerTag::Of(tombstone.digest));
        let related = all.iter().rev();
        for related in related.filter(|it| ReferrerTag::of(&it.tag) == belongs) {
            let restored = self
                .restore(related, &related.tag, undeletion, &records)
                .await;
            match restored {
                Ok(restored) if restored.outcome == RestoreOutcome::Restored => {
                    along.push(related.tag.clone());
                    warnings.extend(restored.warnings);
                }
                // The tag itself is there again.
                Ok(_) | Err(Error::QuotaExceeded(_)) => {}
                Err(error) => return Err(error),
            }
        }
        along.sort();
        Ok(UndeleteOutcome::Restored {
            tombstone: tombstone.clone(),
            along,
            warnings,
        })
    }

    async fn all_tombstones(&self, repository: &RepositoryName) -> Result<Vec<Tombstone>, Error> {
        let mut all: Vec<Tombstone> = Vec::new();
        loop {
            let after = all.last().map(|tombstone| tombstone.id);
            let page = self.tombstones(Some(repository), after).await?;
            all.extend(page.entries);
            if !page.more {
                return Ok(all);
            }
        }
    }

    async fn restore(
        &self,
        tombstone: &Tombstone,
        to: &Tag,
        undeletion: &Undeletion,
        records: impl Fn(&Tombstone, &Tag) -> Vec<NewOutboxRecord>,
    ) -> Result<RestoredTag, Error> {
        let restoration = TagRestoration {
            tombstone: tombstone.id,
            tag: to.clone(),
            author: undeletion.author.clone(),
            outbox: records(tombstone, to),
            quotas: undeletion.quotas.clone(),
        };
        self.shared.metadata.tombstones.restore(restoration).await
    }
}
