//! The way from Distribution's registry and back. The data directories are made here as that
//! registry writes them; real ones, written by real registries, are tried where those are started.

use std::fs;

use storage::distribution::{AdoptError, AdoptionCheck, AdoptionProblem, AdoptionProblemKind};
use storage::{AdoptionStage, Error, Storage, StorageSettings};

use super::old::{BASE, Old, data};
use super::world::{SWEEP, World, content, image, index, name, open_database, sha256};

#[tokio::test]
async fn images_are_adopted_where_they_lie() {
    let (world, old) = (World::new().await, Old::new());
    for layer in [&b"{}"[..], b"layer", b"signature"] {
        old.layer("library/app", layer);
    }
    let one = old.manifest("library/app", &image(&[b"layer"], None), &["latest", "1.0"]);
    let referrer = old.manifest("library/app", &image(&[b"signature"], Some(one)), &[]);
    let list = old.manifest("library/app", &index(&[one]), &["list"]);
    // As buildah writes them: OCI without a media type.
    let silent = br#"{"schemaVersion":2,"manifests":[]}"#;
    let silent = old.raw_manifest("other", silent, &["x"]);
    let before = old.everything();

    let report = world
        .storage
        .adopt(old.path(), AdoptionCheck::Everything, |_| {})
        .await
        .unwrap();
    assert_eq!(
        (
            report.repositories,
            report.of,
            report.manifests,
            report.tags,
            report.blobs
        ),
        (2, 2, 4, 4, 3)
    );
    assert_eq!(report.problems, []);
    for (repository, reference, digest) in [
        ("library/app", "latest", one),
        ("library/app", "1.0", one),
        ("library/app", "list", list),
        ("other", "x", silent),
    ] {
        let found = world
            .storage
            .manifests()
            .find(&name(repository), &reference.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(found.digest, digest);
        assert!(world.has_manifest(repository, &digest.to_string()).await);
    }
    assert_eq!(
        world.content("library/app", sha256(b"layer")).await,
        b"layer"
    );
    let page = storage::PageRequest {
        after: None,
        limit: 9,
    };
    let referrers = world
        .storage
        .manifests()
        .referrers(&name("library/app"), &one, None, page)
        .await
        .unwrap();
    assert_eq!(referrers.entries[0].digest, referrer);
    assert_eq!(world.files(), 0, "nothing was copied");

    // A push uses what is there; collection leaves it alone, needed or not, until the adoption is
    // final.
    assert_eq!(world.blob("new", b"layer").await.digest, sha256(b"layer"));
    for digest in [one, referrer, list] {
        world
            .storage
            .manifests()
            .remove(&name("library/app"), &digest)
            .await
            .unwrap();
    }
    world.pass(super::world::GRACE * 2);
    assert_eq!(world.storage.collect(SWEEP).await.unwrap().blobs, 0);
    assert_eq!(old.everything(), before);
    assert_eq!(
        world.storage.finalize_adoption(old.path()).await.unwrap(),
        AdoptionStage::Final
    );
    assert_eq!(world.storage.collect(SWEEP).await.unwrap().blobs, 3);
    assert!(!old.path().join(BASE).join(data(&sha256(b"layer"))).exists());
}

#[tokio::test]
async fn what_is_wrong_is_told_and_is_not_fatal() {
    let (world, old) = (World::new().await, Old::new());
    old.layer("a", b"{}");
    old.layer("a", b"gone");
    old.layer("a", b"changed");
    let good = old.manifest("a", &image(&[], None), &["good"]);
    let schema1 = old.raw_manifest(
        "a",
        br#"{"schemaVersion":1,"name":"a","tag":"old","signatures":[]}"#,
        &["old"],
    );
    let nonsense = old.raw_manifest("a", b"nonsense", &[]);
    fs::remove_file(old.path().join(BASE).join(data(&sha256(b"gone")))).unwrap();
    old.write(&data(&sha256(b"changed")), b"CHANGED");
    old.write("repositories/a/_uploads/0-0/data", b"half");
    old.write("repositories/a/_layers/sha256/00ff/link", b"sha256:beef");
    old.tag("a", "lost", &sha256(b"nothing"));
    old.write("repositories/Bad/_layers/x", b"");
    // A deleted manifest has a directory without a link.
    fs::create_dir_all(old.path().join(BASE).join(format!(
        "repositories/a/_manifests/revisions/sha256/{}",
        "0".repeat(64)
    )))
    .unwrap();
    let report = world
        .storage
        .adopt(old.path(), AdoptionCheck::Everything, |_| {})
        .await
        .unwrap();
    assert_eq!((report.manifests, report.tags, report.blobs), (1, 1, 1));
    assert!(
        world.has_manifest("a", "good").await && world.has_manifest("a", &good.to_string()).await
    );
    let kinds: Vec<_> = report
        .problems
        .iter()
        .map(|AdoptionProblem { kind, .. }| kind)
        .collect();
    let has = |kind: &AdoptionProblemKind| assert!(kinds.contains(&kind), "{kind:?} in {kinds:?}");
    has(&AdoptionProblemKind::Schema1);
    has(&AdoptionProblemKind::Broken(sha256(b"gone")));
    has(&AdoptionProblemKind::Changed(sha256(b"CHANGED")));
    has(&AdoptionProblemKind::Upload);
    has(&AdoptionProblemKind::NoLink);
    has(&AdoptionProblemKind::Broken(sha256(b"nothing")));
    has(&AdoptionProblemKind::Broken(schema1));
    has(&AdoptionProblemKind::Name);
    assert!(
        kinds
            .iter()
            .any(|kind| matches!(kind, AdoptionProblemKind::NoManifest(_))),
        "{nonsense}"
    );
    assert_eq!(kinds.len(), 9);
    assert!(
        report
            .problems
            .iter()
            .all(|problem| problem.path.starts_with(BASE))
    );
}

#[tokio::test]
async fn adopted_again_what_was_pushed_since_stays() {
    let (world, old) = (World::new().await, Old::new());
    for layer in [&b"{}"[..], b"layer"] {
        old.layer("a", layer);
    }
    let first = old.manifest("a", &image(&[b"layer"], None), &["x", "y"]);
    for _ in 0..2 {
        world
            .storage
            .adopt(old.path(), AdoptionCheck::Manifests, |_| {})
            .await
            .unwrap();
    }
    let second = world.image("a", "newer", &["x"]).await;
    world
        .storage
        .adopt(old.path(), AdoptionCheck::Manifests, |_| {})
        .await
        .unwrap();
    for (tag, digest) in [("x", second), ("y", first)] {
        let found = world
            .storage
            .manifests()
            .find(&name("a"), &tag.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(found.digest, digest);
    }
    // A server that starts again finds it by itself, and so does a command.
    let command = world.beside().await;
    assert_eq!(
        content(&command, "a", sha256(b"layer")).await.unwrap(),
        b"layer"
    );
    drop(command);
    let world = world.restarted().await;
    assert_eq!(world.content("a", sha256(b"layer")).await, b"layer");
}

#[tokio::test]
async fn a_command_adopts_beside_the_server() {
    let (world, old) = (World::new().await, Old::new());
    for layer in [&b"{}"[..], b"layer"] {
        old.layer("a", layer);
    }
    old.manifest("a", &image(&[b"layer"], None), &["x"]);
    assert!(!world.has_manifest("a", "x").await);
    world
        .beside()
        .await
        .adopt(old.path(), AdoptionCheck::Manifests, |_| {})
        .await
        .unwrap();
    assert!(world.has_manifest("a", "x").await);
    assert_eq!(world.content("a", sha256(b"layer")).await, b"layer");
    let error = world
        .storage
        .adopt(world.directory.path(), AdoptionCheck::Manifests, |_| {})
        .await
        .unwrap_err();
    assert!(matches!(error, AdoptError::NoDataDirectory(_)));
    assert_eq!(
        world
            .storage
            .finalize_adoption(Old::new().path())
            .await
            .unwrap(),
        AdoptionStage::Unknown
    );
}

/// Begins an adoption and breaks it off.
async fn interrupted(storage: &Storage, old: &Old) {
    let (storage, path) = (storage.clone(), old.path().to_owned());
    let task = tokio::spawn(async move {
        storage
            .adopt(&path, AdoptionCheck::Manifests, |report| {
                assert!(report.repositories < 2, "interrupted");
            })
            .await
    });
    assert!(task.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn an_interrupted_adoption_goes_on() {
    let (world, old) = (World::new().await, Old::new());
    for number in 0..40 {
        old.manifest(&format!("team/r{number}"), &index(&[]), &["x"]);
    }
    interrupted(&world.storage, &old).await;
    let world = world.restarted().await;
    let report = world
        .storage
        .adopt(old.path(), AdoptionCheck::Manifests, |_| {})
        .await
        .unwrap();
    assert_eq!((report.repositories, report.of), (40, 40));
    let totals = (report.manifests, report.tags, report.blobs);
    assert_eq!(totals, (40, 40, 0), "of both runs together");
    for number in 0..40 {
        assert!(world.has_manifest(&format!("team/r{number}"), "x").await);
    }
}

#[tokio::test]
async fn only_what_has_come_to_its_end_can_be_final() {
    let (world, old) = (World::new().await, Old::new());
    for repository in ["a", "b/c", "d"] {
        old.manifest(repository, &index(&[]), &["x"]);
    }
    let finish = async || world.storage.finalize_adoption(old.path()).await.unwrap();
    world
        .storage
        .begin_adoption(old.path(), AdoptionCheck::Manifests)
        .await
        .unwrap();
    assert_eq!(
        finish().await,
        AdoptionStage::Reading,
        "not even the first was read"
    );
    interrupted(&world.storage, &old).await;
    assert_eq!(finish().await, AdoptionStage::Reading);
    world
        .storage
        .adopt(old.path(), AdoptionCheck::Manifests, |_| {})
        .await
        .unwrap();
    assert_eq!(finish().await, AdoptionStage::Final);
    // Once more, and it is not at its end again, nor final.
    interrupted(&world.storage, &old).await;
    assert_eq!(finish().await, AdoptionStage::Reading);
    world
        .storage
        .adopt(old.path(), AdoptionCheck::Manifests, |_| {})
        .await
        .unwrap();
    assert_eq!(finish().await, AdoptionStage::Final);
}

#[tokio::test]
async fn there_and_back_again() {
    let (world, old) = (World::new().await, Old::new());
    for layer in [&b"{}"[..], b"layer"] {
        old.layer("a", layer);
    }
    old.manifest("a", &image(&[b"layer"], None), &["x"]);
    world
        .storage
        .adopt(old.path(), AdoptionCheck::Manifests, |_| {})
        .await
        .unwrap();
    world.image("b/c", "pushed to us", &["y", "z"]).await;
    let target = tempfile::tempdir_in(world.directory.path()).unwrap();
    for _ in 0..2 {
        let exported = world.storage.export(target.path(), |_| {}).await.unwrap();
        assert_eq!(
            (
                exported.repositories,
                exported.manifests,
                exported.tags,
                exported.blobs
            ),
            (2, 2, 3, 4)
        );
    }
    let blob = world
        .storage
        .blobs()
        .find(&name("b/c"), &sha256(b"pushed to us"))
        .await
        .unwrap();
    let links =
        std::os::unix::fs::MetadataExt::nlink(&fs::metadata(world.root().join(&blob.key)).unwrap());
    assert_eq!(links, 2, "the file has another name");

    let elsewhere = tempfile::tempdir().unwrap();
    let database = open_database(elsewhere.path());
    let root = elsewhere.path().join("data");
    let storage = Storage::open(database, root, StorageSettings::default(), world.clock())
        .await
        .unwrap();
    let report = storage
        .adopt(target.path(), AdoptionCheck::Everything, |_| {})
        .await
        .unwrap();
    assert_eq!(report.problems, []);
    for (repository, tag, layer) in [
        ("a", "x", "layer"),
        ("b/c", "y", "pushed to us"),
        ("b/c", "z", "pushed to us"),
    ] {
        let found = storage
            .manifests()
            .find(&name(repository), &tag.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(found.digest, image(&[layer.as_bytes()], None).digest());
        assert_eq!(
            content(&storage, repository, sha256(layer.as_bytes()))
                .await
                .unwrap(),
            layer.as_bytes()
        );
    }
    let unknown = storage
        .blobs()
        .find(&name("a"), &sha256(b"pushed to us"))
        .await;
    assert!(matches!(unknown, Err(Error::BlobUnknown)));
}

#[tokio::test]
async fn a_backup_has_what_was_adopted() {
    let (world, old, backup) = (World::new().await, Old::new(), tempfile::tempdir().unwrap());
    old.layer("a", b"layer");
    old.manifest("a", &index(&[]), &["x"]);
    world
        .storage
        .adopt(old.path(), AdoptionCheck::Manifests, |_| {})
        .await
        .unwrap();
    let (database, root) = (backup.path().join("w.db"), backup.path().join("data"));
    world
        .storage
        .backup(&database, &root, [1; 16], |_, _| {})
        .await
        .unwrap();
    drop(old);
    let storage = Storage::open(
        open_database(backup.path()),
        root,
        StorageSettings::default(),
        world.clock(),
    )
    .await
    .unwrap();
    assert_eq!(
        content(&storage, "a", sha256(b"layer")).await.unwrap(),
        b"layer"
    );
}
