//! Repositories, manifests and tags.

use std::sync::Arc;

use oci::{Digest, Manifest, Reference, RepositoryName, Tag};

use super::metadata::MemoryMetadata;
use super::tables::{BlobState, Tables, TagRow, page};
use super::tag_history::MemoryTagChanges;
use crate::seams::{ImmutableTags, MISSING_BLOBS};
use crate::{
    ChangeSet, Error, ListPage, ManifestChange, ManifestStore, NewManifest, PageRequest,
    QuotaWarning, ReferrerEntry, StorageFuture, StoredManifest,
};

impl ManifestStore for MemoryMetadata {
    fn find<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> StorageFuture<'a, Arc<StoredManifest>> {
        self.read(move |tables| {
            let found = tables.repository(repository)?.manifest(reference)?;
            Ok(Arc::new(found.stored()))
        })
    }

    fn lease<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> StorageFuture<'a, Arc<StoredManifest>> {
        self.write(move |tables, now| {
            let row = tables.repository_mut(repository)?;
            let digest = row.manifest(reference)?.manifest.digest();
            let leased = row.manifests.get_mut(&digest);
            let leased = leased.ok_or(Error::ManifestUnknown)?;
            leased.leased_at = leased.leased_at.max(now);
            Ok(Arc::new(leased.stored()))
        })
    }

    fn apply<'a>(
        &'a self,
        repository: &'a RepositoryName,
        changes: ChangeSet,
    ) -> StorageFuture<'a, Vec<QuotaWarning>> {
        self.write(move |tables, now| {
            let before = tables.usage_below(&changes.quotas);
            let of_tags = MemoryTagChanges {
                repository,
                author: changes.author,
                immutable: ImmutableTags::new(&changes.immutable, repository),
                now,
            };
            match changes.change {
                ManifestChange::Push { manifest, tags } => {
                    of_tags.push(tables, &tags, manifest.digest())?;
                    push(tables, repository, &manifest, tags, now)?;
                }
                ManifestChange::Remove(digest) => {
                    of_tags.remove(tables, digest)?;
                    tables.repository_mut(repository)?.remove(&digest);
                }
                ManifestChange::Untag(tag) => {
                    of_tags.untag(tables, &tag)?;
                    tables.repository_mut(repository)?.tags.remove(&tag);
                }
            }
            tables.write_outbox(repository, changes.outbox, now);
            tables.check_quotas(&changes.quotas, &before)
        })
    }

    fn tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        request: PageRequest<String>,
    ) -> StorageFuture<'a, ListPage<String>> {
        self.read(move |tables| {
            let tags = tables.repository(repository)?.tags.keys();
            let tags = tags.map(|tag| tag.as_str().to_owned());
            let rest = tags.filter(|tag| Some(tag) > request.after.as_ref());
            Ok(page(rest, request.limit))
        })
    }

    fn referrers<'a>(
        &'a self,
        repository: &'a RepositoryName,
        subject: &'a Digest,
        artifact_type: Option<&'a str>,
        request: PageRequest<Digest>,
    ) -> StorageFuture<'a, ListPage<ReferrerEntry>> {
        self.read(move |tables| {
            let repository = tables.repositories.get(repository);
            let manifests = repository.into_iter().flat_map(|row| &row.manifests);
            let mut entries = manifests
                .filter(|(digest, row)| {
                    row.subject() == Some(*subject) && Some(*digest) > request.after.as_ref()
                })
                .map(|(_, row)| row.manifest.referrer_entry())
                .filter(|entry| {
                    artifact_type.is_none() || entry.artifact_type.as_deref() == artifact_type
                });
            let (mut taken, mut bytes) = (Vec::new(), 0);
            while taken.len() < request.limit as usize
                && bytes < ReferrerEntry::PAGE_BYTES
                && let Some(entry) = entries.next()
            {
                bytes += entry.weight();
                taken.push(entry);
            }
            Ok(ListPage {
                entries: taken,
                more: entries.next().is_some(),
            })
        })
    }

    fn repositories(&self, request: PageRequest<String>) -> StorageFuture<'_, ListPage<String>> {
        self.read(move |tables| {
            let listed = tables.repositories.iter();
            let listed = listed.filter(|(_, row)| !row.manifests.is_empty());
            let names = listed.map(|(name, _)| name.as_str().to_owned());
            let rest = names.filter(|name| Some(name) > request.after.as_ref());
            Ok(page(rest, request.limit))
        })
    }
}

fn push(
    tables: &mut Tables,
    repository: &RepositoryName,
    manifest: &NewManifest,
    tags: Vec<Tag>,
    now: i64,
) -> Result<(), Error> {
    let missing = missing_blobs(tables, repository, manifest.manifest(), now);
    if !missing.is_empty() && !manifest.may_lack_blobs() {
        return Err(Error::ReferencesUnknown(missing));
    }
    let row = tables.repository_or_new(repository);
    row.take_in(manifest, now);
    let pushed = TagRow {
        digest: manifest.digest(),
        pushed_at: now,
    };
    let tags = tags.into_iter().map(|tag| (tag, pushed));
    row.tags.extend(tags);
    Ok(())
}

/// The blobs of a manifest that the repository does not have, or the first of them. One that is
/// marked gets a new lease.
fn missing_blobs(
    tables: &mut Tables,
    repository: &RepositoryName,
    manifest: &Manifest,
    now: i64,
) -> Vec<Digest> {
    let mut missing = Vec::new();
    for descriptor in manifest.blobs() {
        let digest = descriptor.digest;
        match tables.blob(repository, &digest).map(|blob| blob.generation) {
            Ok(generation) => {
                if tables.blobs[&generation].state == BlobState::Marked {
                    tables.revive(generation, now);
                }
            }
            Err(_) if missing.contains(&digest) => {}
            Err(_) => missing.push(digest),
        }
        if missing.len() == MISSING_BLOBS {
            break;
        }
    }
    missing
}
