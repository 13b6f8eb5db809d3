//! Lists: in order, in pages, complete.

use oci::{Digest, media_type};
use storage::{Error, PageRequest, ReferrerEntry};

use super::world::{World, descriptor, image, index, manifest, name, sha256};

fn page<T>(after: Option<T>, limit: u32) -> PageRequest<T> {
    PageRequest { after, limit }
}

#[tokio::test]
async fn tags_in_the_order_of_bytes() {
    let world = World::new().await;
    let tags = ["a", "B", "_", "10", "9", "a.b", "a-b", "aB", "Z"];
    world.push("r", index(&[]), &tags).await.unwrap();
    let mut sorted = tags.map(str::to_owned).to_vec();
    sorted.sort();
    let list = async |after: Option<&str>, limit| {
        let page = page(after.map(str::to_owned), limit);
        world
            .storage
            .manifests()
            .tags(&name("r"), page)
            .await
            .unwrap()
    };
    let all = list(None, 100).await;
    assert_eq!((all.entries, all.more), (sorted.clone(), false));
    let none = list(None, 0).await;
    assert_eq!((none.entries, none.more), (vec![], true));
    let (mut walked, mut after) = (Vec::new(), None);
    loop {
        let part = list(after.as_deref(), 2).await;
        walked.extend(part.entries);
        after = walked.last().cloned();
        if !part.more {
            break;
        }
    }
    assert_eq!(walked, sorted);
    // What comes before need not exist.
    assert_eq!(list(Some("a-c"), 1).await.entries, ["a.b"]);
    assert_eq!(list(Some("zzz"), 1).await.entries, Vec::<String>::new());
    let unknown = world
        .storage
        .manifests()
        .tags(&name("s"), page(None, 1))
        .await;
    assert!(matches!(unknown, Err(Error::RepositoryUnknown)));
}

#[tokio::test]
async fn repositories_that_have_something_to_pull() {
    let world = World::new().await;
    for repository in ["b", "a/b", "a-b", "a", "a0", "z"] {
        world.push(repository, index(&[]), &["x"]).await.unwrap();
    }
    world.blob("only-a-blob", b"x").await;
    world
        .storage
        .manifests()
        .remove(&name("z"), &index(&[]).digest())
        .await
        .unwrap();
    let list = async |after: Option<&str>, limit| {
        world
            .storage
            .manifests()
            .repositories(page(after.map(str::to_owned), limit))
            .await
            .unwrap()
    };
    let all = list(None, 100).await;
    assert_eq!(
        (all.entries, all.more),
        (
            ["a", "a-b", "a/b", "a0", "b"].map(str::to_owned).to_vec(),
            false
        )
    );
    let middle = list(Some("a-b"), 2).await;
    assert_eq!(
        (middle.entries, middle.more),
        (["a/b", "a0"].map(str::to_owned).to_vec(), true)
    );
    // A repository without manifests is one still.
    let tags = world
        .storage
        .manifests()
        .tags(&name("z"), page(None, 1))
        .await
        .unwrap();
    assert!(tags.entries.is_empty());
}

async fn referrers(
    world: &World,
    subject: Digest,
    kind: Option<&str>,
    page: PageRequest<Digest>,
) -> (Vec<ReferrerEntry>, bool) {
    let list = world
        .storage
        .manifests()
        .referrers(&name("r"), &subject, kind, page)
        .await
        .unwrap();
    (list.entries, list.more)
}

#[tokio::test]
async fn referrers_say_what_they_are() {
    let world = World::new().await;
    let subject = sha256(b"never pushed");
    assert_eq!(
        referrers(&world, subject, None, page(None, 10)).await,
        (vec![], false)
    );
    world.blob("r", b"{}").await;
    let (config, about) = (
        descriptor("c/c", sha256(b"{}"), 2),
        descriptor(media_type::OCI_MANIFEST, subject, 7),
    );
    let said = format!(
        r#""config":{config},"layers":[],"subject":{about},"artifactType":"a/a","annotations":{{"k":"v"}}"#
    );
    let said = manifest(media_type::OCI_MANIFEST, &said);
    let silent = manifest(
        media_type::OCI_MANIFEST,
        &format!(r#""config":{config},"layers":[],"subject":{about}"#),
    );
    let list = manifest(
        media_type::OCI_INDEX,
        &format!(r#""manifests":[],"subject":{about}"#),
    );
    for pushed in [&said, &silent, &list] {
        world.push("r", pushed.clone(), &[]).await.unwrap();
    }
    let (all, _) = referrers(&world, subject, None, page(None, 10)).await;
    let mut expected = vec![
        (
            said.digest(),
            Some("a/a"),
            media_type::OCI_MANIFEST,
            said.bytes().len(),
        ),
        (
            silent.digest(),
            Some("c/c"),
            media_type::OCI_MANIFEST,
            silent.bytes().len(),
        ),
        (
            list.digest(),
            None,
            media_type::OCI_INDEX,
            list.bytes().len(),
        ),
    ];
    expected.sort();
    let found: Vec<_> = all
        .iter()
        .map(|it| {
            (
                it.digest,
                it.artifact_type.as_deref(),
                it.media_type.as_str(),
                usize::try_from(it.size).unwrap(),
            )
        })
        .collect();
    assert_eq!(found, expected);
    assert!(all.iter().any(|it| it.annotations == r#"{"k":"v"}"#));

    let (some, more) = referrers(&world, subject, Some("a/a"), page(None, 10)).await;
    assert_eq!(
        (some.len(), some[0].digest, more),
        (1, said.digest(), false)
    );
    assert_eq!(
        referrers(&world, subject, Some("x/x"), page(None, 10)).await,
        (vec![], false)
    );
    world
        .storage
        .manifests()
        .remove(&name("r"), &said.digest())
        .await
        .unwrap();
    assert_eq!(
        referrers(&world, subject, Some("a/a"), page(None, 10)).await,
        (vec![], false)
    );
    let elsewhere = world
        .storage
        .manifests()
        .referrers(&name("s"), &subject, None, page(None, 10))
        .await
        .unwrap();
    assert!(elsewhere.entries.is_empty());
}

#[tokio::test]
async fn many_referrers_in_pages() {
    let world = World::new().await;
    world.blob("r", b"{}").await;
    let subject = sha256(b"s");
    let mut expected = Vec::new();
    for number in 0..7 {
        let layer = format!("layer {number}");
        world.blob("r", layer.as_bytes()).await;
        expected.push(
            world
                .push("r", image(&[layer.as_bytes()], Some(subject)), &[])
                .await
                .unwrap(),
        );
    }
    expected.sort();
    for kind in [None, Some("application/vnd.oci.image.config.v1+json")] {
        let (mut walked, mut more) = (Vec::new(), true);
        while more {
            let (part, rest) =
                referrers(&world, subject, kind, page(walked.last().copied(), 3)).await;
            walked.extend(part.iter().map(|it| it.digest));
            more = rest;
        }
        assert_eq!(walked, expected);
    }
}
