//! What holds for every sequence of requests, not only for those of the other tests.

use proptest::prelude::*;
use storage::Error;

use super::world::{World, name, sha256};

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
}
