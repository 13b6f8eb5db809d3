//! What each operation does to a side, and what it answers.

use storage::collection::CollectionHold;
use storage::{
    BlobReservation, ChangeAuthor, ChangeSet, Checkpoint, FinishedUpload, ManifestChange,
    NewOutboxRecord, QuotaCounting, TagRestoration, TombstoneTerms, UntaggedManifests,
};

use super::{
    CLIENTS, CONTENTS, KIND, PREFIXES, REPOSITORIES, Side, TAGS, limits, policy, rules, show,
};
use crate::conformance::bench::{HOUR, first};
use crate::conformance::operation::Operation;
use crate::conformance::retention::author;
use crate::world::{name, sha256, tag};

/// One of what there is.
fn pick<T: Clone>(all: &[T], at: usize) -> T {
    all[at % all.len()].clone()
}

impl Side {
    pub(super) async fn perform(&mut self, operation: &Operation) -> String {
        match operation {
            Operation::Pass(_)
            | Operation::Prune { .. }
            | Operation::Mark
            | Operation::Sweep { .. }
            | Operation::Purge(_)
            | Operation::Hold(_)
            | Operation::Acknowledge(_) => self.collect(operation).await,
            Operation::Begin { .. }
            | Operation::Record { .. }
            | Operation::LeaseUpload { .. }
            | Operation::End(_)
            | Operation::Expire(_) => self.upload(operation).await,
            Operation::Reserve { .. }
            | Operation::Replace { .. }
            | Operation::Settle(_)
            | Operation::Abandon(_) => self.finish(operation).await,
            Operation::RemoveTag { .. } | Operation::Restore { .. } | Operation::Pulled { .. } => {
                self.retain(operation).await
            }
            Operation::Limit(at) => {
                self.limits = limits(*at);
                String::new()
            }
            Operation::Track { prefixes, again } => {
                let wanted = PREFIXES.iter().enumerate();
                let wanted = wanted.filter(|(at, _)| prefixes >> at & 1 == 1);
                let wanted = wanted.map(|(_, prefix)| prefix.parse().unwrap());
                let counting = match again {
                    true => QuotaCounting::Again,
                    false => QuotaCounting::New,
                };
                // How many are new depends on refused changes: some stores have begun to count for them.
                let tracked = self.bench.quotas().track(wanted.collect(), counting);
                tracked.await.unwrap();
                String::new()
            }
            _ => self.change(operation).await,
        }
    }

    /// Manifests, tags, and which repository has which blobs.
    async fn change(&self, operation: &Operation) -> String {
        let of = |repository: &usize| name(pick(&REPOSITORIES, *repository));
        let digest = |content: &usize| sha256(pick(&CONTENTS, *content));
        let blobs = self.bench.blobs();
        match operation {
            Operation::Push {
                repository,
                manifest,
                tags,
                lenient,
            } => {
                let mut manifest = pick(&self.manifests, *manifest);
                if *lenient {
                    manifest = manifest.without_requiring_blobs();
                }
                let tags = TAGS.iter().take(tags % 4).map(|text| tag(text)).collect();
                self.apply(*repository, ManifestChange::Push { manifest, tags })
                    .await
            }
            Operation::Remove {
                repository,
                manifest,
            } => {
                let digest = pick(&self.manifests, *manifest).digest();
                self.apply(*repository, ManifestChange::Remove(digest))
                    .await
            }
            Operation::Untag {
                repository,
                tag: text,
            } => {
                let change = ManifestChange::Untag(tag(pick(&TAGS, *text)));
                self.apply(*repository, change).await
            }
            Operation::LeaseManifest {
                repository,
                manifest,
            } => {
                let reference = pick(&self.manifests, *manifest).digest().into();
                let manifests = self.bench.manifests();
                show(&manifests.lease(&of(repository), &reference).await)
            }
            Operation::LeaseBlob {
                repository,
                content,
            } => show(&blobs.lease(&of(repository), &digest(content)).await),
            Operation::Mount { content, from, to } => {
                let (digest, from, to) = (digest(content), of(from), of(to));
                let quotas = self.limits.of(&to);
                show(&blobs.mount_within_quotas(&digest, &from, &to, quotas).await)
            }
            Operation::Unlink {
                repository,
                content,
            } => {
                let (repository, digest) = (of(repository), digest(content));
                show(
                    &blobs
                        .unlink_unless_immutable(&repository, &digest, rules())
                        .await,
                )
            }
            other => panic!("{other:?}"),
        }
    }

    async fn apply(&self, repository: usize, change: ManifestChange) -> String {
        let outbox = vec![NewOutboxRecord {
            kind: KIND.to_owned(),
            payload: show(&change).into_bytes(),
        }];
        let repository = name(pick(&REPOSITORIES, repository));
        let author = ChangeAuthor {
            account: "ann".to_owned(),
            request_id: outbox.len().to_string(),
        };
        let changes = ChangeSet {
            outbox,
            author: Some(author),
            immutable: rules(),
            quotas: self.limits.of(&repository),
            ..change.into()
        };
        show(&self.bench.manifests().apply(&repository, changes).await)
    }

    async fn finish(&mut self, operation: &Operation) -> String {
        let uploads = self.bench.uploads();
        match operation {
            Operation::Reserve {
                repository,
                content,
                upload,
            } => {
                let content = pick(&CONTENTS, *content);
                let mut finished = self
                    .bench
                    .finished(pick(&REPOSITORIES, *repository), content);
                if let Some(upload) = self.uploads.get(*upload) {
                    finished.upload = *upload;
                    finished.fence = Some(0);
                }
                self.reserve(finished).await
            }
            Operation::Replace {
                repository,
                reserved,
            } if !self.reserved.is_empty() => {
                let (_, blob) = pick(&self.reserved, *reserved);
                let repository = pick(&REPOSITORIES, *repository);
                let mut finished = self.bench.finished(repository, b"");
                finished.digest = blob.digest;
                finished.size = blob.size;
                finished.replaces = Some(blob.generation);
                self.reserve(finished).await
            }
            Operation::Settle(reserved) if !self.reserved.is_empty() => {
                let (mut finished, blob) = pick(&self.reserved, *reserved);
                finished.quotas = self.limits.of(&finished.repository);
                show(&uploads.commit(finished, blob).await)
            }
            Operation::Abandon(reserved) if !self.reserved.is_empty() => {
                let (_, blob) = pick(&self.reserved, *reserved);
                show(&uploads.abort(blob).await)
            }
            _ => String::new(),
        }
    }

    async fn reserve(&mut self, mut finished: FinishedUpload) -> String {
        finished.quotas = self.limits.of(&finished.repository);
        let reserved = self.bench.uploads().reserve(finished.clone()).await;
        if let Ok(BlobReservation::Pending(blob)) = &reserved {
            self.reserved.push((finished, blob.clone()));
        }
        show(&reserved)
    }

    async fn upload(&mut self, operation: &Operation) -> String {
        if let Operation::Begin {
            repository,
            client,
            limit,
        } = operation
        {
            let (repository, client) = (pick(&REPOSITORIES, *repository), pick(&CLIENTS, *client));
            let upload = self.bench.new_upload(repository, client);
            self.uploads.push(upload.id);
            let active = self.uploads.first().copied().into_iter().collect();
            return show(&self.bench.uploads().begin(upload, *limit, active).await);
        }
        if self.uploads.is_empty() {
            return String::new();
        }
        let id = |at: &usize| pick(&self.uploads, *at);
        let uploads = self.bench.uploads();
        match operation {
            Operation::Record { upload, fence } => {
                let checkpoint = Checkpoint {
                    received: 7,
                    hash: None,
                    objects: None,
                };
                show(&uploads.record(id(upload), *fence, checkpoint).await)
            }
            Operation::LeaseUpload { repository, upload } => {
                let repository = name(pick(&REPOSITORIES, *repository));
                show(&uploads.lease(&repository, id(upload)).await)
            }
            Operation::End(upload) => show(&uploads.end(id(upload)).await),
            Operation::Expire(upload) => show(&uploads.expire(id(upload)).await),
            other => panic!("{other:?}"),
        }
    }

    /// Tags that retention removes, and pulls.
    async fn retain(&self, operation: &Operation) -> String {
        match operation {
            Operation::RemoveTag {
                repository,
                tag,
                change,
                releases,
            } => {
                let repository = pick(&REPOSITORIES, *repository);
                let store = &self.bench.stores.handles[0].retention;
                let states = store.tag_states(&name(repository), first(9)).await.unwrap();
                if states.entries.is_empty() {
                    return String::new();
                }
                let mut state = pick(&states.entries, *tag);
                match change {
                    0 => state.digest = pick(&self.manifests, *tag).digest(),
                    1 => state.pushed_at -= 1,
                    2 => state.leased_at -= 1,
                    3 => state.pulled_at = None,
                    _ => {}
                }
                let untagged = match releases {
                    true => UntaggedManifests::Remove,
                    false => UntaggedManifests::Collection,
                };
                let terms = TombstoneTerms {
                    undelete: 9 * HOUR,
                    untagged,
                };
                show(&self.bench.remove_tag(repository, state, terms).await)
            }
            Operation::Restore { tombstone, tag } => {
                let tombstones = self.bench.tombstones().await;
                if tombstones.is_empty() {
                    return String::new();
                }
                let tombstone = pick(&tombstones, *tombstone);
                let restoration = TagRestoration {
                    tombstone: tombstone.id,
                    tag: self::tag(pick(&TAGS, *tag)),
                    author: Some(author()),
                    outbox: Vec::new(),
                    quotas: self.limits.of(&tombstone.repository),
                };
                let store = &self.bench.stores.handles[0].tombstones;
                show(&store.restore(restoration).await)
            }
            Operation::Pulled {
                repository,
                manifest,
                gap,
            } => {
                let repository = pick(&REPOSITORIES, *repository);
                let digest = pick(&self.manifests, *manifest).digest();
                self.bench.pulled(repository, digest, *gap).await;
                String::new()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Time, and garbage collection.
    async fn collect(&self, operation: &Operation) -> String {
        let collection = self.bench.collection();
        match operation {
            Operation::Pass(times) => {
                self.bench.pass(*times * 2 * HOUR);
                String::new()
            }
            Operation::Prune { untagged } => {
                let untagged = untagged.map(|hours| hours * HOUR);
                show(&self.bench.prune(policy(untagged, false)).await)
            }
            Operation::Mark => show(&self.bench.mark(policy(None, false)).await),
            Operation::Sweep { waits } => show(&self.bench.sweep(policy(None, *waits)).await),
            Operation::Purge(limit) => {
                let deletable = collection.deletable(*limit).await.unwrap();
                collection.purge(deletable.clone()).await.unwrap();
                show(&deletable)
            }
            Operation::Hold(holds) => {
                let hold = CollectionHold {
                    id: [1; 16],
                    lasting: 9 * HOUR,
                };
                if *holds {
                    show(&collection.hold(hold).await)
                } else {
                    show(&collection.release(hold).await)
                }
            }
            Operation::Acknowledge(at) => {
                let records = self.bench.outbox().records(KIND, None, 100).await.unwrap();
                if let Some(record) = records.get(*at) {
                    self.bench
                        .outbox()
                        .acknowledge(KIND, record.id)
                        .await
                        .unwrap();
                }
                show(&records)
            }
            other => panic!("{other:?}"),
        }
    }
}
