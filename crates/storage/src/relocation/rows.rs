//! The manifests and tags of a repository.

use std::collections::BTreeMap;

use oci::{Digest, Reference, RepositoryName, Tag};

use super::{Pair, ROWS, RelocationError, RelocationReport, each_entry, first_page};
use crate::{
    Error, ManifestChange, NewManifest, NewManifestError, PageRequest, Storage, StoredManifest,
    TaggedManifest,
};

/// Tags that one change sets.
const TAGS: usize = 100;

impl Pair {
    /// Adds the manifests that the target lacks. Returns those that it has and this storage has not.
    pub(super) async fn add_manifests(
        &self,
        name: &RepositoryName,
        done: &mut RelocationReport,
    ) -> Result<Vec<Digest>, RelocationError> {
        let there = digests(&self.target, name).await;
        let mut there = there.map_err(RelocationError::Target)?;
        let inventory = &self.source.shared.metadata.inventory;
        let mut page = first_page();
        loop {
            let found = match inventory.manifests(name, page).await {
                Err(Error::RepositoryUnknown) => break,
                found => found.map_err(RelocationError::Source)?,
            };
            let after = found.entries.last().map(|manifest| manifest.digest);
            done.manifests += found.entries.len() as u64;
            for manifest in found.entries {
                if there.remove(&manifest.digest).as_ref() != Some(&manifest.media_type) {
                    self.push(name, &manifest, Vec::new()).await?;
                    done.added += 1;
                }
            }
            if !found.more {
                break;
            }
            page = PageRequest { after, limit: ROWS };
        }
        Ok(there.into_keys().collect())
    }

    async fn push(
        &self,
        name: &RepositoryName,
        manifest: &StoredManifest,
        tags: Vec<Tag>,
    ) -> Result<(), RelocationError> {
        let parsed = parse(manifest).map_err(|error| {
            RelocationError::Source(Error::Metadata(std::sync::Arc::new(error)))
        })?;
        let change = ManifestChange::Push {
            manifest: parsed.without_requiring_blobs(),
            tags,
        };
        let changed = self.target.manifests().apply(name, change.into()).await;
        changed.map(drop).map_err(RelocationError::Target)
    }

    /// Makes the target's tags point at what they point at here.
    pub(super) async fn change_tags(
        &self,
        name: &RepositoryName,
        done: &mut RelocationReport,
    ) -> Result<(), RelocationError> {
        let here = tags(&self.source, name).await;
        let here = here.map_err(RelocationError::Source)?;
        let there = tags(&self.target, name).await;
        let there = there.map_err(RelocationError::Target)?;
        done.tags += here.len() as u64;
        let mut changed: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
        for (tag, digest) in &here {
            if there.get(tag) != Some(digest)
                && let Ok(tag) = tag.parse()
            {
                changed.entry(*digest).or_default().push(tag);
            }
        }
        for (digest, tags) in changed {
            let reference = Reference::from(digest);
            let manifest = match self.target.manifests().find(name, &reference).await {
                // It was pushed and tagged here since the manifests were read: the next pass has it.
                Err(Error::ManifestUnknown | Error::RepositoryUnknown) => continue,
                found => found.map_err(RelocationError::Target)?,
            };
            for tags in tags.chunks(TAGS) {
                self.push(name, &manifest, tags.to_vec()).await?;
                done.added += tags.len() as u64;
            }
        }
        for tag in there.keys().filter(|tag| !here.contains_key(*tag)) {
            let Ok(tag) = tag.parse() else {
                continue;
            };
            let untagged = self.target.manifests().untag(name, &tag).await;
            if removed(untagged)? {
                done.removed += 1;
            }
        }
        Ok(())
    }

    /// Removes manifests from the target's repository.
    pub(super) async fn remove_manifests(
        &self,
        name: &RepositoryName,
        digests: Vec<Digest>,
        done: &mut RelocationReport,
    ) -> Result<(), RelocationError> {
        for digest in digests {
            if removed(self.target.manifests().remove(name, &digest).await)? {
                done.removed += 1;
            }
        }
        Ok(())
    }
}

/// Whether something was removed. It may be gone with something else.
fn removed(outcome: Result<(), Error>) -> Result<bool, RelocationError> {
    match outcome {
        Err(Error::ManifestUnknown | Error::RepositoryUnknown) => Ok(false),
        removed => removed.map(|()| true).map_err(RelocationError::Target),
    }
}

/// As it was pushed, or as another registry stored it.
fn parse(manifest: &StoredManifest) -> Result<NewManifest, NewManifestError> {
    let StoredManifest {
        digest,
        media_type,
        bytes,
    } = manifest;
    NewManifest::parse(Some(media_type), bytes.clone(), Some(*digest))
        .or_else(|_| NewManifest::parse_stored(bytes.clone(), *digest))
}

/// The digests of a repository's manifests, with their media types.
async fn digests(
    storage: &Storage,
    name: &RepositoryName,
) -> Result<BTreeMap<Digest, String>, Error> {
    let inventory = &storage.shared.metadata.inventory;
    let mut all = BTreeMap::new();
    let list = |page| inventory.manifests(name, page);
    let add = |manifest: StoredManifest| {
        all.insert(manifest.digest, manifest.media_type);
    };
    each_entry(list, |manifest| manifest.digest, add).await?;
    Ok(all)
}

/// The tags of a repository.
async fn tags(storage: &Storage, name: &RepositoryName) -> Result<BTreeMap<String, Digest>, Error> {
    let inventory = &storage.shared.metadata.inventory;
    let mut all = BTreeMap::new();
    let list = |page| inventory.tags(name, page);
    let add = |TaggedManifest { tag, digest }| {
        all.insert(tag.to_string(), digest);
    };
    each_entry(list, |entry| entry.tag.to_string(), add).await?;
    Ok(all)
}
