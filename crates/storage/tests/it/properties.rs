//! What holds for every sequence of requests, not only for those somebody thought of.

use std::collections::BTreeMap;

use proptest::prelude::*;
use storage::{Error, PageRequest};

use super::world::{World, index, name, sha256};

/// One request to an upload.
#[derive(Clone, Debug)]
enum Step {
    /// Sends bytes and is acknowledged.
    Save(Vec<u8>),
    /// Sends bytes and breaks off.
    Break(Vec<u8>),
    /// Begins at the wrong place.
    Misplace(u64),
    /// The server starts again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..3000);
    prop_oneof![
        4 => bytes().prop_map(Step::Save),
        2 => bytes().prop_map(Step::Break),
        1 => (1_u64..100).prop_map(Step::Misplace),
        1 => Just(Step::Restart),
    ]
}

async fn walk(steps: Vec<Step>) {
    let mut world = World::new().await;
    let id = world.begin("a").await;
    let mut kept = Vec::new();
    for step in steps {
        let at = kept.len() as u64;
        match step {
            Step::Save(bytes) => {
                let mut upload = world
                    .storage
                    .upload(&name("a"), id, Some(at))
                    .await
                    .unwrap();
                upload.write(bytes.clone().into()).await.unwrap();
                kept.extend(bytes);
                assert_eq!(upload.save().await.unwrap(), kept.len() as u64);
            }
            Step::Break(bytes) => {
                let mut upload = world
                    .storage
                    .upload(&name("a"), id, Some(at))
                    .await
                    .unwrap();
                upload.write(bytes.into()).await.unwrap();
            }
            Step::Misplace(by) => {
                let refused = world.storage.upload(&name("a"), id, Some(at + by)).await;
                assert!(matches!(refused, Err(Error::OutOfOrder { received }) if received == at));
            }
            Step::Restart => world = world.restarted().await,
        }
    }
    let upload = world.storage.upload(&name("a"), id, None).await.unwrap();
    upload.finish(sha256(&kept)).await.unwrap();
    assert_eq!(world.content("a", sha256(&kept)).await, kept);
}

/// Points tags at manifests and removes either, and compares with a map.
async fn tag_and_untag(steps: Vec<(u8, u8, u8)>, limit: u32) {
    let world = World::new().await;
    let manifests = [index(&[]), index(&[sha256(b"1")]), index(&[sha256(b"2")])];
    let mut model: BTreeMap<String, usize> = BTreeMap::new();
    let rows = world.storage.manifests();
    rows.push(&name("a"), manifests[0].clone(), vec![])
        .await
        .unwrap();
    for (action, tag, which) in steps {
        let (tag, which) = (format!("t{}", tag % 6), usize::from(which % 3));
        match action % 4 {
            0 | 1 => {
                world
                    .push("a", manifests[which].clone(), &[&tag])
                    .await
                    .unwrap();
                model.insert(tag, which);
            }
            2 => {
                let untagged = rows.untag(&name("a"), &tag.parse().unwrap()).await;
                assert_eq!(untagged.is_ok(), model.remove(&tag).is_some());
            }
            _ => {
                let _ = rows.remove(&name("a"), &manifests[which].digest()).await;
                model.retain(|_, target| *target != which);
            }
        }
        for tag in (0..6).map(|tag| format!("t{tag}")) {
            let found = rows
                .find(&name("a"), &tag.parse().unwrap())
                .await
                .ok()
                .map(|stored| stored.digest);
            assert_eq!(
                found,
                model.get(&tag).map(|which| manifests[*which].digest())
            );
        }
    }
    let (mut walked, mut more) = (Vec::<String>::new(), true);
    while more {
        let page = PageRequest {
            after: walked.last().cloned(),
            limit,
        };
        let part = rows.tags(&name("a"), page).await.unwrap();
        walked.extend(part.entries);
        more = part.more;
    }
    assert_eq!(walked, model.into_keys().collect::<Vec<_>>());
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_upload_is_what_was_acknowledged(steps in proptest::collection::vec(step(), 0..8)) {
        run(walk(steps));
    }

    #[test]
    fn tags_are_a_map(steps in proptest::collection::vec(any::<(u8, u8, u8)>(), 0..24), limit in 1_u32..4) {
        run(tag_and_untag(steps, limit));
    }
}
