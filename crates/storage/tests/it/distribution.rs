//! Adoption from Distribution's registry and export to it. These tests write data directories as that
//! registry does; `real_registries` starts real ones.

use std::fs;

use storage::distribution::{
    AdoptError, AdoptionCheck, AdoptionProblem, AdoptionProblemKind, ExportReport,
};
use storage::{AdoptionStage, Error, Storage, StorageSettings};

use super::data_directory::{BASE, DataDirectory, data};
use super::world::{World, content, image, index, name, open_database, sha256};

#[tokio::test]
async fn images_are_adopted_in_place() {
    let (world, old) = (World::new().await, DataDirectory::new());
    for layer in [&b"{}"[..], b"layer", b"signature"] {
        old.layer("library/app", layer);
    }
    let one = old.manifest("library/app", &image(&[b"layer"], None), &["latest", "1.0"]);
    let referrer = old.manifest("library/app", &image(&[b"signature"], Some(one)), &[]);
    let list = old.manifest("library/app", &index(&[one]), &["list"]);
    // An OCI index without a media type, as buildah writes it.
    let untyped = br#"{"schemaVersion":2,"manifests":[]}"#;
    let untyped = old.raw_manifest("other", untyped, &["x"]);
    let before = old.everything();

    let report = world.adopt(old.path(), AdoptionCheck::Everything).await;
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
        ("other", "x", untyped),
    ] {
        let found = world.manifest(repository, reference).await;
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

    // A push uses adopted content. Collection keeps it, needed or not, until the adoption is final.
    assert_eq!(world.blob("new", b"layer").await.digest, sha256(b"layer"));
    for digest in [one, referrer, list] {
        world.remove("library/app", digest).await;
    }
    world.pass(super::world::GRACE * 2);
    assert_eq!(world.collect().await.blobs, 0);
    assert_eq!(old.everything(), before);
    assert_eq!(
        world.storage.finalize_adoption(old.path()).await.unwrap(),
        AdoptionStage::Final
    );
    assert_eq!(world.collect().await.blobs, 3);
    assert!(!old.path().join(BASE).join(data(&sha256(b"layer"))).exists());
}

#[tokio::test]
async fn problems_are_reported_and_not_fatal() {
    let (world, old) = (World::new().await, DataDirectory::new());
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
    let report = world.adopt(old.path(), AdoptionCheck::Everything).await;
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
async fn a_second_adoption_keeps_later_pushes() {
    let (world, old) = (World::new().await, DataDirectory::new());
    for layer in [&b"{}"[..], b"layer"] {
        old.layer("a", layer);
    }
    let first = old.manifest("a", &image(&[b"layer"], None), &["x", "y"]);
    for _ in 0..2 {
        world.adopt(old.path(), AdoptionCheck::Manifests).await;
    }
    let second = world.image("a", "newer", &["x"]).await;
    world.adopt(old.path(), AdoptionCheck::Manifests).await;
    for (tag, digest) in [("x", second), ("y", first)] {
        let found = world.manifest("a", tag).await;
        assert_eq!(found.digest, digest);
    }
    // A command and a restarted server find the directory.
    let command = world.command().await;
    assert_eq!(
        content(&command, "a", sha256(b"layer")).await.unwrap(),
        b"layer"
    );
    drop(command);
    let world = world.restarted().await;
    assert_eq!(world.content("a", sha256(b"layer")).await, b"layer");
}

#[tokio::test]
async fn a_command_adopts_while_the_server_runs() {
    let (world, old) = (World::new().await, DataDirectory::new());
    for layer in [&b"{}"[..], b"layer"] {
        old.layer("a", layer);
    }
    old.manifest("a", &image(&[b"layer"], None), &["x"]);
    assert!(!world.has_manifest("a", "x").await);
    world
        .command()
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
    assert!(matches!(error, AdoptError::NoData(_)));
    assert_eq!(
        world
            .storage
            .finalize_adoption(DataDirectory::new().path())
            .await
            .unwrap(),
        AdoptionStage::Unknown
    );
}

/// Begins an adoption and interrupts it.
async fn interrupted(storage: &Storage, old: &DataDirectory) {
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
async fn an_interrupted_adoption_can_continue() {
    let (world, old) = (World::new().await, DataDirectory::new());
    for number in 0..40 {
        old.manifest(&format!("team/r{number}"), &index(&[]), &["x"]);
    }
    interrupted(&world.storage, &old).await;
    let world = world.restarted().await;
    let report = world.adopt(old.path(), AdoptionCheck::Manifests).await;
    assert_eq!((report.repositories, report.of), (40, 40));
    let totals = (report.manifests, report.tags, report.blobs);
    assert_eq!(totals, (40, 40, 0), "of both runs together");
    for number in 0..40 {
        assert!(world.has_manifest(&format!("team/r{number}"), "x").await);
    }
}

#[tokio::test]
async fn only_a_complete_adoption_can_be_final() {
    let (world, old) = (World::new().await, DataDirectory::new());
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
        "no repository was read"
    );
    interrupted(&world.storage, &old).await;
    assert_eq!(finish().await, AdoptionStage::Reading);
    world.adopt(old.path(), AdoptionCheck::Manifests).await;
    assert_eq!(finish().await, AdoptionStage::Final);
    // Begun again, it is neither complete nor final.
    interrupted(&world.storage, &old).await;
    assert_eq!(finish().await, AdoptionStage::Reading);
    world.adopt(old.path(), AdoptionCheck::Manifests).await;
    assert_eq!(finish().await, AdoptionStage::Final);
}

#[tokio::test]
async fn an_adopted_registry_can_be_exported_and_adopted() {
    let (world, old) = (World::new().await, DataDirectory::new());
    for layer in [&b"{}"[..], b"layer"] {
        old.layer("a", layer);
    }
    old.manifest("a", &image(&[b"layer"], None), &["x"]);
    world.adopt(old.path(), AdoptionCheck::Manifests).await;
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
async fn an_empty_registry_is_exported_as_an_empty_data_directory() {
    let (world, target) = (World::new().await, tempfile::tempdir().unwrap());
    let directory = target.path().join("out");
    let exported = world.storage.export(&directory, |_| {}).await.unwrap();
    assert_eq!(exported, ExportReport::default());
    let repositories = directory.join(BASE).join("repositories");
    assert_eq!(fs::read_dir(repositories).unwrap().count(), 0);
}

#[tokio::test]
async fn a_backup_has_adopted_content() {
    let (world, old, backup) = (
        World::new().await,
        DataDirectory::new(),
        tempfile::tempdir().unwrap(),
    );
    old.layer("a", b"layer");
    old.manifest("a", &index(&[]), &["x"]);
    world.adopt(old.path(), AdoptionCheck::Manifests).await;
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

#[tokio::test]
async fn links_out_of_a_data_directory_are_reported_and_never_served() {
    use std::os::unix::fs::symlink;

    let (world, old) = (World::new().await, DataDirectory::new());
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("data"), b"secret").unwrap();
    old.layer("a", b"{}");
    old.layer("a", b"layer");
    old.manifest("a", &image(&[b"layer"], None), &["x"]);
    let repositories = old.path().join(BASE).join("repositories");
    // Content that is a link to a file outside, and one to a file inside.
    old.layer("a", b"secret");
    old.layer("a", b"linked");
    let path = |content: &[u8]| old.path().join(BASE).join(data(&sha256(content)));
    std::fs::remove_file(path(b"secret")).unwrap();
    symlink(outside.path().join("data"), path(b"secret")).unwrap();
    std::fs::rename(path(b"linked"), path(b"linked").with_file_name("real")).unwrap();
    symlink("real", path(b"linked")).unwrap();
    // A pipe as a link file, and directories that lead to their parent.
    let pipe = repositories.join(format!(
        "a/_layers/sha256/{}/link",
        sha256(b"pipe").encoded()
    ));
    std::fs::create_dir_all(pipe.parent().unwrap()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    symlink("..", repositories.join("a/loop")).unwrap();
    symlink(outside.path(), repositories.join("elsewhere")).unwrap();

    let report = world.adopt(old.path(), AdoptionCheck::Manifests).await;
    assert_eq!(
        (report.repositories, report.manifests, report.blobs),
        (1, 1, 3)
    );
    let reported = |end: &str| {
        report
            .problems
            .iter()
            .any(|problem| problem.path.ends_with(end))
    };
    let secret = data(&sha256(b"secret"));
    for end in ["a/loop", "elsewhere", "/link", secret.as_str()] {
        assert!(reported(end), "{end} in {:?}", report.problems);
    }
    assert_eq!(report.problems.len(), 4);
    assert_eq!(world.content("a", sha256(b"linked")).await, b"linked");
    // A file that becomes a link after the adoption.
    let real = path(b"layer");
    std::fs::write(outside.path().join("layer"), b"outer").unwrap();
    std::fs::remove_file(&real).unwrap();
    symlink(outside.path().join("layer"), &real).unwrap();
    let read = content(&world.storage, "a", sha256(b"layer")).await;
    assert!(matches!(read, Err(Error::Damaged { .. })), "{read:?}");
}

#[tokio::test]
async fn content_with_digests_of_two_algorithms_can_be_pulled_by_both() {
    let (world, old) = (World::new().await, DataDirectory::new());
    let (layer, wrong) = (b"a layer".as_slice(), b"another".as_slice());
    old.layer("a", layer);
    let sha512 = |content| storage::hash::digest(oci::DigestAlgorithm::Sha512, content);
    for (named, content) in [(sha512(layer), layer), (sha512(wrong), layer)] {
        let link = format!("repositories/a/_layers/sha512/{}/link", named.encoded());
        old.write(&link, sha256(content).to_string().as_bytes());
    }
    let report = world.adopt(old.path(), AdoptionCheck::Manifests).await;
    assert_eq!(report.blobs, 2);
    for digest in [sha256(layer), sha512(layer)] {
        assert_eq!(world.content("a", digest).await, layer);
    }
    // A link does not prove a digest of another algorithm.
    assert!(!world.has_blob("a", sha512(wrong)).await);
    assert_eq!(report.problems.len(), 1);
}

#[tokio::test]
async fn digests_of_other_algorithms_are_named() {
    let (world, old) = (World::new().await, DataDirectory::new());
    old.layer("a", b"layer");
    let hash = "0".repeat(96);
    let link = |algorithm: &str| format!("repositories/a/_layers/{algorithm}/{hash}/link");
    old.write(&link("sha384"), sha256(b"layer").to_string().as_bytes());
    // Neither is a link.
    old.write("repositories/a/_layers/README", b"text");
    fs::create_dir_all(old.path().join(BASE).join("repositories/a/_layers/.trash")).unwrap();
    let report = world.adopt(old.path(), AdoptionCheck::Manifests).await;
    assert_eq!(
        report.problems,
        [AdoptionProblem {
            path: format!("{BASE}/{}", link("sha384")),
            kind: AdoptionProblemKind::Algorithm,
        }]
    );
    assert_eq!(world.content("a", sha256(b"layer")).await, b"layer");
}
