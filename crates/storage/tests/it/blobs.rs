//! Content that several repositories have.

use super::world::{World, name, sha256};

#[tokio::test]
async fn the_same_content_is_kept_once() {
    let world = World::new().await;
    let one = world.blob("a", b"content").await;
    let two = world.blob("b", b"content").await;
    assert_eq!(one, two);
    let blobs = world.storage.blobs();
    let mounted = blobs.mount(&one.digest, &name("a"), &name("c")).await;
    assert_eq!(mounted.unwrap(), one);
    for repository in ["a", "b", "c"] {
        let content = world.content(repository, sha256(b"content")).await;
        assert_eq!(content, b"content");
    }
    assert_eq!((world.files(), world.temporaries()), (1, 0));
}
