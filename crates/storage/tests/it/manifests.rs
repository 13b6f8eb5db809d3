//! Manifests and tags: pushed, found, moved, removed.

use oci::{DigestAlgorithm, Reference, media_type};
use storage::{Error, NewManifest, hash};

use super::world::{World, descriptor, image, index, manifest, name, sha256};

#[tokio::test]
async fn a_manifest_comes_back_as_it_was_sent() {
    let world = World::new().await;
    world.blob("a/b", b"{}").await;
    let text = format!(
        "{{ \"schemaVersion\": 2,\n\t\"config\":{}, \"layers\":[] , \"x\":\"\\u00e9\"}}\n",
        descriptor("c/c", sha256(b"{}"), 2)
    );
    for algorithm in DigestAlgorithm::ALL {
        let digest = hash::digest(algorithm, text.as_bytes());
        let sent = NewManifest::parse(
            Some(media_type::OCI_MANIFEST),
            text.clone().into(),
            Some(digest),
        )
        .unwrap();
        world.push("a/b", sent, &["latest"]).await.unwrap();
        for reference in [Reference::Digest(digest), "latest".parse().unwrap()] {
            for _ in ["read", "remembered"] {
                let stored = world
                    .storage
                    .manifests()
                    .find(&name("a/b"), &reference)
                    .await
                    .unwrap();
                assert_eq!(
                    (stored.digest, stored.media_type.as_str()),
                    (digest, media_type::OCI_MANIFEST)
                );
                assert_eq!(stored.bytes, text.as_bytes());
            }
        }
    }
}

#[tokio::test]
async fn what_is_unknown_is_told_apart() {
    let world = World::new().await;
    world.blob("a/b", b"{}").await;
    let digest = sha256(b"nothing");
    for reference in [Reference::Digest(digest), "latest".parse().unwrap()] {
        let find = |repository: &'static str| {
            let (storage, reference) = (world.storage.clone(), reference.clone());
            async move {
                storage
                    .manifests()
                    .find(&name(repository), &reference)
                    .await
            }
        };
        assert!(matches!(find("a/b").await, Err(Error::ManifestUnknown)));
        assert!(matches!(find("a/c").await, Err(Error::RepositoryUnknown)));
    }
    let manifests = world.storage.manifests();
    assert!(matches!(
        manifests.remove(&name("a/b"), &digest).await,
        Err(Error::ManifestUnknown)
    ));
    assert!(matches!(
        manifests.remove(&name("a/c"), &digest).await,
        Err(Error::RepositoryUnknown)
    ));
    assert!(matches!(
        manifests.untag(&name("a/b"), &"x".parse().unwrap()).await,
        Err(Error::ManifestUnknown)
    ));
    assert!(matches!(
        manifests.untag(&name("a/c"), &"x".parse().unwrap()).await,
        Err(Error::RepositoryUnknown)
    ));
}

#[tokio::test]
async fn a_manifest_needs_its_blobs_in_its_own_repository() {
    let world = World::new().await;
    world.blob("a", b"{}").await;
    world.blob("b", b"layer").await;
    let error = world
        .push("a", image(&[b"layer", b"other", b"layer"], None), &["x"])
        .await
        .unwrap_err();
    let Error::ReferencesUnknown(missing) = error else {
        panic!("{error}")
    };
    assert_eq!(missing, [sha256(b"layer"), sha256(b"other")]);
    assert!(!world.has_manifest("a", "x").await);

    world.blob("a", b"layer").await;
    world
        .push("a", image(&[b"layer"], None), &["x"])
        .await
        .unwrap();
    assert!(world.has_manifest("a", "x").await);
    // A refused push leaves no repository behind, either.
    world
        .push("c", image(&[b"layer"], None), &["x"])
        .await
        .unwrap_err();
    let error = world
        .storage
        .manifests()
        .find(&name("c"), &"x".parse().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::RepositoryUnknown));
}

#[tokio::test]
async fn children_subjects_and_foreign_layers_may_be_missing() {
    let world = World::new().await;
    world
        .push("sparse", index(&[sha256(b"not here")]), &["x"])
        .await
        .unwrap();
    world.push("empty", index(&[]), &["x"]).await.unwrap();
    world.blob("early", b"{}").await;
    world
        .push("early", image(&[], Some(sha256(b"comes later"))), &[])
        .await
        .unwrap();
    let foreign = descriptor(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        sha256(b"elsewhere"),
        9,
    );
    let members = format!(
        r#""config":{},"layers":[{foreign}]"#,
        descriptor("c/c", sha256(b"{}"), 2)
    );
    world
        .push(
            "early",
            manifest(media_type::DOCKER_MANIFEST, &members),
            &["windows"],
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_tag_moves_and_goes_at_once() {
    let world = World::new().await;
    let (one, two) = (
        world.image("a", "one", &["x", "y"]).await,
        world.image("a", "two", &["x"]).await,
    );
    let digest = async |reference: &str| {
        let found = world
            .storage
            .manifests()
            .find(&name("a"), &reference.parse().unwrap())
            .await;
        found.map(|stored| stored.digest)
    };
    assert_eq!(
        (digest("x").await.unwrap(), digest("y").await.unwrap()),
        (two, one)
    );
    world.push("a", index(&[one]), &["y"]).await.unwrap();
    assert_ne!(digest("y").await.unwrap(), one);
    world
        .storage
        .manifests()
        .untag(&name("a"), &"x".parse().unwrap())
        .await
        .unwrap();
    assert!(matches!(digest("x").await, Err(Error::ManifestUnknown)));
    assert_eq!(digest(&two.to_string()).await.unwrap(), two);
}

#[tokio::test]
async fn a_manifest_goes_with_its_tags_and_stays_in_other_repositories() {
    let world = World::new().await;
    let digest = world.image("a", "one", &["x", "y"]).await;
    world.image("a", "two", &["z"]).await;
    world.image("b", "one", &["x"]).await;
    for reference in ["x", "y", "z", &digest.to_string()] {
        assert!(world.has_manifest("a", reference).await);
    }
    world
        .storage
        .manifests()
        .remove(&name("a"), &digest)
        .await
        .unwrap();
    for reference in ["x", "y", &digest.to_string()] {
        assert!(!world.has_manifest("a", reference).await, "{reference}");
    }
    assert!(world.has_manifest("a", "z").await);
    assert!(world.has_manifest("b", "x").await);
    let again = world.storage.manifests().remove(&name("a"), &digest).await;
    assert!(matches!(again, Err(Error::ManifestUnknown)));
    assert_eq!(world.image("a", "one", &["x"]).await, digest);
    assert!(world.has_manifest("a", "x").await);
}

#[tokio::test]
async fn what_a_command_changes_the_server_sees_at_once() {
    let world = World::new().await;
    let (one, _) = (
        world.image("a", "one", &["x"]).await,
        world.image("a", "two", &["y"]).await,
    );
    let command = world.beside().await;
    assert!(world.has_manifest("a", "x").await && world.has_blob("a", sha256(b"one")).await);
    command.manifests().remove(&name("a"), &one).await.unwrap();
    command
        .blobs()
        .unlink(&name("a"), &sha256(b"one"))
        .await
        .unwrap();
    assert!(!world.has_manifest("a", "x").await && !world.has_blob("a", sha256(b"one")).await);
    // And the command what the server changes.
    world.image("a", "three", &["y"]).await;
    let found = command
        .manifests()
        .find(&name("a"), &"y".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(found.digest, image(&[b"three"], None).digest());
}

/// Checking all of them against each other would hold up everybody's writes for minutes.
#[tokio::test]
async fn of_many_missing_blobs_some_are_told() {
    let world = World::new().await;
    let layer =
        |number: u32| descriptor("a/b", format!("sha256:{number:064x}").parse().unwrap(), 1);
    let layers: Vec<String> = (0..20_000).map(layer).collect();
    let text = format!(
        "{{\"schemaVersion\":2,\"config\":{},\"layers\":[{}]}}",
        layers[0],
        layers.join(",")
    );
    let manifest = NewManifest::parse(Some(media_type::OCI_MANIFEST), text.into(), None).unwrap();
    let error = world.push("a", manifest, &["1"]).await.unwrap_err();
    let Error::ReferencesUnknown(missing) = error else {
        panic!("{error}")
    };
    assert_eq!(missing.len(), 100);
}
