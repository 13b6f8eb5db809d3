//! Which repository has which blobs.

use storage::{Error, PageRequest};

use super::world::{World, name, sha256};

#[tokio::test]
async fn a_blob_is_its_repositorys_alone_until_it_is_mounted() {
    let world = World::new().await;
    let blob = world.blob("a", b"cargo").await;
    assert_eq!((blob.digest, blob.size), (sha256(b"cargo"), 5));
    assert!(world.has_blob("a", blob.digest).await);
    assert!(!world.has_blob("b", blob.digest).await);
    let (a, b, c) = (name("a"), name("b"), name("c"));
    let refused = world.storage.blobs().mount(&blob.digest, &c, &b).await;
    assert!(matches!(refused, Err(Error::BlobUnknown)));
    assert_eq!(
        world
            .storage
            .blobs()
            .mount(&blob.digest, &a, &b)
            .await
            .unwrap(),
        blob
    );
    assert_eq!(world.content("b", blob.digest).await, b"cargo");
    assert_eq!(world.files(), 1);
}

#[tokio::test]
async fn a_deleted_blob_is_gone_at_once_there_and_only_there() {
    let world = World::new().await;
    let blob = world.blob("a", b"cargo").await;
    world
        .storage
        .blobs()
        .mount(&blob.digest, &name("a"), &name("b"))
        .await
        .unwrap();
    assert!(world.has_blob("a", blob.digest).await);
    world
        .storage
        .blobs()
        .unlink(&name("a"), &blob.digest)
        .await
        .unwrap();
    assert!(!world.has_blob("a", blob.digest).await);
    assert!(world.has_blob("b", blob.digest).await);
    for repository in ["a", "never"] {
        let again = world
            .storage
            .blobs()
            .unlink(&name(repository), &blob.digest)
            .await;
        assert!(matches!(again, Err(Error::BlobUnknown)));
    }
    let again = world.storage.blobs().lease(&name("a"), &blob.digest).await;
    assert!(matches!(again, Err(Error::BlobUnknown)));
}

#[tokio::test]
async fn the_same_content_is_kept_once() {
    let world = World::new().await;
    let (one, two) = (
        world.blob("a", b"cargo").await,
        world.blob("b", b"cargo").await,
    );
    assert_eq!(one, two);
    assert_eq!((world.files(), world.temporaries()), (1, 0));
}

#[tokio::test]
async fn who_has_a_blob() {
    let world = World::new().await;
    for repository in ["c", "a", "b"] {
        world.blob(repository, b"cargo").await;
    }
    let digest = sha256(b"cargo");
    let page = |after: Option<&str>, limit| PageRequest {
        after: after.map(str::to_owned),
        limit,
    };
    let some = world
        .storage
        .blobs()
        .holders(&digest, page(None, 2))
        .await
        .unwrap();
    assert_eq!(
        (some.entries, some.more),
        (vec![name("a"), name("b")], true)
    );
    let rest = world
        .storage
        .blobs()
        .holders(&digest, page(Some("b"), 2))
        .await
        .unwrap();
    assert_eq!((rest.entries, rest.more), (vec![name("c")], false));
    let none = world
        .storage
        .blobs()
        .holders(&sha256(b"x"), page(None, 2))
        .await
        .unwrap();
    assert!(none.entries.is_empty());
}
