//! Many callers at once, through two handles: what holds for each alone holds for all together.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use storage::collection::CollectionPolicy;
use storage::{BlobReservation, Checkpoint, Error, NewManifest, UploadId};
use tokio::task::JoinSet;

use super::bench::{Bench, COLLECT, DAY, MakeStores, SECOND, first, walk};
use super::quotas::{quota, quotas};
use crate::world::{image, index, name, sha256};

const UNTAGGED: CollectionPolicy = CollectionPolicy {
    untagged: Some(SECOND),
    ..COLLECT
};

/// Runs `work` in many tasks, every second one through the other handle.
async fn spread<T, F>(
    bench: &Arc<Bench>,
    tasks: usize,
    work: impl Fn(Arc<Bench>, usize) -> F,
) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let handles = [Arc::clone(bench), Arc::new(bench.other_handle())];
    let mut running = JoinSet::new();
    for number in 0..tasks {
        running.spawn(work(Arc::clone(&handles[number % 2]), number));
    }
    running.join_all().await
}

pub(crate) async fn one_content_uploaded_by_many_is_one_blob(make: MakeStores) {
    let bench = Arc::new(Bench::new(make).await);
    let blobs = spread(&bench, 16, async |bench: Arc<Bench>, number| {
        bench.blob(&format!("r{number}"), b"content").await
    });
    let blobs = blobs.await;
    assert!(blobs.iter().all(|blob| *blob == blobs[0]));
    let holders = bench.blobs().holders(&blobs[0].digest, first(100)).await;
    assert_eq!(holders.unwrap().entries.len(), 16);
    let served = bench.inventory().blobs(first(100)).await.unwrap();
    assert_eq!(served.entries, blobs[..1]);
    check(&bench).await;
}

pub(crate) async fn of_many_writers_one_wins_each_fence(make: MakeStores) {
    let bench = Arc::new(Bench::new(make).await);
    let id = bench.begin("a").await;
    let won = spread(&bench, 8, |bench: Arc<Bench>, _| async move {
        let mut won: Vec<i64> = Vec::new();
        while won.len() < 5 {
            let fence = bench.uploads().find(&name("a"), id).await.unwrap().fence;
            let checkpoint = Checkpoint {
                received: u64::try_from(fence).unwrap() + 1,
                hash: None,
                objects: None,
            };
            match bench.uploads().record(id, fence, checkpoint).await {
                Ok(next) => won.push(next),
                Err(Error::UploadBusy) => {}
                Err(error) => panic!("{error}"),
            }
        }
        won
    });
    let mut won = won.await.concat();
    won.sort_unstable();
    assert_eq!(won, (1..=40).collect::<Vec<_>>());
    let state = bench.uploads().find(&name("a"), id).await.unwrap();
    assert_eq!((state.fence, state.checkpoint.received), (40, 40));
}

pub(crate) async fn a_limit_holds_for_many_at_once(make: MakeStores) {
    let bench = Arc::new(Bench::new(make).await);
    let outcomes = spread(&bench, 24, async |bench: Arc<Bench>, _| {
        let upload = bench.new_upload("a", "ann");
        let id = upload.id;
        (id, bench.uploads().begin(upload, 4, vec![]).await.unwrap())
    });
    let outcomes = outcomes.await;
    let mut left: HashSet<UploadId> = outcomes.iter().map(|(id, _)| *id).collect();
    assert_eq!(left.len(), 24);
    for evicted in outcomes.iter().flat_map(|(_, evicted)| evicted) {
        assert!(left.remove(evicted), "removed twice, or before it began");
    }
    assert_eq!(left.len(), 4);
    let all = bench.recovery().all().await.unwrap();
    assert_eq!(all.into_iter().collect::<HashSet<_>>(), left);
}

pub(crate) async fn a_tag_that_many_push_points_at_one_of_theirs(make: MakeStores) {
    let bench = Arc::new(Bench::new(make).await);
    let digests = spread(&bench, 16, async |bench: Arc<Bench>, number| {
        let manifest = index(&[sha256(&number.to_be_bytes())]);
        for _ in 0..5 {
            bench.push("a", manifest.clone(), &["x"]).await.unwrap();
        }
        manifest.digest()
    });
    let digests = digests.await;
    let tagged = bench.digest("a", "x").await.unwrap();
    assert!(digests.contains(&tagged));
    let other = bench.other_handle().digest("a", "x").await.unwrap();
    assert_eq!(other, tagged);
    check(&bench).await;
}

pub(crate) async fn a_tag_never_points_at_a_removed_manifest(make: MakeStores) {
    let bench = Arc::new(Bench::new(make).await);
    spread(&bench, 8, async |bench: Arc<Bench>, number| {
        for round in 0..10_usize {
            let manifest = index(&[sha256(&(round % 3).to_be_bytes())]);
            let digest = manifest.digest();
            if number < 4 {
                bench.push("a", manifest, &["x", "y"]).await.unwrap();
            } else {
                match bench.remove("a", digest).await {
                    Ok(()) | Err(Error::ManifestUnknown | Error::RepositoryUnknown) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            match bench.digest("a", "x").await {
                Ok(_) | Err(Error::ManifestUnknown | Error::RepositoryUnknown) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    check(&bench).await;
    check(&bench.other_handle()).await;
}

/// As a client does it: what was removed meanwhile is uploaded again.
async fn push_image(bench: &Bench, repository: &str, layer: &str, tag: &str) {
    let contents = ["{}", layer].map(str::as_bytes);
    loop {
        for content in contents {
            let leased = bench
                .blobs()
                .lease(&name(repository), &sha256(content))
                .await;
            if leased.is_err() {
                upload(bench, repository, content).await;
            }
        }
        let image = image(&[layer.as_bytes()], None);
        match bench.push(repository, image, &[tag]).await {
            Ok(_) => return,
            Err(Error::ReferencesUnknown(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn upload(bench: &Bench, repository: &str, content: &[u8]) {
    let finished = bench.finished(repository, content);
    if let BlobReservation::Pending(pending) = bench.reserve(&finished).await {
        match bench.uploads().commit(finished, pending).await {
            // The clock of these tests is fast: the row may be swept already.
            Ok(_) | Err(Error::UploadUnknown) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn pushes_removals_and_collections_at_once(make: MakeStores) {
    let bench = Arc::new(Bench::new(make).await);
    bench.track(&["*", "r1", "r3"]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut collectors = JoinSet::new();
    for collector in [bench.other_handle(), bench.other_handle().other_handle()] {
        let stop = Arc::clone(&stop);
        collectors.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                collector.pass(DAY / 16);
                collector.collect(UNTAGGED).await;
                // A store in memory waits for nothing, and other tasks need a turn.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
    spread(&bench, 4, async |bench: Arc<Bench>, number| {
        let repository = format!("r{number}");
        for round in 0..20 {
            let kept = round % 4;
            let (tag, layer) = (format!("kept-{kept}"), format!("layer {kept}"));
            push_image(&bench, &repository, &layer, &tag).await;
            let layer = format!("fleeting {number} {round}");
            push_image(&bench, &repository, &layer, "fleeting").await;
            if round % 2 == 0 {
                bench.untag(&repository, "fleeting").await.unwrap();
            } else {
                let digest = image(&[layer.as_bytes()], None).digest();
                bench.remove(&repository, digest).await.unwrap();
            }
        }
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    collectors.join_all().await;
    check(&bench).await;
    check(&bench.other_handle()).await;
    for repository in 0..4 {
        for kept in 0..4 {
            let (repository, tag) = (format!("r{repository}"), format!("kept-{kept}"));
            bench.digest(&repository, &tag).await.unwrap();
        }
    }
    // In the end, what is needed is there, and nothing else.
    bench.pass(DAY + SECOND);
    bench.collect(UNTAGGED).await;
    bench.collect(UNTAGGED).await;
    check(&bench).await;
    let blobs = bench.inventory().blobs(first(100)).await.unwrap().entries;
    let left: BTreeSet<_> = blobs.iter().map(|blob| blob.digest).collect();
    let layers = (0..4).map(|kept| sha256(format!("layer {kept}").as_bytes()));
    let needed: BTreeSet<_> = layers.chain([sha256(b"{}")]).collect();
    assert_eq!(left, needed);
}

pub(crate) async fn of_pushes_that_exceed_a_limit_together_some_are_refused(make: MakeStores) {
    let bench = Arc::new(Bench::new(make).await);
    let limits = quotas(&[quota("a", None, Some(5)), quota("b", Some(15), None)]);
    bench.track(&["a", "b"]).await;
    let passed = spread(&bench, 16, |bench: Arc<Bench>, number| {
        let limits = limits.clone();
        async move {
            let repository = format!("a/r{}", number / 2);
            let manifest = index(&[sha256(&number.to_be_bytes())]);
            let tag = format!("t{number}");
            let tags = [tag.as_str()];
            let pushed = bench
                .push_within(&repository, manifest, &tags, &limits)
                .await;
            let content = format!("{number:03}");
            let repository = format!("b/r{}", number / 2);
            let blob = bench
                .blob_within(&repository, content.as_bytes(), &limits)
                .await;
            [is_within(pushed), is_within(blob)]
        }
    });
    let passed = passed.await;
    for at in 0..2 {
        assert_eq!(passed.iter().filter(|passed| passed[at]).count(), 5);
    }
    bench.counts_are_right().await;
    check(&bench).await;
}

fn is_within<T>(result: Result<T, Error>) -> bool {
    match result {
        Ok(_) => true,
        Err(Error::QuotaExceeded(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn pushes_in_nested_prefixes_are_counted_at_once(make: MakeStores) {
    const REPOSITORIES: [&str; 6] = ["a", "a/b", "a/b/c", "a/d", "e", "e/f"];
    let bench = Arc::new(Bench::new(make).await);
    let many = Some(1_000_000);
    // Later rows cover earlier ones, and the other way round.
    let prefixes = ["e/f", "a/b", "a", "*", "a/b/c", "e"];
    let limits = prefixes.map(|prefix| quota(prefix, many, many));
    let limits = quotas(&limits);
    bench.track(&prefixes).await;
    spread(&bench, 16, |bench: Arc<Bench>, number| {
        let limits = limits.clone();
        async move {
            for round in 0..8 {
                let repository = REPOSITORIES[(number + round) % 6];
                let other = REPOSITORIES[(number * round + 1) % 6];
                let layer = format!("{}", (number + 3 * round) % 7);
                for content in ["{}", &layer] {
                    let blob = bench.blob_within(repository, content.as_bytes(), &limits);
                    blob.await.unwrap();
                }
                let mounted = bench.mount_within(layer.as_bytes(), repository, other, &limits);
                is_known(mounted.await);
                let manifest = image(&[layer.as_bytes()], None);
                let digest = manifest.digest();
                let tag = format!("t{}", number % 5);
                is_known(
                    bench
                        .push_within(repository, manifest, &[&tag], &limits)
                        .await,
                );
                match (number + round) % 4 {
                    0 => is_known(bench.untag(repository, &tag).await),
                    1 => is_known(bench.remove(repository, digest).await),
                    2 => {
                        let digest = sha256(layer.as_bytes());
                        is_known(bench.blobs().unlink(&name(other), &digest).await);
                    }
                    _ => bench.pass(SECOND),
                }
            }
        }
    })
    .await;
    bench.counts_are_right().await;
}

/// Another task may have removed what this one needs.
fn is_known<T>(result: Result<T, Error>) {
    match result {
        Ok(_)
        | Err(
            Error::BlobUnknown
            | Error::ManifestUnknown
            | Error::RepositoryUnknown
            | Error::ReferencesUnknown(_),
        ) => {}
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn tracking_beside_pushes_misses_nothing(make: MakeStores) {
    let bench = Arc::new(Bench::new(make).await);
    spread(&bench, 8, async |bench: Arc<Bench>, number| {
        for round in 0..6 {
            if number < 2 {
                let prefixes = [["*", "r1"], ["r1", "r2"]][round % 2];
                bench.track(&prefixes).await;
                continue;
            }
            let repository = format!("r{}", number % 3);
            let layer = format!("{number} {round}");
            bench
                .image(&repository, &layer, &["x", &round.to_string()])
                .await;
        }
    })
    .await;
    bench.track(&["*", "r0", "r1", "r2"]).await;
    bench.counts_are_right().await;
}

/// What must hold at any moment when no caller is at work.
pub(crate) async fn check(bench: &Bench) {
    let list = async |page| bench.inventory().blobs(page).await.unwrap();
    let served = walk(7, |blob| blob.generation, list).await;
    let digests: HashSet<_> = served.iter().map(|blob| blob.digest).collect();
    assert_eq!(digests.len(), served.len(), "two rows for one digest");
    bench.counts_are_right().await;
    let deletable = bench.deletable().await;
    assert!(
        !deletable
            .iter()
            .any(|gone| served.iter().any(|blob| blob.generation == gone.generation))
    );
    let list = async |page| bench.manifests().repositories(page).await.unwrap();
    for repository in walk(3, String::clone, list).await {
        check_repository(bench, &repository).await;
    }
}

async fn check_repository(bench: &Bench, repository: &str) {
    let of = name(repository);
    let list = async |page| bench.inventory().linked(&of, page).await.unwrap();
    let linked = walk(5, |blob| blob.generation, list).await;
    for blob in &linked {
        let found = bench.blobs().find(&of, &blob.digest).await.unwrap();
        assert_eq!(found, *blob);
        let list = async |page| bench.blobs().holders(&blob.digest, page).await.unwrap();
        let holders = walk(5, ToString::to_string, list).await;
        assert!(holders.contains(&of));
    }
    let list = async |page| bench.inventory().manifests(&of, page).await.unwrap();
    let manifests = walk(5, |manifest| manifest.digest, list).await;
    for stored in &manifests {
        let read = NewManifest::parse_stored(stored.bytes.clone(), stored.digest).unwrap();
        for needed in read.manifest().blobs() {
            let has = linked.iter().any(|blob| blob.digest == needed.digest);
            assert!(has, "{} of {of} has lost a blob", stored.digest);
        }
    }
    let list = async |page| bench.inventory().tags(&of, page).await.unwrap();
    for tagged in walk(5, |it| it.tag.as_str().to_owned(), list).await {
        let known = manifests.iter().any(|it| it.digest == tagged.digest);
        assert!(known, "{} of {of} points nowhere", tagged.tag);
        let found = bench.digest(repository, tagged.tag.as_str()).await;
        assert_eq!(found.unwrap(), tagged.digest);
    }
}
