//! Manifests and tags: pushed, found, moved, removed.

use oci::{DigestAlgorithm, Reference, media_type};
use storage::{Error, NewManifest, hash};

use super::bench::{Bench, MakeStores, first};
use crate::world::{descriptor, image, index, manifest, name, sha256, tag};

pub(crate) async fn a_manifest_is_found_as_it_was_pushed(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("a/b", b"{}").await;
    let text = format!(
        "{{ \"schemaVersion\": 2,\n\t\"config\":{}, \"layers\":[] , \"x\":\"\\u00e9\"}}\n",
        descriptor("c/c", sha256(b"{}"), 2)
    );
    for algorithm in DigestAlgorithm::ALL {
        let digest = hash::digest(algorithm, text.as_bytes());
        let content_type = Some(media_type::OCI_MANIFEST);
        let sent = NewManifest::parse(content_type, text.clone().into(), Some(digest)).unwrap();
        bench.push("a/b", sent, &["latest"]).await.unwrap();
        for reference in [Reference::Digest(digest), "latest".parse().unwrap()] {
            // Twice: an implementation may remember the first answer.
            for _ in 0..2 {
                let found = bench.manifests().find(&name("a/b"), &reference).await;
                let leased = bench.manifests().lease(&name("a/b"), &reference).await;
                for stored in [found.unwrap(), leased.unwrap()] {
                    assert_eq!(stored.digest, digest);
                    assert_eq!(stored.media_type, media_type::OCI_MANIFEST);
                    assert_eq!(stored.bytes, text.as_bytes());
                }
            }
        }
    }
}

pub(crate) async fn an_unknown_repository_is_not_an_unknown_manifest(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.push("a", index(&[]), &["x"]).await.unwrap();
    for reference in [Reference::Digest(sha256(b"other")), "y".parse().unwrap()] {
        let manifests = bench.manifests();
        let (a, b) = (name("a"), name("b"));
        for unknown in [
            manifests.find(&a, &reference).await,
            manifests.lease(&a, &reference).await,
        ] {
            assert!(matches!(unknown, Err(Error::ManifestUnknown)));
        }
        for unknown in [
            manifests.find(&b, &reference).await,
            manifests.lease(&b, &reference).await,
        ] {
            assert!(matches!(unknown, Err(Error::RepositoryUnknown)));
        }
    }
}

pub(crate) async fn tags_and_digests_are_their_repositorys_own(make: MakeStores) {
    let bench = Bench::new(make).await;
    let empty = bench.push("a", index(&[]), &["x"]).await.unwrap();
    let sparse = index(&[sha256(b"1")]);
    bench.push("b", sparse, &["y"]).await.unwrap();
    for reference in ["x", &empty.to_string()] {
        let found = bench.digest("b", reference).await;
        assert!(matches!(found, Err(Error::ManifestUnknown)), "{reference}");
    }
    // Neither is a part of a name, or a name in other letters, the name.
    for repository in ["a/b", "a-b"] {
        let found = bench.digest(repository, "x").await;
        assert!(matches!(found, Err(Error::RepositoryUnknown)));
    }
    for reference in ["X", "x.", "xx"] {
        let found = bench.digest("a", reference).await;
        assert!(matches!(found, Err(Error::ManifestUnknown)), "{reference}");
    }
}

pub(crate) async fn a_push_creates_the_repository(make: MakeStores) {
    let bench = Bench::new(make).await;
    assert!(!bench.has_repository("a").await);
    let digest = bench.push("a", index(&[]), &[]).await.unwrap();
    assert!(bench.has_repository("a").await);
    assert!(bench.has_manifest("a", digest).await);
    let tags = bench.manifests().tags(&name("a"), first(10)).await.unwrap();
    assert_eq!((tags.entries, tags.more), (Vec::<String>::new(), false));
}

pub(crate) async fn a_push_sets_many_tags(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.push("a", index(&[]), &["x", "y", "x", "z"]).await;
    let digest = digest.unwrap();
    for tag in ["x", "y", "z"] {
        assert_eq!(bench.digest("a", tag).await.unwrap(), digest);
    }
    let tags = bench.manifests().tags(&name("a"), first(10)).await.unwrap();
    assert_eq!(tags.entries, ["x", "y", "z"]);
}

pub(crate) async fn an_existing_manifest_is_not_changed(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("a", b"{}").await;
    let config = descriptor("c/c", sha256(b"{}"), 2);
    let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
    let parse = |content_type| NewManifest::parse(Some(content_type), text.clone().into(), None);
    let (oci, docker) = (
        parse(media_type::OCI_MANIFEST).unwrap(),
        parse(media_type::DOCKER_MANIFEST).unwrap(),
    );
    bench.push("a", oci, &["x"]).await.unwrap();
    bench.push("a", docker, &["y"]).await.unwrap();
    for reference in ["x", "y"] {
        let reference = reference.parse().unwrap();
        let found = bench.manifests().find(&name("a"), &reference).await;
        assert_eq!(found.unwrap().media_type, media_type::OCI_MANIFEST);
    }
    let all = bench.inventory().manifests(&name("a"), first(10)).await;
    assert_eq!(all.unwrap().entries.len(), 1);
}

pub(crate) async fn a_tag_moves(make: MakeStores) {
    let bench = Bench::new(make).await;
    let one = bench.image("a", "one", &["x", "y"]).await;
    assert_eq!(bench.digest("a", "x").await.unwrap(), one);
    let two = bench.image("a", "two", &["x"]).await;
    assert_eq!(bench.digest("a", "x").await.unwrap(), two);
    assert_eq!(bench.digest("a", "y").await.unwrap(), one);
    // And back: a manifest that exists gets its tag again.
    bench.image("a", "one", &["x"]).await;
    assert_eq!(bench.digest("a", "x").await.unwrap(), one);
    assert!(bench.has_manifest("a", two).await);
}

pub(crate) async fn a_manifest_needs_the_blobs_of_its_own_repository(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("a", b"{}").await;
    bench.blob("b", b"layer").await;
    let image = || image(&[b"other", b"layer", b"other"], None);
    let error = bench.push("a", image(), &["x"]).await.unwrap_err();
    let Error::ReferencesUnknown(missing) = error else {
        panic!("{error}")
    };
    // In the order of the manifest, each once.
    assert_eq!(missing, [sha256(b"other"), sha256(b"layer")]);
    for layer in [b"layer", b"other"] {
        bench.blob("a", layer).await;
    }
    bench.push("a", image(), &["x"]).await.unwrap();
}

pub(crate) async fn a_failed_push_changes_nothing(make: MakeStores) {
    let bench = Bench::new(make).await;
    let old = bench.image("a", "old", &["x"]).await;
    let new = image(&[b"missing"], None);
    for repository in ["a", "b"] {
        let failed = bench.push(repository, new.clone(), &["x", "y"]).await;
        assert!(matches!(failed, Err(Error::ReferencesUnknown(_))));
    }
    assert_eq!(bench.digest("a", "x").await.unwrap(), old);
    let missing = bench.digest("a", "y").await;
    assert!(matches!(missing, Err(Error::ManifestUnknown)));
    assert!(!bench.has_manifest("a", new.digest()).await);
    assert!(!bench.has_repository("b").await);
}

/// The others are not looked for, because other writers wait.
pub(crate) async fn of_many_missing_blobs_a_hundred_are_named(make: MakeStores) {
    let bench = Bench::new(make).await;
    let layer =
        |number: u32| descriptor("a/b", format!("sha256:{number:064x}").parse().unwrap(), 1);
    let layers: Vec<String> = (0..20_000).map(layer).collect();
    let text = format!(
        "{{\"schemaVersion\":2,\"config\":{},\"layers\":[{}]}}",
        layers[0],
        layers.join(",")
    );
    let manifest = NewManifest::parse(Some(media_type::OCI_MANIFEST), text.into(), None).unwrap();
    let error = bench.push("a", manifest.clone(), &["1"]).await.unwrap_err();
    let Error::ReferencesUnknown(missing) = error else {
        panic!("{error}")
    };
    let needed = manifest.manifest().blobs();
    let first: Vec<_> = needed.map(|blob| blob.digest).skip(1).take(100).collect();
    assert_eq!(missing, first);
}

pub(crate) async fn a_manifest_may_lack_blobs_if_the_caller_says_so(make: MakeStores) {
    let bench = Bench::new(make).await;
    let sparse = image(&[b"missing"], None).without_requiring_blobs();
    let digest = bench.push("a", sparse, &["x"]).await.unwrap();
    assert_eq!(bench.digest("a", "x").await.unwrap(), digest);
    assert!(!bench.has_blob("a", b"missing").await);
}

pub(crate) async fn children_subjects_and_foreign_layers_may_be_missing(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("a", b"{}").await;
    let sparse = index(&[sha256(b"not here")]);
    bench.push("a", sparse, &["index"]).await.unwrap();
    let referrer = image(&[], Some(sha256(b"comes later")));
    bench.push("a", referrer, &[]).await.unwrap();
    let foreign = descriptor(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        sha256(b"elsewhere"),
        9,
    );
    let config = descriptor("c/c", sha256(b"{}"), 2);
    let members = format!(r#""config":{config},"layers":[{foreign}]"#);
    let windows = manifest(media_type::DOCKER_MANIFEST, &members);
    bench.push("a", windows, &["windows"]).await.unwrap();
}

pub(crate) async fn a_removed_manifest_takes_its_tags_along(make: MakeStores) {
    let bench = Bench::new(make).await;
    let one = bench.image("a", "one", &["x", "y"]).await;
    let two = bench.image("a", "two", &["z"]).await;
    bench.image("b", "one", &["x"]).await;
    for reference in ["x", "y", &one.to_string()] {
        assert_eq!(bench.digest("a", reference).await.unwrap(), one);
    }
    bench.remove("a", one).await.unwrap();
    for reference in ["x", "y", &one.to_string()] {
        let found = bench.digest("a", reference).await;
        assert!(matches!(found, Err(Error::ManifestUnknown)), "{reference}");
    }
    assert_eq!(bench.digest("a", "z").await.unwrap(), two);
    assert_eq!(bench.digest("b", "x").await.unwrap(), one);
    let tags = bench.manifests().tags(&name("a"), first(10)).await.unwrap();
    assert_eq!(tags.entries, ["z"]);
}

pub(crate) async fn a_removed_manifest_can_be_pushed_again(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "one", &["x"]).await;
    bench.remove("a", digest).await.unwrap();
    assert_eq!(bench.image("a", "one", &["y"]).await, digest);
    assert_eq!(bench.digest("a", "y").await.unwrap(), digest);
    let old = bench.digest("a", "x").await;
    assert!(matches!(old, Err(Error::ManifestUnknown)));
}

pub(crate) async fn remove_and_untag_of_what_is_unknown(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.push("a", index(&[]), &["x"]).await.unwrap();
    let other = sha256(b"other");
    assert!(matches!(
        bench.remove("a", other).await,
        Err(Error::ManifestUnknown)
    ));
    assert!(matches!(
        bench.untag("a", "y").await,
        Err(Error::ManifestUnknown)
    ));
    assert!(matches!(
        bench.remove("b", digest).await,
        Err(Error::RepositoryUnknown)
    ));
    assert!(matches!(
        bench.untag("b", "x").await,
        Err(Error::RepositoryUnknown)
    ));
    // The second time, there is nothing to remove.
    bench.untag("a", "x").await.unwrap();
    assert!(matches!(
        bench.untag("a", "x").await,
        Err(Error::ManifestUnknown)
    ));
    bench.remove("a", digest).await.unwrap();
    assert!(matches!(
        bench.remove("a", digest).await,
        Err(Error::ManifestUnknown)
    ));
}

pub(crate) async fn untag_keeps_the_manifest(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.push("a", index(&[]), &["x", "y"]).await.unwrap();
    assert_eq!(bench.digest("a", "x").await.unwrap(), digest);
    bench.untag("a", "x").await.unwrap();
    let gone = bench.digest("a", "x").await;
    assert!(matches!(gone, Err(Error::ManifestUnknown)));
    assert_eq!(bench.digest("a", "y").await.unwrap(), digest);
    bench.untag("a", "y").await.unwrap();
    assert!(bench.has_manifest("a", digest).await);
}

pub(crate) async fn a_repository_outlives_its_manifests(make: MakeStores) {
    let bench = Bench::new(make).await;
    let digest = bench.image("a", "one", &["x"]).await;
    bench.remove("a", digest).await.unwrap();
    assert!(bench.has_repository("a").await);
    assert!(bench.has_blob("a", b"one").await);
    let found = bench.digest("a", "x").await;
    assert!(matches!(found, Err(Error::ManifestUnknown)));
}

pub(crate) async fn removing_a_child_or_a_subject_changes_no_other_manifest(make: MakeStores) {
    let bench = Bench::new(make).await;
    let child = bench.image("a", "one", &[]).await;
    let parent = bench.push("a", index(&[child]), &["x"]).await.unwrap();
    bench.blob("a", b"signature").await;
    let referrer = image(&[b"signature"], Some(child));
    let referrer = bench.push("a", referrer, &[]).await.unwrap();
    bench.remove("a", child).await.unwrap();
    assert!(bench.has_manifest("a", parent).await);
    assert!(bench.has_manifest("a", referrer).await);
    assert_eq!(bench.digest("a", "x").await.unwrap(), parent);
}

pub(crate) async fn the_longest_names(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (long_name, long_tag) = ("a".repeat(255), "B".repeat(128));
    let other_name = format!("{}b", "a".repeat(254));
    let other_tag = format!("{}C", "B".repeat(127));
    let digest = bench
        .push(&long_name, index(&[]), &[&long_tag, &other_tag])
        .await;
    let digest = digest.unwrap();
    bench.push(&other_name, index(&[]), &[]).await.unwrap();
    assert_eq!(bench.digest(&long_name, &long_tag).await.unwrap(), digest);
    let tags = bench.manifests().tags(&name(&long_name), first(10)).await;
    assert_eq!(tags.unwrap().entries, [long_tag, other_tag]);
    let repositories = bench.manifests().repositories(first(10)).await.unwrap();
    assert_eq!(repositories.entries, [long_name, other_name]);
}

/// Two servers, or a server and a command. Neither may serve what the other has changed.
pub(crate) async fn the_second_handle_sees_every_change_at_once(make: MakeStores) {
    let bench = Bench::new(make).await;
    let [one, two] = [0, 1].map(|at| &bench.stores.handles[at].manifests);
    let (repository, latest) = (name("a"), "x".parse().unwrap());
    let versions = [index(&[]), index(&[sha256(b"1")]), index(&[sha256(b"2")])];
    for version in versions {
        let digest = version.digest();
        let pushed = two.push(&repository, version, vec![tag("x")]).await;
        pushed.unwrap();
        for manifests in [one, two] {
            let found = manifests.find(&repository, &latest).await.unwrap();
            assert_eq!(found.digest, digest);
        }
    }
    two.untag(&repository, &tag("x")).await.unwrap();
    for manifests in [one, two] {
        let gone = manifests.find(&repository, &latest).await;
        assert!(matches!(gone, Err(Error::ManifestUnknown)));
    }
}
