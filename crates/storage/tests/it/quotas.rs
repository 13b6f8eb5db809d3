//! Quotas of the storage: what there is room for, and uploads that are refused.

use storage::{Error, Quota, QuotaCounting, QuotaRoom, Quotas};

use super::world::{World, name, sha256};

fn quotas(limits: &[(&str, u64)]) -> Quotas {
    let quotas = limits.iter().map(|(prefix, bytes)| Quota {
        prefix: prefix.parse().unwrap(),
        max_bytes: Some(*bytes),
        max_tags: None,
        warn_at: Some(90),
    });
    Quotas::new(quotas.collect()).unwrap()
}

#[tokio::test]
async fn room_is_what_the_smallest_rest_is() {
    let world = World::new().await;
    let limits = quotas(&[("*", 100), ("a", 10)]);
    let storage = &world.storage;
    world.blob("a/x", b"123").await;
    world.blob("b", b"456789").await;
    let tracked = storage.quotas();
    let tracked = tracked.track(limits.prefixes(), QuotaCounting::New);
    tracked.await.unwrap();
    let room = async |repository: &str, bytes, content: Option<&[u8]>| {
        let digest = content.map(sha256);
        let quotas = limits.of(&name(repository));
        storage.room_for(&quotas, bytes, digest.as_ref()).await
    };
    assert_eq!(room("a", 7, None).await.unwrap(), QuotaRoom::Bytes(7));
    assert_eq!(room("b", 91, None).await.unwrap(), QuotaRoom::Bytes(91));
    let Err(Error::QuotaExceeded(refused)) = room("a", 8, None).await else {
        panic!("there is no room for it")
    };
    assert_eq!((refused.used, refused.limit, refused.requested), (3, 10, 8));
    // What a prefix has already needs no room there.
    let content = b"123";
    assert_eq!(
        room("a/y", 3, Some(content)).await.unwrap(),
        QuotaRoom::Unlimited
    );
    let other = room("a", 6, Some(b"456789")).await;
    assert_eq!(other.unwrap(), QuotaRoom::Bytes(7));
    let none = Quotas::default().of(&name("a"));
    let unlimited = storage.room_for(&none, u64::MAX, None).await;
    assert_eq!(unlimited.unwrap(), QuotaRoom::Unlimited);
}

#[tokio::test]
async fn a_refused_upload_can_be_finished_when_there_is_room() {
    let world = World::new().await;
    let limits = quotas(&[("a", 10)]).of(&name("a"));
    let first = world.blob("a", b"12345").await;
    let id = world.saved(b"abcdef").await;
    let finish = async || {
        let upload = world.resume(id, None).await;
        let digest = sha256(b"abcdef");
        upload.finish_within_quotas(digest, limits.clone()).await
    };
    for _ in 0..2 {
        let refused = finish().await;
        assert!(
            matches!(refused, Err(Error::QuotaExceeded(_))),
            "{refused:?}"
        );
        assert!(!world.has_blob("a", sha256(b"abcdef")).await);
        // That of the other blob.
        assert_eq!(world.files(), 1);
    }
    let repository = name("a");
    let unlinked = world.storage.blobs().unlink(&repository, &first.digest);
    unlinked.await.unwrap();
    finish().await.unwrap();
    assert_eq!(world.content("a", sha256(b"abcdef")).await, b"abcdef");
    assert_eq!(world.storage.quotas().wrong_counts().await.unwrap(), []);
}
