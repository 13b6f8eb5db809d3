//! The same operations, chosen at random, on an implementation and on the one in memory: every
//! result is the same.

use std::fmt::Debug;
use std::time::Duration;

use oci::Digest;
use proptest::test_runner::{Config, TestRunner};
use storage::collection::{CollectionHold, CollectionPolicy};
use storage::{
    Blob, BlobReservation, ChangeSet, Checkpoint, FinishedUpload, ManifestChange, NewManifest,
    NewOutboxRecord, Retention, UploadId,
};

use super::bench::{Bench, DAY, HOUR, MakeStores, first};
use super::concurrent::check;
use super::memory;
use super::operation::{Operation, operation};
use crate::world::{descriptor, image, index, manifest, name, sha256, tag};

/// An eighth of these times, and of an hour, is less than the shortest step of the clock. So it
/// makes no difference whether an implementation renews each lease.
const RETENTION: Retention = Retention {
    grace: DAY,
    upload_expiry: Duration::from_secs(8 * 3600),
    retain: Duration::ZERO,
};

const REPOSITORIES: [&str; 3] = ["a", "a-b", "a/b"];
const TAGS: [&str; 3] = ["x", "X", "x.y"];
const CONTENTS: [&[u8]; 5] = [b"{}", b"1", b"2", b"3", b""];
const CLIENTS: [&str; 2] = ["ann", "bob"];

/// An implementation, and what it has answered so far.
struct Side {
    bench: Bench,
    manifests: Vec<NewManifest>,
    reserved: Vec<(FinishedUpload, Blob)>,
    uploads: Vec<UploadId>,
}

/// Manifests that need each other in every way.
fn manifests() -> Vec<NewManifest> {
    let one = image(&[b"1"], None);
    let two = image(&[b"2", b"3"], None);
    let signature = image(&[b""], Some(one.digest()));
    let list = index(&[one.digest(), two.digest()]);
    let outer = index(&[list.digest(), sha256(b"sparse")]);
    let about = descriptor(oci::media_type::OCI_MANIFEST, one.digest(), 7);
    let members = format!(r#""manifests":[],"subject":{about},"artifactType":"a/a""#);
    let attestation = manifest(oci::media_type::OCI_INDEX, &members);
    vec![one, two, signature, list, outer, attestation]
}

/// One of what there is.
fn pick<T: Clone>(all: &[T], at: usize) -> T {
    all[at % all.len()].clone()
}

/// A result, as it is compared.
fn show(result: &impl Debug) -> String {
    format!("{result:?}")
}

impl Side {
    async fn new(make: MakeStores) -> Self {
        Self {
            bench: Bench::with(make, RETENTION).await,
            manifests: manifests(),
            reserved: Vec::new(),
            uploads: Vec::new(),
        }
    }

    async fn perform(&mut self, operation: &Operation) -> String {
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
                show(&blobs.mount(&digest(content), &of(from), &of(to)).await)
            }
            Operation::Unlink {
                repository,
                content,
            } => show(&blobs.unlink(&of(repository), &digest(content)).await),
            other => panic!("{other:?}"),
        }
    }

    async fn apply(&self, repository: usize, change: ManifestChange) -> String {
        let outbox = vec![NewOutboxRecord {
            kind: show(&change),
            payload: Vec::new(),
        }];
        let repository = name(pick(&REPOSITORIES, repository));
        let changes = ChangeSet { change, outbox };
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
                let (finished, blob) = pick(&self.reserved, *reserved);
                show(&uploads.commit(finished, blob).await)
            }
            Operation::Abandon(reserved) if !self.reserved.is_empty() => {
                let (_, blob) = pick(&self.reserved, *reserved);
                show(&uploads.abort(blob).await)
            }
            _ => String::new(),
        }
    }

    async fn reserve(&mut self, finished: FinishedUpload) -> String {
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
                let records = self.bench.outbox().records(None, 100).await.unwrap();
                if let Some(record) = records.get(*at) {
                    self.bench.outbox().acknowledge(record.id).await.unwrap();
                }
                show(&records)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Everything that can be asked.
    async fn everything(&self) -> Vec<String> {
        let bench = &self.bench;
        let mut all = Vec::new();
        all.push(show(&bench.manifests().repositories(first(100)).await));
        all.push(show(&bench.inventory().blobs(first(100)).await));
        all.push(show(&bench.recovery().pending().await));
        all.push(show(&bench.recovery().all().await));
        all.push(show(&bench.uploads().expired(100).await));
        all.push(show(&bench.deletable().await));
        all.push(show(&bench.outbox().records(None, 1000).await));
        for untagged in [None, Some(DAY)] {
            let plan = bench.collection().plan(policy(untagged, false)).await;
            let mut plan = plan.unwrap();
            plan.manifests
                .sort_by_key(|it| (it.repository.clone(), it.digest));
            all.push(show(&plan));
        }
        for content in CONTENTS {
            let digest = sha256(content);
            all.push(show(&bench.blobs().holders(&digest, first(100)).await));
            all.push(show(&bench.inventory().affected(&digest).await));
        }
        for repository in REPOSITORIES {
            all.extend(self.repository(repository).await);
        }
        all
    }

    async fn repository(&self, repository: &str) -> Vec<String> {
        let (bench, of) = (&self.bench, name(repository));
        let mut all = vec![
            show(&bench.manifests().tags(&of, first(2)).await),
            show(&bench.inventory().tags(&of, first(100)).await),
            show(&bench.inventory().manifests(&of, first(100)).await),
            show(&bench.inventory().linked(&of, first(100)).await),
        ];
        for subject in self.manifests.iter().map(NewManifest::digest) {
            for artifact_type in [None, Some("a/a")] {
                let page = first::<Digest>(100);
                let manifests = bench.manifests();
                let referrers = manifests.referrers(&of, &subject, artifact_type, page);
                all.push(show(&referrers.await));
            }
        }
        for upload in &self.uploads {
            all.push(show(&bench.uploads().find(&of, *upload).await));
        }
        for content in CONTENTS {
            all.push(show(&bench.blobs().find(&of, &sha256(content)).await));
        }
        for text in TAGS {
            all.push(show(&bench.manifests().find(&of, &tag(text).into()).await));
        }
        all
    }
}

fn policy(untagged: Option<Duration>, waits: bool) -> CollectionPolicy {
    CollectionPolicy {
        grace: DAY,
        wait: if waits { 4 * HOUR } else { Duration::ZERO },
        untagged,
    }
}

/// Operations between two comparisons of everything.
const INTERVAL: usize = 10;

async fn compare(make: MakeStores, operations: Vec<Operation>) {
    let mut sides = [Side::new(make).await, Side::new(memory).await];
    for (at, operation) in operations.iter().enumerate() {
        let [tested, reference] = &mut sides;
        let (one, two) = (
            tested.perform(operation).await,
            reference.perform(operation).await,
        );
        assert_eq!(one, two, "operation {at}: {operation:?}");
        if at % INTERVAL == 0 || at + 1 == operations.len() {
            let (one, two) = (tested.everything().await, reference.everything().await);
            assert_eq!(one, two, "after operation {at}: {operation:?}");
        }
    }
    // Pushes that may lack blobs are among the operations, so not all of it holds.
    let strict =
        |operation: &Operation| !matches!(operation, Operation::Push { lenient: true, .. });
    if operations.iter().all(strict) {
        check(&sides[0].bench).await;
    }
}

/// What the runner has shrunk is the shortest sequence that differs.
pub(crate) fn the_same_operations_have_the_same_results(make: MakeStores) {
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(24)
    });
    let operations = proptest::collection::vec(operation(), 1..150);
    let outcome = runner.run(&operations, |operations| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(compare(make, operations));
        Ok(())
    });
    if let Err(difference) = outcome {
        panic!("{difference}");
    }
}
