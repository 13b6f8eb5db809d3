//! Data directories that real registries write, and read again.

use std::path::Path;

use oci::{Digest, Reference};
use peers::{Client, Image, RegistryConfig, RunningRegistry};
use storage::distribution::{AdoptionCheck, AdoptionProblemKind};
use storage::{PageRequest, Storage, StorageSettings};

use super::world::{World, content, name, open_database, sha256};

type Start = fn(&RegistryConfig) -> RunningRegistry;

const REGISTRIES: [Start; 2] = [peers::registry2, peers::registry3];

fn on(start: Start, data: &Path) -> RunningRegistry {
    start(&RegistryConfig {
        data: Some(data.to_owned()),
        ..RegistryConfig::default()
    })
}

fn run(client: &Client, arguments: &[&str]) -> String {
    let output = client.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout.trim().to_owned()
}

/// Pushes images, an index, a referrer, a tag that moves and an image that is deleted, and begins an
/// upload. Returns the references that can be pulled, with their digests.
fn fill(registry: &RunningRegistry) -> Vec<(String, String)> {
    let (crane, regctl) = (peers::crane(), peers::regctl(&registry.host_port()));
    let at = |reference: &str| format!("{}/{reference}", registry.host_port());
    for (text, reference) in [
        ("one", "library/app:1"),
        ("two", "library/app:2"),
        ("one", "other:moved"),
        ("two", "other:moved"),
    ] {
        run(
            &crane,
            &[
                "push",
                "--insecure",
                &Image::saying(text).layout().display().to_string(),
                &at(reference),
            ],
        );
    }
    run(
        &crane,
        &[
            "push",
            "--insecure",
            &Image::saying("gone").layout().display().to_string(),
            &at("other:gone"),
        ],
    );
    let gone = run(&crane, &["digest", "--insecure", &at("other:gone")]);
    run(
        &crane,
        &["delete", "--insecure", &at(&format!("other@{gone}"))],
    );
    let index = [
        "index",
        "create",
        &at("library/app:all"),
        "--ref",
        &at("library/app:1"),
        "--ref",
    ];
    run(&regctl, &[&index[..], &[&at("library/app:2")]].concat());
    run(
        &regctl,
        &[
            "artifact",
            "put",
            "--artifact-type",
            "application/x-note",
            "--subject",
            &at("library/app:1"),
        ],
    );
    let begun = peers::http::request(&[
        "-X",
        "POST",
        &registry.url("/v2/library/app/blobs/uploads/"),
    ]);
    let location = begun.header("location").unwrap().to_owned();
    let half = peers::http::request(&[
        "-X",
        "PATCH",
        "-H",
        "Content-Type: application/octet-stream",
        "--data-binary",
        "half",
        &location,
    ]);
    assert_eq!(half.status, 202);
    [
        "library/app:1",
        "library/app:2",
        "library/app:all",
        "other:moved",
    ]
    .map(|reference| {
        (
            reference.to_owned(),
            run(&crane, &["digest", "--insecure", &at(reference)]),
        )
    })
    .to_vec()
}

/// Pulls by tag and by digest, down to every blob.
async fn pulls(storage: &Storage, reference: &str, digest: &str) {
    let (repository, tag) = reference.split_once(':').unwrap();
    for reference in [tag, digest] {
        let reference: Reference = reference.parse().unwrap();
        let stored = storage
            .manifests()
            .find(&name(repository), &reference)
            .await
            .unwrap();
        assert_eq!(stored.digest.to_string(), digest);
        pull(storage, repository, stored.digest).await;
    }
}

async fn pull(storage: &Storage, repository: &str, digest: Digest) {
    let stored = storage
        .manifests()
        .find(&name(repository), &digest.into())
        .await
        .unwrap();
    let manifest = oci::Manifest::parse(Some(&stored.media_type), &stored.bytes).unwrap();
    for blob in manifest.blobs() {
        assert_eq!(
            sha256(&content(storage, repository, blob.digest).await.unwrap()),
            blob.digest
        );
    }
    for child in manifest.children() {
        Box::pin(pull(storage, repository, child.digest)).await;
    }
}

#[tokio::test]
async fn images_are_adopted_from_a_registry_and_exported_to_it() {
    for start in REGISTRIES {
        let (world, old) = (World::new().await, tempfile::tempdir().unwrap());
        let registry = on(start, old.path());
        let references = fill(&registry);
        drop(registry);
        let report = world.adopt(old.path(), AdoptionCheck::Everything).await;
        assert!(
            report
                .problems
                .iter()
                .all(|problem| problem.kind == AdoptionProblemKind::Upload),
            "{:?}",
            report.problems
        );
        assert!(!report.problems.is_empty());
        assert_eq!(report.repositories, 2);
        for (reference, digest) in &references {
            pulls(&world.storage, reference, digest).await;
        }
        assert!(!world.has_manifest("other", "gone").await);
        let subject = references[0].1.parse().unwrap();
        let page = PageRequest {
            after: None,
            limit: 10,
        };
        let referrers = world
            .storage
            .manifests()
            .referrers(&name("library/app"), &subject, None, page)
            .await
            .unwrap();
        assert_eq!(referrers.entries.len(), 1);
        assert_eq!(
            referrers.entries[0].artifact_type.as_deref(),
            Some("application/x-note")
        );

        let ours = world.image("pushed/to-us", "after", &["new"]).await;
        let target = tempfile::tempdir_in(world.directory.path()).unwrap();
        world.storage.export(target.path(), |_| {}).await.unwrap();
        let registry = on(start, target.path());
        let crane = peers::crane();
        for (reference, digest) in references
            .iter()
            .chain([&("pushed/to-us:new".to_owned(), ours.to_string())])
        {
            let at = format!("{}/{reference}", registry.host_port());
            assert_eq!(run(&crane, &["digest", "--insecure", &at]), *digest);
        }
        let blob = format!("{}/pushed/to-us@{}", registry.host_port(), sha256(b"after"));
        assert_eq!(run(&crane, &["blob", "--insecure", &blob]), "after");
        let all = format!("{}/library/app:all", registry.host_port());
        run(
            &crane,
            &["pull", "--insecure", "--format", "oci", &all, "pulled"],
        );
    }
}

#[tokio::test]
async fn images_can_be_pulled_while_a_data_directory_is_read() {
    let (directory, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let registry = on(peers::registry3, old.path());
    let references = fill(&registry);
    drop(registry);
    let database = open_database(directory.path());
    let clock = super::world::clock(&std::sync::Arc::new(std::sync::atomic::AtomicU64::new(
        1_800_000_000,
    )));
    let storage = Storage::open(database, old.path(), StorageSettings::default(), clock)
        .await
        .unwrap();
    let reading = storage.clone();
    // In place: the directory of our own content is the old one.
    let path = old.path().to_owned();
    let task =
        tokio::spawn(async move { reading.adopt(&path, AdoptionCheck::Manifests, |_| {}).await });
    while storage
        .manifests()
        .find(&name("library/app"), &"1".parse().unwrap())
        .await
        .is_err()
    {
        tokio::task::yield_now().await;
    }
    pulls(&storage, &references[0].0, &references[0].1).await;
    task.await.unwrap().unwrap();
}
